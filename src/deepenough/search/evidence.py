"""The evidence about each architecture of a search space: its finished trainings, or a scout's partial one.

A difference between two architectures is uncertain for two reasons: the images that happen to decide, and the seeds
that happened to be trained. The first is estimated from the paired predictions, the second from architectures trained
with several seeds; where there is only one of each, `PRIOR_SEED_DEVIATION` is allowed for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from deepenough.search.architectures import Architecture
from deepenough.search.candidates import Candidate
from deepenough.search.question import Metric, Role
from deepenough.search.scouts import understate_here, understated_share, understates
from deepenough.search.statistics import Difference, HitShares, Strata, paired_difference
from deepenough.training.callbacks import Ending

# The prior of the standard deviation of an accuracy between seeds, and the number of measured deviations that it counts
# for: the largest that was seen, so that single trainings claim little, and further seeds that agree lower it.
# (`alpha_spending.SEED_DEVIATION` is as large, but nothing lowers it: a search with a target has one seed of each.)
PRIOR_SEED_DEVIATION = 0.006
PRIOR_WEIGHT = 2.0

WHOLE = (Ending.FINISHED, Ending.EARLY)  # endings of trainings whose predictions count


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that is known of one architecture: a finished candidate for each seed, or its scout. `scout` is the one that
    came before finished ones."""

    candidates: tuple[Candidate, ...]
    scout: Candidate | None = None

    @property
    def architecture(self) -> Architecture:
        return self.candidates[0].architecture

    @property
    def candidate(self) -> Candidate:
        """The one from the question's seed."""
        return self.candidates[0]

    @property
    def finished(self) -> bool:
        """False for a scout, and where training ended with some of the folds."""
        return self.candidate.finished and not self.is_scout

    @property
    def is_scout(self) -> bool:
        return self.candidate.role is Role.SCOUT

    @property
    def accuracy(self) -> float:
        """On the decision images, the mean over seeds."""
        return float(np.mean([candidate.accuracy for candidate in self.candidates]))

    @property
    def seeds(self) -> int:
        return len(self.candidates)

    @cached_property
    def seen(self) -> npt.NDArray[np.bool_]:
        """The decision images that all seeds have predictions for."""
        return np.asarray(np.logical_and.reduce([candidate.seen for candidate in self.candidates]))

    @cached_property
    def hits(self) -> HitShares:
        """For every decision image the share of the seeds that are right."""
        return np.asarray(np.mean([candidate.hits for candidate in self.candidates], axis=0), np.float64)

    @property
    def trainings(self) -> int:
        """Trainings that judged the images, each with a seed of its own: folds times seeds."""
        return sum(len(candidate.trainings) for candidate in self.candidates)


def _understated(each: Evidence) -> tuple[float, float]:
    """The mean and the standard deviation of what the accuracy lacks since the training was short."""
    return understates(each.accuracy) if each.is_scout else (0.0, 0.0)


def gather(candidates: Sequence[Candidate]) -> list[Evidence]:
    """Put together what was tried of each architecture, small to large by their multiply-accumulates.

    A scout stands for its architecture only where that was not trained to its end; a training that was ended early
    counts by the folds that it has.
    """
    found: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        found.setdefault(candidate.architecture.name, []).append(candidate)
    evidence = []
    for group in found.values():
        full = [c for c in group if c.finished and c.role is not Role.SCOUT]
        partial = [c for c in group if c.seen.any() and all(t.ended in WHOLE for t in c.trainings)]
        if full:
            evidence.append(Evidence(tuple(full), next((c for c in partial if c.role is Role.SCOUT), None)))
        elif partial:
            evidence.append(Evidence((partial[0],)))
    return sorted(evidence, key=lambda each: each.architecture.macs)


@dataclass(frozen=True)
class EvidenceTable:
    """The evidence about all architectures that were looked at, and what it says of their differences."""

    evidence: tuple[Evidence, ...]
    strata: Strata
    labels: npt.NDArray[np.int64]
    metric: Metric
    _differences: dict[tuple[str, str], Difference] = field(default_factory=dict, init=False)

    @property
    def finished(self) -> list[Evidence]:
        return [each for each in self.evidence if each.finished]

    @cached_property
    def seed_variance(self) -> float:
        """Variance of the accuracy of a training between seeds: the prior's, and the variances measured between seeds
        of one architecture less what their images explain, weighted by their degrees of freedom."""
        total, weight = PRIOR_WEIGHT * PRIOR_SEED_DEVIATION**2, PRIOR_WEIGHT
        for each in self.evidence:
            if each.seeds < 2:
                continue
            folds = len(each.candidate.trainings)
            between = np.array([candidate.accuracy for candidate in each.candidates])
            first, second = (candidate.hits for candidate in each.candidates[:2])
            by_images = paired_difference(first, second, self.strata).standard_error ** 2 / 2
            freedom = each.seeds - 1
            total += freedom * max(0.0, folds * (float(between.var(ddof=1)) - by_images))
            weight += freedom
        return total / weight

    def difference(self, other: Evidence, candidate: Evidence) -> Difference:
        """`other - candidate`, paired on the images that both have seen; seeds and a scout's shortness are taken in."""
        names = other.architecture.name, candidate.architecture.name
        if names not in self._differences:
            self._differences[names] = self._difference(other, candidate)
            self._differences[names[::-1]] = self._differences[names].reversed()
        return self._differences[names]

    def mistakes(self, each: Evidence) -> Difference:
        """The share of images that a finished architecture gets wrong, as its difference from one that gets none."""
        return paired_difference(
            np.ones(int(each.seen.sum())),
            each.hits[each.seen],
            self._strata_of(each.seen),
            added_variance=self._training_variance(each),
        )

    def _difference(self, other: Evidence, candidate: Evidence) -> Difference:
        both = other.seen & candidate.seen
        variance = self._training_variance(other) + self._training_variance(candidate)
        shift = _understated(other)[0] - _understated(candidate)[0]
        strata = self._strata_of(both)
        return paired_difference(other.hits[both], candidate.hits[both], strata, added_variance=variance, shift=shift)

    def _strata_of(self, seen: npt.NDArray[np.bool_]) -> Strata:
        """The strata of those decision images that were seen."""
        return self.strata if seen.all() else Strata.of(self.labels[seen], self.metric)

    def _training_variance(self, each: Evidence) -> float:
        """Variance of its accuracy that comes from its trainings, not from the images."""
        return self.seed_variance / each.trainings + _understated(each)[1] ** 2

    def estimates(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """The accuracy of each architecture against the most accurate finished one, and the variance of each estimate.

        The part of an estimate's variance that comes from the images is half of that of its difference, since the other
        half is the reference's; the reference's own is taken to be the mean of the others'. What scouts understate is
        learnt from those whose networks were trained in full since; bounds don't rest on that.
        """
        reference = max(self.finished, key=lambda each: each.candidate.accuracy)
        values, images = np.zeros(len(self.evidence)), np.full(len(self.evidence), np.nan)
        own = np.array([self._training_variance(each) for each in self.evidence])
        here = understate_here(self._gains_over_scouts())
        for number, each in enumerate(self.evidence):
            if each is not reference:
                found = self.difference(reference, each)
                values[number] = -found.value
                both = self._training_variance(reference) + own[number]
                images[number] = max(found.standard_error**2 - both, 1e-12) / 2
            if each.is_scout:
                usual, learnt = understates(each.accuracy), understates(each.accuracy, *here)
                values[number] += learnt[0] - usual[0]
                own[number] += learnt[1] ** 2 - usual[1] ** 2
        images[np.isnan(images)] = np.nanmean(images) if len(images) > 1 else 0.0
        return values, images + own

    def _gains_over_scouts(self) -> Iterator[tuple[float, float]]:
        """The accuracy that each architecture gained over its scout when it was trained in full, and its variance."""
        for each in self.finished:
            if each.scout is None or each.scout.accuracy == 1:
                continue
            seen, share = each.seen & each.scout.seen, understated_share(each.scout.accuracy)
            gain = paired_difference(
                each.hits[seen], each.scout.hits[seen], self._strata_of(seen),
                added_variance=self.seed_variance * (1 / each.trainings + 1 / len(each.scout.trainings)),
            )  # fmt: skip
            yield gain.value / share, (gain.standard_error / share) ** 2
