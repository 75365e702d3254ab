"""Features of small pictures, apart by what a mirror image does to them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]

SIDE = 32  # pixels: larger pictures are averaged down to about this many a side
CELLS = 8  # a side, over which gradients are counted
DIRECTIONS = 8  # of gradients
COLOUR_CELLS = 4  # a side, of which the mean colour is taken
_AT_ONCE = 256


@dataclass(frozen=True)
class MirrorFeatures:
    """Features (n, F) of pictures: `kept` are the same for the mirror image, `turned` change their sign."""

    kept: Features
    turned: Features


def mirror_features(blocks: Iterable[NDArray[np.uint8]]) -> MirrorFeatures:
    """Gradients by direction and mean colours of pictures uint8 (n, H, W, C), which come in blocks.

    A histogram of gradients (Dalal and Triggs 2005) of a mirror image is the picture's own with its cells in reverse
    order and its directions mirrored. So mean and half difference of the two are parts that stay and that change
    their sign; the magnitude of the second stays too.
    """
    parts = [_both(block[start : start + _AT_ONCE]) for block in blocks for start in range(0, len(block), _AT_ONCE)]
    features, mirrored = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    turned = (features - mirrored) / 2
    return MirrorFeatures(np.concatenate([(features + mirrored) / 2, np.abs(turned)], axis=1), turned)


def _both(pixels: NDArray[np.uint8]) -> tuple[Features, Features]:
    """The features of the left half of some pictures, and those of their mirror images: the rest is the same again."""
    small = _averaged(pixels)
    gradients, colours = _gradients(small), pooled(small, COLOUR_CELLS)
    turned = np.take(gradients[:, :, ::-1], [(DIRECTIONS // 2 - d) % DIRECTIONS for d in range(DIRECTIONS)], axis=3)
    return _left(gradients, colours), _left(turned, colours[:, :, ::-1])


def _left(*maps: Features) -> Features:
    halves = [each[:, :, : (each.shape[2] + 1) // 2].reshape(len(each), -1) for each in maps]
    return np.concatenate(halves, axis=1)


def _averaged(pixels: NDArray[np.uint8]) -> Features:
    """Float32 (n, h, w, C) in 0..1; each point is the mean of a square of pixels, about `SIDE` points a side."""
    height, width = pixels.shape[1:3]
    step = max(min(height, width) // SIDE, 1)
    rows, columns = height // step, width // step
    top, left = (height - rows * step) // 2, (width - columns * step) // 2  # what is left over goes on both sides
    inner = pixels[:, top : top + rows * step, left : left + columns * step]
    # Row upon row and column upon column: three times as fast as numpy sums over two axes.
    upright = inner[:, ::step].astype(np.uint32)
    for row in range(1, step):
        upright += inner[:, row::step]
    squares = upright[:, :, ::step].copy()
    for column in range(1, step):
        squares += upright[:, :, column::step]
    return np.asarray(squares / (255 * step**2), np.float32)


def _gradients(small: Features) -> Features:
    """The share of each direction in the gradients of each cell, (n, cells, cells, DIRECTIONS): square roots, by the
    strength around the cell, so that neither brightness nor contrast counts."""
    padded = np.pad(small, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    across = padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]
    down = padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]
    strongest = (across**2 + down**2).argmax(axis=3)[..., None]  # of the colours
    across, down = (np.take_along_axis(each, strongest, 3)[..., 0] for each in (across, down))
    length = np.hypot(across, down) + np.float32(1e-6)
    counted = []
    for direction in range(DIRECTIONS):
        angle = 2 * math.pi * direction / DIRECTIONS
        along = np.maximum(across * np.float32(math.cos(angle)) + down * np.float32(math.sin(angle)), 0)
        counted.append(pooled((along**2 / length)[..., None], CELLS)[..., 0])
    cells = np.stack(counted, axis=3)
    strength = np.sqrt((cells**2).sum(axis=3, keepdims=True))
    around = np.pad(strength, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    rows, columns = strength.shape[1:3]
    mean = sum(around[:, i : i + rows, j : j + columns] for i in range(3) for j in range(3)) / 9
    return np.asarray(np.sqrt(cells / (mean + 0.05 * strength.mean(axis=(1, 2, 3), keepdims=True) + 1e-6)), np.float32)


def pooled(maps: Features, cells: int) -> Features:
    """Means over cells: (n, h, w, k) -> (n, cells, cells, k), or as many as there are points where those are fewer.
    A point on the border of two cells counts in both by its share."""
    rows, columns = (_shares(side, min(cells, *maps.shape[1:3])) for side in maps.shape[1:3])
    across = np.einsum("nhwk,jw->nhjk", maps, columns, optimize=True)
    return np.asarray(np.einsum("nhjk,ih->nijk", across, rows, optimize=True), np.float32)


def _shares(side: int, cells: int) -> Features:
    """The weight of every point in the mean of every cell, float32 (cells, side)."""
    edges = np.linspace(0, side, cells + 1)
    points = np.arange(side)
    covered = np.minimum(edges[1:, None], points + 1) - np.maximum(edges[:-1, None], points)
    return np.asarray(np.maximum(covered, 0) * cells / side, np.float32)
