"""Configurations of a training step, and which one is worth its price: nothing is assumed to be faster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from deepenough.training.recipe import Recipe

NOTICEABLE = 0.05  # one that is not faster by more than this is not worth another rounding
# Of a training's time that looking for a faster configuration may take: on a GPU more, since bfloat16 took a fifth of
# the time of float32 (depth 9 on an H200).
TUNING_SHARE = {"cpu": 0.02, "mps": 0.02, "cuda": 0.1}
TRIAL_STEPS = 4  # that a trial takes, about, with the first slow one
TRIAL_MINIMUM = 0.3  # seconds that it takes, about, however short its steps are
COMPILE_SECONDS = 1.2  # seconds a weighted layer; seen: 62 s for the 54 of ResNet-50 on two cores
SLOWEST = {"bfloat16": 3.0, "float16": 3.0}  # times as long as float32 that a step may take; slower ones are cut short


@dataclass(frozen=True)
class StepConfiguration:
    """The settings by which a training step is computed. `threads` is 0 for as many as the process has.

    `seconds` is the time of a training step by its images, `first` what the first step takes longer; both are 0 before
    they are measured, and `seconds` is infinite where it failed.
    """

    precision: str = "float32"
    memory_format: str = "channels_last"
    compiled: bool = False
    micro_batch: int = 0
    threads: int = 0
    seconds: float = 0.0
    first: float = 0.0

    @classmethod
    def of(cls, recipe: Recipe) -> StepConfiguration:
        return cls(recipe.precision, recipe.memory_format, recipe.compiled, recipe.micro_batch)

    def apply(self, recipe: Recipe) -> Recipe:
        """The recipe with these settings."""
        return replace(
            recipe,
            precision=self.precision,
            memory_format=self.memory_format,
            compiled=self.compiled,
            micro_batch=self.micro_batch,
        )

    def changed(self, field: str, value: str | int) -> StepConfiguration:
        """The same but for one field, not measured yet."""
        change: dict[str, Any] = {field: value, "seconds": 0.0, "first": 0.0}
        return replace(self, **change)

    def total(self, images: float) -> float:
        """Seconds of training on so many images."""
        return self.first + self.seconds * images

    def __str__(self) -> str:
        words = [self.precision, self.memory_format.replace("_", " "), "compiled" if self.compiled else "eager"]
        words += [f"{self.micro_batch} images at once"] if self.micro_batch else []
        words += [f"{self.threads} thread{'s' * (self.threads > 1)}"] if self.threads else []
        return ", ".join(words)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def alternatives(
    base: StepConfiguration, device: str, threads: int, free: frozenset[str]
) -> Iterator[tuple[str, str | int]]:
    """Single changes that may make a step faster, the likeliest first. `free` names what the user leaves open.

    Fewer threads than cores are faster for small networks, and where others use the machine too: all wait for the
    slowest of them.
    """
    changes: list[tuple[str, str | int]] = []
    if device == "cuda":
        changes += [("precision", "bfloat16"), ("precision", "float16"), ("precision", "tf32")]
    if device == "cpu" and threads > 1:
        changes += [("threads", threads // 2)]
    changes += [("memory_format", "contiguous")]
    if device == "cpu":
        changes += [("precision", "bfloat16")]
    changes += [("compiled", True)]
    return iter([(field, value) for field, value in changes if field in free and getattr(base, field) != value])


def trial_seconds(field: str, value: str | int, base: StepConfiguration, batch: int, layers: int) -> float:
    """About how many seconds a trial takes at worst."""
    trial = max(TRIAL_STEPS * base.seconds * batch, TRIAL_MINIMUM)
    if field == "compiled":
        return COMPILE_SECONDS * layers + trial
    return trial * SLOWEST.get(str(value), 1.5)


def fastest(measured: Sequence[StepConfiguration], images: float) -> StepConfiguration:
    """The one that trains on so many images soonest; the first, unless another is noticeably sooner."""
    base = measured[0]
    soonest = min(measured, key=lambda each: each.total(images))
    return soonest if soonest.total(images) < (1 - NOTICEABLE) * base.total(images) else base
