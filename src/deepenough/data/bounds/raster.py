"""Bounds for BMP and WebP, and on pixels: what Pillow decodes slowly, and what a decoder sets up by the header."""

from __future__ import annotations

from PIL import Image

from deepenough.data.finding import ImageError

MOST_RUNS = 1 << 23
"""Pixels of a BMP in run lengths, which Pillow decodes in Python: some seconds."""


def check_bmp(content: bytes) -> None:
    """Raise `ImageError` (bomb) for a large BMP in run lengths."""
    header, compression = (int.from_bytes(content[at : at + 4], "little") for at in (14, 30))
    if header < 40 or compression not in (1, 2):
        return
    width, height = (abs(int.from_bytes(content[at : at + 4], "little", signed=True)) for at in (18, 22))
    if width * height > MOST_RUNS:
        raise ImageError("bomb", f"{width} x {height} pixels in run lengths would take too long; save it as PNG")


def check_webp(content: bytes) -> None:
    """Raise `ImageError` (bomb) for a WebP of too many pixels: its canvas is set up when it is opened."""
    kind = content[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (24, 27))
    elif kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (int.from_bytes(content[at : at + 2], "little") & 0x3FFF for at in (26, 28))
    check_pixels(width, height)


def check_pixels(width: int, height: int) -> None:
    """Raise `ImageError` (bomb) for an image of more pixels than Pillow's `MAX_IMAGE_PIXELS`."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and width * height > limit:
        raise ImageError("bomb", f"{width} x {height} is more than {limit:,} pixels")
