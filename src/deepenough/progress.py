"""Progress of long jobs. The command line draws it; from Python it is silent unless asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Advance(Protocol):
    """Reports how far a task has come; `note` is a short word beside the bar."""

    def __call__(self, done: float, total: float, note: str = "") -> None: ...


class Reporter:
    """The silent reporter; subclasses draw."""

    def say(self, text: str) -> None:
        """Tell the user one line."""

    @contextmanager
    def task(self, label: str) -> Iterator[Advance]:
        """A piece of work with a bar of its own while the context lasts."""

        def advance(done: float, total: float, note: str = "") -> None:
            pass

        yield advance
