"""Two models without depth, so that a user sees what depth buys: a linear one and gradient-boosted trees."""

from __future__ import annotations

import time
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.data.cached_pixels import CachedPixels
from deepenough.data.images import Images
from deepenough.data.streamed import Streamed
from deepenough.evaluation.metrics import accuracy
from deepenough.record.schema import Baseline

MOST_IMAGES = 10_000  # seconds, not minutes: both have long stopped gaining much by then
MOST_PIXELS = 14 * 14  # a side; larger pictures are averaged down to at most that many points a channel


def baselines(images: Images, train: npt.NDArray[np.int64], test: npt.NDArray[np.int64], seed: int) -> list[Baseline]:
    """Fit both on (a seeded sample of) the training images and measure them on the test images."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=60))
    boosted = HistGradientBoostingClassifier(max_iter=50, max_leaf_nodes=15, learning_rate=0.2, random_state=seed)
    return [
        _fit("linear model on the pixels", linear, images, train, test, seed),
        _fit("gradient-boosted trees on the pixels", boosted, images, train, test, seed),
    ]


def _fit(
    name: str,
    model: Any,
    images: Images,
    train: npt.NDArray[np.int64],
    test: npt.NDArray[np.int64],
    seed: int,
) -> Baseline:
    started = time.perf_counter()
    chosen = np.sort(np.random.default_rng(seed).permutation(train)[:MOST_IMAGES])
    step = pooling(images.pixels.shape[1:3], MOST_PIXELS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an unfinished fit is good enough for a baseline
        model.fit(pooled_pixels(images.pixels, chosen, step), images.labels[chosen])
    correct = sum(
        int((model.predict(pooled_pixels(images.pixels, part, step)) == images.labels[part]).sum())
        for part in np.array_split(test, max(1, len(test) // 10_000))
        if len(part)
    )
    sampled = f"{len(chosen):,} training images" if len(chosen) < len(train) else "all training images"
    pooled = f", averaged over {step}x{step} pixels" if step > 1 else ""
    return Baseline(
        name=name,
        test=accuracy(correct, len(test)),
        trained_on=len(chosen),
        averaged=step,
        note=sampled + pooled,
        seconds=time.perf_counter() - started,
    )


def pooling(size: tuple[int, ...], most_pixels: int) -> int:
    """The side of the squares that are averaged, so that at most that many points remain."""
    step = 1
    while (size[0] // step) * (size[1] // step) > most_pixels:
        step += 1
    return step


def pooled_pixels(
    pixels: npt.NDArray[np.uint8] | CachedPixels | Streamed, index: npt.NDArray[np.int64], step: int
) -> npt.NDArray[np.float32]:
    """Flat float32 features (n, h * w * C) in 0..1; each point is the mean of a square of `step` pixels a side."""
    height, width = (side // step * step for side in pixels.shape[1:3])
    out = []
    for part in np.array_split(index, max(1, len(index) // 1_000)):
        block = pixels[part][:, :height, :width].astype(np.float32) / 255
        n, _, _, channels = block.shape
        block = block.reshape(n, height // step, step, width // step, step, channels).mean(axis=(2, 4))
        out.append(block.reshape(n, -1))
    return np.concatenate(out)
