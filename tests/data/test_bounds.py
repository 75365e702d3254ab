"""Files that ask for too much work are refused before they are decoded; what software writes passes."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from deepenough.data.bounds import check_work
from deepenough.data.bounds.jpeg import MOST_SCANNED, check_scans
from deepenough.data.decode import upright
from deepenough.data.finding import ImageError
from deepenough.data.image_formats import IMAGE_FORMATS, identify
from deepenough.data.images import prepare
from deepenough.data.sources import open_source


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def before_pixels(png: bytes, added: bytes) -> bytes:
    place = png.index(b"IDAT") - 4
    return png[:place] + added + png[place:]


def picture(width: int = 64, height: int = 64) -> Image.Image:
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height))


def many_scans(scans: int) -> bytes:
    """A progressive JPEG whose last scan, which refines what is there, is repeated."""
    whole = encode(picture(), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * scans + whole[-2:]


def gif_blocks() -> bytes:
    whole = encode(picture().quantize(8), "GIF")
    start = 13 + (3 << (whole[10] & 7) + 1)
    return whole[:start] + b"\x21\xfe" + b"\1a" * 400_000 + b"\0" + whole[start:]


def many_tags() -> bytes:
    entries = b"".join(struct.pack("<HHII", 40_000 + n, 7, 1, 0) for n in range(5_000))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", 5_000) + entries + bytes(4)


def overlapping_tags() -> bytes:
    """4,000 tags that are all the same 100 KB."""
    entries = b"".join(struct.pack("<HHII", 40_000 + n, 7, 100_000, 8) for n in range(4_000))
    return b"II*\0" + struct.pack("<I", 100_008) + bytes(100_000) + struct.pack("<H", 4_000) + entries + bytes(4)


def strips_of_one_byte() -> bytes:
    whole = bytearray(encode(picture(), "TIFF")) + bytes(4 << 18)
    start = struct.unpack_from("<I", whole, 4)[0]
    for place in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", whole, start)[0], 12):
        if struct.unpack_from("<H", whole, place)[0] == 273:
            struct.pack_into("<HII", whole, place + 2, 4, 1 << 18, 8)
    return bytes(whole)


def many_tiles() -> bytes:
    whole = bytearray(encode(picture(), "JPEG2000"))
    struct.pack_into(">8I", whole, whole.index(b"\xff\x4f\xff\x51") + 8, 60_000, 1_000, 0, 0, 30, 30, 0, 0)
    return bytes(whole)


BOMBS: dict[str, Callable[[], bytes]] = {
    "scans of a JPEG": lambda: many_scans(1_000),
    "segments of a JPEG": lambda: b"\xff\xd8" + b"\xff\xfe\0\2" * 100_000 + encode(picture(), "JPEG")[2:],
    "EXIF of a JPEG": lambda: (
        b"\xff\xd8" + (b"\xff\xe1\xff\xffExif\0\0" + bytes(65_527)) * 9 + encode(picture(), "JPEG")[2:]
    ),
    "padding of a JPEG": lambda: b"\xff\xd8" + b"\xff" * 400_000 + encode(picture(), "JPEG")[2:],
    "chunks of a PNG": lambda: before_pixels(encode(picture(), "PNG"), chunk(b"tEXt", b"a\0") * 100_000),
    "empty pixels of a PNG": lambda: before_pixels(encode(picture(), "PNG"), chunk(b"IDAT", b"") * 100_000),
    "texts of a PNG": lambda: before_pixels(
        encode(picture(), "PNG"), chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(b"\xff" * 10**6)) * 200
    ),
    "a text of a PNG": lambda: before_pixels(
        encode(picture(), "PNG"), chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(5_000_000)))
    ),
    "blocks of a GIF": gif_blocks,
    "tags of a TIFF": many_tags,
    "overlapping tags of a TIFF": overlapping_tags,
    "strips of a TIFF": strips_of_one_byte,
    "tiles of a JPEG 2000": many_tiles,
    "comment of a PGM": lambda: b"P5\n#" + b"a" * 100_000 + b"\n64 64\n255\n" + bytes(4_096),
    "digits of a PGM": lambda: b"P2 9000 9000 255\n" + b"1 " * 1_000,
    "runs of a BMP": lambda: (
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 1_000, 0, 54, 40, 9_000, 9_000, 1, 8, 1, 0, 0, 0, 0, 0) + bytes(1_100)
    ),
    "canvas of a WebP": lambda: b"RIFF\0\0\1\0WEBPVP8X\x0a\0\0\0\x10\0\0\0\xff\x3f\0\xff\x3f\0" + bytes(64),
}


@pytest.mark.parametrize("name", BOMBS)
def test_what_asks_for_too_much_work_is_refused_before_it_is_decoded(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(*given: Any) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", no)
    with pytest.raises(ImageError) as caught:
        upright(BOMBS[name]())
    assert caught.value.kind == "bomb"


def test_bombs_in_a_set_are_named_and_left_out(two_classes: Path, tmp_path: Path) -> None:
    names = ("scans of a JPEG", "chunks of a PNG", "blocks of a GIF", "tags of a TIFF")
    for number, name in enumerate(names):
        (two_classes / "cat" / f"bomb{number}").write_bytes(BOMBS[name]())
    images = prepare(open_source(two_classes), cache=tmp_path / "cache")
    assert len(images) == 24
    found = {finding.name: finding for finding in images.findings}
    assert {finding.kind for finding in found.values()} == {"bomb"}
    assert set(found) == {f"cat/bomb{number}" for number in range(len(names))}


def test_scans_count_by_the_pixels_that_they_go_over() -> None:
    check_scans(10, Image.MAX_IMAGE_PIXELS or 0)  # the largest image, as encoders write it
    for scans, pixels in ((65, 1), (20, MOST_SCANNED // 20 + 1)):
        with pytest.raises(ImageError, match="bomb"):
            check_scans(scans, pixels)


@settings(max_examples=150)
@given(
    width=st.integers(8, 90),
    height=st.integers(8, 90),
    mode=st.sampled_from(["L", "RGB", "CMYK"]),
    progressive=st.booleans(),
    quality=st.integers(1, 100),
    restarts=st.integers(0, 3),
    exif=st.booleans(),
    comment=st.binary(max_size=300),
)
def test_any_jpeg_that_is_written_passes(
    width: int, height: int, mode: str, progressive: bool, quality: int, restarts: int, exif: bool, comment: bytes
) -> None:
    noise = np.random.default_rng([width, height]).integers(0, 256, (height, width, 3), dtype=np.uint8)
    data = Image.Exif()
    data[0x0112], data[0x010E] = 6, "\xff\xda" * 40  # which looks like scans
    content = encode(
        Image.fromarray(noise).convert(mode),
        "JPEG",
        progressive=progressive,
        quality=quality,
        restart_marker_blocks=restarts,
        comment=comment,
        exif=data if exif else b"",
    )
    assert sorted(upright(content).size) == sorted((width, height))


def test_a_jpeg_that_holds_others_passes(photo: Any) -> None:
    """As phones write them: a thumbnail in the EXIF data, and a second picture behind the first."""
    thumbnail = encode(photo(1, 40, 30), "JPEG", progressive=True)
    exif = Image.Exif()
    exif[0x927C] = thumbnail * 20
    content = encode(photo(2), "JPEG", exif=exif)
    assert upright(content).size == (120, 96)
    assert upright(encode(photo(2), "MPO", save_all=True, append_images=[photo(3)])).size == (120, 96)
    assert upright(content + thumbnail).size == (120, 96)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_more_than_one_picture_is_told_without_counting(photo: Any, kind: str) -> None:
    frames = [photo(number).quantize(8) if kind == "GIF" else photo(number) for number in range(3)]
    with pytest.raises(ImageError) as caught:
        upright(encode(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert caught.value.kind == "animated"
    assert upright(encode(frames[0], kind)).size == (120, 96)


def test_a_gif_is_one_picture_whatever_follows_it(photo: Any) -> None:
    whole = encode(photo(1).quantize(8), "GIF")
    for after in (b"", b";", b";" + whole, bytes(1_000_000)):
        assert upright(whole[:-1] + after).size == (120, 96)


def test_a_tiff_whose_directory_leads_to_itself_is_one_picture(photo: Any) -> None:
    whole = bytearray(encode(photo(1), "TIFF"))
    start = struct.unpack_from("<I", whole, 4)[0]
    place = start + 2 + 12 * struct.unpack_from("<H", whole, start)[0]
    struct.pack_into("<I", whole, place, start)
    assert upright(bytes(whole)).size == (120, 96)
    struct.pack_into("<I", whole, place, 10**9)
    with pytest.raises(ImageError, match="beyond its end"):
        upright(bytes(whole))


@settings(max_examples=300)
@given(kind=st.sampled_from(list(IMAGE_FORMATS)), place=st.floats(0, 1), junk=st.binary(max_size=40), cut=st.booleans())
def test_checks_of_broken_files_raise_nothing_but_image_errors(kind: str, place: float, junk: bytes, cut: bool) -> None:
    content = encode(picture(40, 40), kind) if kind in ("JPEG", "PNG", "GIF", "TIFF") else b""
    start = content or {"PPM": b"P5 9 9 255\n", "BMP": b"BM", "WEBP": b"RIFF....WEBPVP8X"}.get(
        kind, b"\xff\x4f\xff\x51"
    )
    at = int(place * len(start))
    broken = start[:at] + junk + (b"" if cut else start[at:])
    identify(broken)
    with suppress(ImageError):
        check_work(kind, broken)
