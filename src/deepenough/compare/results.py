"""The results of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, field

SAME = 1e-3
"""Largest difference of the losses, and of each tensor's gradients, that counts as the same training step."""


@dataclass(frozen=True)
class Timing:
    """The turns of a comparison: images in a batch, rounds, and seconds of a turn, which has two steps at least."""

    batch: int = 16
    rounds: int = 3
    seconds: float = 3.0


@dataclass
class FrameworkResult:
    """The measurements of one framework. Speeds are images a second, by task and mode; sizes are bytes.

    `allowed` is how much its loss and gradients may differ.
    """

    framework: str
    version: str = ""
    problem: str = ""
    loss_difference: float | None = None
    gradient_difference: float | None = None
    allowed: float = SAME
    first: dict[str, float] = field(default_factory=dict)
    speed: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    peak_infer: int | None = None
    peak: int | None = None
    disk: int | None = None
    lines: int | None = None

    @property
    def differs(self) -> bool:
        """True where its training step is another."""
        return max(self.loss_difference or 0.0, self.gradient_difference or 0.0) > self.allowed


@dataclass(frozen=True)
class FrameworkComparison:
    """The results of all frameworks, and what they were measured with."""

    network: str
    depth: int
    parameters: int
    macs: int
    input: tuple[int, int, int]
    batch: int
    rounds: int
    seconds: float
    machine: str
    date: str
    results: tuple[FrameworkResult, ...]
