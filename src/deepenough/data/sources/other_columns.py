"""Columns that could be meant as well as the one that is taken: said so, or refused where they say something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from deepenough.data.finding import Finding
from deepenough.data.sources.headings import columns
from deepenough.data.sources.labels import MISSING, FileLabels
from deepenough.errors import DeepenoughError


@dataclass(frozen=True)
class Choice:
    """The columns of a table that could have one role, "the label" or the like: their places, the taken one first."""

    header: Sequence[object]
    role: str
    places: Sequence[int]

    @classmethod
    def among(cls, header: Sequence[object], role: str, wanted: Sequence[str]) -> Choice:
        """The columns of the `wanted` names, the likeliest first."""
        return cls(header, role, columns(header, wanted))

    @property
    def taken(self) -> int | None:
        """The place of the column that is taken; None where there is none."""
        return next(iter(self.places), None)

    @property
    def others(self) -> list[int]:
        """The places of the other columns."""
        return list(self.places[1:])

    def name(self, place: int) -> str:
        """The name of a column, with its number where the taken one has the same."""
        same = place != self.taken and place in self.twins
        return self._heading(place) + f" (column {place + 1})" * same

    @cached_property
    def twins(self) -> list[int]:
        """The places of the other columns that have the very name of the taken one."""
        return [place for place in self.others if self._heading(place).lower() == self._heading(self.places[0]).lower()]

    def findings(self) -> list[Finding]:
        """One for each column that is not taken."""
        return [self._finding(place) for place in self.others]

    def check_cells(self, where: str, row: Sequence[object]) -> None:
        """Raise the error for a row of cells, by place, in which columns of one name differ."""
        for place in self.twins:
            if place < len(row) and row[place] != row[self.places[0]]:
                raise DeepenoughError(
                    f"{where}: two columns have the name {self._heading(place)!r}, and differ here "
                    f"({row[self.places[0]]!r:.80} and {row[place]!r:.80}); leave one of them out"
                )

    def labels(self, where: str, read: Callable[[int], FileLabels]) -> FileLabels:
        """The labels in the taken column, which `read` gives by place, with a finding on each other column.

        Another that puts the same images into one class is named. One that divides them otherwise is an error, since
        nothing tells which is meant. One that `read` raises an error for holds no labels.
        """
        labels = read(self.places[0])
        for place in self.others:
            try:
                other = read(place)
            except DeepenoughError:
                continue
            self._check_alike(where, labels, place, other)
        return replace(labels, findings=(*labels.findings, *self.findings()))

    def _check_alike(self, where: str, labels: FileLabels, place: int, other: FileLabels) -> None:
        if not _divide_alike(labels, other):
            raise DeepenoughError(
                f"{where}: two columns could be {self.role}, {self.name(self.places[0])!r} with {_classes(labels)} and "
                f"{self.name(place)!r} with {_classes(other)}, and they divide the images differently; leave out the "
                "one that is not meant, or give it another name"
            )

    def _heading(self, place: int) -> str:
        return str(self.header[place]).strip().strip("\ufeff")

    def _finding(self, place: int) -> Finding:
        taken = self.name(self.places[0])
        detail = f"this column could be {self.role} as well as {taken!r}, which was taken"
        return Finding("other-column", self.name(place), detail, "not used")


def _divide_alike(first: FileLabels, second: FileLabels) -> bool:
    """True if images that have labels in both are of one class in the first exactly where they are in the second."""
    both = (first.codes != MISSING) & (second.codes != MISSING)
    pairs = np.stack([first.codes[both], second.codes[both]])
    return len({np.unique(part, axis=1).shape[1] for part in (pairs, pairs[:1], pairs[1:])}) == 1


def _classes(labels: FileLabels) -> str:
    count = len(np.unique(labels.codes[labels.codes != MISSING]))
    return "1 class" if count == 1 else f"{count:,} classes"
