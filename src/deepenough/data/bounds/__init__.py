"""Bounds on the work that a file may ask for, checked by walking through its structure before anything decodes it.

A few bytes can ask for minutes: a progressive JPEG of a thousand scans, a PNG of a million chunks. What the number of
pixels does not bound is counted here, in a time that is small beside decoding. What people's software writes stays far
below the bounds.
"""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from deepenough.data.bounds.gif import check_gif
from deepenough.data.bounds.jpeg import check_large_jpeg, check_opened_jpeg
from deepenough.data.bounds.jpeg2000 import check_jpeg2000
from deepenough.data.bounds.png import check_png
from deepenough.data.bounds.raster import check_bmp, check_webp
from deepenough.data.bounds.tiff import check_tiff

_CHECKS: dict[str, Callable[[bytes], None]] = {
    "JPEG": check_large_jpeg,
    "PNG": check_png,
    "GIF": check_gif,
    "TIFF": check_tiff,
    "JPEG2000": check_jpeg2000,
    "BMP": check_bmp,
    "WEBP": check_webp,
}


def check_work(kind: str, content: bytes) -> None:
    """Raise `ImageError` (bomb, animated) for the bytes of a file of the format `kind` that asks for too much work.

    Files that end too early or make no sense pass: their decoder says what is wrong with them.
    """
    check = _CHECKS.get(kind)
    if check is not None:
        check(content)


def check_opened(kind: str, opened: Image.Image, content: bytes) -> None:
    """As `check_work`, for what is cheaper to see once the header has been read."""
    if kind == "JPEG":
        check_opened_jpeg(opened, content)
