"""The preparation of images that a graph begins with, as our preprocessing."""

from __future__ import annotations

from math import isfinite

import numpy as np

from deepenough.preprocessing import Preprocessing
from deepenough.weights.graphs.graph import Array, Graph, GraphError
from deepenough.weights.graphs.values import Value

DIGITS = 8
"""Digits of a mean or standard deviation, of which single precision holds seven."""

WIDE = 0.05
"""A scale below it is of values up to 255: one of values in 0..1 is 1 / std, and no std is 20."""


def stated_input(
    graph: Graph, given: Value | None, *, whole_bytes: bool
) -> tuple[Preprocessing | None, tuple[str, ...]]:
    """The preprocessing that was done to images before the first layer, and what is to be said of it.

    `whole_bytes`: images come as bytes, 0..255. Floats come so too where they are scaled by little, or a mean is
    beyond 1; otherwise they come in 0..1. None where nothing was done to floats.
    """
    if given is None or (given.scale is None and not whole_bytes):
        return None, ()
    channels, height, width = given.operation.shape
    scale, shift = (_each(graph, numbers, channels) for numbers in (given.scale, given.shift))
    if given.scale is None:
        scale = np.ones(channels)
    mean = -shift / scale
    if not all(map(isfinite, (*mean, *scale))) or min(scale) <= 0:
        raise GraphError(f"{graph.file}: its images are scaled by {scale.tolist()}; expected finite numbers above 0")
    wide = whole_bytes or max(scale) < WIDE or float(np.abs(mean).max()) > 1
    top = 255.0 if wide else 1.0
    note = f"by its first layers, its images are of values in 0..{top:.0f}"
    return Preprocessing(
        (height, width),
        order="BGR" if given.flipped and channels == 3 else "RGB",
        mean=tuple(_rounded(value / top) for value in mean),
        std=tuple(_rounded(1 / (value * top)) for value in scale),
    ), () if whole_bytes else (note,)


def _each(graph: Graph, numbers: Array | None, channels: int) -> Array:
    """One number for each channel."""
    if numbers is None:
        return np.zeros(channels)
    flat = np.asarray(numbers, np.float64).reshape(-1)
    if flat.size not in (1, channels):
        raise GraphError(f"{graph.file}: its images are scaled by {flat.size} numbers; expected one for each channel")
    return np.broadcast_to(flat, (channels,)).copy()


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}") + 0.0  # no -0
