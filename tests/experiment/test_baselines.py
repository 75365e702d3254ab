"""The two models without depth: what they see, and that they learn."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepenough.experiment import baselines as b


def images(count: int = 240, side: int = 8, noise: bool = False) -> Any:
    """Noise, brighter above for class 0 and below for class 1; or nothing but noise."""
    draws = np.random.default_rng(0)
    labels = draws.integers(0, 2, count)
    pixels = draws.integers(0, 150, (count, side, side, 1))
    for row, label in enumerate(labels if not noise else ()):
        half = slice(0, side // 2) if label == 0 else slice(side // 2, side)
        pixels[row, half] += 60
    return SimpleNamespace(pixels=pixels.astype(np.uint8), labels=labels.astype(np.int64))


@given(st.integers(1, 3), st.integers(4, 30), st.integers(4, 30), st.integers(1, 4))
def test_features_are_means_of_squares(channels: int, height: int, width: int, step: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, height, width, channels), np.uint8)
    found = b.pooled_pixels(pixels, np.array([3, 0]), step)
    rows, columns = height // step, width // step
    assert found.shape == (2, rows * columns * channels)
    for row, image in enumerate((3, 0)):
        grid = found[row].reshape(rows, columns, channels)
        y, x = rows - 1, columns - 1
        square = pixels[image, y * step : (y + 1) * step, x * step : (x + 1) * step]
        np.testing.assert_allclose(grid[y, x], square.mean(axis=(0, 1)) / 255, rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "most", "step"), [((8, 8), 64, 1), ((28, 28), 196, 2), ((32, 32), 196, 3), ((64, 64), 64, 8)]
)
def test_pooling_is_the_smallest_that_fits(size: tuple[int, int], most: int, step: int) -> None:
    assert b.pooling(size, most) == step


def test_both_learn_what_pixels_show_and_nothing_from_noise() -> None:
    train, test = np.arange(160), np.arange(160, 240)
    for found in b.baselines(images(), train, test, seed=0):
        assert found.test.value * 80 >= 72
        assert (found.test.count, found.trained_on, found.note) == (80, 160, "all training images")
    for found in b.baselines(images(noise=True), train, test, seed=0):
        assert 20 <= found.test.value * 80 <= 60


def test_a_sample_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(b, "MOST_IMAGES", 50)
    linear, boosted = b.baselines(images(side=16), np.arange(160), np.arange(160, 240), seed=0)
    assert (linear.trained_on, linear.note) == (50, "50 training images, averaged over 2x2 pixels")
    assert (boosted.trained_on, boosted.note) == (50, "50 training images, averaged over 2x2 pixels")


def test_the_same_seed_gives_the_same_counts() -> None:
    first, again = (b.baselines(images(), np.arange(60), np.arange(60, 240), seed=5) for _ in range(2))
    assert [x.test for x in first] == [x.test for x in again]
