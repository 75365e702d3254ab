"""Images of more than 8 bits: their range is that of the data set, in training, prediction, exports and serving."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from deepenough import evaluate, fit, load, record, resume
from deepenough.data.decode import decode_image, framed, upright
from deepenough.data.images import Images, prepare
from deepenough.data.sixteen_bits import FULL_RANGE, Histogram, common_levels
from deepenough.data.sources import open_source
from deepenough.data.streamed import Streamed
from deepenough.preprocessing import Preprocessing

SUFFIX = {"PNG": "png", "TIFF": "tif"}


def png(values: NDArray[Any]) -> bytes:
    """A PNG of 16 bits from (H, W) or (H, W, C), written by hand, since Pillow writes no colours of 16 bits."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    channels = 1 if values.ndim == 2 else values.shape[2]
    size = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def tiff(values: NDArray[Any], order: str) -> bytes:
    """An uncompressed TIFF of 16 bits from (H, W, 3), in either order of bytes."""
    height, width, channels = values.shape
    data = values.astype(f"{order}u2").tobytes()
    tags = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, channels, 8), (259, 3, 1, 1), (262, 3, 1, 2),
        (273, 4, 1, 14), (277, 3, 1, channels), (278, 4, 1, height), (279, 4, 1, len(data)),
    ]  # fmt: skip

    def entry(tag: int, kind: int, count: int, value: int) -> bytes:
        word = "HH" if kind == 3 and count == 1 else "I"
        return struct.pack(f"{order}HHI{word}", tag, kind, count, *((value, 0) if word == "HH" else (value,)))

    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 14 + len(data))
    end = struct.pack(f"{order}H", len(tags)) + b"".join(entry(*tag) for tag in tags) + bytes(4)
    return head + struct.pack(f"{order}HHH", 16, 16, 16) + data + end


def scaled(values: NDArray[Any], low: int, high: int) -> NDArray[np.uint8]:
    return np.rint(255 * np.clip((values.astype(np.float64) - low) / (high - low), 0, 1)).astype(np.uint8)


def write(root: Path, factor: float = 16, offset: int = 0, count: int = 24) -> Path:
    """Two classes of grey pictures, bright on the left or on the right, of values up to 255 `factor` plus `offset`."""
    draws = np.random.default_rng(0)
    for label in "ab":
        (root / label).mkdir(parents=True)
        for number in range(count):
            values = (
                draws.integers(0, 120, (16, 16)) + (np.arange(16) < 8 if label == "a" else np.arange(16) >= 8) * 135
            )
            (root / label / f"{number}.png").write_bytes(png(values * factor + offset))
    return root


def counted(*parts: NDArray[np.integer]) -> Histogram:
    histogram = Histogram()
    for part in parts:
        histogram.add(np.bincount(np.ravel(part), minlength=65536))
    return histogram


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0, 4095), (0, 4095)),
        ((3, 4080, 0, 200), (0, 4095)),
        ((0, 1000), (0, 1023)),
        ((0, 16000), (0, 16383)),
        ((0, 65520), FULL_RANGE),
        ((0, 255), (0, 255)),
        ((0, 1), (0, 1)),
        ((7, 7), (0, 7)),
        ((0, 0), FULL_RANGE),
        ((7100, 8900), (7100, 8900)),
        ((31000, 36000), (31000, 36000)),
        ((), FULL_RANGE),
    ],
)
def test_levels_are_those_of_the_bits_in_use(values: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert common_levels(counted(np.array(values, np.int64)) if values else Histogram()) == expected


TRUE = {  # 500,000 values as cameras, scanners, telescopes and simulations give them
    "even": lambda draws: draws.integers(0, 65536, 500_000),
    "noise": lambda draws: draws.normal(9000, 2500, 500_000),
    "exponential": lambda draws: draws.exponential(2500, 500_000),
    "stars": lambda draws: 300 + 200 * draws.pareto(1.2, 500_000),
    "wide tail": lambda draws: np.exp(draws.normal(6, 1.5, 500_000)),
    "twelve bits": lambda draws: draws.integers(0, 4096, 500_000),
    "heat": lambda draws: draws.normal(30_000, 300, 500_000),
    "few points on black": lambda draws: np.where(np.arange(500_000) < 20, 20_000, draws.integers(0, 3, 500_000)),
}


@pytest.mark.parametrize("kind", TRUE)
@pytest.mark.parametrize("seed", range(3))
def test_values_that_trail_off_decide_the_levels_to_their_ends(kind: str, seed: int) -> None:
    values = np.clip(TRUE[kind](np.random.default_rng(seed)), 0, 65535).astype(np.int64)
    histogram = counted(values)
    assert histogram.without_outliers() == (values.min(), values.max())
    assert histogram.beyond(common_levels(histogram)) == 0


@pytest.mark.parametrize("bad", [(65535,), (65535, 65535, 40_000), (65535,) * 50])
@pytest.mark.parametrize(("low", "high", "expected"), [(0, 4095, (0, 4095)), (7000, 9000, (7000, 9000))])
def test_hot_pixels_do_not_take_the_range(bad: tuple[int, ...], low: int, high: int, expected: tuple[int, int]) -> None:
    values = np.random.default_rng(1).integers(low, high + 1, 500_000)
    values[:2] = low, high
    histogram = counted(values, np.array(bad))
    assert common_levels(histogram) == expected
    assert histogram.beyond(expected) == len(bad)
    if low:  # and dead ones
        assert common_levels(counted(values, np.array(bad), np.zeros(40, np.int64))) == expected
    assert common_levels(counted(values, np.full(100, 65535))) == FULL_RANGE  # too many to be bad ones


def test_hot_pixels_keep_the_contrast_of_the_others_and_are_counted(tmp_path: Path) -> None:
    root = write(tmp_path / "set", count=40)
    for place in ("a/3.png", "b/7.png"):
        values = np.array(Image.open(root / place))
        values[5, 5] = 65535
        (root / place).write_bytes(png(values))
    images = prepare(open_source(root), cache=tmp_path / "cache")
    assert images.preprocess.levels == (0, 4095)
    assert len(np.unique(images.pixels)) > 150
    (finding,) = (f for f in images.findings if f.kind == "more-than-8-bits")
    assert "from 0 to 65,535" in finding.detail
    assert finding.action.startswith("0 to 4,095 became 0 to 255, and 2 values beyond (9.8e-05 of all)")
    row = list(images.names).index("a/3.png")
    assert images.pixels[row, 5, 5, 0] == 255
    np.testing.assert_array_equal(images.pixels[row], framed(root / "a/3.png", images.preprocess))


@pytest.mark.parametrize("levels", [(0, 4095), (100, 9000)])
def test_grey_with_transparency_keeps_its_lower_bytes(levels: tuple[int, int]) -> None:
    values = np.random.default_rng(3).integers(0, 9000, (30, 20, 2))
    values[:, :, 1] = 65535
    decoded = decode_image(png(values), levels=levels)
    np.testing.assert_array_equal(np.asarray(decoded.picture.convert("L")), scaled(values[:, :, 0], *levels))
    assert decoded.histogram.extremes == (values[:, :, 0].min(), values[:, :, 0].max())
    values[:15, :, 1] = 0  # laid on white where it is transparent
    got = np.asarray(upright(png(values), levels=levels).convert("L"))
    assert (got[:15] == 255).all()
    np.testing.assert_array_equal(got[15:], scaled(values[15:, :, 0], *levels))


@settings(max_examples=80)
@given(
    height=st.integers(8, 30),
    width=st.integers(8, 30),
    channels=st.sampled_from([1, 3, 4]),
    low=st.integers(0, 3000),
    high=st.integers(3001, 65535),
)
def test_values_become_what_the_levels_say(height: int, width: int, channels: int, low: int, high: int) -> None:
    values = np.random.default_rng([height, width]).integers(0, 65536, (height, width, channels), dtype=np.uint16)
    if channels == 4:
        values[:, :, 3] = 65535
    seen = values[:, :, : 3 if channels == 4 else channels].squeeze()
    decoded = decode_image(png(values.squeeze()), levels=(low, high))
    assert decoded.histogram.extremes == (seen.min(), seen.max())
    exact = 255 * np.clip((seen.astype(np.float64) - low) / (high - low), 0, 1)
    if (low, high) != FULL_RANGE:
        assert np.abs(np.asarray(decoded.picture) - exact).max() <= 0.5 + 1e-9  # halves may go either way
    if channels != 4:
        assert np.abs(np.asarray(upright(values, levels=(low, high))) - exact).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("order", ["<", ">"])
def test_colours_of_sixteen_bits_in_tiff_keep_their_contrast(order: str) -> None:
    values = np.random.default_rng(1).integers(0, 4096, (20, 30, 3))
    got = np.asarray(upright(tiff(values, order), levels=(0, 4095)))
    np.testing.assert_array_equal(got, scaled(values, 0, 4095))
    file = io.BytesIO()
    Image.fromarray(values[:, :, 0].astype(np.uint16)).save(file, "TIFF", compression="tiff_lzw")
    got = np.asarray(upright(file.getvalue(), levels=(0, 4095)))
    np.testing.assert_array_equal(got, scaled(values[:, :, 0], 0, 4095))


def test_without_levels_colours_are_what_pillow_makes_of_them() -> None:
    content = png(np.random.default_rng(2).integers(0, 65536, (12, 9, 3)))
    with Image.open(io.BytesIO(content)) as opened:
        expected = np.asarray(opened)
    for levels in (None, FULL_RANGE):
        np.testing.assert_array_equal(np.asarray(decode_image(content, levels=levels).picture), expected)


def test_twelve_bits_in_files_of_sixteen_keep_their_contrast_and_it_is_said(tmp_path: Path) -> None:
    root = write(tmp_path / "set")
    images = prepare(open_source(root), cache=tmp_path / "cache")
    assert images.preprocess.levels == (0, 4095)
    assert len(np.unique(images.pixels)) > 150  # 17 with 0..65535
    for row, name in enumerate(images.names):
        values = np.asarray(Image.open(root / name))
        np.testing.assert_array_equal(images.pixels[row, :, :, 0], scaled(values, 0, 4095))
        np.testing.assert_array_equal(images.pixels[row], framed(root / name, images.preprocess))
    mean = images.pixels[images.split.train].mean() / 255
    assert images.preprocess.mean == pytest.approx((mean,))
    (said,) = images.findings
    assert said.kind == "more-than-8-bits"
    assert said.detail.startswith("48 images have values of 16 bits, from 0 to 4,0")
    assert said.action == "0 to 4,095 became 0 to 255"


def test_test_images_have_no_say_and_are_read_by_the_same_levels(tmp_path: Path) -> None:
    write(tmp_path / "set" / "train")
    write(tmp_path / "set" / "test", factor=200, count=4)
    images = prepare(open_source(tmp_path / "set"), cache=tmp_path / "cache")
    assert images.preprocess.levels == (0, 4095)
    assert images.pixels[images.split.test].max() == 255


def test_a_narrow_range_far_from_zero_is_stretched(tmp_path: Path) -> None:
    images = prepare(open_source(write(tmp_path / "set", factor=5, offset=30_000)), cache=tmp_path / "cache")
    assert images.preprocess.levels is not None
    low, high = images.preprocess.levels
    assert 30_000 <= low < 30_100 < 31_000 < high < 31_300
    pixels = np.asarray(images.pixels)
    assert (pixels.min(), pixels.max()) == (0, 255)


def test_streamed_images_are_the_same(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "set"))
    kept = prepare(source, cache=tmp_path / "large")
    streamed = prepare(source, cache=tmp_path / "small", cache_limit=1000)
    assert isinstance(streamed.pixels, Streamed)
    np.testing.assert_array_equal(streamed.pixels[np.arange(48)], kept.pixels)
    assert streamed.preprocess == kept.preprocess


def test_images_of_eight_bits_have_no_levels(two_classes: Path, tmp_path: Path) -> None:
    images = prepare(open_source(two_classes), cache=tmp_path / "cache")
    assert images.preprocess.levels is None
    assert images.preprocess.to_json()["version"] == 2  # which older versions read


def test_given_levels_are_taken_and_kept_apart_in_the_cache(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "set"))

    def ready(levels: tuple[int, int] | None) -> Images:
        return prepare(source, size=Preprocessing((16, 16), levels=levels), cache=tmp_path / "cache")

    own = ready(None)
    for levels in (FULL_RANGE, (0, 4095), (100, 9000)):
        images = ready(levels)
        assert images.preprocess.levels == levels
        assert images.fingerprint == own.fingerprint
        np.testing.assert_array_equal(
            images.pixels[3, :, :, 0], scaled(np.asarray(Image.open(tmp_path / "set" / images.names[3])), *levels)
        )
    assert ready(None).preprocess.levels == (0, 4095)
    entries = [path for path in (tmp_path / "cache" / "images").iterdir() if path.is_dir()]
    assert len(entries) == 3  # the images' own levels are there once


def test_levels_travel_in_preprocess_json() -> None:
    given = Preprocessing((8, 9), mean=(0.5,), std=(0.2,), levels=(0, 4095))
    written = json.loads(json.dumps(given.to_json()))
    assert written["version"] == 3  # a version that knows nothing of levels must not read it
    assert Preprocessing.from_json(written) == given
    del written["levels"]
    assert Preprocessing.from_json({**written, "version": 2}).levels is None


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory, quick: dict[str, Any]) -> tuple[Path, Path]:
    """A run on images of 12 bits, and those."""
    folder = tmp_path_factory.mktemp("deep")
    root = write(folder / "set")
    return fit(root, out=folder / "run", **quick).folder, root


def test_a_run_predicts_and_evaluates_by_its_levels(deep: tuple[Path, Path], tmp_path: Path) -> None:
    run, root = deep
    model, made = load(run), record.load(run)
    assert model.preprocess.levels == made.data.levels == (0, 4095)
    values = np.asarray(Image.open(root / "a/0.png"))
    for image in (root / "a/0.png", values, Image.open(root / "a/0.png")):
        np.testing.assert_array_equal(framed(image, model.preprocess)[:, :, 0], scaled(values, 0, 4095))
    assert made.test is not None
    again, _ = evaluate(run, root)
    assert again.top1.value == made.test.top1.value
    brighter = write(tmp_path / "other", factor=250)  # what the model saw as 255 stays 255, whatever else is there
    assert evaluate(run, brighter)[0].top1.count == 48


def test_a_run_of_a_version_without_levels_goes_on_as_it_began(
    tmp_path: Path, quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its record has none, and its images were scaled by 65535."""
    root, run = write(tmp_path / "set"), tmp_path / "run"

    def stop(*given: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("deepenough.experiment.run.write_result", stop)
        with pytest.raises(KeyboardInterrupt):
            fit(root, out=run, **quick)
    before = record.load(run)
    before.data.levels = None
    record.save(before, run)
    assert resume(run).model().preprocess.levels == FULL_RANGE


def test_the_exported_program_sees_the_same_pixels(
    deep: tuple[Path, Path], tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    run, root = deep
    status, out, err = command("export", run, "--to", "onnx", "--out", tmp_path / "export")
    assert status == 0, out + err
    (program,) = (tmp_path / "export").rglob("predict.py")
    colours = np.random.default_rng(5).integers(0, 4096, (20, 24, 3))
    (tmp_path / "colours.png").write_bytes(png(colours))
    (tmp_path / "colours.tif").write_bytes(tiff(colours, ">"))
    files = [root / "a/0.png", tmp_path / "colours.png", tmp_path / "colours.tif"]
    code = (
        "import sys, runpy, numpy as np\n"
        f"seen = runpy.run_path({str(program)!r}, run_name='seen')\n"
        f"for number, file in enumerate({[str(file) for file in files]!r}):\n"
        f"    np.save({str(tmp_path)!r} + f'/{{number}}.npy', seen['pixels'](file))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
    for number, file in enumerate(files):
        expected = framed(file, load(run).preprocess)
        np.testing.assert_array_equal(np.load(tmp_path / f"{number}.npy"), expected)


def test_a_large_image_of_sixteen_bits_needs_little_memory() -> None:
    """Beside the picture in Pillow: its 8 bits, and strips."""
    picture = Image.new("I;16", (4000, 3000), 4000)
    upright(picture, levels=(0, 4095))
    tracemalloc.start()
    got = upright(picture, levels=(0, 4095))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert np.asarray(got)[7, 7] == round(4000 / 4095 * 255)
    assert peak < 4000 * 3000 + 30 * 2**20
