"""The 5% chance of a false claim, spent over all looks at a target.

Every network that is trained to its end is looked at once: does its lower bound reach the target? Six looks at 5% each
are wrong in up to 20% of questions, so they share the 5% (alpha spending, Lan and DeMets 1983; here a look is another
network on the same images). The sequence is fixed before anything is trained: a look gets the same share of what is
left as each look that may still follow it. Three things make it sharper than a sixth of 5% for each of six looks:

1. Two networks are mostly right about the same images, so their looks err together. Where `m` looks failed at the
   critical values `c_1 ... c_m`, the next one is `c` in P(Z_1 < c_1, ..., Z_m < c_m, Z < c) = 1 - spent, for normal
   Z with a common correlation. That is the smallest lower bound of a correlation between any two of these networks, as
   estimated from their paired hits: by Slepian's inequality (1962) larger ones only lower the chance of an error.
   A look never gets less than its own share, which Bonferroni's inequality allows. Images are counted, so a look
   comes to a little less than its level, and the rest goes to the others.
2. A network whose upper bound at `CLEARLY_BELOW` lies under the target spends nothing: a clear failure is hardly ever a
   false claim (discarding, Zhao, Small and Su 2019; Tian and Ramdas 2021). At a level curve it frees shares that were
   already counted; `SPENT` holds that back, as computed for correlations of 0.3 and more (0.5 to 0.6 is usual).
3. A look that succeeds gives its share back: if it was right it cost nothing, and if it was wrong the error is made
   (Bretz et al. 2009). So closing in below a network that meets the target is as sharp as the look at that one.

The bounds themselves are exact (Clopper and Pearson 1934), so the claim is conservative on few images.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deepenough.search.statistics import CONFIDENCE, HitShares, Strata, accuracy_bounds, one_sided, z_score

ALPHA = 1 - CONFIDENCE  # chance of a false claim in a question
SPENT = 0.98  # share of it that is spent; the rest is for what discarding adds
CLEARLY_BELOW = 0.9  # confidence with which a network is under the target whose look spends nothing
# Standard deviation of an architecture's accuracy from seed to seed, in one training: 0.2 to 0.6 points were measured,
# and the claim has to hold at the largest.
SEED_DEVIATION = 0.006

MOST_CORRELATED = 0.99  # beyond it the integral would need a finer grid
_PRECISION = 1e-6  # of a critical value, and relative of a level
_LEAST_SHARE = 1e-6  # below it nothing is left to spend
_COMMON = np.linspace(-8, 8, 401)  # values of what is common to all looks
_WEIGHTS = np.exp(-(_COMMON**2) / 2) / np.exp(-(_COMMON**2) / 2).sum()


def union_probability(critical: Sequence[float], correlation: float) -> float:
    """The chance that one or more of normal variables with a common correlation exceed their critical values.

    The correlation is in 0..0.99. Given what is common to all they are independent, which leaves one integral.
    """
    below = [_all_below(limit, correlation) for limit in critical]
    return float(1 - (_WEIGHTS * np.prod(below, axis=0)).sum())


def next_critical(failed: Sequence[float], correlation: float, total: float, least: float) -> float:
    """The critical value of a look after others that failed.

    Args:
        failed: the critical values of those.
        correlation: between any two of all these, at least; in 0..0.99.
        total: chance of a false claim in all of them together, this one included.
        least: the level that this look has in any case.
    """
    low, high = 0.0, z_score(1 - least)
    before = _WEIGHTS * np.prod([_all_below(limit, correlation) for limit in failed], axis=0)

    def exceeds(critical: float) -> bool:
        return bool(1 - (before * _all_below(critical, correlation)).sum() > total)

    if not failed or exceeds(high):
        return high
    while high - low > _PRECISION:
        middle = (low + high) / 2
        low, high = (middle, high) if exceeds(middle) else (low, middle)
    return high


def _all_below(limit: float, correlation: float) -> npt.NDArray[np.float64]:
    """The chance that a variable stays below its limit, for every value of what is common to all."""
    from scipy.special import ndtr

    chances: npt.NDArray[np.float64] = ndtr((limit - math.sqrt(correlation) * _COMMON) / math.sqrt(1 - correlation))
    return chances


def least_correlation(first: HitShares, second: HitShares, strata: Strata, extra_variance: float = 0.0) -> float:
    """A one-sided 95% lower bound of the correlation of two accuracies on the same images, at least 0.

    Fisher's transformation, with as many observations as there are images that one of the two gets wrong, since those
    that both get right say little. `extra_variance` is that of each accuracy between seeds.
    """
    covariance = np.zeros((2, 2))
    for member in strata.members:
        if len(member) > 1:
            covariance += np.cov(first[member], second[member]) / len(member)
    covariance /= len(strata.members) ** 2
    scale = math.sqrt(covariance[0, 0] * covariance[1, 1])
    telling = int(((first < 1) | (second < 1)).sum())
    if scale == 0 or telling <= 4:
        return 0.0
    correlation = min(covariance[0, 1] / scale, MOST_CORRELATED)
    bound = math.tanh(math.atanh(correlation) - z_score() / math.sqrt(telling - 3))
    seeds = math.sqrt((covariance[0, 0] + extra_variance) * (covariance[1, 1] + extra_variance))
    return max(0.0, bound * scale / seeds)


@dataclass(frozen=True)
class Look:
    """One look at the target: the level spent on it, and the bounds of the accuracy.

    `lower` is at the confidence 1 - `alpha`; `clearly_below` says that the look failed without spending anything.
    """

    alpha: float
    lower: float
    shown: bool
    clearly_below: bool


@dataclass
class AlphaSpending:
    """The error that the looks of one question have spent.

    Attributes:
        target: the accuracy to reach, in 0..1.
        strata: the weights of the decision images.
        trainings: how many trainings an accuracy is the mean of, where it is taken for the architecture's over seeds;
            0 where the claim is about the very network that was judged.
    """

    target: float
    strata: Strata
    trainings: int = 0
    correlation: float = field(default=MOST_CORRELATED, init=False)
    failed: list[tuple[HitShares, float]] = field(default_factory=list, init=False)  # hits, critical value

    @property
    def seed_variance(self) -> float:
        """Variance between seeds of an accuracy that a claim is about."""
        return SEED_DEVIATION**2 / self.trainings if self.trainings else 0.0

    def share(self, following: int) -> float:
        """The error that a look may add, where at most `following` others come after it."""
        return (SPENT * ALPHA - self._spent(self.correlation)) / (1 + following)

    def look(self, hits: HitShares, following: int) -> Look:
        """Look at a network, given its hits on all decision images, and account for the look."""
        pairs = [least_correlation(hits, other, self.strata, self.seed_variance) for other, _ in self.failed]
        correlation = min([self.correlation, *pairs])
        spent = self._spent(correlation)
        share = (SPENT * ALPHA - spent) / (1 + following)
        if share < _LEAST_SHARE:
            return Look(0.0, 0.0, shown=False, clearly_below=False)
        critical = next_critical([limit for _, limit in self.failed], correlation, spent + share, share)
        alpha = 1 - _normal(critical)
        lower = self.bounds(hits, 1 - alpha)[0]
        shown = lower >= self.target
        clearly_below = not shown and self.bounds(hits, CLEARLY_BELOW)[1] < self.target
        if not (shown or clearly_below):
            self.correlation = correlation
            self.failed.append((hits, z_score(1 - self._attained(alpha))))
        return Look(alpha, lower, shown, clearly_below)

    def _spent(self, correlation: float) -> float:
        return union_probability([limit for _, limit in self.failed], correlation) if self.failed else 0.0

    def _attained(self, alpha: float) -> float:
        """The level that the fewest right images that would have been enough come to: less than `alpha`, since images
        are counted, and what is not spent is left to other looks."""
        if len(self.strata.members) > 1:
            return alpha
        count = len(self.strata.members[0])

        def enough(correct: int, level: float) -> bool:
            low, high = one_sided(correct, count, 1 - level)
            return self._over_seeds(correct / count, low, high, 1 - level)[0] >= self.target

        fewest = bisect_left(range(count), True, key=lambda correct: enough(correct, alpha))
        low, high = 0.0, alpha
        while high - low > _PRECISION * alpha:
            middle = (low + high) / 2
            low, high = (low, middle) if enough(fewest, middle) else (middle, high)
        return high

    def bounds(self, hits: HitShares, confidence: float) -> tuple[float, float]:
        """One-sided lower and upper bounds of the accuracy that a claim is about."""
        return self._over_seeds(self.strata.accuracy(hits), *accuracy_bounds(hits, self.strata, confidence), confidence)

    def _over_seeds(self, value: float, low: float, high: float, confidence: float) -> tuple[float, float]:
        """The bounds `low` and `high` of the accuracy of the networks that were judged, for one over all seeds."""
        seeds = z_score(confidence) * math.sqrt(self.seed_variance)
        return max(0.0, value - math.hypot(value - low, seeds)), min(1.0, value + math.hypot(high - value, seeds))


def _normal(value: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(value))
