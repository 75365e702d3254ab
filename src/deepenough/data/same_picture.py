"""Two files at full resolution: the same picture, but for the noise of encoding it again, or not."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

from deepenough.data.decode import upright
from deepenough.data.finding import ImageError
from deepenough.data.sixteen_bits import Levels
from deepenough.data.sources.base import Raw

MOST_MEAN, MOST_LOCAL, MOST_LOCAL_COLOUR = 1.5, 3.0, 8.0
"""Bounds for the same picture once one is encoded as the other, in 0..255: the mean absolute difference; the difference
of the mean luminance of any 4 x 4 pixels, where a small defect shows and noise averages out; and of their mean colour,
which JPEG keeps at half the resolution."""

MOST_STRETCH = 0.02
"""Relative difference of the aspect ratios above which pictures of different sizes differ."""

_BLOCK, _STRIP = 4, 512
_LUMA = np.array([0.299, 0.587, 0.114])
_LOSSY = ("JPEG", "MPO", "WEBP", "AVIF", "JPEG2000")


def is_same_picture(first: Raw, second: Raw, levels: Levels | None = None) -> bool:
    """True if the pixels are equal, or equal up to re-encoding at the larger one's resolution; False if in doubt.

    A JPEG is compared with the other picture as encoded by its own tables, which leaves next to nothing of a true
    copy. Files without loss have to be equal; pictures that cannot be read any more are not the same. `levels`: those
    of the set's images of 16 bits.
    """
    try:
        pictures = [upright(raw, levels=levels).convert("RGB") for raw in (first, second)]
        if pictures[0].size != pictures[1].size:
            return _same_enlarged(*pictures)
        a, b = (np.asarray(picture) for picture in pictures)
        if np.array_equal(a, b):
            return True
        if not (_is_lossy(first) or _is_lossy(second)):
            return False
        if _is_close(_encoded_as(second, pictures[0]), b) or _is_close(_encoded_as(first, pictures[1]), a):
            return True
        return _is_close(a, b)
    except (ImageError, OSError):
        return False


def _same_enlarged(first: Image.Image, second: Image.Image) -> bool:
    small, large = sorted((first, second), key=lambda picture: picture.width * picture.height)
    stretch = (small.width / small.height) / (large.width / large.height)
    if abs(stretch - 1) > MOST_STRETCH:
        return False
    return _is_close(np.asarray(small.resize(large.size, Image.Resampling.BICUBIC)), np.asarray(large))


def _is_lossy(raw: Raw) -> bool:
    if not isinstance(raw, bytes):
        return False
    with Image.open(io.BytesIO(raw)) as opened:
        return opened.format in _LOSSY


def _encoded_as(raw: Raw, picture: Image.Image) -> NDArray[np.uint8]:
    """A picture encoded and decoded as the JPEG `raw` is; unchanged where that is no JPEG."""
    if not isinstance(raw, bytes):
        return np.asarray(picture)
    with Image.open(io.BytesIO(raw)) as opened:
        if not isinstance(opened, JpegImagePlugin.JpegImageFile):
            return np.asarray(picture)
        sampling = JpegImagePlugin.get_sampling(opened)
        file = io.BytesIO()
        source = picture.convert("L") if opened.mode == "L" else picture
        how = {} if sampling < 0 or opened.mode == "L" else {"subsampling": sampling}
        source.save(file, "JPEG", qtables=opened.quantization, **how)
    with Image.open(file) as again:
        return np.asarray(again.convert("RGB"))


def _is_close(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> bool:
    """True if two pictures, uint8 (H, W, 3), differ by no more than what encoding leaves."""
    height, width = first.shape[0] // _BLOCK * _BLOCK, first.shape[1] // _BLOCK * _BLOCK
    total = 0.0
    for start in range(0, len(first), _STRIP):
        apart = first[start : start + _STRIP].astype(np.int16) - second[start : start + _STRIP]
        total += float(np.abs(apart).sum(dtype=np.int64))
        whole = apart[: max(min(height - start, _STRIP), 0), :width]
        blocks = whole.reshape(len(whole) // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK, 3).mean((1, 3))
        if (np.abs(blocks @ _LUMA) > MOST_LOCAL).any() or (np.abs(blocks) > MOST_LOCAL_COLOUR).any():
            return False
    return total / first.size <= MOST_MEAN
