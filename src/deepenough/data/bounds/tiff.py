"""Bounds for TIFF: the tags of its directory, the strips that they list, and no second page."""

from __future__ import annotations

import struct

from deepenough.data.bounds.jpeg import MOST_SCANNED, count_scans
from deepenough.data.finding import ImageError

MOST_TAGS = 4_096
"""Tags of one directory; cameras write a hundred or so."""

MOST_STRIPS = 1 << 17
"""Strips or tiles of one TIFF: more than the rows of any image that people have."""

MOST_OVERLAP = 1 << 24
"""Bytes that several tags may share, beyond four times the file."""

_SCANS_ALLOWED = 100  # libtiff refuses a strip of more
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_WIDTH, _HEIGHT, _COMPRESSION, _OFFSETS = 256, 257, 259, (273, 324)
_JPEG = (6, 7)


def check_tiff(content: bytes) -> None:
    """Raise `ImageError`: animated for a TIFF of several pages, bomb for one whose tags or strips are too many."""
    order = ">" if content[:1] == b"M" else "<"
    large = content[2:4] in (b"+\0", b"\0+")
    first, number = (8, "Q") if large else (4, "I")
    counted, entry = struct.Struct(order + ("Q" if large else "H")), struct.Struct(order + "HH" + 2 * number)
    pointer = struct.Struct(order + number)
    try:
        (start,) = pointer.unpack_from(content, first)
        (count,) = counted.unpack_from(content, start)
        position = start + counted.size
        end = position + count * entry.size
        (following,) = pointer.unpack_from(content, end)
    except (struct.error, OverflowError):  # it ends too early
        return
    if count > MOST_TAGS:
        raise ImageError("bomb", f"it has {count:,} tags")
    values: dict[int, int] = {}
    listed = strips = 0
    for tag, kind, length, value in entry.iter_unpack(content[position:end]):
        size = length * _SIZES.get(kind, 0)
        if size <= len(content):  # others are passed over by Pillow
            listed += size
            strips = max(strips, length) if tag in _OFFSETS else strips
        values.setdefault(tag, value if kind != 3 or order == "<" else value >> 8 * pointer.size - 16)
    if listed > 4 * len(content) + MOST_OVERLAP:
        raise ImageError("bomb", f"its tags hold {listed:,} bytes, and it has {len(content):,}")
    if strips > MOST_STRIPS:
        raise ImageError("bomb", f"it is cut into {strips:,} strips")
    if values.get(_COMPRESSION, 0) & 0xFFFF in _JPEG:
        _check_scans(content, strips, values)
    if following >= len(content):
        raise ImageError("damaged", "its next page lies beyond its end")
    if following not in (0, start):
        raise ImageError("animated", "it holds more than one page, and one picture is needed")


def _check_scans(content: bytes, strips: int, values: dict[int, int]) -> None:
    """Strips may all be the same bytes, so that what one asks for counts for all."""
    scans = min(count_scans(content), _SCANS_ALLOWED)
    pixels = values.get(_WIDTH, 0) * values.get(_HEIGHT, 0)
    if scans > strips and scans * pixels > MOST_SCANNED:
        raise ImageError("bomb", f"decoding its {scans:,} scans of {pixels:,} pixels would take too long")
