"""The formats that are read as images, and how a file of each begins: what is an image is decided here, by content."""

from __future__ import annotations

import re
import struct

IMAGE_FORMATS = {
    "JPEG": "JpegImagePlugin",  # with MPO, several JPEGs in one file
    "PNG": "PngImagePlugin",
    "GIF": "GifImagePlugin",
    "BMP": "BmpImagePlugin",
    "WEBP": "WebPImagePlugin",
    "TIFF": "TiffImagePlugin",
    "PPM": "PpmImagePlugin",  # with PBM, PGM and grey PFM
    "JPEG2000": "Jpeg2KImagePlugin",
    "AVIF": "AvifImagePlugin",
    "TGA": "TgaImagePlugin",
}
"""Every format that is ever opened, by Pillow's name, and the module of Pillow that reads it."""

STARTS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",  # BigTIFF
    b"MM\0+": "TIFF",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
}
_PPM = re.compile(rb"P[1-6f][\s#]")
_WEBP = re.compile(rb"RIFF....WEBP", re.DOTALL)
_AVIF = (b"avif", b"avis")
_TGA = struct.Struct("<BBBHHBHHHHBB")
BEGINNING = 64
"""Bytes at the beginning of a file that tell all of these but TGA."""


def identify(content: bytes) -> str | None:
    """The name in `IMAGE_FORMATS` of the format that a file begins like, or None.

    The first 64 bytes are enough, but for TGA, which has no signature: its header must make sense and its pixels must
    be there.
    """
    start = content[:BEGINNING]
    for signature, name in STARTS.items():
        if start.startswith(signature):
            return name
    if _WEBP.match(start):
        return "WEBP"
    if _PPM.match(start):
        return "PPM"
    if any(brand in _AVIF for brand in brands(start)):
        return "AVIF"
    return "TGA" if _is_tga(content) else None


def is_cut_off(content: bytes) -> bool:
    """True for the first few bytes of a format and nothing behind them."""
    return any(signature.startswith(content) for signature in (*STARTS, b"RIFF", b"\x89PNG\r\n\x1a\n"))


def brands(start: bytes) -> list[bytes]:
    """The kinds that a file of the ISO base media format (AVIF, HEIC, MP4) says it is, the main one first."""
    if start[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(start[:4], "big"), len(start))
    return [start[8:12], *(start[at : at + 4] for at in range(16, end - 3, 4))]


def _is_tga(content: bytes) -> bool:
    if len(content) < _TGA.size:
        return False
    comment, palette, kind, _, colours, bits, _, _, width, height, depth, _ = _TGA.unpack_from(content)
    palettes, depths = {1: (1, (8,)), 2: (0, (16, 24, 32)), 3: (0, (1, 8, 16))}.get(kind & 7, (-1, ()))
    if kind not in (1, 2, 3, 9, 10, 11) or palette != palettes or depth not in depths or not width or not height:
        return False
    if palette and (bits not in (16, 24, 32) or not colours):
        return False
    pixels = width * height * depth // 8 if kind < 8 else height  # a packet for each row at least
    return bool(len(content) >= _TGA.size + comment + colours * bits // 8 * palette + pixels)
