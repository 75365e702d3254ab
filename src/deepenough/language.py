"""The language of a page: English messages by themselves, Chinese ones by the catalogues of the rooms that write pages.

Messages are those of gettext: English text with places as `%(name)s`, and `%%` for a percent sign. Templates have them
through Jinja's extension for translations, Python through `gettext` here. Everything is English outside `speaking`, so
that the terminal is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any


class Language(StrEnum):
    """A language that pages are written in."""

    ENGLISH = "en"
    CHINESE = "zh"


TAGS = {Language.ENGLISH: "en", Language.CHINESE: "zh-Hans"}
"""The languages as HTML names them."""

ROOMS = ("report", "lab", "explain", "compare", "hub")
"""The packages with a catalogue, `zh.json`. A message that several use is in the first's.

`cli/zh.json` is none of them: only `docs/options.zh.md` is made of it.
"""

_current: ContextVar[Language] = ContextVar("language", default=Language.ENGLISH)


def language_of_locale(environment: Mapping[str, str] | None = None) -> Language:
    """The language of the user's locale, as POSIX finds that of messages; English for any other than Chinese.

    >>> language_of_locale({"LC_ALL": "", "LANG": "zh_CN.UTF-8"})
    <Language.CHINESE: 'zh'>
    """
    environment = os.environ if environment is None else environment
    locale = next((found for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (found := environment.get(name))), "")
    return Language.CHINESE if locale.lower().startswith("zh") else Language.ENGLISH


@contextmanager
def speaking(language: Language | str | None) -> Iterator[None]:
    """Let messages be in a language, "en" or "zh"; None for that of the locale."""
    before = _current.set(Language(language) if language else language_of_locale())
    try:
        yield
    finally:
        _current.reset(before)


def current_language() -> Language:
    """The language that messages are in."""
    return _current.get()


def language_tag() -> str:
    """The language that messages are in, as HTML names it."""
    return TAGS[current_language()]


@cache
def catalogue() -> Mapping[str, str]:
    """The Chinese message of every English one."""
    return {english: chinese for room in ROOMS for english, chinese in room_catalogue(room).items()}


def room_catalogue(room: str) -> dict[str, str]:
    """The messages of one room's catalogue."""
    found: dict[str, str] = json.loads(files("deepenough").joinpath(room, "zh.json").read_text(encoding="utf-8"))
    return found


def translation(message: str) -> str | None:
    """A message in the current language, its places unfilled; None where the catalogue has none."""
    return message if current_language() is Language.ENGLISH else catalogue().get(message)


def lookup(message: str) -> str:
    """A message in the current language, its places unfilled; English where the catalogue has none."""
    found = translation(message)
    return message if found is None else found


def lookup_plural(singular: str, plural: str, number: int) -> str:
    """The message for one or for several, its places unfilled; they have one form in Chinese, that of the plural."""
    return lookup(singular if number == 1 and current_language() is Language.ENGLISH else plural)


def gettext(message: str, **values: Any) -> str:
    """A message in the current language, with `values` in its places."""
    return lookup(message) % values


def listed(words: Iterable[str]) -> str:
    """Words of one kind in a row, as names and numbers are; Chinese has a comma of its own for them."""
    return ("、" if current_language() is Language.CHINESE else ", ").join(words)


def sentence_space() -> str:
    """The space between two sentences: Chinese has none."""
    return "" if current_language() is Language.CHINESE else " "
