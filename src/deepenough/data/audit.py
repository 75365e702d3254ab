"""The audit of a source: problems with its images, and those that are left out for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepenough.data.cache_writer import Filled
from deepenough.data.duplicates import NearDuplicates, NearPairs
from deepenough.data.finding import Finding, ImageError
from deepenough.data.grouping import completed, representatives, scenes
from deepenough.data.same_picture import is_same_picture
from deepenough.data.sixteen_bits import Levels
from deepenough.data.sources.base import Source
from deepenough.data.split import TEST, TRAIN, UNASSIGNED, VALIDATION

MOST_READ = 2000
"""Pairs under two labels whose files are read again; others are kept without."""

_WORDS = {TEST: "test", VALIDATION: "validation", TRAIN: "training", UNASSIGNED: "the images"}
_RANK = {TEST: 3, VALIDATION: 2, TRAIN: 1, UNASSIGNED: 1}


@dataclass(frozen=True)
class Audit:
    """`kept` ascending rows int64, `groups` int64 (n,) over all rows: the same picture, the same number."""

    kept: NDArray[np.int64]
    groups: NDArray[np.int64]
    findings: tuple[Finding, ...]


class _Likeness(NamedTuple):
    """The reason that two rows show the same picture, and whether all of their pixels say so."""

    first: int
    second: int
    why: str
    sure: bool


def audit(filled: Filled, source: Source, leave_out: bool = True) -> Audit:
    """Name what cannot be used, group what is the same, and decide what is left out.

    A picture in two splits stays in test before validation before training. A picture that is the same at full
    resolution under two labels is left out of training and validation. Near-duplicates under two labels that are not
    the same there stay. Other duplicates stay, in one group, which no cut or fold divides. All stay unless `leave_out`.
    """
    table = filled.table
    damaged = [Finding(p.kind, source.names[row], p.detail, "left out") for row, p in sorted(filled.problems.items())]
    ranks = np.array([_RANK[int(split)] for split in source.splits], np.int64)
    exact, reasons = _exact(table, ranks)
    rows = np.flatnonzero(table["usable"] & (exact == np.arange(len(exact))))
    search = NearDuplicates(
        filled.thumbs, rows, table["height"][rows].astype(np.int64), table["width"][rows].astype(np.int64)
    )
    pairs = search.pairs()
    seen = scenes(pairs, source.labels[rows])
    pairs = completed(search, _without_scenes(pairs, seen, filled.thumbs, rows), ranks[rows])
    groups = np.arange(len(exact))
    groups[rows] = rows[representatives(len(rows), pairs, ranks[rows])]
    groups = groups[exact]
    judge = _Judge(source, ranks, groups, exact, leave_out)
    judge.look([_Likeness(int(row), int(exact[row]), reasons[row], True) for row in sorted(reasons)])
    judge.look(_near(pairs, rows, source, filled.levels))
    keep = np.array(table["usable"])
    keep[list(judge.left_out)] = False
    alike = [_scene(source, rows[members]) for members in seen]
    return Audit(np.flatnonzero(keep), groups, (*damaged, *judge.findings(), *alike))


def _exact(table: NDArray[Any], ranks: NDArray[np.int64]) -> tuple[NDArray[np.int64], dict[int, str]]:
    """For each row the one that stands for all with the same bytes or pixels, of the highest rank, and why, for the
    others of them."""
    roots = np.arange(len(table), dtype=np.int64)
    reasons: dict[int, str] = {}
    usable = np.flatnonzero(table["usable"])
    hashed = usable[(table["picture"][usable] != 0).any(1)]
    for field, rows, why in (("content", usable, "the same bytes"), ("picture", hashed, "the same pixels")):
        rows = rows[roots[rows] == rows]
        order = np.lexsort((rows, -ranks[rows], *table[field][rows].T))
        ordered = rows[order]
        same = (table[field][ordered][1:] == table[field][ordered][:-1]).all(1)
        first = ordered[np.maximum.accumulate(np.where(np.append(True, ~same), np.arange(len(ordered)), 0))]
        for row, root in zip(ordered[ordered != first].tolist(), first[ordered != first].tolist(), strict=True):
            roots[row] = root
            reasons[row] = why
    final = roots[roots]
    reasons |= dict.fromkeys(np.flatnonzero(final != roots).tolist(), "the same pixels")
    return final, reasons


def _without_scenes(
    pairs: NearPairs, seen: list[NDArray[np.int64]], thumbs: NDArray[np.uint8], rows: NDArray[np.int64]
) -> NearPairs:
    """The pairs; within scenes, where all are alike, those whose thumbnails are equal."""
    inside = np.zeros(len(rows), np.bool_)
    inside[[row for members in seen for row in members]] = True
    kept = ~inside[pairs.first]
    for place in np.flatnonzero(~kept):
        kept[place] = np.array_equal(thumbs[rows[pairs.first[place]]], thumbs[rows[pairs.second[place]]])
    return pairs.take(kept)


def _near(pairs: NearPairs, rows: NDArray[np.int64], source: Source, levels: Levels | None) -> Iterable[_Likeness]:
    """Pairs with the most alike first; of those under two labels the files are read again."""
    read = 0
    for place in np.argsort(pairs.residual, kind="stable"):
        first, second = int(rows[pairs.first[place]]), int(rows[pairs.second[place]])
        changed = {
            "mirrored": pairs.mirrored,
            "cropped or framed": pairs.cropped,
            "brighter or darker": pairs.brightened,
        }
        ways = [word for word, so in changed.items() if so[place]]
        sure = False
        if source.labels[first] != source.labels[second] and not ways and read < MOST_READ:
            read += 1
            sure = _same_at_full_resolution(source, first, second, levels)
        words = "re-encoded or resized" if not ways else " and ".join(ways)
        yield _Likeness(first, second, f"the same picture, {words},", sure)


def _same_at_full_resolution(source: Source, first: int, second: int, levels: Levels | None) -> bool:
    try:
        return is_same_picture(source.read(first), source.read(second), levels)
    except (OSError, ImageError):
        return False


def _scene(source: Source, members: NDArray[np.int64]) -> Finding:
    counts = np.bincount(source.labels[members], minlength=len(source.classes))
    of = ", ".join(f"{count:,} of {name!r}" for name, count in zip(source.classes, counts, strict=True) if count)
    detail = f"{len(members):,} pictures look alike when small ({of}), as those of a fixed camera do"
    return Finding("similar-scene", source.names[int(members[0])], detail, "kept as different pictures")


class _Judge:
    """Decides about rows that show the same picture: at most one finding a row, those that leave it out first."""

    def __init__(
        self,
        source: Source,
        ranks: NDArray[np.int64],
        groups: NDArray[np.int64],
        exact: NDArray[np.int64],
        leave_out: bool,
    ) -> None:
        self._source, self._ranks, self._groups, self._leave_out = source, ranks, groups, leave_out
        self._twins: dict[int, list[int]] = {}
        for row in np.flatnonzero(exact != np.arange(len(exact))).tolist():
            self._twins.setdefault(int(exact[row]), []).append(row)
        self._found: dict[int, Finding] = {}
        self._decided: set[int] = set()
        self.left_out: set[int] = set()

    def findings(self) -> list[Finding]:
        """In the order of the rows."""
        return [self._found[row] for row in sorted(self._found)]

    def look(self, likenesses: Iterable[_Likeness]) -> None:
        """Judge both sides of each, with the rows that have the same bytes or pixels as one of them."""
        for first, second, why, sure in likenesses:
            for row, other in ((first, second), (second, first)):
                for twin in (row, *self._twins.get(row, ())):
                    if twin != other:
                        self._one(twin, other, why, sure)

    def _one(self, row: int, other: int, why: str, sure: bool) -> None:
        """Judge a row that is the same picture as another of an equal or higher rank."""
        if self._ranks[row] > self._ranks[other] or row in self._decided:
            return
        labels, splits, classes = self._source.labels, self._source.splits, self._source.classes
        where, there = _WORDS[int(splits[row])], _WORDS[int(splits[other])]
        across, conflict = self._ranks[row] < self._ranks[other], labels[row] != labels[other]
        again = self._source.names[row] == self._source.names[other]
        alike = "the same file, listed again," if again else f"{why} as {self._source.names[other]}"
        like = self._source.names[other]
        said = f"labelled {classes[labels[row]]!r} here and {classes[labels[other]]!r} there"
        if across and (sure or not conflict):
            self._leave(row, Finding("across-splits", self._source.names[row], f"{alike} in {there}", where, like))
        elif conflict and sure:
            finding = Finding(
                "conflicting-labels", self._source.names[row], f"{alike.rstrip(',')}, {said}", where, like
            )
            self._leave(row, finding, stays=splits[row] == TEST)
        elif row in self._found:
            return
        elif conflict:
            detail = f"{alike.replace('the same picture', 'nearly the same picture')}, {said}"
            self._found[row] = Finding("near-duplicate", self._source.names[row], detail, "kept", like)
        elif row > other and self._groups[row] == self._groups[other]:
            self._found[row] = Finding(
                "duplicate", self._source.names[row], alike.rstrip(","), "kept on the same side", like
            )

    def _leave(self, row: int, finding: Finding, stays: bool = False) -> None:
        where = finding.action
        self._decided.add(row)
        if stays or not self._leave_out:
            action = f"kept in {where}"
        else:
            action = f"left out of {where}"
            self.left_out.add(row)
        self._found[row] = replace(finding, action=action)
