"""Pairs of thumbnails laid over each other, up to a crop or a border and another brightness, and what is left over."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepenough.data.descriptors import GRID, THUMB

Floats = NDArray[np.float32]

_EDGE = 0.87  # what is compared lies within this share of the way from centre to edge: a border lies outside
_FARTHEST_STEP, _FARTHEST_SHIFT, _SCALES = 0.08, 0.15, (0.8, 1.25)
_PATCH, _MOST_IN_PATCH = 4, 1.25  # pixels of a thumbnail; a patch may differ by so much more than a picture as a whole
_LOWEST_CONTRAST = 6.0  # 0..255: below it, what is left over is compared with this


class Box(NamedTuple):
    """The part of a first picture that a second one shows, which has the first's point `scale * u + shift` at its `u`.

    Places run from -1 to 1. All float64 (n,).
    """

    scale_x: NDArray[np.float64]
    shift_x: NDArray[np.float64]
    scale_y: NDArray[np.float64]
    shift_y: NDArray[np.float64]


def whole(count: int, share: float | NDArray[np.float64] = 1.0) -> Box:
    """The centred boxes that have a share of each side."""
    scale, shift = np.broadcast_to(np.float64(share), count).copy(), np.zeros(count)
    return Box(scale, shift, scale.copy(), shift.copy())


def reverse(box: Box) -> Box:
    """The boxes of the second pictures that the first ones show."""
    return Box(1 / box.scale_x, -box.shift_x / box.scale_x, 1 / box.scale_y, -box.shift_y / box.scale_y)


def register(first: Floats, second: Floats, start: Box, rounds: int = 4) -> Box:
    """The boxes of the first pictures, float32 (n, 16, 16), that are most like the second, up to gain and offset.

    Gauss-Newton on four parameters, as Lucas and Kanade (1981), beginning at `start`.
    """
    place = _places(GRID)
    box = start
    for _ in range(rounds):
        moved, seen = _moved(first, box)
        mask = seen.astype(np.float32)
        own, other = _centred(moved, mask), _centred(second, mask)
        gain = (own * other).sum((1, 2)) / np.maximum((own * own).sum((1, 2)), 1e-3)
        left = other - gain[:, None, None] * own
        across, down = np.gradient(moved, 2 / GRID, axis=2) * mask, np.gradient(moved, 2 / GRID, axis=1) * mask
        slopes = np.stack([across * place, across, down * place[:, None], down], 1) * gain[:, None, None, None]
        basis = np.concatenate([slopes, own[:, None], mask[:, None]], 1).reshape(len(own), 6, GRID * GRID)
        normal = (basis @ basis.transpose(0, 2, 1)).astype(np.float64)
        ridge = 1e-3 * np.trace(normal, axis1=1, axis2=2)[:, None] / 6 * np.array([1.0, 1, 1, 1, 0, 0]) + 1e-3
        normal[:, np.arange(6), np.arange(6)] += ridge
        step = np.linalg.solve(normal, (basis @ left.reshape(len(left), GRID * GRID, 1)).astype(np.float64))[:, :4, 0]
        box = _stepped(box, np.clip(step, -_FARTHEST_STEP, _FARTHEST_STEP))
    return box


def residual(
    first: NDArray[np.uint8], second: NDArray[np.uint8], box: Box
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rest of the second thumbnails, uint8 (n, 32, 32, 3), when those boxes of the first are taken away with
    the best gain and with offsets for each channel, as a share of their contrast; and the gains. float64 (n,) each.

    Both are averaged to 16 x 16 pixels, which leaves little of how they were encoded and resampled. The less so where
    the first are the enlarged ones, with boxes larger than 1: shrinking them again does not blur.
    """
    moved, seen = _moved(_channels_first(first), box)
    mask: Floats = seen.reshape(-1, 1, GRID, 2, GRID, 2).min((3, 5)).astype(np.float32)
    own, other = _centred(_halved(moved), mask), _centred(_halved(_channels_first(second)), mask)
    return _left_over(own, other, mask.sum((1, 2, 3)) * 3)


def plain_residual(
    first: NDArray[np.uint8], second: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """As `residual` of whole thumbnails, at all their pixels, and at least what is left over in one patch of 4 x 4.

    What encoding changes goes up and down from pixel to pixel and is small on average. Another print on the same shirt
    is not.
    """
    own, other = (picture - picture.mean((1, 2), keepdims=True, dtype=np.float32) for picture in (first, second))
    rest, gain = _left_over(own, other, np.full(len(first), THUMB * THUMB * 3.0))
    left = (other - gain[:, None, None, None].astype(np.float32) * own).mean(3)
    patches = np.abs(left.reshape(-1, THUMB // _PATCH, _PATCH, THUMB // _PATCH, _PATCH).mean((2, 4))).max((1, 2))
    contrast = np.sqrt((other * other).mean((1, 2, 3), dtype=np.float64))
    return np.maximum(rest, patches / np.maximum(contrast, _LOWEST_CONTRAST) / _MOST_IN_PATCH), gain


def _left_over(
    own: Floats, other: Floats, count: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    axes = (1, 2, 3)
    gain = (own * other).sum(axes, dtype=np.float64) / np.maximum((own * own).sum(axes, dtype=np.float64), 1e-3)
    left = other - gain[:, None, None, None].astype(np.float32) * own
    many = np.maximum(count, 1)
    contrast = np.sqrt((other * other).sum(axes, dtype=np.float64) / many)
    rest = np.sqrt((left * left).sum(axes, dtype=np.float64) / many) / np.maximum(contrast, _LOWEST_CONTRAST)
    return np.where(count > 0, rest, np.inf), gain


def _channels_first(thumbs: NDArray[np.uint8]) -> Floats:
    return np.ascontiguousarray(thumbs.transpose(0, 3, 1, 2), np.float32)


def _halved(pictures: Floats) -> Floats:
    """Pictures float32 (n, C, 32, 32), averaged to (n, C, 16, 16)."""
    upper, lower = pictures[:, :, ::2], pictures[:, :, 1::2]  # four times as fast as a mean over two axes
    rows = upper + lower
    halved: Floats = np.divide(rows[..., ::2] + rows[..., 1::2], 4, dtype=np.float32)
    return halved


def _places(side: int) -> Floats:
    return np.linspace(-1 + 1 / side, 1 - 1 / side, side, dtype=np.float32)


def _centred(pictures: Floats, mask: Floats) -> Floats:
    """Pictures (n, ..., side, side) less their mean where the mask is 1, and 0 elsewhere."""
    count = np.maximum(mask.sum((-2, -1), keepdims=True), 1)
    centred: Floats = (pictures - (pictures * mask).sum((-2, -1), keepdims=True) / count) * mask
    return centred


def _moved(pictures: Floats, box: Box) -> tuple[Floats, NDArray[np.bool_]]:
    """The boxes of pictures float32 (n, side, side) or (n, C, side, side) at their size, and which of their pixels,
    bool (n, side, side), are to be compared."""
    side = pictures.shape[-1]
    across, seen_x = _weights(box.scale_x, box.shift_x, side)
    down, seen_y = _weights(box.scale_y, box.shift_y, side)
    if pictures.ndim == 4:
        across, down = across[:, None], down[:, None]
    moved: Floats = (down @ pictures @ across.swapaxes(-1, -2)).astype(np.float32, copy=False)
    return moved, seen_y[:, :, None] & seen_x[:, None, :]


def _weights(scale: NDArray[np.float64], shift: NDArray[np.float64], side: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Of linear interpolation along one axis, float32 (n, side, side), and where it is between pixels."""
    own = _places(side)
    places = (scale[:, None] * own + shift[:, None] + 1) / 2 * side - 0.5
    seen = (places > -0.51) & (places < side - 0.49) & (np.abs(own) < _EDGE)
    places = np.clip(places, 0, side - 1)
    below = np.minimum(places.astype(np.int64), side - 2)
    share = (places - below).astype(np.float32)
    weights = np.zeros((len(scale), side, side), np.float32)
    rows, columns = np.arange(len(scale))[:, None], np.arange(side)
    weights[rows, columns, below] = 1 - share
    weights[rows, columns, below + 1] = share
    return weights, seen


def _stepped(box: Box, step: NDArray[np.float64]) -> Box:
    scale_x, shift_x, scale_y, shift_y = (part + step[:, number] for number, part in enumerate(box))
    return Box(
        np.clip(scale_x, *_SCALES),
        np.clip(shift_x, -_FARTHEST_SHIFT, _FARTHEST_SHIFT),
        np.clip(scale_y, *_SCALES),
        np.clip(shift_y, -_FARTHEST_SHIFT, _FARTHEST_SHIFT),
    )
