"""The estimate of a search in a record, and what it came to."""

from __future__ import annotations

from pydantic import Field

from deepenough.record.base import Name, RecordModel
from deepenough.record.networks import LatencyFields


class Planned(RecordModel):
    """One architecture of the search space, before anything is trained."""

    name: str
    depth: int
    images: float = Field(description="training steps' images that training it on every fold comes to")
    seconds: float = Field(description="of training it on every fold")
    memory: int = Field(description="bytes of a training step")
    latency: LatencyFields | None = None


class Plan(RecordModel):
    """The estimated time and memory of a search, and what the trainings done really took."""

    architectures: list[Planned]
    least: float = Field(description="seconds of the fewest trainings that can give an answer")
    most: float = Field(description="seconds of all trainings that the budget allows")
    within_reach: list[Name] = Field(default_factory=list, description="architectures that the budget lets it look at")
    short_looks: list[Name] = Field(
        default_factory=list, description="those of them that it only has a short look at, unless the rest goes to them"
    )
    time_left: float | None = Field(default=None, description="seconds left for trainings by too short a time limit")
    least_without_limit: float | None = Field(default=None, description="`least` without that limit")
    memory: int = Field(description="bytes (on a GPU, its own) at most, training the largest architecture")
    expected: float | None = Field(default=None, description="seconds that the trainings done were expected to take")
    seconds: float | None = Field(default=None, description="seconds that they took")
    peak: int | None = Field(default=None, description="bytes (on a GPU, its own) that it took at most")

    @property
    def no_time(self) -> bool:
        """True if the time limit leaves nothing for trainings, to a tenth of a second."""
        return self.time_left is not None and self.time_left < 0.05
