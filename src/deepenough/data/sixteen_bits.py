"""Images of more than 8 bits: which of their values become 0 and 255.

Cameras and scanners write 10, 12 or 14 bits into files of 16, so that the range can't be told by the file alone: it is
that of all images together.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from deepenough.data.finding import ImageError
from deepenough.data.image_file import open_content

Levels = tuple[int, int]

FULL_RANGE: Levels = (0, 65535)
"""The levels where nothing is known of the images."""

GREY_MODES = ("I", "I;16", "I;16L", "I;16B", "I;16N")

_OTHER_BYTE = {
    f"{mode};16{order}": f"{mode};16{other}"
    for mode in ("RGB", "RGBA")
    for order, other in {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}.items()
}
"""Pillow keeps the upper byte of each colour of 16 bits. Told of the other order of bytes, it keeps the lower one."""

_AT_ONCE = 1 << 20  # pixels that are converted at once, so that memory stays that of the picture


def common_levels(extremes: Iterable[Levels]) -> Levels | None:
    """The levels for images of these smallest and largest values, or None without an image of 16 bits.

    0 stays 0, and the largest number of as many bits as the largest value has becomes 255. Where the values take up
    less than a quarter of that, as heat cameras' and tomographs' do, they are stretched from the smallest to the
    largest.
    """
    found = list(extremes)
    if not found:
        return None
    low, high = min(low for low, _ in found), max(high for _, high in found)
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


def scaled_grey(image: Image.Image, levels: Levels | None) -> tuple[Image.Image, Levels]:
    """A picture of one of `GREY_MODES` in mode `L`, and its smallest and largest value.

    Raises `ImageError` for values outside 0..65535.
    """
    rows = max(_AT_ONCE // image.width, 1)
    strips = (
        np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))
        for top in range(0, image.height, rows)
    )
    pixels = np.empty((image.height, image.width), np.uint8)
    extremes = convert(strips, levels, pixels)
    return Image.fromarray(pixels), extremes


def low_bytes(opened: Image.Image, content: bytes | Image.Image) -> Image.Image | None:
    """Of an image with colours of 16 bits that is opened and not loaded: their lower bytes, else None."""
    tiles = getattr(opened, "tile", None)
    if not tiles or not isinstance(content, bytes) or not all(_raw_mode(tile) in _OTHER_BYTE for tile in tiles):
        return None
    again = open_content(content)
    assert isinstance(again, ImageFile.ImageFile)  # portable maps have no colours of 16 bits
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


def scaled_colours(high: Image.Image, low: Image.Image, levels: Levels | None) -> tuple[Image.Image, Levels]:
    """A picture of 8 bits from the upper and lower bytes of one of 16, and its smallest and largest value.

    Transparency keeps its upper bytes. With the whole range, so do the colours, which is what Pillow gives.
    """
    rows = max(_AT_ONCE // high.width, 1)
    boxes = ((0, top, high.width, min(top + rows, high.height)) for top in range(0, high.height, rows))
    strips = (
        np.asarray(high.crop(box))[:, :, :3].astype(np.uint16) << 8 | np.asarray(low.crop(box))[:, :, :3]
        for box in boxes
    )
    pixels = np.empty((high.height, high.width, 3), np.uint8)
    extremes = convert(strips, levels, pixels)
    if levels in (None, FULL_RANGE):
        return high, extremes
    picture = Image.fromarray(pixels)
    if high.mode == "RGBA":
        picture.putalpha(high.getchannel("A"))
    picture.info = high.info
    return picture, extremes


def convert(strips: Iterable[NDArray[Any]], levels: Levels | None, out: NDArray[np.uint8]) -> Levels:
    """Write integers, strip after strip (rows, ...), to `out` (H, ...) as 8 bits; their smallest and largest value."""
    values, row, low, high = lookup_table(levels), 0, 65535, 0
    for strip in strips:
        least, most = int(strip.min()), int(strip.max())
        if least < 0 or most > 65535:
            raise ImageError("damaged", f"its values run from {least} to {most}; 0 to 65535 can be read")
        out[row : row + len(strip)] = values[strip]
        row += len(strip)
        low, high = min(low, least), max(high, most)
    return low, high


def strips_of(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """An array (H, ...) in strips of rows."""
    rows = max(_AT_ONCE // max(array[0].size, 1), 1)
    return (array[top : top + rows] for top in range(0, len(array), rows))
