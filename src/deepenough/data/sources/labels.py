"""Labels: one meaning, in whichever file and type they come."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepenough.data.finding import Finding
from deepenough.errors import DeepenoughError

MISSING = -1
"""The code of an image without a label."""

LONGEST_LABEL = 500
"""Characters of a label; what is longer is a caption, or no text at all."""

_INVISIBLE = "\ufeff\u200b\u200e\u200f\u2060"
_WHOLE = re.compile(r"(-?)(0|[1-9][0-9]*)\.0*")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_ITEM = r"""(?:'([^']*)'|"([^"]*)"|(-?[0-9]+(?:\.[0-9]*)?))"""
_LIST = re.compile(rf"\[\s*{_ITEM}\s*,?\s*\]")
_LONGER = re.compile(rf"\[\s*{_ITEM}(?:\s*,\s*{_ITEM})+\s*,?\s*\]")
_EXAMPLES = 3


class SeveralLabelsError(DeepenoughError):
    """An image with more than one label."""


def text_of(value: object) -> str | None:
    """A label as the name of a class; None for what stands for no label.

    Equal numbers are written alike, 1, 1.0 and "1" as `1`; byte-order marks and spaces around it go; one form of
    Unicode (composed); a list of one label is that label. None, NaN, pandas' NA and what is empty are no label. Raises
    `SeveralLabelsError` for a list of several.
    """
    if isinstance(value, (bytes, bytearray)):
        value = bytes(value).decode("utf-8", "backslashreplace")  # which keeps different labels apart
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple, set, np.ndarray)):
        items = list(value)
        if len(items) > 1:
            raise SeveralLabelsError(", ".join(str(item) for item in items[:_EXAMPLES]))
        return text_of(items[0]) if items else None
    if value is None or isinstance(value, dict) or type(value).__name__ == "NAType" or value != value:
        return None
    if isinstance(value, (float, np.floating)) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return _text(str(value))


def label_text(value: object, where: str) -> str | None:
    """The name of a class as `text_of` gives it; several labels and a whole caption are errors at `where`."""
    try:
        text = text_of(value)
    except SeveralLabelsError as error:
        raise several(where, error) from None
    if text is not None and len(text) > LONGEST_LABEL:
        raise DeepenoughError(
            f"{where}: its label has {len(text):,} characters ({text:.40}...); the name of a class, of at most "
            f"{LONGEST_LABEL}, is expected"
        )
    return text


def _text(text: str) -> str | None:
    bare = text.strip().strip(_INVISIBLE).strip()
    if not bare.isascii():
        bare = unicodedata.normalize("NFC", bare.encode("utf-8", "backslashreplace").decode())
    if bare[:1] == "[":
        if _LONGER.fullmatch(bare):
            raise SeveralLabelsError(bare.strip("[] "))
        if match := _LIST.fullmatch(bare):
            return _text(next(item for item in match.groups() if item is not None))
    if match := _WHOLE.fullmatch(bare):
        bare = match[1] + match[2]
    if bare == "-0":
        bare = "0"
    return None if bare in ("", "nan", "NaN") else bare


def is_number(name: str) -> bool:
    """True for a whole number of up to 18 digits as `text_of` writes it; 007 and 1e5 are words."""
    return _NUMBER.fullmatch(name) is not None


@dataclass(frozen=True)
class FileLabels:
    """The labels of one file: `codes` int64 (n,), rows into `names` or `MISSING`.

    `listed`: `names` are a list of class names that the file brings, in its own order, of which some may not occur.
    """

    file: str
    names: tuple[str, ...]
    codes: NDArray[np.int64]
    listed: bool = False
    findings: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, file: str, values: Iterable[object], where: str = "row") -> FileLabels:
        """The part with these labels. A list of several in one place is an error that says which."""
        known: dict[object, int] = {}  # codes by what was given, which is quicker than by its text
        rows: dict[str, int] = {}
        spelt: dict[str, str] = {}
        codes, findings = [], []
        for number, value in enumerate(values, 1):
            try:
                key = value if isinstance(value, str) else (type(value), repr(value))
                code = known.get(key)
                text = label_text(value, f"{file}, {where} {number}") if code is None else None
            except RecursionError:
                raise DeepenoughError(
                    f"{file}, {where} {number}: its label is a list within lists too deep to be read; write the name "
                    "of a class, or its number"
                ) from None
            if code is None:
                code = known[key] = MISSING if text is None else rows.setdefault(text, len(rows))
                if text is not None:
                    findings += _respelt(text, str(value).strip().strip(_INVISIBLE), spelt)
            codes.append(code)
        return cls(file, tuple(rows), np.array(codes, np.int64), findings=tuple(findings))


def _respelt(text: str, spelling: str, spelt: dict[str, str]) -> list[Finding]:
    """A finding where a class is written in another way than before, as 1.0 and 1 or in two forms of Unicode."""
    first = spelt.setdefault(text, spelling)
    if first == spelling:
        return []
    if first.isascii() and spelling.isascii():
        return [Finding("same-class", text, f"written {first} and {spelling}", "taken as one class")]
    detail = f"written in two forms of Unicode, {first!a} and {spelling!a}"
    return [Finding("same-class", text, detail, "taken as one class")]


def several(where: str, error: SeveralLabelsError) -> DeepenoughError:
    """The refusal of an image with several labels."""
    return DeepenoughError(
        f"{where}: it has several labels ({error}); each image needs exactly one, as several labels an image "
        "(multi-label classification) can't be learnt; keep one label a row"
    )


def combine(parts: Sequence[FileLabels]) -> tuple[tuple[str, ...], NDArray[np.int64], tuple[Finding, ...]]:
    """The classes of all parts, mapped by name, the labels int64 (n,) as rows into them or `MISSING`, and findings.

    Classes stand in the order of the lists that files bring, else numbers by size and words by spelling. Classes that
    do not occur are left out. Raises an error where one file has numbers only and another words only.
    """
    used = [_used(part) for part in parts]
    _check_kinds(parts, used)
    lists = [part.names for part in parts if part.listed]
    _check_lists(parts, lists)
    order = {name: place for place, name in enumerate(dict.fromkeys(name for names in lists for name in names))}
    present = {name for names in used for name in names}
    others = sorted(present - order.keys(), key=sorting_key(present - order.keys()))
    classes = tuple(name for name in (*order, *others) if name in present)
    row = {name: place for place, name in enumerate(classes)}
    labels = [np.array([row.get(name, MISSING) for name in (*part.names, "")], np.int64)[part.codes] for part in parts]
    findings = [finding for part in parts for finding in part.findings]
    return classes, np.concatenate([np.empty(0, np.int64), *labels]), (*findings, *alike(classes), *mixed(classes))


def sorting_key(names: Iterable[str]) -> Callable[[str], Any]:
    """The key that puts names in order: by size where all are numbers (10 comes after 9), else by spelling."""
    return int if all(map(is_number, names)) else str


def _used(part: FileLabels) -> list[str]:
    counts = np.bincount(part.codes[part.codes != MISSING], minlength=len(part.names))
    return [name for name, count in zip(part.names, counts, strict=True) if count]


def _check_kinds(parts: Sequence[FileLabels], used: Sequence[Sequence[str]]) -> None:
    """Refuse numbers in one file and words in another: nothing tells which number is which word."""
    numbered = [(p.file, names) for p, names in zip(parts, used, strict=True) if names and all(map(is_number, names))]
    worded = [(p.file, names) for p, names in zip(parts, used, strict=True) if names and not any(map(is_number, names))]
    if numbered and worded:
        raise DeepenoughError(
            f"the labels in {numbered[0][0]} are numbers ({_some(numbered[0][1])}) and those in {worded[0][0]} words "
            f"({_some(worded[0][1])}), and nothing says which number is which word; write the same labels in both"
        )


def _check_lists(parts: Sequence[FileLabels], lists: Sequence[tuple[str, ...]]) -> None:
    """Refuse lists of class names that differ and hold a name twice, which only its place tells apart."""
    if len(set(lists)) > 1:
        for part in parts:
            twice = next((n for n in part.names if re.sub(r" \(\d+\)$", "", n) in set(part.names) - {n}), None)
            if part.listed and twice:
                raise DeepenoughError(
                    f"{part.file}: two classes have the name {twice!r}, and the files' lists of class names differ; "
                    "give each class a name of its own"
                )


def alike(classes: Sequence[str]) -> list[Finding]:
    """Findings on classes whose names differ in upper and lower case or spaces only."""
    found = []
    first: dict[str, str] = {}
    for name in classes:
        other = first.setdefault(unicodedata.normalize("NFKC", name).casefold().strip(), name)
        if other != name:
            detail = f"its name differs from that of the class {other!r} in upper and lower case or in spaces only"
            found.append(Finding("similar-classes", name, detail, "kept as two classes"))
    return found


def mixed(classes: Sequence[str]) -> list[Finding]:
    """A finding on classes of which some are numbers and some words."""
    counted = [name for name in classes if is_number(name)]
    words = [name for name in classes if not is_number(name)]
    if not counted or not words:
        return []
    detail = f"some labels are numbers ({_some(counted)}) and some words ({_some(words)})"
    return [Finding("mixed-labels", "classes", detail, "each kept as a class of its own")]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_EXAMPLES]) + (", ..." if len(names) > _EXAMPLES else "")
