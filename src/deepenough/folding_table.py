"""A table for terminals of any width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.style import StyleType
from rich.table import Column, Row, Table
from rich.text import Text

_PADDINGS = ((0, 1, 0, 0), (0, 0, 0, 0))
"""Narrower paddings for a table that doesn't fit by its own; the box keeps a space between columns."""

_INDENT = 2
"""The columns of a terminal by which the rest of a row stands further in than its names above it."""

_CUT = 4
"""The columns of a terminal that a column keeps where its words are cut."""


class FoldingTable(Table):
    """A table that loses nothing in a narrow terminal: where it doesn't fit, its cells go on in the next line.

    The padding and cells with spaces give way first, those of numbers after those of text. Where that isn't enough,
    names, which are in the columns numbered `names`, get a line of their own above the rest of their row. Then words of
    the rest are cut, and numbers at last. Rich would end numbers and names with an ellipsis, and cut the widest column
    first, which is often that of the names.
    """

    def __init__(self, *headings: Column | str, names: Sequence[int] = (0,), **style: Any) -> None:
        super().__init__(*headings, **style)
        self.names = names

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        before = self.padding, self.collapse_padding, [(each.width, each.no_wrap) for each in self.columns]
        wide = options.update(max_width=10_000)
        if self._fit(console, wide, options.max_width) or not 0 < len(self.names) < len(self.columns):
            yield from super().__rich_console__(console, options)
        else:
            yield self._names_above(console, wide, options.max_width)
        self.padding, self.collapse_padding = before[:2]
        for column, (width, no_wrap) in zip(self.columns, before[2], strict=True):
            column.width, column.no_wrap = width, no_wrap

    def _names_above(self, console: Console, wide: ConsoleOptions, room: int) -> Group:
        """Every row as a line of its names and, below and further in, a line of its other cells."""
        rest = self._columns_of([number for number in range(len(self.columns)) if number not in self.names])
        rest._fit(console, wide, room - _INDENT)
        for column in rest.columns:
            column.width = column.width or _measure(console, wide, column).maximum
        names = [self.columns[number] for number in self.names]
        lines: list[RenderableType] = [] if self.title is None else [self._title(console)]
        lines += ["", _line([column.header for column in names], "table.header"), rest._part(())]
        named = zip(*(column.cells for column in names), strict=True)
        others = zip(*(column.cells for column in rest.columns), strict=True)
        for row, name, cells in zip(self.rows, named, others, strict=True):
            line = _line(name, row.style or "")
            lines += [line] if line.plain else []
            lines.append(rest._part([(cells, row)]))
        return Group(*lines, "")

    def _title(self, console: Console) -> Text:
        """The title as rich would print it above the table, at the left."""
        style = "table.title" if self.title_style is None else self.title_style
        if isinstance(self.title, str):
            return console.render_str(self.title, style=style, highlight=False)
        return Text(str(self.title), style=style)

    def _columns_of(self, numbers: Sequence[int]) -> FoldingTable:
        """A table of some of the columns, without names."""
        table = FoldingTable(names=(), box=self.box, show_edge=False, pad_edge=False)
        table.columns = [replace(self.columns[number], _index=index) for index, number in enumerate(numbers)]
        return table

    def _part(self, rows: Sequence[tuple[Sequence[RenderableType], Row]]) -> Padding:
        """Some rows in the columns' widths, further in than the names above; the header where there are none."""
        part = Table(box=self.box, show_edge=False, pad_edge=False, show_header=not rows)
        part.padding, part.collapse_padding = self.padding, self.collapse_padding
        for number, column in enumerate(self.columns):
            part.columns.append(replace(column, _cells=[cells[number] for cells, _ in rows]))
        part.rows = [row for _, row in rows]
        return Padding(part, (0, 0, 0, _INDENT))

    def _fit(self, console: Console, wide: ConsoleOptions, room: int) -> bool:
        """Set padding and widths for a terminal of `room` columns; False where there are names and words don't fit."""
        for column in self.columns:
            column.overflow = "fold"
        measured = [_measure(console, wide, column) for column in self.columns]
        widest, words = [each.maximum for each in measured], [each.minimum for each in measured]
        free = room - (self.__rich_measure__(console, wide).maximum - sum(widest))
        if sum(widest) <= free:
            return True
        paddings = [(self.padding, self.collapse_padding, free)]
        for self.padding in _PADDINGS:
            self.collapse_padding = True
            free = room - (self.__rich_measure__(console, wide).maximum - sum(widest))
            paddings.append((self.padding, True, free))
        for floors, wrapped in self._floors(widest, words):
            # Before a word is cut, the padding is as narrow as it gets.
            for self.padding, self.collapse_padding, free in paddings if sum(floors) >= sum(words) else paddings[-1:]:
                if sum(floors) <= free:
                    for column, width in zip(self.columns, _shrunk(widest, floors, free), strict=True):
                        column.width, column.no_wrap = width, column.no_wrap and not wrapped
                    return True
        for column in self.columns:
            column.no_wrap = False
        return False

    def _floors(self, widest: Sequence[int], words: Sequence[int]) -> list[tuple[list[int], bool]]:
        """The least widths of the columns, kindest first, and whether cells of one line are wrapped for them."""
        columns = list(zip(self.columns, widest, words, strict=True))
        numbers = [most if column.no_wrap or column.justify == "right" else least for column, most, least in columns]
        lines = [most if column.no_wrap else least for column, most, least in columns]
        kindest = [(numbers, False), (lines, False), (list(words), True)]
        if self.names:
            return kindest
        cut = [least if column.justify == "right" else min(least, _CUT) for column, _, least in columns]
        return [*kindest, (cut, True), ([min(each, _CUT) for each in words], True), ([1] * len(words), True)]


def _line(cells: Iterable[RenderableType], style: StyleType) -> Text:
    """Names side by side, without empty ones."""
    names = [each if isinstance(each, Text) else Text.from_markup(str(each)) for each in cells]
    line = Text("  ").join(name for name in names if name.plain)
    line.style = style
    return line


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
