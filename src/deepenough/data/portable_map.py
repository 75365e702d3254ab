"""Portable bit, grey and colour maps (PBM, PGM, PPM) that Pillow would decode value by value in Python, in a second for
every few hundred thousand: those in digits, and those whose largest value is neither 255 nor 65535."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepenough.data.finding import ImageError

MOST_HEADER = 1 << 16
"""Bytes of a header with its comments, which Pillow reads one by one."""

MOST_DIGITS = 1 << 25
"""Values in digits."""

_AT_ONCE = 1 << 20  # pixels that are converted at once

_COMMENT = re.compile(rb"#[^\r\n]*[\r\n]?")
_BETWEEN = rb"(?:\s|#[^\r\n]*[\r\n])*"
_TOKEN = re.compile(_BETWEEN + rb"(\d{1,10})(?=[\s#])")
_NOTHING_ELSE = re.compile(_BETWEEN + rb"(?:#[^\r\n]*)?$")


@dataclass(frozen=True)
class PortableMap:
    """A header: `kind` 1 to 3 in digits (bits, grey, colours), 4 to 6 in bytes; `pixels` is where they begin."""

    kind: int
    width: int
    height: int
    largest: int
    pixels: int

    @classmethod
    def of(cls, content: bytes) -> PortableMap | None:
        """That of a file, or None where Pillow is to say what is wrong with it. Raises `ImageError` (bomb)."""
        start = content[:MOST_HEADER]
        numbers: list[int] = []
        position = 2
        wanted = 2 if content[1:2] in b"14" else 3
        while len(numbers) < wanted and (found := _TOKEN.match(start, position)):
            numbers.append(int(found[1]))
            position = found.end()
        if len(numbers) < wanted:
            if len(start) < len(content) and _NOTHING_ELSE.match(start, position):
                raise ImageError("bomb", f"its header has more than {MOST_HEADER:,} bytes")
            return None
        width, height, largest = (*numbers, 1)[:3]
        if content[1:2] == b"f" or not 0 < largest < 65536 or not width or not height:
            return None
        return cls(int(content[1:2]), width, height, largest, position + 1)

    @property
    def is_slow(self) -> bool:
        """True for one that Pillow would decode value by value."""
        return self.kind < 4 or (self.kind > 4 and self.largest not in ((255, 65535) if self.kind == 5 else (255,)))

    def decoded(self, content: bytes) -> Image.Image:
        """The picture as Pillow would decode it: mode `1`, `L`, `I;16` or `RGB`. Raises `ImageError`: damaged, bomb."""
        colours = 3 if self.kind in (3, 6) else 1
        shape = (self.height, self.width, 3) if colours == 3 else (self.height, self.width)
        values = self._values(content, self.height * self.width * colours).reshape(shape)
        if self.kind == 1:
            return Image.fromarray(values == ord("0"))
        top = 65535 if colours == 1 and self.largest > 255 else 255
        scale = np.rint(np.minimum(np.arange(65536) / self.largest * top, top))
        scale = scale.astype(np.uint16 if top > 255 else np.uint8)
        pixels = np.empty(shape, scale.dtype)
        rows = max(_AT_ONCE // self.width, 1)
        for start in range(0, self.height, rows):
            pixels[start : start + rows] = scale[values[start : start + rows]]
        return Image.fromarray(pixels)

    def _values(self, content: bytes, count: int) -> NDArray[Any]:
        """The numbers, (count,); of bits in digits their characters."""
        fault = ImageError("damaged", f"it has not {count:,} values in 0..{self.largest:,}")
        if self.kind > 3:
            kind = np.dtype(">u2" if self.largest > 255 else np.uint8)
            if len(content) < self.pixels + count * kind.itemsize:
                raise fault
            return np.frombuffer(content, kind, count, self.pixels)
        if count > MOST_DIGITS:
            raise ImageError("bomb", f"it has {count:,} values in digits; save it as PNG")
        text = _COMMENT.sub(b" ", content[self.pixels :])
        if text.translate(None, b"0123456789 \t\n\v\f\r"):
            raise fault
        if self.kind == 1:  # digits need no spaces between them
            found: NDArray[Any] = np.frombuffer(b"".join(text.split())[:count], np.uint8)
        else:
            found = np.fromstring(text, np.int64, sep=" ")[:count]
        if len(found) < count or found.max() > (ord("1") if self.kind == 1 else self.largest):
            raise fault
        return found
