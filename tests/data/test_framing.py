"""What of a picture is seen, against crops made by hand, and preprocessing on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepenough.data.images import prepare
from deepenough.data.sources import open_source
from deepenough.errors import DeepenoughError
from deepenough.language import speaking
from deepenough.preprocessing import Preprocessing
from deepenough.report.restated_probes import preprocessing_text
from deepenough.training.feed import normalise
from deepenough.weights import PRESETS, preset


def gradient(height: int, width: int) -> Image.Image:
    """Red tells the row, green the column, in 0..255."""
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([255 * rows / (height - 1), 255 * columns / (width - 1), np.zeros((height, width))], axis=2)
    return Image.fromarray(pixels.round().astype(np.uint8))


def test_the_centre_of_the_scaled_picture_is_cut_out() -> None:
    """A picture of 400 x 600: the shorter side becomes 256, and 224 x 224 of 256 x 384 are seen."""
    seen = Preprocessing((224, 224), 256).frame(gradient(400, 600), 3).astype(float)
    first_row, last_row = 255 * (0.5 - 112 / 256), 255 * (0.5 + 112 / 256)
    first_column, last_column = 255 * (0.5 - 112 / 384), 255 * (0.5 + 112 / 384)
    assert seen[0, :, 0].mean() == pytest.approx(first_row, abs=1)
    assert seen[-1, :, 0].mean() == pytest.approx(last_row, abs=1)
    assert seen[:, 0, 1].mean() == pytest.approx(first_column, abs=1)
    assert seen[:, -1, 1].mean() == pytest.approx(last_column, abs=1)


@settings(max_examples=60)
@given(
    height=st.integers(20, 200),
    width=st.integers(20, 200),
    extra=st.integers(0, 30),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
)
def test_it_sees_what_scaling_and_then_cutting_gives(height: int, width: int, extra: int, interpolation: str) -> None:
    """torchvision's Resize and CenterCrop, by their documentation: whole pixels at both steps."""
    draws = np.random.default_rng([height, width])
    picture = Image.fromarray(draws.integers(0, 256, (height, width, 3), dtype=np.uint8))
    shorter = 32 + extra
    far = int(shorter * max(height, width) / min(height, width))
    size = (shorter, far) if width <= height else (far, shorter)
    scaled = picture.resize(size, getattr(Image.Resampling, interpolation.upper()))
    left, top = round((size[0] - 32) / 2), round((size[1] - 32) / 2)
    wanted = np.asarray(scaled.crop((left, top, left + 32, top + 32)))
    got = Preprocessing((32, 32), shorter, interpolation).frame(picture, 3)
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(9, 640), (640, 9), (40, 700)])
def test_of_a_thin_picture_the_same_is_seen(size: tuple[int, int], interpolation: str) -> None:
    draws = np.random.default_rng(0).integers(0, 256, (*(side // 4 + 2 for side in size), 3), dtype=np.uint8)
    picture = Image.fromarray(draws).resize(size[::-1], Image.Resampling.BICUBIC)
    far = int(32 * max(size) / min(size))
    scaled = picture.resize(
        (32, far) if size[1] <= size[0] else (far, 32), getattr(Image.Resampling, interpolation.upper())
    )
    left, top = round((scaled.width - 30) / 2), round((scaled.height - 24) / 2)
    wanted = np.asarray(scaled.crop((left, top, left + 30, top + 24)), int)
    got = Preprocessing((24, 30), 32, interpolation).frame(picture, 3)
    assert np.abs(got - wanted).max() <= 1


def test_a_thin_picture_is_never_scaled_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """150,000 x 8 pixels are 3 KB as a file, and 3.5 GB with a shorter side of 256."""
    sizes, resize = [], Image.Image.resize

    def watched(picture: Image.Image, size: tuple[int, int], *more: Any, **options: Any) -> Image.Image:
        sizes.append(size)
        return resize(picture, size, *more, **options)

    monkeypatch.setattr(Image.Image, "resize", watched)
    for size in ((150_000, 8), (8, 150_000)):
        assert Preprocessing((224, 224), 256).frame(Image.new("L", size), 1).shape == (224, 224, 1)
    assert max(width * height for width, height in sizes) <= 16 * 256**2


@settings(max_examples=60)
@given(
    height=st.integers(9, 200),
    width=st.integers(9, 200),
    size=st.tuples(st.integers(8, 64), st.integers(8, 64)),
    extra=st.none() | st.integers(0, 40),
    interpolation=st.sampled_from(["bilinear", "bicubic"]),
)
def test_any_picture_gives_the_size(
    height: int, width: int, size: tuple[int, int], extra: int | None, interpolation: str
) -> None:
    framing = Preprocessing(size, None if extra is None else min(size) + extra, interpolation)
    seen = framing.frame(gradient(height, width), 3)
    assert seen.shape == (*size, 3)
    assert seen.dtype == np.uint8
    assert framing.reading_side >= 2 * max(size)


@pytest.mark.parametrize(
    ("shorter", "english", "chinese"),
    [
        (None, "scaled to cover 48x32", "缩放至覆盖 48x32"),
        (40, "scaled to cover 48x32", "缩放至覆盖 48x32"),  # a shorter side of 40 pixels would not fill the width
        (50, "shorter side 50, centre 48x32", "短边缩放到 50，取中央 48x32"),
    ],
)
def test_its_words_are_what_is_done(shorter: int | None, english: str, chinese: str) -> None:
    said = Preprocessing((32, 48), shorter=shorter)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 100, 3), np.uint8))
    covered = np.array_equal(said.frame(picture), Preprocessing((32, 48)).frame(picture))
    assert covered == ("cover" in english)
    assert str(said).startswith(f"{english}, bilinear, RGB")
    assert preprocessing_text(said) == str(said)
    with speaking("zh"):
        assert preprocessing_text(said).startswith(chinese)


def test_its_words_name_the_channels() -> None:
    grey = Preprocessing((8, 8), mean=(0.5,), std=(0.25,))
    assert str(grey).endswith("grey 0..255 minus (127.5) over (63.75)")
    assert "BGR 0..255" in str(Preprocessing((8, 8), order="BGR"))
    with speaking("zh"):
        assert "灰度 0..255" in preprocessing_text(grey)


def test_another_side_keeps_the_share_that_is_seen() -> None:
    assert Preprocessing((224, 224), 256, "bicubic").resized(112) == Preprocessing((112, 112), 128, "bicubic")
    assert Preprocessing((224, 224)).resized(64) == Preprocessing((64, 64))


def test_preprocessing_survives_being_written_and_the_older_form_is_read() -> None:
    given = preset("caffe-bgr", "squeezenet1_1")
    assert given.size == (227, 227)
    assert Preprocessing.from_json(json.loads(json.dumps(given.to_json()))) == given
    older = {"version": 1, "size": [8, 9], "channels": 1, "resize": "cover, ...", "mean": [0.5], "std": [0.2]}
    assert Preprocessing.from_json(older) == Preprocessing((8, 9), mean=(0.5,), std=(0.2,))
    with pytest.raises(DeepenoughError, match="reads versions 1, 2, 3"):
        Preprocessing.from_json({**older, "version": 4})


def test_a_file_beside_weights_needs_no_version_and_no_more_than_a_size() -> None:
    assert Preprocessing.from_json({"size": [8, 9]}) == Preprocessing((8, 9))
    for wrong in ({"size": [8, 9], "mean": 3}, {"mean": [0.5], "std": [0.2]}):
        with pytest.raises(DeepenoughError, match=r"preprocessing .*:"):
            Preprocessing.from_json(wrong)


def test_caches_of_version_0_1_are_found_again() -> None:
    given = Preprocessing((16, 20), 24, order="BGR", mean=(0.1,) * 3)
    assert given.framing == "Framing(size=(16, 20), shorter=24, interpolation='bilinear')"


def test_blue_comes_first_where_the_network_wants_it() -> None:
    preprocess = Preprocessing((1, 1), order="BGR", mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 4.0))
    pixels = torch.tensor([0.5, 0.6, 0.7]).view(1, 3, 1, 1)
    got = normalise(pixels, preprocess).flatten()
    torch.testing.assert_close(got, torch.tensor([0.6, 0.2, 0.05]))


def test_each_framing_has_its_own_cache(shapes: Path, cache: Path) -> None:
    source = open_source(shapes)
    whole, centre = prepare(source, size=Preprocessing((16, 16))), prepare(source, size=Preprocessing((16, 16), 24))
    assert (whole.preprocess.shorter, centre.preprocess.shorter) == (None, 24)
    assert not np.array_equal(whole.pixels, centre.pixels)
    assert whole.fingerprint == centre.fingerprint


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_what_preprocessing_can_do(name: str) -> None:
    given = preset(name, "resnet50")
    assert given.channels == 3
    assert Preprocessing.from_json(json.loads(json.dumps(given.to_json()))) == given
    assert str(given.size[0]) in str(given)


def test_misspelt_presets_are_answered_with_the_nearest() -> None:
    with pytest.raises(DeepenoughError, match="nearest is caffe-bgr"):
        preset("caffe-rgb", "vgg16")
