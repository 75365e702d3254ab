"""Images that are made to harm: they claim to be huge, ask for hours, inflate, lead in circles or start programs."""

from __future__ import annotations

import io
import pickle
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

Make = Callable[[random.Random, Path], bytes]
"""From a source of randomness and a path at which nothing may ever be made, to the bytes of a file."""


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png(width: int, height: int, *chunks: bytes, kind: int = 2, interlaced: int = 0) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + _chunk(b"IEND", b"")


PIXELS = _chunk(b"IDAT", zlib.compress(b"\0" * 20 * 61))  # of 20 x 20


def _zeros(length: int) -> bytes:
    """Zeros, compressed; 100 MB take a second."""
    packer, piece = zlib.compressobj(9), bytes(1 << 20)
    return b"".join(packer.compress(piece) for _ in range(length >> 20)) + packer.flush()


def png_claims(draw: random.Random, canary: Path) -> bytes:
    sides = [draw.choice((0, 1, 30_000, 60_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)) for _ in range(2)]
    return _png(*sides, _chunk(b"IDAT", zlib.compress(b"\0" * 1000)), interlaced=draw.randrange(2))


def png_inflates(draw: random.Random, canary: Path) -> bytes:
    """Pixels that go on for ever behind the last, or a text, a profile that inflates."""
    zeros = _zeros(draw.choice((60, 200)) << 20)
    match draw.randrange(4):
        case 0:
            return _png(20, 20, _chunk(b"IDAT", zeros))
        case 1:
            return _png(20, 20, _chunk(b"zTXt", b"k\0\0" + zeros), PIXELS)
        case 2:
            return _png(20, 20, _chunk(b"iTXt", b"k\0\1\0\0\0" + zeros), PIXELS)
        case _:
            return _png(20, 20, _chunk(b"iCCP", b"k\0\0" + zeros), PIXELS)


def png_chunks(draw: random.Random, canary: Path) -> bytes:
    name = draw.choice((b"tEXt", b"IDAT", b"zTXt", b"prVt", b"fdAT"))
    content = {b"IDAT": b"", b"zTXt": b"k\0\0" + zlib.compress(b"v")}.get(name, b"k\0v")
    return _png(20, 20, _chunk(name, content) * draw.choice((100_000, 1_700_000)), PIXELS)


def jpeg_scans(draw: random.Random, canary: Path) -> bytes:
    """A progressive JPEG whose last scan comes again and again."""
    file = io.BytesIO()
    side = draw.choice((200, 600, 2000))
    Image.effect_noise((side, side), 50).save(file, "JPEG", progressive=True, quality=60)
    content = file.getvalue()
    last = content.rindex(b"\xff\xda")
    return (
        content[:last]
        + content[last:-2] * min(draw.choice((100, 1_000, 5_000)), 20_000_000 // (len(content) - last))
        + b"\xff\xd9"
    )


def jpeg_segments(draw: random.Random, canary: Path) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 40)).save(file, "JPEG")
    marker = draw.choice((b"\xff\xe1", b"\xff\xfe", b"\xff\xe2", b"\xff\xed", b"\xff\xdb"))
    content = {b"\xff\xe1": b"Exif\0\0", b"\xff\xe2": b"ICC_PROFILE\0\1\xff", b"\xff\xed": b"Photoshop 3.0\0"}.get(
        marker, b""
    )
    segment = marker + struct.pack(">H", 2 + len(content) + 64) + content + draw.randbytes(64)
    padding = b"\xff" * draw.choice((0, 1_000_000))
    return file.getvalue()[:2] + padding + segment * draw.choice((1_000, 200_000)) + file.getvalue()[2:]


def jpeg_claims(draw: random.Random, canary: Path) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 40)).save(file, "JPEG")
    content = bytearray(file.getvalue())
    start = content.index(b"\xff\xc0") + 5
    content[start : start + 4] = struct.pack(">HH", *(draw.choice((0, 1, 0xFFFF, 20_000)) for _ in range(2)))
    return bytes(content)


def gif_frames(draw: random.Random, canary: Path) -> bytes:
    """A canvas as large as can be, and very many frames, extensions or empty blocks."""
    side = draw.choice((10, 0xFFFF))
    frame = b"," + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    part = draw.choice((frame, b"!\xfe\x01c\0", b"!\xf9\x04\0\0\0\0\0" + frame, b"\0", b","))
    return b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6) + part * 500_000 + b";"


def tiff(draw: random.Random, canary: Path) -> bytes:
    """Directories in a circle, of very many tags, of overlapping strips, or claims."""

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        return struct.pack("<HHII", tag, kind, count, value)

    side, strips = draw.choice((20, 30_000, 0x7FFFFFFF)), draw.choice((1, 1 << 20, 0xFFFFFFFF))
    compression = draw.choice((1, 5, 7, 8, 32773, 34712))
    tags = [
        entry(256, 4, 1, side), entry(257, 4, 1, side), entry(258, 3, 1, 8), entry(259, 3, 1, compression),
        entry(262, 3, 1, 1), entry(273, 4, strips, 8), entry(277, 3, 1, draw.choice((1, 3, 0xFFFF))),
        entry(278, 4, 1, draw.choice((1, side))), entry(279, 4, strips, 8),
        *[entry(700, 1, 0xFFFFFFFF, 8)] * draw.choice((0, 60_000)),
    ]  # fmt: skip
    following = draw.choice((0, 8, 0xFFFFFFFF))
    return (
        b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + b"".join(tags) + struct.pack("<I", following) + bytes(2000)
    )


def bmp(draw: random.Random, canary: Path) -> bytes:
    side = draw.choice((1, 20, 40_000, 0x7FFFFFFF, -0x80000000))
    bits, packed = draw.choice(((8, 1), (4, 2), (24, 0), (16, 3), (32, 6), (1, 0)))
    head = struct.pack("<IiiHHIIiiII", 40, draw.choice((20, 40_000, 0x7FFFFFFF)), side, 1, bits, packed, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + 1024) + head + bytes(1024) + b"\xff\0" * 2000


def webp(draw: random.Random, canary: Path) -> bytes:
    canvas = (draw.choice((20, 0xFFFFFF))).to_bytes(3, "little") * 2
    content = b"WEBPVP8X\x0a\0\0\0\x02\0\0\0" + canvas
    content += (
        (b"ANIM\x06\0\0\0" + bytes(6) + (b"ANMF\x18\0\0\0" + bytes(24)) * 100_000)
        if draw.random() < 0.5
        else b"VP8L\x0a\0\0\0/\xff\xff\xff\x0f" + bytes(6)
    )
    return b"RIFF" + struct.pack("<I", len(content)) + content


def jpeg2000(draw: random.Random, canary: Path) -> bytes:
    """A codestream of very many tiles, components or layers."""
    side, tile = draw.choice((30_000, 0xFFFFFFFF)), draw.choice((1, 8, 30_000))
    parts = draw.choice((1, 3, 16_384))
    size = struct.pack(">HIIIIIIIIH", 0, side, side, 0, 0, tile, tile, 0, 0, parts) + b"\x07\x01\x01" * parts
    coding = struct.pack(">BBHBBBBBB", 0, 0, 0xFFFF, 0, draw.choice((5, 32, 255)), 0, 0, 0, 0)
    content = b"\xff\x4f\xff\x51" + struct.pack(">H", 2 + len(size)) + size
    content += b"\xff\x52" + struct.pack(">H", 2 + len(coding)) + coding + b"\xff\x5c\0\x05\x40\x40\x48"
    return content + b"\xff\x90\0\x0a" + struct.pack(">HIBB", 0, 0, 0, 1) + b"\xff\x93" + bytes(100) + b"\xff\xd9"


def portable_map(draw: random.Random, canary: Path) -> bytes:
    kind = draw.choice((b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf", b"PF", b"P7"))
    side = draw.choice((b"20", b"60000", b"9" * 6_000, b"-5", b"0"))
    most = draw.choice((b"255", b"65535", b"0", b"9" * 5_000))
    comment = draw.choice((b"", b"#" + b"c" * 5_000_000, b"#\n" * 1_000_000))
    return (
        kind
        + b"\n"
        + comment
        + b"\n"
        + side
        + b" "
        + side
        + b"\n"
        + most
        + b"\n"
        + draw.choice((bytes(1200), b"1 " * 2_000_000, b" " * 9_000_000))
    )


def tga(draw: random.Random, canary: Path) -> bytes:
    kind = draw.choice((1, 2, 3, 9, 10, 11))
    head = struct.pack(
        "<BBBHHBHHHHBB",
        draw.choice((0, 255)),
        int(kind & 7 == 1),
        kind,
        0,
        256 * (kind & 7 == 1),
        24 * (kind & 7 == 1),
        0,
        0,
        draw.choice((20, 0xFFFF)),
        draw.choice((20, 0xFFFF)),
        24 if kind & 7 == 2 else 8,
        0,
    )
    return head + bytes(1200) + b"\xff\0" * 40_000


def avif(draw: random.Random, canary: Path) -> bytes:
    """Boxes in boxes, or boxes that claim more than there is."""
    inside = bytes(20)
    for _ in range(draw.choice((2, 2_000))):
        inside = (
            struct.pack(">I", draw.choice((len(inside) + 8, 0, 1, 0xFFFFFFFF)))
            + draw.choice((b"meta", b"iprp", b"iinf"))
            + inside
        )
    return struct.pack(">I", 24) + b"ftyp" + b"avif\0\0\0\0mif1avif" + inside


def program(draw: random.Random, canary: Path) -> bytes:
    """What some reader would hand to a program, or execute."""
    postscript = f"(%pipe%mkdir {canary}) (r) file\n({canary}) (w) file closefile\nshowpage\n".encode()
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n%%EndComments\n" + postscript
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="|mkdir {canary}"/></svg>'.encode()
    mvg = f"push graphic-context\nfill 'url(https://x/\"|mkdir {canary}\")'\npop graphic-context".encode()
    dos = b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 32, len(eps)) + bytes(20) + eps
    return draw.choice((eps, dos, b"\n" + eps, svg, mvg, b"%PDF-1.4\n" + eps, pickle.dumps(canary)))


def contained(draw: random.Random, canary: Path) -> bytes:
    """Pictures and archives within other things."""
    inner = png_claims(draw, canary)
    icon = struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(inner), 22) + inner
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("../a.png", b"x")
    psd = b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 30_000, 30_000, 8, 3)
    return draw.choice((icon, zipped.getvalue(), psd, b"icns\0\0\0\x10ic09\0\0\0\0", b"\x89HDF\r\n\x1a\n" + bytes(90)))


def nearly_nothing(draw: random.Random, canary: Path) -> bytes:
    start = draw.choice(
        (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"RIFF\xff\xff\xff\xffWEBP", b"P6", b"")
    )
    return start + draw.randbytes(draw.choice((0, 1, 7, 60)))


BOMBS: dict[str, Make] = {
    each.__name__: each
    for each in (
        png_claims, png_inflates, png_chunks, jpeg_scans, jpeg_segments, jpeg_claims, gif_frames, tiff, bmp, webp,
        jpeg2000, portable_map, tga, avif, program, contained, nearly_nothing,
    )
}  # fmt: skip
