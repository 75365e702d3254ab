"""The progress of the folds of a candidate, which may be trained side by side, as one bar."""

from __future__ import annotations

import math

from deepenough.progress import Advance
from deepenough.training.curve import Epoch


class FoldsProgress:
    """The progress of the trainings of a candidate, one for each of `count` folds, as one bar."""

    def __init__(self, advance: Advance, count: int) -> None:
        self._advance, self._shares = advance, [0.0] * count

    def report(self, number: int, done: int, total: int, epoch: Epoch | None) -> None:
        """Tell of `done` of the `total` steps of a fold, and of the accuracy after its latest epoch."""
        self._shares[number] = done / max(total, 1)
        self._tell(epoch.top1 if epoch else math.nan)

    def finish(self, number: int, accuracy: float) -> None:
        """Tell that a fold is through, and the accuracy over all that are."""
        self._shares[number] = 1.0
        self._tell(accuracy)

    def _tell(self, accuracy: float) -> None:
        note = "" if math.isnan(accuracy) else f"{100 * accuracy:.1f}%"
        self._advance(sum(self._shares), len(self._shares), note)
