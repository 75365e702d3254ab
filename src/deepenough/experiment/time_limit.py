"""The time limit of a run: when its trainings have to end, so that what follows them is within it, too."""

from __future__ import annotations

import time
from dataclasses import dataclass

from deepenough.report.text import duration

CLOSING_SHARE, CLOSING_MOST = 0.1, 30.0  # of the limit; seconds
CLOSING_LEAST = 4.0  # seconds that test images and report of a small data set take on a laptop


@dataclass(frozen=True)
class TimeLimit:
    """A limit of so many `seconds`, which began at `began`, a `time.monotonic()`."""

    seconds: float
    began: float

    @property
    def of_trainings(self) -> float:
        """The time by which trainings end: a tenth of the limit is left for test images, baselines and the report."""
        return self.began + self.seconds - min(CLOSING_SHARE * self.seconds, CLOSING_MOST)

    @property
    def over_by(self) -> float:
        """Seconds since its end; less than 0 before."""
        return time.monotonic() - self.began - self.seconds

    @property
    def is_over(self) -> bool:
        """True if nothing is left of it."""
        return self.over_by > 0

    def foreseen(self, network: str, epoch: float) -> str:
        """The warning that even the least doesn't fit, an `epoch` of so many seconds of a network; empty if it does."""
        over = self.over_by + epoch + CLOSING_LEAST
        if over <= 0:
            return ""
        return (
            f"the time limit of {duration(self.seconds)} is too short for one epoch of {network}, the test images and "
            f"the report: it will be overrun by about {duration(over)}"
        )

    @property
    def overrun(self) -> str:
        """By how much it was overrun, in a line; empty where it wasn't."""
        if not self.is_over:
            return ""
        return f"the time limit of {duration(self.seconds)} was overrun by {duration(self.over_by)}"
