"""Scouts: short trainings of a deep network, grown from a shallower one, that bound what depth could still gain.

A scout rules depths out or lets the search go on; it never decides.
"""

from __future__ import annotations

from deepenough.search.candidates import Candidate
from deepenough.search.statistics import z_score

SCOUT_EPOCHS = 1 / 4  # share of the recipe's epochs
# Accuracy by which a scout understates the same network trained from scratch in full: the mean, and the standard
# deviation around it. Measured were -0.1, 1.1 and 1.1 points with SGD, 1.6 and 1.2 with Muon, each with a standard
# error of 0.4 to 0.7 (benchmarks/RESULTS.md and LOG.md). So up to 2.4 points are allowed for, and a scout only rules
# out what ends clearly lower.
SCOUT_UNDERSTATES = 0.012
SCOUT_UNCERTAINTY = 0.007


def scout_epochs(epochs: int) -> int:
    """The epochs of a scout by a recipe of so many."""
    return max(1, round(SCOUT_EPOCHS * epochs))


def understates(accuracy: float) -> tuple[float, float]:
    """By how much a scout of this accuracy understates its network trained in full: mean and standard deviation.

    It has no more mistakes to lose than it makes, so where they are few both are smaller.
    """
    share = min(1.0, (1 - accuracy) / SCOUT_UNDERSTATES)
    return share * SCOUT_UNDERSTATES, share * SCOUT_UNCERTAINTY


def highest_accuracy(scout: Candidate) -> float:
    """A generous (95%) upper bound of the accuracy on these decision images of the scout's network, trained in full."""
    mean, deviation = understates(scout.accuracy)
    return min(1.0, scout.accuracy + mean + z_score() * deviation)
