"""What is wrong with the images of a source, and which of them are left out for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepenough.data.cache_writer import Filled
from deepenough.data.duplicates import near_pairs, same_picture
from deepenough.data.finding import Finding
from deepenough.data.split import TEST, TRAIN, UNASSIGNED, VALIDATION

_WORDS = {TEST: "test", VALIDATION: "validation", TRAIN: "training", UNASSIGNED: "the images"}
_RANK = {TEST: 3, VALIDATION: 2, TRAIN: 1, UNASSIGNED: 1}


@dataclass(frozen=True)
class Audit:
    """`kept` ascending rows int64, `groups` int64 (n,) over all rows: the same picture, the same number."""

    kept: NDArray[np.int64]
    groups: NDArray[np.int64]
    findings: tuple[Finding, ...]


def audit(
    filled: Filled, labels: NDArray[np.int64], splits: NDArray[np.int8], names: Sequence[str], classes: Sequence[str]
) -> Audit:
    """Name what cannot be used, group what is the same, and decide what is left out.

    A picture in two splits stays in test before validation before training. The same picture under different labels is
    left out of training and validation. Other duplicates stay, in one group, which no cut or fold divides.
    """
    table = filled.table
    findings = [Finding(p.kind, names[row], p.detail, "left out") for row, p in sorted(filled.problems.items())]
    groups, reasons = _groups(table, filled.thumbs)
    keep = np.array(table["usable"])
    sizes = np.bincount(groups)
    shared = np.flatnonzero(sizes[groups] > 1)
    order = shared[np.argsort(groups[shared], kind="stable")]
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    for members in np.split(order, starts[1:]) if len(order) else []:
        findings += _judge(members, labels, splits, names, classes, reasons, keep)
    return Audit(np.flatnonzero(keep), groups, tuple(findings))


def _judge(
    members: NDArray[np.int64],
    labels: NDArray[np.int64],
    splits: NDArray[np.int8],
    names: Sequence[str],
    classes: Sequence[str],
    reasons: dict[int, str],
    keep: NDArray[np.bool_],
) -> list[Finding]:
    """Findings about one group of the same picture; clears `keep` of what is left out."""
    ranks = np.array([_RANK[int(splits[m])] for m in members])
    best = members[int(np.argmax(ranks))]
    conflict = len(np.unique(labels[members])) > 1
    found = []
    for member, rank in zip(members, ranks, strict=True):
        other = best if member != best else next(m for m in members if m != best)
        why = reasons.get(int(member)) or reasons.get(int(other), "the same picture")
        where = _WORDS[int(splits[member])]
        if rank < ranks.max():
            keep[member] = False
            detail = f"{why} as {names[other]} in {_WORDS[int(splits[other])]}"
            found.append(Finding("across-splits", names[member], detail, f"left out of {where}"))
        elif conflict:
            against = next(m for m in members if labels[m] != labels[member])
            mine, theirs = classes[labels[member]], classes[labels[against]]
            detail = f"{why} as {names[against]}, labelled {mine!r} here and {theirs!r} there"
            keep[member] = rank == _RANK[TEST]
            action = "kept in test" if keep[member] else f"left out of {where}"
            found.append(Finding("conflicting-labels", names[member], detail, action))
        elif member != best:
            found.append(Finding("duplicate", names[member], f"{why} as {names[other]}", "kept on the same side"))
    return found


def _groups(table: NDArray[Any], thumbs: NDArray[np.uint8]) -> tuple[NDArray[np.int64], dict[int, str]]:
    """A group number for each row, and for the rows of larger groups what makes them the same."""
    groups = np.arange(len(table), dtype=np.int64)
    reasons: dict[int, str] = {}
    usable = np.flatnonzero(table["usable"])

    def root(row: int) -> int:
        while groups[row] != row:
            groups[row] = groups[groups[row]]
            row = int(groups[row])
        return row

    def join(first: int, second: int, why: str) -> None:
        first, second = sorted((root(first), root(second)))
        groups[second] = first
        reasons.setdefault(second, why)

    unhashed = usable[table["hash"][usable] == 0]
    for field, rows, why in (("content", usable, "the same bytes"), ("picture", unhashed, "the same pixels")):
        word = table[field][:, 0][rows]  # one word of 64 bits sorts; all of them decide
        order = np.argsort(word, kind="stable")
        word = word[order]
        for place in np.flatnonzero(word[1:] == word[:-1]):
            a, b = int(rows[order[place]]), int(rows[order[place + 1]])
            if root(a) != root(b) and (table[field][a] == table[field][b]).all():
                join(a, b, why)
    hashed = usable[(table["hash"][usable] != 0) & (groups[usable] == usable)]
    ratios = table["width"].astype(np.float64) / np.maximum(table["height"], 1)
    for pairs in near_pairs(np.array(table["hash"][hashed])):
        for a, b in hashed[pairs].tolist():
            if root(a) != root(b) and same_picture(thumbs[a], thumbs[b], (ratios[a], ratios[b])):
                join(a, b, "the same picture, re-encoded or resized,")
    for row in usable:
        groups[row] = root(int(row))
    return groups, reasons
