"""Bounds for JPEG 2000: boxes, and the tiles, precincts and code blocks that a decoder sets up before any pixel."""

from __future__ import annotations

import struct

from deepenough.data.finding import ImageError

MOST_BOXES, MOST_TILES, MOST_PRECINCTS, MOST_CODE_BLOCKS = 4_096, 8_192, 1 << 18, 1 << 20

_CODESTREAM = b"\xff\x4f\xff\x51"
_SIZE = struct.Struct(">8I")  # the grid, its offset, a tile, its offset
_CODING = b"\xff\x52"


def check_jpeg2000(content: bytes) -> None:
    """Raise `ImageError` (bomb) for a JPEG 2000 of too many boxes, tiles, precincts or code blocks."""
    start = content.find(_CODESTREAM)
    if not content.startswith(_CODESTREAM):
        _check_boxes(content, start)
    if start < 0 or len(content) < start + 8 + _SIZE.size:
        return
    right, bottom, left, top, width, height, _, _ = _SIZE.unpack_from(content, start + 8)
    if not width or not height:
        return
    tiles = -(-right // width) * -(-bottom // height)
    if tiles > MOST_TILES:
        raise ImageError("bomb", f"it is cut into {tiles:,} tiles")
    coding = content.find(_CODING, start)
    if coding >= 0 and len(content) >= coding + 14:
        _check_coding(content[coding : coding + 14 + 33], max(right - left, 0) * max(bottom - top, 0))


def _check_coding(coding: bytes, pixels: int) -> None:
    """The sizes of code blocks, and those of precincts at each resolution, all as powers of 2."""
    blocks = pixels >> (coding[10] & 15) + (coding[11] & 15) + 4
    if blocks > MOST_CODE_BLOCKS:
        raise ImageError("bomb", f"it is cut into {blocks:,} code blocks")
    if coding[4] & 1:
        sizes = reversed(coding[14 : 15 + coding[9]])  # the largest resolution's is the last
        precincts = sum(pixels >> 2 * level + (size & 15) + (size >> 4) for level, size in enumerate(sizes))
        if precincts > MOST_PRECINCTS:
            raise ImageError("bomb", f"it is cut into {precincts:,} precincts")


def _check_boxes(content: bytes, end: int) -> None:
    """The boxes before the codestream."""
    position = boxes = 0
    while position + 8 <= (end if end >= 0 else len(content)):
        length = int.from_bytes(content[position : position + 4], "big")
        if length == 1:
            length = int.from_bytes(content[position + 8 : position + 16], "big")
        if content[position + 4 : position + 8] == b"jp2h":  # its own boxes are counted like the others
            length = 8
        boxes += 1
        if boxes > MOST_BOXES:
            raise ImageError("bomb", f"it has more than {MOST_BOXES:,} boxes")
        if length < 8:
            return
        position += length
