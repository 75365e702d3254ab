"""The decision whether training images are mirrored, unless the user says so: by a test, and by the classes' names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from deepenough.data.images import Images
from deepenough.data.mirror_test import Group, MirrorTest, Swap, run_mirror_test
from deepenough.data.sources.labels import is_number
from deepenough.errors import first_few

LISTED = 3  # classes that a sentence names
CHARACTERS_NAMED = "the classes are named like digits or letters"


class Basis(StrEnum):
    """The reason of a decision on mirroring."""

    ASKED = "asked"
    NAMES = "names"
    TEST = "test"
    TOO_FEW = "too few images"


@dataclass(frozen=True)
class Mirroring:
    """The decision, with its reason in a sentence and the figures of the test where one was made.

    `harms`: the test shows that mirroring changes a class; `tells`: it would have shown it, had it changed any.
    """

    on: bool
    basis: Basis
    text: str
    images: int = 0
    seeing: float | None = None
    blind: float | None = None
    harms: bool = False
    tells: bool = False
    swaps: tuple[Swap, ...] = ()


def decide_mirroring(
    images: Images, seed: int, *, strength: str | None = None, switches: Mapping[str, Any] = MappingProxyType({})
) -> Mirroring:
    """Decide once for a run. The user's `strength` and `switches` come first; nothing is tested where they rule it out.

    Then comes the test. Names speak against mirroring where it does not; where neither does, images are mirrored, as
    most may be, and that a test of few images may have missed a change is said. Plain numbers are no names: they may
    stand for digits or for anything, so that images are mirrored where the test would have shown a change of any class.
    """
    asked = switches.get("flip")
    if asked is False or (asked is None and strength == "none"):
        return Mirroring(False, Basis.ASKED, "mirroring is off, as asked")
    named = told_by_names(images.classes) if images.mirror else CHARACTERS_NAMED
    numbered = all(map(is_number, images.classes))
    return judge(run_mirror_test(images, seed), named, asked=bool(asked), numbered=numbered)


def judge(test: MirrorTest, named: str | None = None, *, asked: bool = False, numbered: bool = False) -> Mirroring:
    """The decision that a test comes to, what the classes are named like, and whether mirroring is asked for.

    `numbered`: the classes have plain numbers instead of names.
    """
    harms, tells = bool(test.harmed), test.tells
    if asked:
        on, basis = True, Basis.ASKED
        text = (
            f"mirroring is on, as asked, although it changes the class ({_harm(test)})"
            if harms
            else "mirroring is on, as asked"
        )
    elif harms:
        on, basis = False, Basis.TEST
        text = f"mirroring is off: it changes the class ({_harm(test)}; --flip turns it on all the same)"
    elif named:
        on, basis = False, Basis.NAMES
        text = f"mirroring is off: {named} (--flip turns it on)"
    elif numbered and (test.untold or not tells):
        on, basis = False, Basis.TOO_FEW
        text = (
            f"mirroring is off: {test.overall.images:,} training images are too few to tell whether it changes "
            f"{_listed(test.untold) or 'a class'}, and plain numbers may stand for digits (--flip turns it on)"
        )
    elif tells:
        on, basis = True, Basis.TEST
        text = f"mirroring is on: it is not shown to change a class ({_comparison(test.overall)})"
        if test.untold:
            text += f"; too few images to tell for {_listed(test.untold)}"
    else:
        on, basis = True, Basis.TOO_FEW
        text = (
            f"mirroring is on: {test.overall.images:,} training images are too few to tell whether it changes a class, "
            "and no class is named like a letter, a digit or a side (--no-flip turns it off)"
        )
    count = max(test.overall.images, 1)
    seeing, blind = test.overall.seeing / count, test.overall.blind / count
    return Mirroring(on, basis, text, test.overall.images, seeing, blind, harms, tells, test.swaps)


def told_by_names(classes: Sequence[str]) -> str | None:
    """The reason why names tell that mirroring changes a class, or None: letters, digits, left and right.

    >>> told_by_names(["turn left", "turn right", "stop"])
    "the classes 'turn left' and 'turn right' are named by their side"
    """
    words = [re.findall(r"[a-z]+|\d+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()) for name in classes]
    if words and all(_is_character(each) for each in words):
        return CHARACTERS_NAMED
    known = {tuple(each): name for each, name in zip(words, classes, strict=True)}
    for each, name in known.items():
        other = tuple(_OTHER_SIDE.get(word, word) for word in each)
        if other != each and other in known:
            return f"the classes {name!r} and {known[other]!r} are named by their side"
    return None


_SIDES = (
    ("left", "right"),
    ("l", "r"),
    ("clockwise", "anticlockwise"),
    ("clockwise", "counterclockwise"),
    ("cw", "ccw"),
)
_OTHER_SIDE = {word: other for a, b in reversed(_SIDES) for word, other in ((a, b), (b, a))}
_CHARACTERS = {"letter", "letters", "digit", "digits", "char", "character", "glyph", "numeral", "number", "alphabet"}
_KINDS = _CHARACTERS | {"upper", "lower", "uppercase", "lowercase", "capital", "small"}


def _is_character(words: Sequence[str]) -> bool:
    """True for a single letter or a number beside the word for it, as in `letter_b`, `upper-B` or `digit 7`."""
    rest = [word for word in words if word not in _KINDS]
    return len(rest) == 1 and len(words) > 1 and (len(rest[0]) == 1 or rest[0].isdigit())


def _harm(test: MirrorTest) -> str:
    """The figures that speak against mirroring."""
    first: Group = test.harmed[0]
    harmed = {group.name for group in test.harmed}
    swaps = [swap for swap in test.swaps if first.name is None or swap.name in harmed]
    text = _comparison(first)
    if swaps:
        swap = swaps[0]
        text += f"; {swap.share:.0%} of mirrored images of class {swap.name!r} are taken for {swap.taken_for!r}"
    return text


def _comparison(group: Group) -> str:
    count = max(group.images, 1)
    of = "" if group.name is None else f" of class {group.name!r}"
    return (
        f"a small classifier gets {group.seeing / count:.1%} of {group.images:,} training images{of} right out of "
        f"fold, and {group.blind / count:.1%} if it can't tell an image from its mirror image"
    )


def _listed(names: Sequence[str]) -> str:
    return first_few([repr(name) for name in names], LISTED)
