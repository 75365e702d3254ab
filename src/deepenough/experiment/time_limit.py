"""The time limit of a run: when its trainings have to end, so that what follows them is within it, too."""

from __future__ import annotations

import time
from dataclasses import dataclass

CLOSING_SHARE, CLOSING_MOST = 0.1, 30.0  # of the limit; seconds


@dataclass(frozen=True)
class TimeLimit:
    """A limit of so many `seconds`, which began at `began`, a `time.monotonic()`."""

    seconds: float
    began: float

    @property
    def of_trainings(self) -> float:
        """When trainings have to end: a tenth of the limit is kept for the test images, baselines and the report."""
        return self.began + self.seconds - min(CLOSING_SHARE * self.seconds, CLOSING_MOST)

    @property
    def is_over(self) -> bool:
        """True if nothing is left of it."""
        return time.monotonic() > self.began + self.seconds
