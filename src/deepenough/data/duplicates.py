"""Pairs of images that show the same picture: descriptors propose, thumbnails laid over each other confirm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from PIL import Image

from deepenough.data.descriptors import INNER, MIRROR, THUMB, UNIT, describe, luminance, tangents
from deepenough.data.nearest import InvertedFile, Neighbours
from deepenough.data.registration import Box, plain_residual, register, residual, reverse, whole
from deepenough.machine import cores

SMALLEST_REGISTERED = 48
"""Pictures with a shorter side (pixels) are compared as they are, without a search for crops and borders."""

SMALLEST_COMPARED = 24
"""Pictures with a shorter side (pixels) are the same only when all their pixels are: they tell too little."""

MOST_RESIDUAL, MOST_REGISTERED, SURE_RESIDUAL, NEAREST_SHARE = 0.2, 0.16, 0.05, 0.5
"""The most that two thumbnails of one picture differ by, as a share of their contrast: the first, or the second
where they are laid over each other. Where the fourth nearest picture of the set is near as well, the fourth of its
distance, but always at least the third."""

MOST_GAIN = 1.25
"""Ratio of contrasts above which pictures are two: of things that differ in nothing but their brightness, mostly."""

MOST_STRETCHED = 0.06
"""Relative difference of aspect ratios, up to the crop, above which pictures differ."""

_NEIGHBOURS = 4
_LEAST_SIMILARITY, _LEAST_OF_SMALL = 0.88, 0.94  # of descriptors; without a search for crops none are further apart
_MOST_TANGENT = {False: 0.2, True: 0.27}  # of whole and of inner pictures; 99% of other candidates differ by more
_CHUNK = 256


class Candidates(NamedTuple):
    """Pairs of rows, int64 (p,), of which the second may show the first: mirrored or not; its inner part or all of it;
    bool (p,) each. `distance` float64 (p,) of their descriptors, as a share of their length."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    mirrored: NDArray[np.bool_]
    inner: NDArray[np.bool_]
    distance: NDArray[np.float64]

    def take(self, chosen: slice | NDArray[np.bool_] | NDArray[np.int64]) -> Candidates:
        return Candidates(*_taken(self, chosen))

    @staticmethod
    def joined(parts: Iterable[Candidates]) -> Candidates:
        """The candidates of all parts, one after another."""
        return Candidates(*_joined(parts, (np.int64, np.int64, np.bool_, np.bool_, np.float64)))


class NearPairs(NamedTuple):
    """Pairs of rows `first` < `second`, int64 (p,), that show the same picture, in their order, each once.

    `residual` float64 (p,), what they differ by; `mirrored`, `cropped` and `brightened` bool (p,), how.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    residual: NDArray[np.float64]
    mirrored: NDArray[np.bool_]
    cropped: NDArray[np.bool_]
    brightened: NDArray[np.bool_]

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> NearPairs:
        return NearPairs(*_taken(self, chosen))

    @staticmethod
    def joined(parts: Iterable[NearPairs]) -> NearPairs:
        """The pairs of all parts, one after another."""
        return NearPairs(*_joined(parts, (np.int64, np.int64, np.float64, np.bool_, np.bool_, np.bool_)))


def thumbnail(picture: Image.Image) -> NDArray[np.uint8]:
    """The whole picture stretched to uint8 (32, 32, 3), for comparing."""
    small = picture.resize((THUMB, THUMB), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(small.convert("RGB"))


class NearDuplicates:
    """The search for near-duplicates among some thumbnails.

    Args:
        thumbs: uint8 (n, 32, 32, 3); only those of `rows` are looked at.
        rows: ascending int64 (m,). All other numbers of rows here count among these.
        heights: of the pictures in pixels, (m,).
        widths: the same.
    """

    def __init__(
        self,
        thumbs: NDArray[np.uint8],
        rows: NDArray[np.int64],
        heights: NDArray[np.int64],
        widths: NDArray[np.int64],
    ) -> None:
        self._thumbs, self._rows = thumbs, rows
        self._ratios = np.log(np.maximum(widths, 1) / np.maximum(heights, 1))
        self._large = np.minimum(heights, widths) >= SMALLEST_REGISTERED
        self._told = np.minimum(heights, widths) >= SMALLEST_COMPARED
        self._whole, self._part = describe(thumbs, rows)
        self._allowed = np.full(len(rows), MOST_RESIDUAL)

    def pairs(self) -> NearPairs:
        """All pairs that are found without comparing all with all."""
        told = np.flatnonzero(self._told & self._whole.any(1))
        if len(told) < 2:
            return self.confirmed([])
        index = InvertedFile(self._whole[told])
        wholes, parts = self._whole[told], np.where(self._large[told, None], self._part[told], 0)
        any_large = self._large.any()
        least = _LEAST_SIMILARITY if any_large else _LEAST_OF_SMALL
        found = []
        for descriptors, is_inner in ((wholes, False), (parts, True)) if any_large else ((wholes, False),):
            for mirrored in (False, True):
                queries = (descriptors * MIRROR).astype(np.int16) if mirrored else descriptors
                near = index.neighbours(queries, _NEIGHBOURS, least)
                if not (mirrored or is_inner):
                    self._adapt(told, near)
                found.append(_candidates(told, near, mirrored, is_inner))
        return self.confirmed(found)

    def _adapt(self, told: NDArray[np.int64], near: Neighbours) -> None:
        """Allow less where even the fourth nearest picture is near: there many pictures look alike."""
        last = np.full(len(told), _LEAST_SIMILARITY)
        counts = np.bincount(near.query, minlength=len(told))
        least = np.ones(len(told))
        np.minimum.at(least, near.query, near.similarity.astype(np.float64))
        last = np.where(counts >= _NEIGHBOURS, least, last)
        self._allowed[told] = np.clip(NEAREST_SHARE * _distance(last), SURE_RESIDUAL, MOST_RESIDUAL)

    def compared(self, first: NDArray[np.int64], second: NDArray[np.int64]) -> NearPairs:
        """Those of these pairs that show the same picture."""
        tries = []
        for a, b, is_inner in ((first, second, False), (first, second, True), (second, first, True)):
            for mirrored in (False, True):
                told = np.full(len(a), True)
                tries.append(Candidates(a, b, told & mirrored, told & is_inner, np.zeros(len(a))))
        return self.confirmed(tries)

    def confirmed(self, tries: Iterable[Candidates]) -> NearPairs:
        """The candidates that stand a comparison of the thumbnails, each pair once, by its best."""
        given = Candidates.joined(tries)
        given = given.take(np.argsort(given.first, kind="stable"))
        registered = self._large[given.first] & self._large[given.second]
        plain = given.take(~registered & ~given.inner & (given.distance <= self._most(given)))
        with ThreadPoolExecutor(min(cores(), 16)) as pool:
            large = Candidates.joined(pool.map(self._hopeful, _chunks(given.take(registered))))
            found = [*pool.map(self._laid_over, _chunks(large)), *pool.map(self._as_they_are, _chunks(plain))]
        return _once(NearPairs.joined(found))

    def _most(self, some: Candidates) -> NDArray[np.float64]:
        """The residual up to which they are the same."""
        most: NDArray[np.float64] = np.maximum(self._allowed[some.first], self._allowed[some.second])
        return most

    def _hopeful(self, some: Candidates) -> Candidates:
        """The candidates of which small moves and another contrast explain nearly all of the second's descriptor."""
        still = self._whole[some.second].astype(np.float32) / np.float32(UNIT)
        still = np.where(some.mirrored[:, None], still * MIRROR, still)
        kept = np.zeros(len(some.first), np.bool_)
        for is_inner, share in ((False, 1.0), (True, INNER)):
            mine = np.flatnonzero(some.inner == is_inner)
            rows, place = np.unique(some.first[mine], return_inverse=True)
            bases = tangents(luminance(self._thumbs[self._rows[rows]], share))[place]
            explained = (bases @ still[mine, :, None])[:, :, 0].astype(np.float64)
            kept[mine] = 1 - (explained * explained).sum(1) <= _MOST_TANGENT[is_inner] ** 2
        return some.take(kept)

    def _thumbs_of(self, some: Candidates) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The first and the second thumbnails, these turned where they are mirror images."""
        seconds = self._thumbs[self._rows[some.second]]
        turned = np.where(some.mirrored[:, None, None, None], seconds[:, :, ::-1], seconds)
        return self._thumbs[self._rows[some.first]], turned

    def _as_they_are(self, some: Candidates) -> NearPairs:
        rest, gain = plain_residual(*self._thumbs_of(some))
        return self._same(some, rest, gain, whole(len(rest)))

    def _laid_over(self, some: Candidates) -> NearPairs:
        rest, gain, box = _registered(*self._thumbs_of(some), some.inner)
        return self._same(some, rest * (MOST_RESIDUAL / MOST_REGISTERED), gain, box)

    def _same(self, some: Candidates, rest: NDArray[np.float64], gain: NDArray[np.float64], box: Box) -> NearPairs:
        stretch = self._ratios[some.first] + np.log(box.scale_x / box.scale_y) - self._ratios[some.second]
        same = (rest <= self._most(some)) & (np.abs(stretch) <= MOST_STRETCHED) & (gain <= MOST_GAIN)
        same &= gain * MOST_GAIN >= 1
        lower, upper = np.minimum(some.first, some.second), np.maximum(some.first, some.second)
        return NearPairs(lower, upper, rest, some.mirrored, _is_crop(box), np.abs(gain - 1) > 0.05).take(same)


def _chunks(some: Candidates) -> list[Candidates]:
    return [some.take(slice(start, start + _CHUNK)) for start in range(0, len(some.first), _CHUNK)]


def _registered(
    firsts: NDArray[np.uint8], seconds: NDArray[np.uint8], is_inner: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], Box]:
    """The residuals, the gains, and the boxes of the first thumbnails that the second ones show."""
    grey, other = luminance(firsts), luminance(seconds)
    start = whole(len(firsts), np.where(is_inner, INNER, 1.0))
    outer = ~is_inner
    start = _where(outer, _spread(register(grey[outer], other[outer], whole(outer.sum())), outer), start)
    turned = start.scale_x * start.scale_y < 1  # compared where the enlarged one is shrunk, which blurs nothing
    wide = turned[:, None, None, None]
    large, small = np.where(wide, seconds, firsts), np.where(wide, firsts, seconds)
    box = register(luminance(large), luminance(small), _where(turned, reverse(start), start))
    rest, gain = residual(large, small, box)
    return rest, gain, _where(turned, reverse(box), box)


def _where(chosen: NDArray[np.bool_], own: Box, other: Box) -> Box:
    """The boxes of the first where `chosen`, of the second elsewhere."""
    return Box(
        np.where(chosen, own.scale_x, other.scale_x),
        np.where(chosen, own.shift_x, other.shift_x),
        np.where(chosen, own.scale_y, other.scale_y),
        np.where(chosen, own.shift_y, other.shift_y),
    )


def _spread(box: Box, rows: NDArray[np.bool_]) -> Box:
    """The boxes at the places where `rows` holds, and whole pictures elsewhere."""
    spread = whole(len(rows))
    for part, value in zip(spread, box, strict=True):
        part[rows] = value
    return spread


def _taken(values: Iterable[NDArray[Any]], chosen: Any) -> Iterator[NDArray[Any]]:
    """Take the `chosen` of each array."""
    return (each[chosen] for each in values)


def _joined(parts: Iterable[tuple[NDArray[Any], ...]], kinds: Sequence[npt.DTypeLike]) -> Iterator[NDArray[Any]]:
    """Join each array of all parts, of which there may be none."""
    empty = tuple(np.zeros(0, kind) for kind in kinds)
    return map(np.concatenate, zip(empty, *parts, strict=True))


def _candidates(told: NDArray[np.int64], near: Neighbours, mirrored: bool, is_inner: bool) -> Candidates:
    """Neighbours as candidates; what is symmetric comes once."""
    first, second = told[near.query], told[near.row]
    distance = _distance(near.similarity.astype(np.float64))
    if not is_inner:
        first, second = np.minimum(first, second), np.maximum(first, second)
        _, once = np.unique(first * (told[-1] + 1) + second, return_index=True)
        first, second, distance = first[once], second[once], distance[once]
    truth = np.full(len(first), True)
    return Candidates(first, second, truth & mirrored, truth & is_inner, distance)


def _distance(similarity: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rest of a descriptor when the best multiple of another is taken away, as a share of its length."""
    return np.sqrt(np.maximum(1 - similarity * similarity, 0))


def _is_crop(box: Box) -> NDArray[np.bool_]:
    places = np.stack([np.abs(box.scale_x - 1), np.abs(box.scale_y - 1), np.abs(box.shift_x), np.abs(box.shift_y)])
    cropped: NDArray[np.bool_] = places.max(0) > 0.02
    return cropped


def _once(pairs: NearPairs) -> NearPairs:
    """Each pair once, with its smallest residual, in their order."""
    order: NDArray[np.int64] = np.lexsort((pairs.residual, pairs.second, pairs.first))
    ranked = pairs.take(order)
    new = (np.diff(ranked.first, prepend=-1) != 0) | (np.diff(ranked.second, prepend=-1) != 0)
    return ranked.take(new)
