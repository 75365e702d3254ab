"""Drawing in a terminal: progress and errors to stderr, answers to stdout."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console as RichConsole
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from deepenough.progress import Advance, Reporter

PIPED_WIDTH = 160


class Bars(Reporter):
    """Progress as bars with the time left; on something else than a terminal, a line as each task ends."""

    def __init__(self, console: RichConsole) -> None:
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def say(self, text: str) -> None:
        self.console.print(escape(text), highlight=False)

    @contextmanager
    def task(self, label: str) -> Iterator[Advance]:
        number = self.progress.add_task(escape(label), total=None, note="")
        last = ""

        def advance(done: float, total: float, note: str = "") -> None:
            nonlocal last
            last = note or last
            self.progress.update(number, completed=done, total=total, note=escape(last))

        try:
            yield advance
        except BaseException:
            self.progress.stop_task(number)
            self.progress.update(
                number, total=self.progress.tasks[number].total or 1, note="failed"
            )  # it pulses no more
            raise
        if not self.console.is_terminal:
            self.say(f"{label}  {last}".rstrip())


class Console:
    """Everything that a command prints goes through here: answers to stdout, progress and errors to stderr."""

    def __init__(self) -> None:
        # A file or a pipe has no width: tables are not squeezed into the 80 columns that it would be given.
        wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH
        self.out = RichConsole(width=wide)
        self.progress = RichConsole(stderr=True)

    def bars(self) -> Bars:
        return Bars(self.progress)

    def line(self, text: str, *, wrap: bool = False, style: str = "") -> None:
        """Print a line as it is. Sentences `wrap` between words, paths stay whole to be copied."""
        self.out.print(text, style=style, markup=False, highlight=False, soft_wrap=not wrap)

    def problem(self, text: str) -> None:
        """Print a line about what went wrong to stderr."""
        self.progress.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
