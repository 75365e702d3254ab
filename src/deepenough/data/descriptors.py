"""Low-frequency descriptors of thumbnails: near copies of a picture lie near one another, whatever its brightness."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

THUMB = 32
"""Side (pixels) of the common size that pictures are compared at."""

GRID = 16
"""Side (pixels) of the halved, grey thumbnails that descriptors and registrations are computed from."""

INNER = 0.9
"""Share of each side that the inner part has: what a crop of 5% a side keeps, and what a border of 5% surrounds."""

UNIT = 2000
"""Length of a descriptor. Its components are whole numbers, so that float32 products of two descriptors are exact, and
the same on every machine, whatever the order of summation: no partial sum passes 2**24."""

FLATTEST = 4.0
"""Standard deviation (0..255) of the grey thumbnail below which a picture has no descriptor."""

_FREQUENCIES = 8
_COSINES = np.cos(np.pi / GRID * (np.arange(GRID) + 0.5) * np.arange(_FREQUENCIES)[:, None]).astype(np.float32)
_COSINES[0] *= np.float32(np.sqrt(0.5))
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_CHUNK = 1024

MIRROR = np.tile(np.array([1, -1], np.float32), _FREQUENCIES * _FREQUENCIES // 2)[1:]
"""Factors that turn a descriptor into that of the mirrored picture, float32 (63,): odd horizontal frequencies change
sign."""


def luminance(thumbs: NDArray[np.uint8], share: float = 1.0) -> NDArray[np.float32]:
    """Grey float32 (n, 16, 16), in 0..255, of the centred part that has `share` of each side of thumbnails, uint8 (n,
    32, 32, 3)."""
    weights = _averages(share)
    grey = (thumbs.reshape(-1, 3).astype(np.float32) @ _LUMA).reshape(-1, THUMB, THUMB)
    small: NDArray[np.float32] = weights @ grey @ weights.T
    return small


@cache
def _averages(share: float) -> NDArray[np.float32]:
    """Of `THUMB` pixels in each of `GRID` equal pieces of the centred part, float32 (16, 32)."""
    edges = ((np.arange(GRID + 1) / GRID - 0.5) * share + 0.5) * THUMB
    pixels = np.arange(THUMB)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: NDArray[np.float32] = (np.maximum(overlap, 0) / (share * THUMB / GRID)).astype(np.float32)
    return weights


def is_flat(thumb: NDArray[np.uint8]) -> bool:
    """True if a thumbnail, uint8 (32, 32, 3), is too flat to be told from others by its descriptor."""
    return bool(_are_flat(luminance(thumb[None]))[0])


def _are_flat(grey: NDArray[np.float32]) -> NDArray[np.bool_]:
    flat: NDArray[np.bool_] = grey.std((1, 2)) < FLATTEST
    return flat


def spectra(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """The 63 lowest cosine coefficients but the mean, float32 (..., 63), of pictures float32 (..., 16, 16)."""
    waves: NDArray[np.float32] = _COSINES @ pictures @ _COSINES.T
    return waves.reshape(*waves.shape[:-2], _FREQUENCIES**2)[..., 1:]


def describe(thumbs: NDArray[np.uint8], rows: NDArray[np.int64]) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Descriptors int16 (rows, 63) of some whole thumbnails and of their inner parts, of length `UNIT`; zeros where a
    thumbnail is too flat to be told from others."""
    whole = np.zeros((len(rows), len(MIRROR)), np.int16)
    part = np.zeros_like(whole)
    for start in range(0, len(rows), _CHUNK):
        some = thumbs[rows[start : start + _CHUNK]]
        flat = _are_flat(luminance(some))
        for into, share in ((whole, 1.0), (part, INNER)):
            waves = spectra(luminance(some, share))
            length = np.maximum(np.linalg.norm(waves, axis=1, keepdims=True), 1e-6)
            into[start : start + _CHUNK] = np.where(flat[:, None], 0, np.rint(waves * (UNIT / length)))
    return whole, part


def tangents(grey: NDArray[np.float32]) -> NDArray[np.float32]:
    """Orthonormal bases float32 (n, 5, 63) of what small shifts, scalings and another contrast make of pictures.

    The part of a descriptor outside such a basis is its tangent distance (Simard, LeCun and Denker, 1993).
    """
    place = np.linspace(-1 + 1 / GRID, 1 - 1 / GRID, GRID, dtype=np.float32)
    across, down = np.gradient(grey, axis=2), np.gradient(grey, axis=1)
    moved = np.stack([grey, across, across * place, down, down * place[:, None]], 1)
    basis = spectra(moved)
    for row in range(basis.shape[1]):
        for earlier in range(row):
            basis[:, row] -= (basis[:, row] * basis[:, earlier]).sum(1, keepdims=True) * basis[:, earlier]
        basis[:, row] /= np.maximum(np.linalg.norm(basis[:, row], axis=1, keepdims=True), 1e-3)
    return basis
