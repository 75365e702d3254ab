"""Scouts: short trainings of a deep network, grown from a shallower one, that bound what depth could still gain.

A scout rules depths out or lets the search go on; it never decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from deepenough.search.candidates import Candidate
from deepenough.search.statistics import z_score

SCOUT_EPOCHS = 1 / 4  # share of the recipe's epochs
# Accuracy by which a scout understates the same network trained from scratch in full: the mean, and the standard
# deviation around it. Measured were -0.1, 1.1 and 1.1 points with SGD, 1.6 and 1.2 with Muon, each with a standard
# error of 0.4 to 0.7 (benchmarks/RESULTS.md and LOG.md). So up to 2.4 points are allowed for, and a scout only rules
# out what ends clearly lower.
SCOUT_UNDERSTATES = 0.012
SCOUT_UNCERTAINTY = 0.007
# The part of that deviation which the networks of one data set have in common: measured were -0.3 and -0.1 points of
# Fashion-MNIST, -0.4 to -0.1 of the digits, and 1.1, 1.1, 1.2 and 1.6 of CIFAR-10.
UNCERTAINTY_IN_COMMON = 0.006


def scout_epochs(epochs: int) -> int:
    """The epochs of a scout by a recipe of so many."""
    return max(1, round(SCOUT_EPOCHS * epochs))


def understated_share(accuracy: float) -> float:
    """The share of what scouts usually understate that one of this accuracy can: it has no more mistakes to lose than
    it makes."""
    return min(1.0, (1 - accuracy) / SCOUT_UNDERSTATES)


def understates(
    accuracy: float, mean: float = SCOUT_UNDERSTATES, deviation: float = SCOUT_UNCERTAINTY
) -> tuple[float, float]:
    """By how much a scout of this accuracy understates its network trained in full: mean and standard deviation, from
    those of usual scouts."""
    share = understated_share(accuracy)
    return share * mean, share * deviation


def understate_here(gains: Iterable[tuple[float, float]]) -> tuple[float, float]:
    """By how much scouts understate on the images at hand: mean and standard deviation.

    `gains` are what networks gained over their scouts when they were trained in full, and the variances of that. The
    part that the networks have in common is normal, so what was measured moves it in closed form (Gelman et al.,
    Bayesian Data Analysis, 3rd edition, section 2.5).
    """
    of_each = SCOUT_UNCERTAINTY**2 - UNCERTAINTY_IN_COMMON**2
    precision = 1 / UNCERTAINTY_IN_COMMON**2
    total = precision * SCOUT_UNDERSTATES
    for gain, variance in gains:
        precision += 1 / (variance + of_each)
        total += gain / (variance + of_each)
    return total / precision, math.sqrt(1 / precision + of_each)


def highest_accuracy(scout: Candidate) -> float:
    """A generous (95%) upper bound of the accuracy on these decision images of the scout's network, trained in full."""
    mean, deviation = understates(scout.accuracy)
    return min(1.0, scout.accuracy + mean + z_score() * deviation)
