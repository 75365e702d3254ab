"""Groups of near-duplicates that don't chain: every member is like its group's representative, not like a neighbour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepenough.data.duplicates import NearDuplicates, NearPairs

MOST_COPIES, LARGEST_SHARE = 8, 0.1
"""More pictures than the first that are alike, and more than the second of a class, are a scene, not copies."""

FEWEST_OF_CLASS = 4
"""At least so many pictures that are alike and a whole class are a scene, too: no class is copies of one picture."""

_ROUNDS = 2


def representatives(count: int, pairs: NearPairs, ranks: NDArray[np.int64]) -> NDArray[np.int64]:
    """The representative of each of `count` rows, int64 (count,): itself, or one that it is a near-duplicate of.

    Rows of higher rank, then those with more near-duplicates, then the first are representatives; each takes all of its
    near-duplicates that no other has taken. So none of a group ranks above its representative.
    """
    ends = np.concatenate([pairs.first, pairs.second])
    others = np.concatenate([pairs.second, pairs.first])
    order = np.argsort(ends, kind="stable")
    ends, others = ends[order], others[order]
    rows, starts, degrees = np.unique(ends, return_index=True, return_counts=True)
    parent = np.full(count, -1, np.int64)
    for place in np.lexsort((rows, -degrees, -ranks[rows])):
        if parent[rows[place]] < 0:
            near = others[starts[place] : starts[place] + degrees[place]]
            parent[near[parent[near] < 0]] = rows[place]
            parent[rows[place]] = rows[place]
    return np.where(parent < 0, np.arange(count), parent)


def completed(search: NearDuplicates, pairs: NearPairs, ranks: NDArray[np.int64]) -> NearPairs:
    """The pairs, and those of neighbours' representatives that stand a comparison as well."""
    for _ in range(_ROUNDS):
        parent = representatives(len(ranks), pairs, ranks)
        first, second = parent[pairs.first], parent[pairs.second]
        apart = first != second
        asked = np.concatenate(
            [
                np.stack([first[apart], pairs.second[apart]]),
                np.stack([second[apart], pairs.first[apart]]),
                np.stack([first[apart], second[apart]]),
            ],
            axis=1,
        )
        asked = np.sort(asked, axis=0)
        numbers = np.setdiff1d(asked[0] * len(ranks) + asked[1], pairs.first * len(ranks) + pairs.second)
        found = search.compared(numbers // len(ranks), numbers % len(ranks))
        if not len(found.first):
            break
        pairs = NearPairs.joined([pairs, found])
    return pairs


def connected(count: int, first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """The first row that each of `count` rows is connected to by pairs of rows, int64 (count,); often itself.

    Every round gives the heads of both ends the lower of the two; `scipy.sparse.csgraph` takes 0.4 s to import.
    """
    head = np.arange(count)
    while True:
        a, b = head[first], head[second]
        apart = a != b
        if not apart.any():
            return head
        np.minimum.at(head, np.maximum(a, b)[apart], np.minimum(a, b)[apart])
        while not np.array_equal(head, further := head[head]):
            head = further


def scenes(pairs: NearPairs, labels: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows that are connected by near-duplicates and are too many of a class to be copies: a fixed camera's, mostly.

    `labels` int64 (n,) of all rows.
    """
    component = connected(len(labels), pairs.first, pairs.second)
    order = np.argsort(component, kind="stable")
    sizes = np.bincount(labels)
    found = []
    for members in np.split(order, np.flatnonzero(np.diff(component[order])) + 1):
        if len(members) >= FEWEST_OF_CLASS:
            counts = np.bincount(labels[members], minlength=len(sizes))
            many = len(members) > MOST_COPIES and (counts > LARGEST_SHARE * sizes).any()
            if many or ((counts == sizes) & (counts >= FEWEST_OF_CLASS)).any():
                found.append(np.sort(members))
    return found
