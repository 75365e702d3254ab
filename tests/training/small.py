"""A small image set that needs no other room's code, and the network that most tests train."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from deepenough.nets import BatchNorm, Conv, Dense, Dropout, GlobalAvgPool, Network, Relu
from deepenough.preprocessing import Preprocessing


def make_images(count: int = 96, size: int = 8, classes: int = 4, seed: int = 0) -> Any:
    """Noise with a bright bar, whose place is the class."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    pixels = draw.integers(0, 120, (count, size, size, 1))
    for number, label in enumerate(labels):
        pixels[number, :, label * 2 : label * 2 + 2] += 100
    return SimpleNamespace(
        pixels=pixels.astype(np.uint8),
        labels=labels.astype(np.int64),
        classes=tuple("abcdefgh"[:classes]),
        preprocess=Preprocessing((size, size), mean=(0.33,), std=(0.2,)),
        fingerprint=f"bars-{count}-{size}-{classes}-{seed}",
        mirror=False,
        blocks=None,
        in_blocks=False,
    )


def make_network(classes: int = 4, size: int = 8, dropout: float = 0.2) -> Network:
    stack = (
        Conv(8, bias=False), BatchNorm(), Relu(),
        Conv(8, stride=2, bias=False), BatchNorm(), Relu(),
        GlobalAvgPool(), Dropout(dropout), Dense(classes),
    )  # fmt: skip
    return Network("small", (1, size, size), stack)
