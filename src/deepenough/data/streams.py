"""Which stream of random numbers decides what. A number once given is never given anew: records replay by it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from deepenough.data.draws import Floats, uniforms


class Stream(IntEnum):
    """One uniform number an image and epoch each."""

    ROTATION = 0
    SHIFT_X = 1
    SHIFT_Y = 2
    ZOOM = 3
    CROP_AREA = 4
    CROP_ASPECT = 5
    CROP_X = 6
    CROP_Y = 7
    FLIP = 8
    VERTICAL_FLIP = 9
    BRIGHTNESS = 10
    CONTRAST = 11
    SATURATION = 12
    HUE = 13
    ERASE = 14
    ERASE_AREA = 15
    ERASE_ASPECT = 16
    ERASE_X = 17
    ERASE_Y = 18
    PARTNER = 19
    MIX_KIND = 20
    MIX_SHARE = 21
    MIX_X = 22
    MIX_Y = 23


Chances = Mapping[Stream, Floats]
"""For each stream, uniform numbers in [0, 1), float64 (N,)."""

_ALL = np.array(list(Stream), np.int64)


def chances(seed: int, epoch: int, index: NDArray[np.int64]) -> Chances:
    """The numbers of all streams for the images `index` (N,) in one epoch."""
    return dict(zip(Stream, uniforms(seed, epoch, index, _ALL), strict=True))


def between(low: float, high: float, chance: Floats) -> Floats:
    """Stretch uniform numbers to [low, high)."""
    return low + (high - low) * chance
