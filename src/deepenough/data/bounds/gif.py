"""Bounds for GIF: blocks before the picture, and no second picture."""

from __future__ import annotations

from collections.abc import Iterator

from deepenough.data.finding import ImageError

MOST_SMALL_BLOCKS = 1 << 16
"""Blocks of one GIF, beside those that are about as full as encoders make them."""

_FULL = 64  # bytes of such a block; encoders write 255
_EXTENSION, _PICTURE, _END = 0x21, 0x2C, 0x3B


def check_gif(content: bytes) -> None:
    """Raise `ImageError`: animated for a GIF with a second picture, bomb for too many blocks before the first."""
    most, pictures = MOST_SMALL_BLOCKS + len(content) // _FULL, 0
    for blocks, begins in enumerate(_blocks(content)):
        pictures += begins
        if pictures > 1:
            raise ImageError("animated", "it holds more than one picture, and one is needed")
        if blocks > most:
            if pictures:  # decoding ends with the first
                return
            raise ImageError("bomb", f"it has more than {most:,} blocks in {len(content):,} bytes")


def _blocks(content: bytes) -> Iterator[bool]:
    """For each block, or byte that should not be there: does a picture begin with it."""
    try:
        position = 13 + _colours(content[10])
        while (kind := content[position]) != _END:
            yield kind == _PICTURE
            position += 1
            if kind == _PICTURE:
                position += 10 + _colours(content[position + 8])
            elif kind == _EXTENSION:
                position += 1
            else:  # Pillow passes over it, too
                continue
            while size := content[position]:
                position += size + 1
                yield False
            position += 1
    except IndexError:  # it ends too early
        return


def _colours(flags: int) -> int:
    """The bytes of a table of colours."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
