"""Errors that the user can mend. The command line prints their text and no traceback."""

from __future__ import annotations

import copyreg
import difflib
from collections.abc import Iterable, Sequence
from typing import Any


class DeepenoughError(Exception):
    """An error whose message says what was given, what was expected, and what to do next.

    `exit_status` is what the command line ends with.
    """

    exit_status = 2

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it as it is, whatever its `__init__` takes, since errors come back from worker processes."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class DamagedError(DeepenoughError):
    """A file that is not as it was written."""


class DamageWarning(RuntimeWarning):
    """A damaged file that was made anew; the command line prints its text as a line."""


class ProcessEndedWarning(RuntimeWarning):
    """A process that trained beside others has ended by itself; the command line prints its text as a line."""


def first_line(error: BaseException) -> str:
    """The first line of the message of a library's error; its type where there is none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def fits_a_message(text: str) -> bool:
    """True for the text of a value that is short enough to be shown in a sentence."""
    return len(text) <= 60 and "\n" not in text


def nearest(word: object, choices: Iterable[object], count: int = 3) -> list[str]:
    """The `count` choices most like `word`, best first: numbers by distance, names by spelling."""
    options = list(choices)
    if isinstance(word, (int, float)) and options and all(isinstance(o, (int, float)) for o in options):
        numbers = sorted(options, key=lambda option: abs(option - word))  # type: ignore[operator]
        return [str(number) for number in sorted(numbers[:count])]  # type: ignore[type-var]
    return difflib.get_close_matches(str(word), [str(option) for option in options], n=count, cutoff=0.5)


def first_few(words: Sequence[str], most: int) -> str:
    """List at most so many of the words, and how many more there are.

    >>> first_few(["a", "b", "c", "d"], 2)
    'a, b and 2 more'
    """
    more = f" and {len(words) - most:,} more" if len(words) > most else ""
    return ", ".join(words[:most]) + more


MOST_CHOICES = 12
"""The most choices that an error lists where none is near."""


def unknown(what: str, given: object, choices: Iterable[object]) -> DeepenoughError:
    """The error for a `given` that is none of `choices`, with the nearest of them, else the first few.

    >>> str(unknown("network", "resnet51", ["resnet50", "resnet101", "vgg16"]))
    "network 'resnet51' is not known; nearest are resnet50, resnet101"
    """
    options = [str(option) for option in choices]
    near = nearest(given, options)
    hint = f"known: {first_few(options, MOST_CHOICES)}"
    if near:
        hint = f"nearest {'is' if len(near) == 1 else 'are'} {', '.join(near)}"
    return DeepenoughError(f"{what} {given!r} is not known; {hint}")
