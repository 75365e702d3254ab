from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

from deepenough.data.decode import framed, header, upright
from deepenough.data.finding import ImageError
from deepenough.preprocessing import Preprocessing


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_what_pillow_says(photo: Any, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(photo(1), "JPEG", exif=exif, quality=95)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    np.testing.assert_array_equal(np.asarray(upright(data)), np.asarray(expected))
    assert header(data)[:2] == expected.size[::-1]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_not_clipped(kind: str) -> None:
    values = np.linspace(0, 65535, 32 * 20).astype(np.uint16).reshape(20, 32)
    picture = upright(encode(Image.fromarray(values), kind))
    assert picture.mode == "L"
    np.testing.assert_array_equal(np.asarray(picture), np.rint(values / 257.0).astype(np.uint8))
    np.testing.assert_array_equal(np.asarray(upright(values)), np.asarray(picture))


def test_palette_cmyk_bilevel_and_grey(photo: Any) -> None:
    palette = photo(2).quantize(16)
    np.testing.assert_array_equal(np.asarray(upright(encode(palette, "PNG"))), np.asarray(palette.convert("RGB")))
    grey_palette = photo(2).convert("L").quantize(8)
    assert upright(encode(grey_palette, "PNG")).mode == "L"
    ink = encode(photo(3).convert("CMYK"), "JPEG", quality=95)
    np.testing.assert_array_equal(np.asarray(upright(ink)), np.asarray(Image.open(io.BytesIO(ink)).convert("RGB")))
    assert np.abs(np.asarray(upright(ink)).astype(int) - np.asarray(photo(3))).mean() < 6
    one = photo(4).convert("1")
    np.testing.assert_array_equal(np.asarray(upright(encode(one, "PNG"))), np.asarray(one) * np.uint8(255))


def test_transparent_pixels_are_laid_on_white(photo: Any) -> None:
    colour = np.asarray(photo(5)).astype(np.float64)
    alpha = np.tile(np.linspace(0, 255, colour.shape[1]).astype(np.uint8), (colour.shape[0], 1))
    picture = Image.fromarray(np.dstack([colour.astype(np.uint8), alpha]))
    expected = colour * (alpha[..., None] / 255) + 255 * (1 - alpha[..., None] / 255)
    for given in (
        encode(picture, "PNG"),
        encode(picture, "WEBP", lossless=True, exact=True),
        picture,
        np.asarray(picture),
    ):
        assert np.abs(np.asarray(upright(given)) - expected).max() <= 1.01
    grey = upright(encode(picture.convert("LA"), "PNG"))
    assert grey.mode == "L"
    assert np.asarray(grey)[:, 0].min() == 255
    clear = photo(5).quantize(8)
    clear.info["transparency"] = 0
    shown = np.asarray(upright(encode(clear, "PNG", transparency=0)))
    assert (shown[np.asarray(clear) == 0] == 255).all()


def test_arrays_of_every_allowed_type_agree(photo: Any) -> None:
    whole = np.asarray(photo(6))
    for given in (whole, whole / 255, whole.astype(np.uint16) * 257):
        np.testing.assert_array_equal(np.asarray(upright(given)), whole)
    np.testing.assert_array_equal(np.asarray(upright(whole[:, :, :1])), whole[:, :, 0])
    for wrong in (whole.astype(np.int64), whole * 1.0, whole[0, 0], np.zeros((9, 9, 2), np.uint8)):
        with pytest.raises(ImageError, match=r"can be read|is no image"):
            upright(wrong)


def bomb_png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    start = chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + start + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def test_what_cannot_be_used_is_named(photo: Any, tmp_path: Path) -> None:
    jpeg = encode(photo(7), "JPEG")
    frames = [photo(8).quantize(8), photo(9).quantize(8)]
    cases = {
        "animated": [encode(frames[0], "GIF", save_all=True, append_images=frames[1:])],
        "damaged": [jpeg[: len(jpeg) // 2], b"", jpeg[:4], encode(photo(7), "PNG")[:900]],
        "not-an-image": [b"these are words, whatever the file is called"],
        "bomb": [bomb_png()],
        "tiny": [encode(photo(7, 7, 40), "PNG"), np.zeros((40, 7), np.uint8)],
        "missing": [tmp_path / "none.jpg"],
    }
    for kind, images in cases.items():
        for image in images:
            with pytest.raises(ImageError) as caught:
                upright(image)
            assert caught.value.kind == kind
    assert upright(encode(frames[0], "GIF")).size == (120, 96)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
def test_broken_files_raise_nothing_but_image_errors(photo: Any, kind: str) -> None:
    whole, random = encode(photo(12, 50, 40), kind), np.random.default_rng(5)
    refused = 0
    for turn in range(150):
        data = bytearray(whole)
        for place in random.integers(0, len(data), 4):
            data[place] = random.integers(0, 256)
        broken = bytes(data[: random.integers(1, len(data))] if turn % 2 else data)
        for read in (lambda given: upright(given, 64), header):
            try:
                read(broken)
            except ImageError:
                refused += 1
    assert refused > 20


def test_an_image_of_moderate_bomb_size_is_an_error_too(photo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 120 * 96 - 1)  # Pillow itself only warns up to twice this
    with pytest.raises(ImageError, match="bomb"):
        upright(encode(photo(1), "PNG"))


def test_preprocess_is_resize_then_centre_crop(photo: Any) -> None:
    picture = photo(10, 300, 180)
    got = framed(np.asarray(picture), Preprocessing((48, 48), mean=(0.5,) * 3, std=(0.2,) * 3))
    whole = np.asarray(picture.resize((80, 48), Image.Resampling.BILINEAR)).astype(int)
    assert got.shape == (48, 48, 3)
    assert np.abs(got - whole[:, 16:64]).max() <= 1
    wide = framed(picture, Preprocessing((30, 100), mean=(0.5,), std=(0.2,)))
    tall = np.asarray(picture.convert("L").resize((100, 60), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(wide[:, :, 0] - tall[15:45]).max() <= 1


def test_native_size_is_not_resampled() -> None:
    values = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    got = framed(values, Preprocessing((28, 28), mean=(0.5,), std=(0.2,)))
    np.testing.assert_array_equal(got[:, :, 0], values)


def test_reduced_jpeg_decoding_is_the_same_for_path_bytes_and_opened_file(photo: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.jpg"
    photo(11, 1200, 900).save(file, quality=90)
    preprocess = Preprocessing((64, 64), mean=(0.5,) * 3, std=(0.2,) * 3)
    from_path = framed(file, preprocess)
    np.testing.assert_array_equal(framed(file.read_bytes(), preprocess), from_path)
    with Image.open(file) as opened:
        np.testing.assert_array_equal(framed(opened, preprocess), from_path)
        assert opened.size == (1200, 900)  # the caller's image is as it was
    assert upright(file, 128).size == (300, 225)
    full = framed(np.asarray(Image.open(file)), preprocess)
    assert np.abs(full.astype(int) - from_path).mean() < 2


def test_preprocess_json_both_ways() -> None:
    preprocess = Preprocessing((32, 48), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    assert Preprocessing.from_json({**preprocess.to_json(), "classes": ["a", "b"]}) == preprocess
