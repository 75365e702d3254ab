"""Bounds for PNG: chunks, and what they inflate to beside the pixels."""

from __future__ import annotations

import struct

from deepenough.data.finding import ImageError

MOST_CHUNKS = 1 << 16
"""Chunks of one PNG; pixels come in chunks of 8 KiB and more, or of a row at least."""

MOST_COMPRESSED = 128
"""Compressed texts and colour profiles of one PNG, each of which Pillow inflates to 1 MiB at most."""

_CHUNK = struct.Struct(">I4s")


def check_png(content: bytes) -> None:
    """Raise `ImageError` (bomb) for a PNG of too many chunks, or too many compressed ones beside the pixels."""
    position, chunks, compressed = 8, 0, 0
    last = len(content) - _CHUNK.size
    while position <= last:
        length, kind = _CHUNK.unpack_from(content, position)
        chunks += 1
        compressed += kind in (b"zTXt", b"iTXt", b"iCCP")
        if chunks > MOST_CHUNKS:
            raise ImageError("bomb", f"it has more than {MOST_CHUNKS:,} chunks")
        if compressed > MOST_COMPRESSED:
            raise ImageError("bomb", f"it has more than {MOST_COMPRESSED} compressed texts")
        if kind == b"IEND":
            return
        position += length + 12
