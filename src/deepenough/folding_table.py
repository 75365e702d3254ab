"""A table for terminals of any width."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table


class FoldingTable(Table):
    """A table that loses nothing in a narrow terminal: where it doesn't fit, its cells go on in the next line.

    Rich would end numbers and names with an ellipsis.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        fits = self.__rich_measure__(console, options.update(max_width=10_000)).minimum
        for column in self.columns:
            column.overflow = "fold"
            column.no_wrap = column.no_wrap and fits <= options.max_width
        yield from super().__rich_console__(console, options)
