"""The statistics of the decision: accuracies, paired differences and their bounds.

All of it works on `hits`: for every decision image the share of seeds that classify it correctly (0 or 1 with
one seed). Candidates are compared on the same images, pair by pair, which is far sharper than comparing two
accuracies: the images that both get right, or both wrong, cancel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from deepenough.search.question import Metric

HitShares = npt.NDArray[np.float64]

CONFIDENCE = 0.95
# Share of images on which two neighbouring architectures disagree, before anything is measured: 8 to 10% of the images
# at 80 to 90% accuracy. It only says whether the validation split can be expected to resolve the margin.
EXPECTED_DISAGREEMENT = 0.08


def z_score(confidence: float = CONFIDENCE) -> float:
    """The one-sided normal quantile: 1.645 at 95%."""
    from scipy.special import ndtri  # here and below: its import costs 0.3 s, and most processes compute no bound

    return float(ndtri(confidence))


def exact_interval(correct: int, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Two-sided exact (Clopper-Pearson 1934) interval of a share, in 0..1."""
    return one_sided(correct, count, (1 + confidence) / 2)


def one_sided(correct: int, count: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Exact lower and upper bounds of a share, each of them one-sided at `confidence`."""
    if count == 0:
        return 0.0, 1.0
    from scipy.special import betaincinv

    low = float(betaincinv(correct, count - correct + 1, 1 - confidence)) if correct > 0 else 0.0
    high = float(betaincinv(correct + 1, count - correct, confidence)) if correct < count else 1.0
    return low, high


@dataclass(frozen=True)
class Strata:
    """The weights of images: one stratum (top-1) or one a class, each with the same weight (balanced).

    `members` holds the index arrays of the strata that have images.
    """

    members: tuple[npt.NDArray[np.int64], ...]

    @classmethod
    def of(cls, labels: npt.NDArray[np.int64], metric: Metric) -> Strata:
        if metric == Metric.BALANCED:
            return cls(tuple(np.flatnonzero(labels == label) for label in np.unique(labels)))
        return cls((np.arange(len(labels), dtype=np.int64),))

    def accuracy(self, hits: HitShares) -> float:
        """Mean over strata of the mean hit."""
        return float(np.mean([hits[member].mean() for member in self.members]))


def accuracy_bounds(hits: HitShares, strata: Strata, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """One-sided lower and upper bounds of an accuracy.

    Exact for one stratum. For balanced accuracy a normal bound on the mean of the strata, each with two images
    added, one right and one wrong, so that a small class without a mistake is not taken for certain (Agresti and
    Coull 1998).
    """
    if len(strata.members) == 1:
        return one_sided(round(float(hits.sum())), len(hits), confidence)
    shares = [(hits[m].sum() + 1) / (len(m) + 2) for m in strata.members]
    variances = [p * (1 - p) / (len(m) + 2) for p, m in zip(shares, strata.members, strict=True)]
    centre, error = float(np.mean(shares)), math.sqrt(sum(variances)) / len(shares)
    return max(0.0, centre - z_score(confidence) * error), min(1.0, centre + z_score(confidence) * error)


@dataclass(frozen=True)
class Difference:
    """A paired difference of two accuracies on the same images, `best - candidate`, in -1..1.

    The bounds are one-sided at `CONFIDENCE`. `added_variance` is that part of the variance that more images would not
    reduce.
    """

    value: float
    standard_error: float
    lower: float
    upper: float
    images: int
    added_variance: float = 0.0

    def lower_at(self, confidence: float) -> float:
        """The one-sided lower bound at another confidence than `CONFIDENCE`."""
        return (self.lower + self.upper) / 2 - z_score(confidence) * self.standard_error

    def upper_at(self, confidence: float) -> float:
        """The one-sided upper bound at another confidence than `CONFIDENCE`."""
        return (self.lower + self.upper) / 2 + z_score(confidence) * self.standard_error

    def interval(self) -> tuple[float, float]:
        """The two-sided interval at `CONFIDENCE`, within -1..1."""
        centre, half = (self.lower + self.upper) / 2, z_score((1 + CONFIDENCE) / 2) * self.standard_error
        return max(-1.0, centre - half), min(1.0, centre + half)

    def reversed(self) -> Difference:
        """The difference the other way about."""
        return replace(self, value=-self.value, lower=-self.upper, upper=-self.lower)

    def settled_by(self, margin: float) -> int | None:
        """About how many images would show a difference of this size to lie under the margin; None if none would, or
        only with more trainings."""
        room = margin - self.value
        others = z_score() ** 2 * self.added_variance
        if room <= 0 or room**2 <= others:
            return None
        by_images = (self.upper - self.value) ** 2 - others
        return math.ceil(self.images * max(0.0, by_images) / (room**2 - others))


def paired_difference(
    best: HitShares,
    candidate: HitShares,
    strata: Strata,
    *,
    added_variance: float = 0.0,
    shift: float = 0.0,
) -> Difference:
    """`best - candidate` with one-sided bounds (Bonett and Price 2012, adjusted Wald for paired shares).

    Two images are added to every stratum, one that only the best gets right and one that only the candidate does:
    without them two networks that never disagree on 50 images would be called equal beyond doubt. With several
    seeds, hits are averaged over them and the same formula holds on the averages. `added_variance` is what the choice
    of images does not explain, such as that between seeds; `shift` is known of the difference beforehand, and added.
    """
    values, variances, observed = [], [], []
    for member in strata.members:
        differences = best[member] - candidate[member]
        count = len(member) + 2
        mean = float(differences.sum()) / count
        variance = (float((differences**2).sum()) + 2) / count - mean**2
        values.append(mean)
        variances.append(variance / count)
        observed.append(float(differences.mean()))
    centre = float(np.mean(values))
    error = math.sqrt(sum(variances) / len(values) ** 2 + added_variance)
    half = z_score() * error
    centre += shift
    return Difference(
        value=float(np.mean(observed)) + shift,
        standard_error=error,
        lower=centre - half,
        upper=centre + half,
        images=len(best),
        added_variance=added_variance,
    )


def resolved_difference(hits: Sequence[HitShares], strata: Strata) -> float:
    """The smallest paired difference that the images can tell: that of the two most accurate."""
    top = sorted(hits, key=strata.accuracy)[-2:]
    return z_score() * paired_difference(top[-1], top[0], strata).standard_error


def resolution(count: int, disagreement: float = EXPECTED_DISAGREEMENT, confidence: float = CONFIDENCE) -> float:
    """The paired difference that `count` images can tell from none, when two networks disagree on that share."""
    return z_score(confidence) * math.sqrt(disagreement / count) if count else 1.0


def images_for_target(accuracy: float, target: float, confidence: float = CONFIDENCE) -> int | None:
    """About how many images would show an accuracy of this size to reach the target; None if none would."""
    if accuracy <= target:
        return None
    return math.ceil(accuracy * (1 - accuracy) * (z_score(confidence) / (accuracy - target)) ** 2)
