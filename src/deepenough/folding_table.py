"""A table for terminals of any width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table

_PADDINGS = ((0, 1, 0, 0), (0, 0, 0, 0))
"""Narrower paddings for a table that doesn't fit by its own; the box keeps a space between columns."""

_CUT = 4
"""The columns of a terminal that a column keeps where its words are cut."""


class FoldingTable(Table):
    """A table that loses nothing in a narrow terminal: where it doesn't fit, its cells go on in the next line.

    The padding and cells with spaces give way first, then words of other text, then numbers. Names, which are in the
    columns numbered `names`, are cut only where nothing else is left. Rich would end numbers and names with an
    ellipsis, and cut the widest column first, which is often that of the names.
    """

    def __init__(self, *headings: Column | str, names: Sequence[int] = (0,), **style: Any) -> None:
        super().__init__(*headings, **style)
        self.names = names

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        before = self.padding, self.collapse_padding, [(each.width, each.no_wrap) for each in self.columns]
        self._fit(console, options.update(max_width=10_000), options.max_width)
        yield from super().__rich_console__(console, options)
        self.padding, self.collapse_padding = before[:2]
        for column, (width, no_wrap) in zip(self.columns, before[2], strict=True):
            column.width, column.no_wrap = width, no_wrap

    def _fit(self, console: Console, wide: ConsoleOptions, room: int) -> None:
        """Set padding and widths for a terminal of `room` columns; rich has the rest where not even names fit."""
        for column in self.columns:
            column.overflow = "fold"
        measured = [_measure(console, wide, column) for column in self.columns]
        widest, words = [each.maximum for each in measured], [each.minimum for each in measured]
        free = room - (self.__rich_measure__(console, wide).maximum - sum(widest))
        if sum(widest) <= free:
            return
        paddings = [(self.padding, self.collapse_padding, free)]
        for self.padding in _PADDINGS:
            self.collapse_padding = True
            free = room - (self.__rich_measure__(console, wide).maximum - sum(widest))
            paddings.append((self.padding, True, free))
        for floors, wrapped in self._floors(widest, words):
            for self.padding, self.collapse_padding, free in paddings:
                if sum(floors) <= free:
                    for column, width in zip(self.columns, _shrunk(widest, floors, free), strict=True):
                        column.width, column.no_wrap = width, column.no_wrap and not wrapped
                    return
        for column in self.columns:
            column.no_wrap = False

    def _floors(self, widest: Sequence[int], words: Sequence[int]) -> list[tuple[list[int], bool]]:
        """The least widths of the columns, kindest first, and whether cells of one line are wrapped for them."""
        cut = [min(each, _CUT) for each in words]
        names = [number in self.names for number in range(len(words))]
        numbers = [column.justify == "right" for column in self.columns]
        lines = [
            most if column.no_wrap else least for column, most, least in zip(self.columns, widest, words, strict=True)
        ]
        return [
            (lines, False),
            (list(words), True),
            ([words[i] if names[i] or numbers[i] else cut[i] for i in range(len(words))], True),
            ([words[i] if names[i] else cut[i] for i in range(len(words))], True),
            ([1] * len(words), True),
        ]


def _measure(console: Console, options: ConsoleOptions, column: Column) -> Measurement:
    """The widths of a column without its padding: that of its longest word, and that of its longest line."""
    if column.width is not None:
        return Measurement(column.width, column.width)
    found = [Measurement.get(console, options, each) for each in (column.header, *column.cells)]
    least = column.min_width or 1
    return Measurement(max(least, *(each.minimum for each in found)), max(least, *(each.maximum for each in found)))


def _shrunk(widest: Sequence[int], floors: Sequence[int], room: int) -> list[int]:
    """Widths of columns that come to `room` at most, taken from the widest ones first, none below its floor."""
    widths = list(widest)
    while sum(widths) > room:
        able = [number for number, floor in enumerate(floors) if widths[number] > floor]
        widths[max(able, key=lambda number: widths[number])] -= 1
    return widths
