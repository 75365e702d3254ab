"""Drawing in a terminal: progress and errors to stderr, answers to stdout."""

from __future__ import annotations

import os
import sys

from rich.console import Console as RichConsole

from deepenough.progress_bars import Bars

PIPED_WIDTH = 160


class Console:
    """Everything that a command prints goes through here: answers to stdout, progress and errors to stderr."""

    def __init__(self) -> None:
        # A file or a pipe has no width: tables are not squeezed into the 80 columns that it would be given.
        wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
        self.out = RichConsole(width=wide)
        self.progress = RichConsole(stderr=True)

    def bars(self) -> Bars:
        return Bars(self.progress, drawn=self.progress.is_terminal)

    def line(self, text: str, *, wrap: bool = False, style: str = "") -> None:
        """Print a line as it is. Sentences `wrap` between words, paths stay whole to be copied."""
        self.out.print(text, style=style, markup=False, highlight=False, soft_wrap=not wrap)

    def problem(self, text: str) -> None:
        """Print a line about what went wrong to stderr."""
        self.progress.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
