"""Scouts: short trainings of a deep network, grown from a shallower one, that bound what depth could still gain.

A scout rules depths out or has the search look closer; it never decides.
"""

from __future__ import annotations

SCOUT_EPOCHS = 1 / 4  # share of the recipe's epochs
# Accuracy by which a scout understates the same network trained from scratch in full: the mean, and the standard
# deviation around it (benchmarks/RESULTS.md).
SCOUT_UNDERSTATES = 0.0035
SCOUT_UNCERTAINTY = 0.002
