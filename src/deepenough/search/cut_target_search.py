"""The search for the smallest cut of pretrained networks that meets a target: probes and what was gained propose."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from deepenough.search.architectures import Architecture
from deepenough.search.candidates import Candidate, CandidateTrainer
from deepenough.search.cut_search import next_shallower, whole_network
from deepenough.search.fine_tuning_gains import Gains
from deepenough.search.question import Question
from deepenough.search.statistics import z_score
from deepenough.search.target_rules import Untrained
from deepenough.search.target_search import TargetSearch
from deepenough.search.verdict import Verdict
from deepenough.training.callbacks import Ending

# Shares of a probe's mistakes that fine-tuning is taken to correct before it was seen: 12 to 29% were measured of deep
# cuts of SqueezeNet, and 40% of EfficientNet-Lite0 (benchmarks/RESULTS.md).
USUALLY_CORRECTED = 0.25
MOST_CORRECTED = 0.5
MOST_FOLLOWING = 4  # looks that share the chance of an error with one; clear failures, the most of them, spend nothing


class Begin(StrEnum):
    """The reason for the cut that a search begins with."""

    PROPOSED = "proposed"
    USUAL = "usual"
    MOST = "most"
    BEST = "best"


@dataclass(frozen=True)
class Beginning:
    """The cut that a search begins with."""

    architecture: Architecture
    reason: Begin

    def why(self, target: float) -> str:
        """The reason in words; empty where it is the one that the probes propose, or the next shallower one."""
        none = f"no probe of the search space reaches {target:.1%}; "
        return {
            Begin.PROPOSED: "",
            Begin.USUAL: f"{none}it is the smallest that would if fine-tuning corrected a quarter of its mistakes",
            Begin.MOST: (
                f"{none}of the best cuts of each network it is the smallest that would if fine-tuning corrected half "
                "of its mistakes"
            ),
            Begin.BEST: f"{none}its probe is the most accurate",
        }[self.reason]


@dataclass(eq=False)
class CutTargetSearch(TargetSearch):
    """Of the cuts that may meet the target by their probes and what fine-tuning has gained over probes so far, the
    smallest that is expected to be shown to; after each failure again, as the gains then are. Below one that is shown
    to meet it those that may meet it are bisected.

    All trainings but the first keep the budget, but that the best is trained to its end where none meets the target.
    Before the search ends without an answer it tries the cut with the best probe, its whole network and the best-probed
    cuts of networks that nothing is known of. `search_space` holds every cut, small to large, of one network or of
    several; `probes` has the accuracies by the cuts' names.
    """

    beginning: Beginning = field(kw_only=True)
    probes: Mapping[str, float] = field(kw_only=True)
    late: list[Architecture] = field(default_factory=list, init=False)  # they would not finish in time

    def run(self) -> Verdict:
        if why := self.beginning.why(self.target):
            self.note(f"beginning with {self.beginning.architecture.name}", why, begin=str(self.beginning.reason))
        verdict = super().run()
        reaches = self._reaches()
        out = [each for each in verdict.facts.left_out if reaches[each.name] < self.target]
        if out and self._gains.gained:
            what, why, figures = self._gains.left_out(out)
            self.note(what, why, **figures)
        return verdict

    def _next(self) -> Architecture | None:
        """The next cut of the climb: the most promising one that budget and time allow; None where it ends.

        If it fails the budget has to hold the one that reaches furthest of those that finish in time.
        """
        beyond, reaches = self._beyond(), self._reaches()
        if not self.tried:
            return beyond[0]
        left, late = [each for each in beyond if self._affords(each)], None
        while left:
            furthest = max(left, key=lambda each: reaches[each.name])
            found = next(
                each for each in left if each is furthest or self._affords(furthest, self.trainer.planned(each))
            )
            late = next((each for each in dict.fromkeys((found, furthest)) if self._is_late(each)), None)
            if late is None:
                return found
            left.remove(late)
        if late is not None:
            self.short_of = "--time-limit"
        return None

    def _ahead(self, architecture: Architecture) -> list[Architecture]:
        """The next cut, and those that the budget holds as well: no others are begun ahead."""
        return [each for each in super()._ahead(architecture) if each is architecture or self._affords(each)]

    def _is_late(self, architecture: Architecture) -> bool:
        """True if a cut would not finish in time, which is noted; nor would one of the same network that costs more."""
        cost = self.trainer.planned(architecture)
        if any(each.family == architecture.family and self.trainer.planned(each) <= cost for each in self.late):
            return True
        if self.in_time(architecture):
            return False
        self.late.append(architecture)
        return True

    def _beyond(self) -> list[Architecture]:
        """The cuts that may come next, the most promising first: those that are expected to be shown to meet the
        target, small to large, and those that may meet it, by their reach; then, where nothing seems to meet it, those
        that the search does not end without."""
        if not self.space_candidates():
            return [self.beginning.architecture]
        shown = self._possible(self._shown_from())
        reaches = self._reaches()
        others = sorted(self._possible(self.target), key=lambda each: reaches[each.name], reverse=True)
        seems = any(candidate.finished and candidate.accuracy >= self.target for candidate in self.space_candidates())
        return list(dict.fromkeys([*shown, *others, *([] if seems else self._last_resorts())]))

    def _possible(self, accuracy: float) -> list[Architecture]:
        """The cuts that were not tried and may come to an accuracy, small to large."""
        reaches = self._reaches()
        return [each for each in self._untried() if reaches[each.name] >= accuracy and not self._beaten(each)]

    def _last_resorts(self) -> Iterator[Architecture]:
        """The best-probed cut of all and its whole network, and the best-probed ones of networks that nothing was tried
        of and that may meet the target."""
        tried = {candidate.architecture.family for candidate in self.space_candidates()}
        best = best_probed(self.search_space, self.probes)
        hopeful = [
            each
            for each in best
            if each.family not in tried and corrected(self.probes[each.name], MOST_CORRECTED) >= self.target
        ]
        certain = [self._best, whole_network(self.search_space, self._best)]
        for each in sorted([*certain, *hopeful], key=lambda each: self.probes[each.name], reverse=True):
            if each in self._untried() and not self._beaten(each):
                yield each

    @property
    def _best(self) -> Architecture:
        return best_probed_of_all(self.search_space, self.probes)

    def _untried(self) -> list[Architecture]:
        names = {candidate.architecture.name for candidate in self.space_candidates()}
        return [each for each in self.search_space if each.name not in names]

    def _reaches(self) -> dict[str, float]:
        """The accuracies that cuts may come to: that of the probe and the most that fine-tuning gained. One that is
        deeper than all that were tried of its network may gain more: as much as is usual."""
        gains, found = self._gains, {}
        for each in self.search_space:
            probe = self.probes[each.name]
            reach = probe + gains.most(each.family)
            found[each.name] = reach if gains.tells_of(each) else max(reach, corrected(probe, USUALLY_CORRECTED))
        return found

    @property
    def _gains(self) -> Gains:
        return Gains.of(self.tried, self.probes)

    def _beaten(self, architecture: Architecture) -> bool:
        """True if a larger cut of its network with a probe that is no worse was trained and is not enough."""
        return any(self._is_below_cut(architecture, candidate.architecture) for candidate in self._failed())

    def _is_below_cut(self, architecture: Architecture, other: Architecture) -> bool:
        return (
            architecture.family == other.family
            and self._size(architecture) < self._size(other)
            and self.probes[architecture.name] <= self.probes[other.name]
        )

    def _failed(self) -> list[Candidate]:
        """The cuts that were pruned, or looked at and not shown to meet the target."""
        looked = [c for c in self.space_candidates() if c.finished and c.name in self.looks]
        pruned = [c for c in self.space_candidates() if c.state is Ending.PRUNED]
        return [*pruned, *(c for c in looked if not self.looks[c.name].shown)]

    def _shown_from(self) -> float:
        """The accuracy that the next look is likely to need to show a network to meet the target."""
        share = self.spending.share(MOST_FOLLOWING + self._students_left())
        if share <= 0:
            return self.target
        images = self.target * (1 - self.target) / sum(map(len, self.trainer.strata.members))
        return self.target + z_score(1 - share) * math.sqrt(images + self.spending.seed_variance)

    def _following(self, architecture: Architecture, passed: Candidate | None = None) -> int:
        """The looks that share the chance of an error with this one if it fails: all that may come, but not many."""
        others = [
            each
            for each in self._untried()
            if each.name != architecture.name and not self._is_below_cut(each, architecture)
        ]
        if passed is None:
            return min(len(others), MOST_FOLLOWING)
        below = sum(self._size(each) < self._size(passed.architecture) for each in others)
        return min(below.bit_length(), MOST_FOLLOWING)  # bisecting one network takes no more

    def _close_in(self, passed: Candidate) -> Candidate:
        """Bisect the cuts below the smallest that meets the target which may do so, as budget and time allow; return
        the smallest that meets it."""
        while below := self._below(passed.architecture):
            allowed = [each for each in below if self._budget_holds(each, passed.architecture, passed.cost)]
            while allowed and self._is_late(middle := allowed[len(allowed) // 2]):
                allowed.remove(middle)
                self.short_of = "--time-limit"
            if not allowed:
                break
            candidate = self.train(middle, bar=self.target, give_up=self._is_below)
            if self._is_shown(candidate, passed):
                passed = candidate
        return passed

    def _below(self, passed: Architecture) -> list[Architecture]:
        return [each for each in self._possible(self.target) if self._size(each) < self._size(passed)]

    def _middle(self, passed: Architecture) -> Architecture | None:
        """None, so that no training is paused: how far fine-tuning gains is not known before its end."""
        return None

    def _untrained(self) -> Untrained:
        """The cuts that were not tried: small ones alone, where one is shown to meet the target."""
        shown = [c.architecture for c in self._candidates() if c.name in self.looks and self.looks[c.name].shown]
        smallest = min(map(self._size, shown), default=None)
        left = [each for each in self._untried() if smallest is None or self._size(each) < smallest]
        may = {each.name for each in (self._possible(self.target) if shown else self._beyond())}
        return Untrained(
            unknown=tuple(each for each in left if each.name in may),
            left_out=tuple(each for each in left if each.name not in may),
            option=self.short_of,
        )


def corrected(probe: float, share: float) -> float:
    """The accuracy of a probe where fine-tuning corrects a share of its mistakes."""
    return 1 - (1 - probe) * (1 - share)


def best_probed_of_all(search_space: Sequence[Architecture], probes: Mapping[str, float]) -> Architecture:
    """The cut with the most accurate probe, the smaller one of equals."""
    return max(search_space, key=lambda each: probes[each.name])


def best_probed(search_space: Sequence[Architecture], probes: Mapping[str, float]) -> list[Architecture]:
    """The cut of each network with the most accurate probe, small to large."""
    best: dict[str, Architecture] = {}
    for each in search_space:
        if each.family not in best or probes[each.name] > probes[best[each.family].name]:
            best[each.family] = each
    return [each for each in search_space if best[each.family] is each]


def beginning(
    question: Question,
    search_space: Sequence[Architecture],
    trainer: CandidateTrainer,
    probes: Mapping[str, float],
    proposed: Architecture,
) -> Beginning:
    """The cut that a search for a target begins with.

    Where a probe reaches the target it is the next shallower one to that which the probes propose. Else it is the
    smallest cut that usual gains would bring there; where none would, the smallest of the best-probed ones of each
    network that the largest gains would, since these gain most and tell most. If it fails the budget has to hold one
    with a better probe. Otherwise the search begins with the best-probed one of all.
    """
    target, best = question.target or 0.0, best_probed_of_all(search_space, probes)
    if probes[best.name] >= target:
        return Beginning(next_shallower(search_space, proposed) or proposed, Begin.PROPOSED)

    def is_held(failed: Architecture) -> bool:
        before = trainer.probing_cost + trainer.planned(failed)
        return any(
            before + trainer.planned(each) <= question.budget * trainer.planned(each)
            for each in search_space
            if probes[each.name] > probes[failed.name] and corrected(probes[each.name], MOST_CORRECTED) >= target
        )

    for cuts, share, reason in (
        (search_space, USUALLY_CORRECTED, Begin.USUAL),
        (best_probed(search_space, probes), MOST_CORRECTED, Begin.MOST),
    ):
        for each in cuts[: cuts.index(best)]:
            if corrected(probes[each.name], share) >= target and is_held(each):
                return Beginning(each, reason)
        if corrected(probes[best.name], share) >= target:
            break
    return Beginning(best, Begin.BEST)
