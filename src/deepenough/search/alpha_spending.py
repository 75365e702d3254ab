"""The 5% chance of a false claim, spent over all looks at a target.

Every network that is trained to its end is looked at once: does its lower bound reach the target? Six looks at 5% each
are wrong in up to 20% of questions, so they share the 5% (alpha spending, Lan and DeMets 1983; here a look is another
network on the same images). The sequence is fixed before anything is trained: a look gets the same share of what is
left as each look that may still follow it. Three things make it sharper than a sixth of 5% for each of six looks:

1. Two networks are mostly right about the same images, so their looks err together. Where `m` looks failed at the
   critical values `c_1 ... c_m`, the next one is `c` in P(Z_1 < c_1, ..., Z_m < c_m, Z < c) = 1 - spent, for normal
   Z with a common correlation. That is the smallest lower bound of a correlation between any two of these networks, as
   estimated from their paired hits: by Slepian's inequality (1962) larger ones only lower the chance of an error.
   A look never gets less than its own share, which Bonferroni's inequality allows.
2. A network whose upper bound at `CLEARLY_BELOW` lies under the target spends nothing: a clear failure is hardly ever a
   false claim (discarding, Zhao, Small and Su 2019; Tian and Ramdas 2021). At a level curve it frees shares that were
   already counted; `SPENT` holds that back, as computed for correlations of 0.3 and more (0.5 to 0.6 is usual).
3. A look that succeeds gives its share back: if it was right it cost nothing, and if it was wrong the error is made
   (Bretz et al. 2009). So closing in below a network that meets the target is as sharp as the look at that one.

The bounds themselves are exact (Clopper and Pearson 1934), so the claim is conservative on few images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from deepenough.search.statistics import CONFIDENCE, HitShares, Strata, accuracy_bounds, z_score

ALPHA = 1 - CONFIDENCE  # chance of a false claim in a question
SPENT = 0.98  # share of it that is spent; the rest is for what discarding adds
CLEARLY_BELOW = 0.9  # confidence with which a network is under the target whose look spends nothing
# Standard deviation of an architecture's accuracy from seed to seed, in one training: 0.2 to 0.6 points were measured.
SEED_DEVIATION = 0.004


def union_probability(critical: list[float], correlation: float) -> float:
    """The chance that one or more of normal variables with a common correlation (0 or more) exceed their limits."""
    from scipy.special import ndtr

    common = np.linspace(-8, 8, 641)
    weights = np.exp(-(common**2) / 2)
    rest = math.sqrt(1 - correlation)
    below = [ndtr((limit - math.sqrt(correlation) * common) / rest) for limit in critical]
    return float(1 - (weights * np.prod(below, axis=0)).sum() / weights.sum())


def next_critical(failed: list[float], correlation: float, total: float, least: float) -> float:
    """The critical value of a look after others that failed.

    Args:
        failed: the critical values of those.
        correlation: between any two of all these, at least; in 0..1.
        total: chance of a false claim in all of them together, this one included.
        least: the level that this look has in any case.
    """
    low, high = 0.0, z_score(1 - least)
    if not failed or union_probability([*failed, high], correlation) >= total:
        return high
    while high - low > 1e-6:
        middle = (low + high) / 2
        if union_probability([*failed, middle], correlation) > total:
            low = middle
        else:
            high = middle
    return high


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
    correlation = min(covariance[0, 1] / scale, 0.99)
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
    spent: float = field(default=0.0, init=False)
    correlation: float = field(default=1.0, init=False)
    failed: list[tuple[HitShares, float]] = field(default_factory=list, init=False)  # hits, critical value

    @property
    def seed_variance(self) -> float:
        """Variance between seeds of an accuracy that a claim is about."""
        return SEED_DEVIATION**2 / self.trainings if self.trainings else 0.0

    def share(self, following: int) -> float:
        """The error that a look may add, where at most `following` others come after it."""
        return max(SPENT * ALPHA - self.spent, 0.0) / (1 + following)

    def look(self, hits: HitShares, following: int) -> Look:
        """Look at a network, given its hits on all decision images, and account for the look."""
        share = self.share(following)
        if share <= 0:
            return Look(0.0, 0.0, shown=False, clearly_below=False)
        pairs = [least_correlation(hits, other, self.strata, self.seed_variance) for other, _ in self.failed]
        correlation = min([self.correlation, *pairs])
        critical = next_critical([limit for _, limit in self.failed], correlation, self.spent + share, share)
        alpha = 1 - _normal(critical)
        lower = self.bounds(hits, 1 - alpha)[0]
        shown = lower >= self.target
        clearly_below = not shown and self.bounds(hits, CLEARLY_BELOW)[1] < self.target
        if not (shown or clearly_below):
            self.spent, self.correlation = self.spent + share, correlation
            self.failed.append((hits, critical))
        return Look(alpha, lower, shown, clearly_below)

    def bounds(self, hits: HitShares, confidence: float) -> tuple[float, float]:
        """One-sided lower and upper bounds of the accuracy that a claim is about."""
        low, high = accuracy_bounds(hits, self.strata, confidence)
        value, seeds = self.strata.accuracy(hits), z_score(confidence) * math.sqrt(self.seed_variance)
        return max(0.0, value - math.hypot(value - low, seeds)), min(1.0, value + math.hypot(high - value, seeds))


def _normal(value: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(value))
