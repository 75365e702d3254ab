"""Progress of long jobs, told to whoever draws it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from deepenough.errors import DeepenoughError


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


def reporting(progress: bool | Reporter) -> AbstractContextManager[Reporter]:
    """The reporter of a call from Python: bars, none with False, or one that was given, which draws by itself."""
    if not isinstance(progress, Reporter) and progress not in (True, False, None):
        raise DeepenoughError(f"progress={progress!r}: expected True, False or a `Reporter`")
    if isinstance(progress, Reporter) or not progress:
        return nullcontext(progress or Reporter())
    from deepenough.progress_bars import bars_in_python  # slow to import

    return bars_in_python()
