"""A short measurement of engines: which is fastest, and how many pictures had better go through together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from deepenough.engines.engine import Engine
from deepenough.engines.proof import proof_pixels
from deepenough.preprocessing import Preprocessing

ALONE, SOME, MANY = 1, 16, 64
"""The batches that are measured; the last only where the one before takes little."""

AHEAD = 1.2
"""An engine is chosen before one that is preferred if it is so many times as fast."""

_ROUNDS = 5
_ENOUGH = 2.0  # seconds after which no further round begins; there are two at least, since first passes take longer
_LITTLE = 50.0  # milliseconds


@dataclass(frozen=True)
class Speed:
    """Milliseconds that an engine takes for an image, by the size of the batch."""

    by_batch: Mapping[int, float]

    @property
    def image(self) -> float:
        """Milliseconds an image, whether it comes alone or with some others: the geometric mean."""
        return sqrt(self.by_batch[ALONE] * self.by_batch[SOME])

    @property
    def best_batch(self) -> int | None:
        """The size of a batch that is fastest for an image; None where more are better still.

        On the CPU large networks take longer for an image in a large batch, which no cache holds.
        """
        best = min(self.by_batch, key=self.by_batch.__getitem__)
        return None if best == MANY else best


def measured_speeds(engines: Sequence[Engine], preprocess: Preprocessing) -> list[Speed]:
    """Time each engine in turn; the least of some rounds counts."""
    pixels = np.resize(proof_pixels(preprocess), (MANY, *preprocess.size, preprocess.channels))
    least: list[dict[int, float]] = [{} for _ in engines]
    began = time.perf_counter()
    for turn in range(_ROUNDS):
        if turn >= 2 and time.perf_counter() - began > _ENOUGH:
            break
        for times, engine in zip(least, engines, strict=True):
            for batch in (ALONE, SOME, MANY):
                if batch == MANY and times[SOME] * SOME > _LITTLE:
                    continue
                start = time.perf_counter()
                engine.logits(pixels[:batch])
                spent = 1000 * (time.perf_counter() - start) / batch
                times[batch] = min(times.get(batch, spent), spent)
    return [Speed(times) for times in least]


def preferred(times: Sequence[float]) -> int:
    """The place of the first of these times, in the order of preference, that no other is `AHEAD` of."""
    return next(place for place, mine in enumerate(times) if mine <= AHEAD * min(times))
