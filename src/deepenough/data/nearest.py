"""Nearest neighbours among many descriptors without comparing all with all: an inverted file of k-means cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepenough.data.descriptors import UNIT

Integers = NDArray[np.int16]

SMALL = 2048
"""Up to so many descriptors are one cell."""

PROBED = 6
"""Cells that are searched for a query: the nearest by their centres."""

_ROUNDS, _SAMPLES = 4, 32  # of k-means: rounds, and descriptors a cell that it looks at
_BLOCK = 1 << 22  # similarities computed at once


class Neighbours(NamedTuple):
    """Pairs (query, row) int64 (p,), with their cosine similarities float32 (p,)."""

    query: NDArray[np.int64]
    row: NDArray[np.int64]
    similarity: NDArray[np.float32]


class InvertedFile:
    """Descriptors int16 (n, d), each in the cell with the nearest centre; there are about the square root of n cells.

    Similarities are exact whole numbers, so that every machine finds the same neighbours.
    """

    def __init__(self, rows: Integers) -> None:
        self._rows = rows
        self._centres = _centres(rows)
        cell = _nearest_cells(rows, self._centres, 1)[:, 0]
        self._members = np.argsort(cell, kind="stable")
        self._ends = np.searchsorted(cell[self._members], np.arange(len(self._centres)), "right")

    def neighbours(self, queries: Integers, most: int, least: float) -> Neighbours:
        """The `most` nearest rows of every query, of similarity `least` (0..1) or more; row i is none of query i's."""
        cells = _nearest_cells(queries, self._centres, min(PROBED, len(self._centres)))
        order = np.argsort(cells.ravel(), kind="stable")
        asking, ends = (
            order // cells.shape[1],
            np.searchsorted(cells.ravel()[order], np.arange(len(self._ends)), "right"),
        )
        found: list[Neighbours] = []
        for cell in range(len(self._ends)):
            begin, start = (self._ends[cell - 1], ends[cell - 1]) if cell else (0, 0)
            members, mine = self._members[begin : self._ends[cell]], asking[start : ends[cell]]
            if len(members) and len(mine):
                found += self._in_cell(queries, mine, members, most, least)
        joined = Neighbours(
            np.concatenate([np.zeros(0, np.int64), *(part.query for part in found)]),
            np.concatenate([np.zeros(0, np.int64), *(part.row for part in found)]),
            np.concatenate([np.zeros(0, np.float32), *(part.similarity for part in found)]),
        )
        return _best(joined, most)

    def _in_cell(
        self, queries: Integers, mine: NDArray[np.int64], members: NDArray[np.int64], most: int, least: float
    ) -> list[Neighbours]:
        known = self._rows[members].T.astype(np.float32)
        bound = np.float32(least * UNIT * UNIT)
        found = []
        step = max(_BLOCK // len(members), 1)
        for start in range(0, len(mine), step):
            some = mine[start : start + step]
            products = queries[some].astype(np.float32) @ known
            products[some[:, None] == members] = -1
            most_of_row = np.partition(products, -most, axis=1)[:, -most] if most < len(members) else bound
            query, place = np.nonzero(products >= np.maximum(most_of_row, bound).reshape(-1, 1))
            pairs = Neighbours(some[query], members[place], products[query, place] / np.float32(UNIT * UNIT))
            found.append(_best(pairs, most))
        return found


def _best(pairs: Neighbours, most: int) -> Neighbours:
    """The `most` most similar rows of every query; of equals those with lower numbers."""
    order = np.lexsort((pairs.row, -pairs.similarity, pairs.query))
    query = pairs.query[order]
    starts = np.flatnonzero(np.diff(query, prepend=-1))
    rank = np.arange(len(query)) - np.repeat(starts, np.diff(np.append(starts, len(query))))
    chosen = order[rank < most]
    return Neighbours(pairs.query[chosen], pairs.row[chosen], pairs.similarity[chosen])


def _centres(rows: Integers) -> Integers:
    """The centres of k-means cells, int16 (cells, d) of the length of a descriptor."""
    count = 1 if len(rows) <= SMALL else int(np.sqrt(len(rows)))
    random = np.random.default_rng(len(rows))
    sample = rows[np.sort(random.permutation(len(rows))[: count * _SAMPLES])]
    centres = sample[:: max(len(sample) // count, 1)][:count]
    for _ in range(_ROUNDS if count > 1 else 0):
        cell = _nearest_cells(sample, centres, 1)[:, 0]
        order = np.argsort(cell, kind="stable")
        present, starts = np.unique(cell[order], return_index=True)
        sums = np.add.reduceat(sample[order].astype(np.int64), starts)
        lengths = np.maximum(np.sqrt((sums * sums).sum(1, keepdims=True)), 1)
        centres = centres.copy()
        centres[present] = np.rint(sums * UNIT / lengths)
    return centres


def _nearest_cells(rows: Integers, centres: Integers, most: int) -> NDArray[np.int64]:
    """The numbers of the `most` nearest centres of every row, int64 (n, most)."""
    found = np.empty((len(rows), most), np.int64)
    known = centres.T.astype(np.float32)
    step = max(_BLOCK // len(centres), 1)
    for start in range(0, len(rows), step):
        products = rows[start : start + step].astype(np.float32) @ known
        if most == 1:
            found[start : start + step, 0] = products.argmax(1)
        elif most == len(centres):
            found[start : start + step] = np.arange(most)
        else:
            found[start : start + step] = np.argpartition(-products, most - 1, axis=1)[:, :most]
    return found
