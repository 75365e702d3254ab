"""Progress bars: in a terminal, in a notebook, and as lines where neither is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from deepenough.notebook import in_notebook
from deepenough.progress import Advance, Reporter

_REDRAWN = 0.2  # seconds between two pictures of the bars in a notebook


class Bars(Reporter):
    """Progress as bars with the time left; on something else than a terminal, a line as each task ends."""

    def __init__(self, console: Console, *, drawn: bool) -> None:
        self.console, self.drawn = console, drawn
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not drawn,
        )

    def __enter__(self) -> Bars:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def say(self, text: str) -> None:
        self.console.print(escape(text), highlight=False)

    def changed(self, *, ended: bool = False) -> None:
        """Hear that a task has come further, or has `ended`; a terminal's bars are drawn by a thread of their own."""

    @contextmanager
    def task(self, label: str) -> Iterator[Advance]:
        number = self.progress.add_task(escape(label), total=None, note="")
        last = ""

        def advance(done: float, total: float, note: str = "") -> None:
            nonlocal last
            last = note or last
            self.progress.update(number, completed=done, total=total, note=escape(last))
            self.changed()

        try:
            yield advance
        except BaseException:
            self.progress.stop_task(number)
            self.progress.update(
                number, total=self.progress.tasks[number].total or 1, note="failed"
            )  # it pulses no more
            self.changed(ended=True)
            raise
        if self.progress.tasks[number].total is None:  # there was nothing to do
            self.progress.update(number, completed=1, total=1)
        self.changed(ended=True)
        if not self.drawn:
            self.say(f"{label}  {last}".rstrip())


class NotebookBars(Bars):
    """The same in a notebook: one output that is drawn anew as tasks come further, without ipywidgets."""

    def __init__(self) -> None:
        super().__init__(Console(), drawn=True)
        self._shown: Any = None
        self._latest = 0.0

    def __enter__(self) -> NotebookBars:
        return self

    def __exit__(self, *error: object) -> None:
        self.changed(ended=True)

    def changed(self, *, ended: bool = False) -> None:
        from IPython.display import display

        now = time.monotonic()
        if not self.progress.tasks or (not ended and now - self._latest < _REDRAWN):
            return
        self._latest = now
        if self._shown is None:
            self._shown = display(self.progress, display_id=True)
        else:
            self._shown.update(self.progress)


def bars_in_python() -> Bars:
    """The bars for a call from Python: in a notebook's output, or on stderr as those of the command are."""
    if in_notebook():
        return NotebookBars()
    console = Console(stderr=True)
    return Bars(console, drawn=console.is_terminal)
