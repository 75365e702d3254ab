"""A corpus of bad images: a picture in every format that Pillow writes, damaged in every way that files are."""

from __future__ import annotations

import base64
import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from deepenough.data.image_formats import IMAGE_FORMATS

Damage = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Kind:
    """A way to save a picture: the format, the mode of its pixels, and options."""

    format: str
    mode: str = "RGB"
    options: tuple[tuple[str, Any], ...] = ()
    frames: int = 1

    def save(self, picture: Image.Image) -> bytes:
        """A picture as a file of this kind."""
        file, options = io.BytesIO(), dict(self.options)
        if self.mode == "I;16":
            wide = Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 257)
        elif self.mode == "F":
            wide = Image.fromarray(np.asarray(picture.convert("L"), np.float32) / 255)
        else:
            wide = picture.convert(self.mode)
        if self.frames > 1:
            options |= {"save_all": True, "append_images": [wide.rotate(90 * turn) for turn in range(1, self.frames)]}
        wide.save(file, self.format, **options)
        return file.getvalue()


def _kind(format: str, mode: str = "RGB", frames: int = 1, **options: Any) -> Kind:
    return Kind(format, mode, tuple(options.items()), frames)


KINDS = (
    _kind("JPEG"), _kind("JPEG", progressive=True), _kind("JPEG", "L"), _kind("JPEG", "CMYK"),
    _kind("JPEG", comment=b"c" * 3000, quality=30), _kind("MPO", frames=3),
    _kind("PNG"), _kind("PNG", "1"), _kind("PNG", "P"), _kind("PNG", "I;16"), _kind("PNG", "RGBA"), _kind("PNG", "LA"),
    _kind("PNG", frames=3), _kind("GIF", "P"), _kind("GIF", "P", frames=3, loop=0),
    _kind("BMP"), _kind("BMP", "1"), _kind("BMP", "P"), _kind("BMP", "RGBA"),
    _kind("TIFF"), _kind("TIFF", "I;16"), _kind("TIFF", frames=3), _kind("TIFF", "F"), _kind("TIFF", "CMYK"),
    *(_kind("TIFF", compression=each) for each in ("tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits")),
    _kind("TIFF", "1", compression="group4"),
    _kind("WEBP"), _kind("WEBP", "RGBA", lossless=True), _kind("WEBP", frames=3),
    _kind("PPM"), _kind("PPM", "L"), _kind("PPM", "1"), _kind("PPM", "F"),
    _kind("JPEG2000"), _kind("JPEG2000", "RGBA", no_jp2=True, irreversible=True),
    _kind("TGA"), _kind("TGA", "L", compression="tga_rle"), _kind("TGA", "P"),
    _kind("AVIF"), _kind("AVIF", "RGBA", frames=2),
    # Pillow reads these and deepenough does not.
    _kind("ICO"), _kind("ICNS"), _kind("DDS"), _kind("DIB"), _kind("BLP", "P"), _kind("EPS"), _kind("PDF"),
    _kind("PCX"), _kind("SGI"), _kind("IM"), _kind("MSP", "1"), _kind("XBM", "1"), _kind("SPIDER", "F"), _kind("QOI"),
)  # fmt: skip


def _flip(content: bytes, draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 3, 30))):
        changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _header(content: bytes, draw: random.Random) -> bytes:
    """Other bytes in the first 64."""
    changed = bytearray(content)
    for _ in range(draw.randrange(1, 6)):
        changed[draw.randrange(min(len(changed), 64))] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)))
    return bytes(changed)


def _overwrite(content: bytes, draw: random.Random) -> bytes:
    """Zeros, ones or noise over a part, as a bad disk or an interrupted copy leaves."""
    start = draw.randrange(len(content))
    length = min(draw.randrange(1, max(len(content) // 2, 2)), len(content) - start)
    part = draw.choice((bytes(length), b"\xff" * length, draw.randbytes(length)))
    return content[:start] + part + content[start + length :]


def _lengths(content: bytes, draw: random.Random) -> bytes:
    """Numbers somewhere that are as large, or as negative, as they can be."""
    start = draw.randrange(max(len(content) - 4, 1))
    return (
        content[:start]
        + draw.choice((b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\0\0\0", bytes(4)))
        + content[start + 4 :]
    )


def _shuffle(content: bytes, draw: random.Random) -> bytes:
    """Two pieces in each other's place."""
    a, b, c = sorted(draw.randrange(len(content) + 1) for _ in range(3))
    return content[:a] + content[b:c] + content[a:b] + content[c:]


def _repeat(content: bytes, draw: random.Random) -> bytes:
    """A piece many times."""
    a, b = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    return content[:b] + content[a:b] * draw.randrange(1, 50) + content[b:]


def _missing(content: bytes, draw: random.Random) -> bytes:
    """A hole, as a lost packet leaves."""
    a, b = sorted(draw.randrange(len(content) + 1) for _ in range(2))
    return content[:a] + content[b:]


def _text(content: bytes, draw: random.Random) -> bytes:
    """The file as a transfer of text leaves it."""
    match draw.randrange(4):
        case 0:
            return content.replace(b"\n", b"\r\n")
        case 1:
            return content.replace(b"\r\n", b"\n")
        case 2:
            return content.decode("utf-8", "replace").encode()
        case _:
            return base64.encodebytes(content)


def _wrapped(content: bytes, draw: random.Random) -> bytes:
    """Something before or behind the file."""
    more = draw.choice((b"\xef\xbb\xbf", b"\n", b"<html>404</html>", draw.randbytes(200), content, bytes(4096)))
    return content + more if draw.random() < 0.5 else more + content


def _cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def _half(content: bytes, draw: random.Random) -> bytes:
    """At most six tenths: no picture is whole."""
    return content[: draw.randrange(len(content) * 6 // 10)]


DAMAGES: dict[str, Damage] = {
    "sound": lambda content, draw: content,
    "cut": _cut,
    "cut to half": _half,
    "flipped": _flip,
    "header changed": _header,
    "overwritten": _overwrite,
    "lengths": _lengths,
    "shuffled": _shuffle,
    "repeated": _repeat,
    "hole": _missing,
    "as text": _text,
    "wrapped": _wrapped,
}


def bad_image(number: int) -> tuple[str, bytes, bool | None]:
    """A name, a file, and whether it has to be used; None where that is the decoder's to say."""
    draw = random.Random(f"image {number}")
    again, which = divmod(number, len(KINDS))
    kind, damage = KINDS[which], list(DAMAGES)[(which + again) % len(DAMAGES)]  # each kind in each way before any again
    side = draw.randrange(24, 80)
    blocks = np.random.default_rng(number).integers(0, 256, (6, 7, 3), dtype=np.uint8)
    picture = Image.fromarray(blocks).resize((side, side + 5), Image.Resampling.BICUBIC)
    content = DAMAGES[damage](kind.save(picture), draw)
    ending = kind.format.lower() if draw.random() < 0.8 else draw.choice(("jpg", "png", "txt", "PNG", "jpeg.part"))
    known = kind.format in IMAGE_FORMATS or kind.format == "MPO"
    used = None
    if damage == "sound":
        used = known and not (kind.frames > 1 and kind.format != "MPO")
    elif damage == "cut to half" and kind.frames == 1:  # of several, the first may be whole
        used = False
    return f"{number}-{kind.format}-{kind.mode}-{damage}.{ending}".replace(" ", "-").replace(";", ""), content, used
