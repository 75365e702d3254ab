"""The split of images into those that train, decide and judge: seeded, stratified, duplicates on one side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepenough.errors import DeepenoughError

UNASSIGNED, TRAIN, VALIDATION, TEST = -1, 0, 1, 2

TEST_SHARE, VALIDATION_SHARE, MOST = 0.20, 0.15, 10_000
"""The sizes of splits that a source does not have: shares of its images, and the most images that are taken."""

_WORDS = {VALIDATION: "validation", TEST: "test"}

Index = NDArray[np.int64]


class TooFewImagesError(DeepenoughError):
    """Classes, rows `few` of the classes, that have too few different images to be split."""

    def __init__(self, message: str, few: Sequence[int]) -> None:
        super().__init__(message)
        self.few = tuple(few)


@dataclass(frozen=True)
class Split:
    """Rows of the images of each part, ascending int64 arrays without a row in common."""

    train: Index
    validation: Index
    test: Index


def cut(labels: NDArray[np.int64], groups: NDArray[np.int64], rows: Index, share: float, seed: int) -> Index:
    """A stratified sample of about `share` (0..1) of `rows`, at most `MOST`, ascending; whole groups only.

    Every class comes out within the size of its largest group of its share. A group counts for the class of its first
    row. A pure function of its arguments.
    """
    total = min(round(share * len(rows)), MOST)
    units = _Units(groups, rows)
    _, per_class = np.unique(labels[units.first], return_inverse=True)
    sizes = np.bincount(per_class, weights=units.sizes).astype(np.int64)
    exact = sizes * (total / max(len(rows), 1))
    quotas = np.floor(exact).astype(np.int64)
    by_remainder = np.argsort(quotas - exact, kind="stable")
    quotas[by_remainder[: total - int(quotas.sum())]] += 1
    order = np.random.default_rng([seed, len(rows), total]).permutation(len(units.first))
    taken = np.zeros(len(order), np.bool_)
    for row, quota in enumerate(quotas):
        mine = order[per_class[order] == row]
        left = max(int(quota), 1)  # no class without an image
        others = mine[1:]  # nor a side without one
        for unit, size in zip(others.tolist(), units.sizes[others].tolist(), strict=True):
            if size <= left:
                taken[unit] = True
                left -= size
                if not left:
                    break
        if len(mine) > 1 and not taken[mine].any():
            taken[mine[np.argmin(units.sizes[mine])]] = True
    return units.rows_of(taken)


class _Units:
    """The groups of some rows: `first` row and `sizes` of each, int64 (groups,)."""

    def __init__(self, groups: NDArray[np.int64], rows: Index) -> None:
        self._rows = rows[np.argsort(groups[rows], kind="stable")]
        ordered = groups[self._rows]
        starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])[: len(ordered)])
        self.first = self._rows[starts]
        self.sizes = np.diff(np.append(starts, len(rows)))

    def rows_of(self, chosen: NDArray[np.bool_]) -> Index:
        """The rows of the chosen groups, ascending."""
        return np.sort(self._rows[np.repeat(chosen, self.sizes)])


def make_split(
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    assigned: NDArray[np.int8],
    classes: Sequence[str],
    seed: int,
) -> Split:
    """The split of a source: what it assigns stays, what it lacks is cut from the rest.

    No test split: 20% (at most 10,000) becomes one. No validation split: 15% of what is not test (at most 10,000).
    Raises `TooFewImagesError` that names the class when a class has too few different images.
    """
    test, validation = np.flatnonzero(assigned == TEST), np.flatnonzero(assigned == VALIDATION)
    rest = np.flatnonzero((assigned == TRAIN) | (assigned == UNASSIGNED))
    if len(assigned) and not len(rest):
        given = " and ".join(word for split, word in _WORDS.items() if (assigned == split).any())
        raise TooFewImagesError(
            f"there is nothing to train on: all {len(assigned):,} images belong to the {given} split; give the folder "
            "or file that holds the training images, too",
            (),
        )
    needed = 1 + (len(test) == 0) + (len(validation) == 0)
    _check_enough(labels, groups, rest, classes, needed)
    if len(test) == 0:
        test = cut(labels, groups, rest, TEST_SHARE, seed)
        rest = np.setdiff1d(rest, test)
    if len(validation) == 0:
        validation = cut(labels, groups, rest, VALIDATION_SHARE, seed + 1)
        rest = np.setdiff1d(rest, validation)
    return Split(rest.astype(np.int64), validation.astype(np.int64), test.astype(np.int64))


def _check_enough(
    labels: NDArray[np.int64], groups: NDArray[np.int64], rows: Index, classes: Sequence[str], needed: int
) -> None:
    _, first = np.unique(groups[rows], return_index=True)
    counts = np.bincount(labels[rows][first], minlength=len(classes))
    few = np.flatnonzero(counts < needed).tolist()
    if few:
        told = ", ".join(f"{classes[row]!r} has {counts[row]}" for row in few[:5])
        more = f" (and {len(few) - 5} more)" if len(few) > 5 else ""
        raise TooFewImagesError(
            f"too few different, usable images to split: class {told}{more}; every class needs at least {needed} "
            "outside the splits that the data brings; add images or leave the class out",
            few,
        )


def make_folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64], rows: Index, k: int, seed: int
) -> list[tuple[Index, Index]]:
    """`k` pairs (train, held out) over `rows`: every row is held out once, groups stay together, classes are spread.

    Raises an error for `k` below 2 or above the number of different images.
    """
    different = len(np.unique(groups[rows]))
    if not 2 <= k <= different:
        raise DeepenoughError(f"{k} folds: give 2 to {different}, the number of different images")
    units = _Units(groups, rows)
    order = np.random.default_rng([seed, k, len(rows)]).permutation(len(units.first))
    fold_of = np.zeros(len(order), np.int64)
    totals = [0] * k
    for label in np.unique(labels[units.first]):
        mine = order[labels[units.first[order]] == label]
        mine = mine[np.argsort(-units.sizes[mine], kind="stable")]
        counts = [0] * k
        for unit, size in zip(mine.tolist(), units.sizes[mine].tolist(), strict=True):
            fold = min(range(k), key=lambda f: (counts[f], totals[f]))
            counts[fold] += size
            totals[fold] += size
            fold_of[unit] = fold
    return [(units.rows_of(fold_of != fold), units.rows_of(fold_of == fold)) for fold in range(k)]


def sample(labels: NDArray[np.int64], rows: Index, most: int, seed: int) -> Index:
    """At most `most` of `rows`, stratified, ascending; all of them where they are no more."""
    if len(rows) <= most:
        return rows
    random = np.random.default_rng([seed, len(rows), most])
    keys = random.random(len(rows))
    # Rows in the order of their rank within the class, relative to the class's size: any beginning is stratified.
    order = np.lexsort((keys, labels[rows]))
    ranked = labels[rows][order]
    starts = np.flatnonzero(np.diff(ranked, prepend=-1))
    sizes = np.diff(np.append(starts, len(rows)))
    place = (np.arange(len(rows)) - np.repeat(starts, sizes) + 0.5) / np.repeat(sizes, sizes)
    place[starts] = 0  # a class keeps its first image, however rare it is
    return np.sort(rows[order[np.argsort(place, kind="stable")[:most]]])
