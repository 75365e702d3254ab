"""Ways to compute a step, and which one is worth its price: nothing is assumed to be faster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from deepenough.training.recipe import Recipe

NOTICEABLE = 0.05  # a way that is not faster by more than this is not worth another rounding
# Of a training's time that looking for a faster way may take: on a GPU more, since bfloat16 took a fifth of the time of
# float32 (depth 9 on an H200).
SHARE = {"cpu": 0.02, "mps": 0.02, "cuda": 0.1}
TRIAL = 4  # steps that a trial takes, about, with the first slow one
LEAST = 0.3  # seconds that it takes, about, however short its steps are
COMPILING = 1.2  # seconds a weighted layer; seen: 62 s for the 54 of ResNet-50 on two cores
SLOWEST = {"bfloat16": 3.0, "float16": 3.0}  # times as long as float32 that a step may take; slower ones are cut short


@dataclass(frozen=True)
class Way:
    """One way to compute a step. `threads` is 0 for as many as the process has.

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
    def of(cls, recipe: Recipe) -> Way:
        return cls(recipe.precision, recipe.memory_format, recipe.compiled, recipe.micro_batch)

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe, computed this way."""
        return replace(
            recipe,
            precision=self.precision,
            memory_format=self.memory_format,
            compiled=self.compiled,
            micro_batch=self.micro_batch,
        )

    def changed(self, field: str, value: str | int) -> Way:
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


def others(way: Way, device: str, threads: int, free: frozenset[str]) -> Iterator[tuple[str, str | int]]:
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
    return iter([(field, value) for field, value in changes if field in free and getattr(way, field) != value])


def price(field: str, value: str | int, base: Way, batch: int, layers: int) -> float:
    """About how many seconds a trial takes at worst."""
    trial = max(TRIAL * base.seconds * batch, LEAST)
    if field == "compiled":
        return COMPILING * layers + trial
    return trial * SLOWEST.get(str(value), 1.5)


def best(ways: Sequence[Way], images: float) -> Way:
    """The one that trains on so many images soonest; the first, unless another is noticeably sooner."""
    base = ways[0]
    soonest = min(ways, key=lambda way: way.total(images))
    return soonest if soonest.total(images) < (1 - NOTICEABLE) * base.total(images) else base
