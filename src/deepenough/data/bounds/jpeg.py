"""Bounds for JPEG: scans over all pixels, and the segments before the first of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile

from deepenough.data.finding import ImageError

MOST_SCANS = 64
"""Scans of one JPEG; encoders write about ten, the most thorough ones up to thirty."""

MOST_SCANNED = 1_500_000_000
"""Pixels times scans of one JPEG, which takes ten seconds or so; the largest image in ten scans has 900 million."""

MOST_SEGMENTS = 4_096
MOST_EXIF = 4
"""Blocks of EXIF data, of 64 KiB each, which Pillow puts together."""

MOST_PADDING = 1 << 16
"""Bytes between segments, which Pillow passes over one by one."""

START_OF_SCAN = b"\xff\xda"
_LARGE = 1 << 18  # bytes
_SCAN, _EXIF, _END = 0xDA, 0xE1, 0xD9
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))  # markers without a length
_FRAMES = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)))
_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))
_MARKER = re.compile(rb"\xff([^\x00\xff])")  # a marker is the last of any number of 0xff, and what follows it


def check_large_jpeg(content: bytes) -> None:
    """As `check_jpeg`, for files that are large enough for their header to be much work."""
    if len(content) > _LARGE:
        check_jpeg(content)


def check_opened_jpeg(opened: Image.Image, content: bytes) -> None:
    """As `check_jpeg`, for one whose header Pillow has read: most have a single scan of all components, which costs no
    second walk through the header to see."""
    components = getattr(opened, "layers", 0)
    start = opened.fp.tell() - 8 - 2 * components if isinstance(opened, ImageFile) and opened.fp else -1
    single = start > 0 and content.startswith(START_OF_SCAN, start) and content[start + 4] == components
    if not single or "progressive" in opened.info:
        check_jpeg(content)


def check_jpeg(content: bytes) -> None:
    """Raise `ImageError` (bomb) for a JPEG of too many scans or segments."""
    exif = frame = components = pixels = 0
    for segments, (marker, position) in enumerate(_segments(content)):
        if marker in _FRAMES and not frame:
            frame, components = marker, _number(content, position + 7, 1)
            pixels = _number(content, position + 3) * _number(content, position + 5)
        elif marker == _SCAN:
            # Without either, libjpeg ends after this scan. Within a scan the two bytes never stand.
            if frame in _PROGRESSIVE or _number(content, position + 2, 1) != components:
                check_scans(count_scans(content, position - 2), pixels)
            return
        elif marker == _EXIF:
            exif += content.startswith(b"Exif", position + 2)
        if segments >= MOST_SEGMENTS or exif > MOST_EXIF:
            raise ImageError("bomb", f"its header alone has more than {segments:,} segments")


def count_scans(content: bytes, start: int = 0) -> int:
    """The number of markers of scans; several times as quick as `bytes.count`."""
    values = np.frombuffer(content, np.uint8, len(content) - start, start)
    places = np.flatnonzero(values[:-1] == START_OF_SCAN[0])
    return int((values[places + 1] == START_OF_SCAN[1]).sum())


def check_scans(scans: int, pixels: int) -> None:
    """Raise `ImageError` (bomb) for so many scans over so many pixels."""
    if scans > MOST_SCANS or scans * pixels > MOST_SCANNED:
        raise ImageError("bomb", f"decoding its {scans:,} scans of {pixels:,} pixels would take too long")


def _segments(content: bytes) -> Iterator[tuple[int, int]]:
    """The marker of each segment and where its length stands, as libjpeg finds them."""
    position, padding, last = 2, 0, len(content) - 4
    while position <= last:
        marker = content[position + 1] if content[position] == 0xFF else 0
        if marker in (0, 0xFF):
            found = _MARKER.search(content, position)
            if found is None:
                return
            marker = found[1][0]
            padding += found.start() - position
            position = found.start()
        position += 2
        if marker in _ALONE:
            padding += 2
        elif marker == _END:
            return
        else:
            yield marker, position
            position += content[position] << 8 | content[position + 1]
        if padding > MOST_PADDING:
            raise ImageError("bomb", f"its header has more than {MOST_PADDING:,} bytes of padding")


def _number(content: bytes, position: int, size: int = 2) -> int:
    return int.from_bytes(content[position : position + size], "big")
