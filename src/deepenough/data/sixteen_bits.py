"""Images of more than 8 bits: which of their values become 0 and 255.

Cameras and scanners write 10, 12 or 14 bits into files of 16, so that the range can't be told by the file alone: it is
that of all images together. A few values that lie far from all others, as those of hot pixels and of marks that some
software burns in, do not decide it: they become 0 or 255.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from deepenough.data.finding import ImageError
from deepenough.data.image_file import open_content

Levels = tuple[int, int]

FULL_RANGE: Levels = (0, 65535)
"""The levels where nothing is known of the images."""

OUTLIERS = 1e-4
"""The share of all values, at either end, that may be outliers. Sensors have about one bad pixel in 10,000."""

GREY_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")

_OTHER_BYTE = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}.items()
}
"""Pillow keeps the upper byte of each colour of 16 bits. Told of the other order of bytes, it keeps the lower one."""

_GREY_ALPHA = "LA;16B"
"""Grey and alpha, of which Pillow makes colours, all the same. It knows one order of bytes only."""

_AT_ONCE = 1 << 20  # pixels that are converted at once, so that memory stays that of the picture


@dataclass
class Histogram:
    """The counts of each value of 16 bits in images: `counts` int64 (65536,), or (0,) as long as there is none."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __bool__(self) -> bool:
        return len(self.counts) > 0

    def add(self, counts: NDArray[np.int64]) -> None:
        """Add the counts (65536,) of other values."""
        self.counts = self.counts + counts if self else counts

    @property
    def extremes(self) -> Levels:
        """The smallest and the largest value that occur."""
        present = np.flatnonzero(self.counts)
        return int(present[0]), int(present[-1])

    def beyond(self, levels: Levels) -> int:
        """The number of values that lie outside the levels."""
        return int(self.counts[: levels[0]].sum() + self.counts[levels[1] + 1 :].sum())

    def without_outliers(self) -> Levels:
        """The smallest and the largest value but outliers: at most `OUTLIERS` of all values at either end, which lie
        further from the others than these are wide.

        Values that trail off, as those of stars do, are no outliers, however few there are. Nor is anything where all
        others span fewer than 256 values, as in pictures that are black but for a few points.
        """
        present, below = np.flatnonzero(self.counts), np.cumsum(self.counts)
        few = int(OUTLIERS * below[-1])
        low, high = int(np.searchsorted(below, few, "right")), int(np.searchsorted(below, below[-1] - few))
        if high - low < 255:
            return self.extremes
        while (nearer := present[np.searchsorted(present, high + (high - low), "right") - 1]) > high:
            high = int(nearer)
        while (nearer := present[np.searchsorted(present, low - (high - low))]) < low:
            low = int(nearer)
        return low, high


def common_levels(histogram: Histogram) -> Levels:
    """The levels for images with these values; the whole range without any.

    0 stays 0, and the largest number of as many bits as the largest value has becomes 255. Where the values take up
    less than a quarter of that, as heat cameras' and tomographs' do, they are stretched from the smallest to the
    largest. Outliers do not count.
    """
    if not histogram:
        return FULL_RANGE
    low, high = histogram.without_outliers()
    if high == 0:
        return FULL_RANGE
    top = (1 << high.bit_length()) - 1
    return (low, high) if 0 < 4 * (high - low) < top else (0, top)


def lookup_table(levels: Levels | None) -> NDArray[np.uint8]:
    """The 8 bits that each of the 65,536 values becomes, uint8 (65536,). Values beyond the levels become 0 or 255."""
    low, high = levels or FULL_RANGE
    values: NDArray[np.uint8] = np.rint(np.clip(np.arange(65536) - low, 0, high - low) * (255 / (high - low))).astype(
        np.uint8
    )
    return values


def scaled_grey(image: Image.Image, levels: Levels | None, seen: Histogram | None) -> Image.Image:
    """A picture of one of `GREY_MODES` in mode `L`. Its values are counted in `seen`.

    Raises `ImageError` for values outside 0..65535.
    """
    rows = max(_AT_ONCE // image.width, 1)
    strips = (
        np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
        for top in range(0, image.height, rows)
    )
    pixels = np.empty((image.height, image.width), np.uint8)
    convert(strips, levels, pixels, seen)
    return Image.fromarray(pixels)


def low_bytes(opened: Image.Image, content: bytes | Image.Image) -> Image.Image | None:
    """Of an image with colours of 16 bits, or of grey and alpha, that is opened and not loaded: their lower bytes; else
    None."""
    tiles = getattr(opened, "tile", None)
    if not tiles or not isinstance(content, bytes):
        return None
    names = {_raw_mode(tile) for tile in tiles}
    if names != {_GREY_ALPHA} and not names <= set(_OTHER_BYTE):
        return None
    again = open_content(content)
    assert isinstance(again, ImageFile.ImageFile)  # portable maps have no colours of 16 bits
    if names == {_GREY_ALPHA}:
        again._mode = "RGBA"  # four bytes: the upper and the lower one of grey, and of alpha
        again.tile = [_with_raw_mode(tile, "RGBA") for tile in again.tile]
        again.load()
        return again.getchannel("G")
    again.tile = [_with_raw_mode(tile, _OTHER_BYTE[_raw_mode(tile)]) for tile in again.tile]
    again.load()
    return again


def _raw_mode(tile: Any) -> str:
    """Pillow's name for the layout of the values of a tile."""
    arguments = tile[3]
    return str(arguments if isinstance(arguments, str) else arguments[0] if arguments else "")


def _with_raw_mode(tile: Any, name: str) -> Any:
    make = getattr(type(tile), "_make", tuple)  # plain tuples in older versions of Pillow
    return make((*tile[:3], name if isinstance(tile[3], str) else (name, *tile[3][1:])))


def scaled_colours(high: Image.Image, low: Image.Image, levels: Levels | None, seen: Histogram | None) -> Image.Image:
    """A picture of 8 bits from the upper and lower bytes of one of 16, whose values are counted in `seen`.

    Transparency keeps its upper bytes. With the whole range, so do the colours, which is what Pillow gives.
    """
    rows = max(_AT_ONCE // high.width, 1)
    boxes = ((0, top, high.width, min(top + rows, high.height)) for top in range(0, high.height, rows))
    strips = (_colours(high.crop(box)).astype(np.uint16) << 8 | _colours(low.crop(box)) for box in boxes)
    pixels = np.empty((high.height, high.width, 3), np.uint8)
    convert(strips, levels, pixels, seen)
    if levels in (None, FULL_RANGE):
        return high
    picture = Image.fromarray(pixels)
    if high.mode == "RGBA":
        picture.putalpha(high.getchannel("A"))
    picture.info = high.info
    return picture


def _colours(image: Image.Image) -> NDArray[np.uint8]:
    """Without transparency, (H, W, 3), or (H, W, 1) where they are one, as in grey pictures."""
    return np.asarray(image).reshape(image.height, image.width, -1)[:, :, :3]


def convert(
    strips: Iterable[NDArray[Any]], levels: Levels | None, out: NDArray[np.uint8], seen: Histogram | None = None
) -> None:
    """Write integers, strip after strip (rows, ...), to `out` (H, ...) as 8 bits, and count them in `seen`."""
    values, row = lookup_table(levels), 0
    for strip in strips:
        least, most = int(strip.min()), int(strip.max())
        if least < 0 or most > 65535:
            raise ImageError("damaged", f"its values run from {least} to {most}; 0 to 65535 can be read")
        out[row : row + len(strip)] = values[strip]
        row += len(strip)
        if seen is not None:
            seen.add(np.bincount(strip.ravel(), minlength=65536))


def strips_of(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """An array (H, ...) in strips of rows."""
    rows = max(_AT_ONCE // max(array[0].size, 1), 1)
    return (array[top : top + rows] for top in range(0, len(array), rows))
