"""A short measurement of engines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import prod

import numpy as np

from deepenough.engines.engine import Engine
from deepenough.engines.proof import proof_pixels
from deepenough.preprocessing import Preprocessing

MEASURED_BATCHES = (1, 16)
AHEAD = 1.2
"""An engine is chosen before one that is preferred if it is so many times as fast."""

_ROUNDS = 5
_ENOUGH = 2.0  # seconds after which no further round begins; there are two at least, since first passes take longer


def milliseconds(engines: Sequence[Engine], preprocess: Preprocessing) -> list[float]:
    """The time of each engine for an image: the geometric mean over batches of 1 and 16 of the least of some rounds."""
    pixels = np.resize(proof_pixels(preprocess), (max(MEASURED_BATCHES), *preprocess.size, preprocess.channels))
    least = [[float("inf")] * len(MEASURED_BATCHES) for _ in engines]
    began = time.perf_counter()
    for turn in range(_ROUNDS):
        if turn >= 2 and time.perf_counter() - began > _ENOUGH:
            break
        for times, engine in zip(least, engines, strict=True):
            for place, batch in enumerate(MEASURED_BATCHES):
                start = time.perf_counter()
                engine.logits(pixels[:batch])
                times[place] = min(times[place], 1000 * (time.perf_counter() - start) / batch)
    return [prod(times) ** (1 / len(times)) for times in least]


def preferred(times: Sequence[float]) -> int:
    """The place of the first of these times, in the order of preference, that no other is `AHEAD` of."""
    return next(place for place, mine in enumerate(times) if mine <= AHEAD * min(times))
