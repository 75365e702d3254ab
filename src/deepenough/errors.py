"""Errors that the user can mend. The command line prints their text and no traceback."""

from __future__ import annotations

import copyreg
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
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


_LIKELY = 0.75
"""The likeness, by `difflib`, from which a word is taken for a misspelling of a name."""
_LIKELY_SO = 0.6
"""The same for a word with the same two first letters, or with all letters of the name in another order."""


def folded(name: object) -> str:
    """A name without what people write differently: case, hyphens, underscores and spaces.

    >>> folded("MobileNet-V2") == folded("mobilenet_v2")
    True
    """
    return re.sub(r"[-_\s]+", "", str(name).casefold())


def nearest(word: object, choices: Iterable[object], count: int = 3) -> list[str]:
    """The `count` choices that were most likely meant by `word`, best first: numbers by distance, names by spelling.

    Names that differ from the word by case, hyphens, underscores and spaces alone come alone; so do, where there are
    none, those that begin with the word, as those of a family do. Others are near where the word is likely a
    misspelling of them, or begins with them.

    >>> nearest("MobileNet", ["googlenet", "mobile", "mobilenet_v2"])
    ['mobilenet_v2', 'mobile']
    """
    options = list(choices)
    if isinstance(word, (int, float)) and options and all(isinstance(o, (int, float)) for o in options):
        numbers = sorted(options, key=lambda option: abs(option - word))  # type: ignore[operator]
        return [str(number) for number in sorted(numbers[:count])]  # type: ignore[type-var]
    given, names = folded(word), {name: folded(name) for name in map(str, options)}
    if equal := [name for name, key in names.items() if key == given]:
        return equal[:count]
    begun = [name for name, key in names.items() if len(key) > 1 and given.startswith(key)]
    family = [name for name, key in names.items() if len(given) > 1 and key.startswith(given)]
    if not family:
        family = _misspelt(given, names)
    return list(dict.fromkeys([*family, *sorted(begun, key=len, reverse=True)]))[:count]


def _misspelt(given: str, names: Mapping[str, str]) -> list[str]:
    """The names, by their folded spelling, that `given` is likely a misspelling of, best first."""
    likeness: dict[str, tuple[bool, float, int]] = {}
    for name, key in names.items():
        same_letters = sorted(key) == sorted(given)
        least = _LIKELY_SO if same_letters or key[:2] == given[:2] else _LIKELY
        if (ratio := difflib.SequenceMatcher(None, key, given, autojunk=False).ratio()) >= least:
            alike = takewhile(lambda pair: pair[0] == pair[1], zip(key, given, strict=False))
            likeness[name] = same_letters, ratio, len(list(alike))
    return sorted(likeness, key=lambda name: likeness[name], reverse=True)


def nearest_in_words(word: object, choices: Iterable[object]) -> str:
    """Name the nearest in the words of an error; empty where nothing is near.

    >>> nearest_in_words("mlflw", ["tensorboard", "mlflow"])
    'nearest is mlflow'
    """
    near = nearest(word, choices)
    return f"nearest {'is' if len(near) == 1 else 'are'} {', '.join(near)}" if near else ""


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
    hint = nearest_in_words(given, options) or f"known: {first_few(options, MOST_CHOICES)}"
    return DeepenoughError(f"{what} {given!r} is not known; {hint}")
