"""Names of splits: `train`, `Training_Set`, `val2017`, `test-images`, `t10k` and their like."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deepenough.data.split import TEST, TRAIN, UNASSIGNED, VALIDATION
from deepenough.errors import DeepenoughError, unknown

SPLIT_WORDS = {
    "train": TRAIN,
    "training": TRAIN,
    "trn": TRAIN,
    "trainval": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validate": VALIDATION,
    "validation": VALIDATION,
    "dev": VALIDATION,
    "devel": VALIDATION,
    "development": VALIDATION,
    "eval": VALIDATION,
    "evaluation": VALIDATION,
    "tuning": VALIDATION,
    "test": TEST,
    "testing": TEST,
    "tst": TEST,
    "holdout": TEST,
    "heldout": TEST,
}
"""The words for splits, in lower case."""

USUAL = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")
"""Those that a misspelt word is compared with."""

_FILLERS = (
    "(?:data|dataset|datasets|set|sets|split|splits|subset|part|partition|fold|folder|dir|image|images|img|imgs|pic|pics|"
    "picture|pictures|photo|photos|sample|samples|example|examples|file|files|class|classes|raw|all|the|my|for|of)"
)
_NAME = re.compile(rf"{_FILLERS}*?({'|'.join(sorted(SPLIT_WORDS, key=len, reverse=True))}){_FILLERS}*")


def split_named(folder: str) -> int | None:
    """The split that a name stands for; None where it stands for none.

    A word for a split, in any case and spelling, with nothing beside it but numbers, punctuation and words such as
    `set`, `data` and `images`.

    >>> [split_named(name) for name in ("Training_Set", "val2017", "test-images", "t10k", "testimony", "test tube")]
    [0, 1, 2, 2, None, None]
    """
    letters = re.sub(r"[\W\d_]+", "", folder.lower())
    if letters == "tk" and "t10k" in folder.lower():  # MNIST's ten thousand test images
        return TEST
    match = _NAME.fullmatch(letters)
    return None if match is None else SPLIT_WORDS[match[1]]


def splits_among(folders: Iterable[str]) -> dict[str, int]:
    """The splits among folders that lie side by side, by their names.

    Beside names that say nothing else, those of a common name with a word for a split before or behind it, where there
    are at least two: `seg_train` and `seg_test`.
    """
    names = list(folders)
    found = {name: split for name in names if (split := split_named(name)) is not None}
    common: dict[tuple[str, ...], dict[str, int]] = {}
    for name in names:
        words = re.findall(r"[^\W\d_]+", name.lower())
        for place in {0, len(words) - 1} if len(words) > 1 and name not in found else ():
            if words[place] in SPLIT_WORDS:
                rest = (*words[:place], "", *words[place + 1 :])
                common.setdefault(rest, {})[name] = SPLIT_WORDS[words[place]]
    for group in common.values():
        if len(set(group.values())) > 1:
            found |= group
    return found


def split_of_file(name: str) -> int:
    """The split that a word of a file's name tells, as in `train-00000-of-00001.parquet`."""
    words = re.split(r"[-_.\s]+", name.lower())
    return next((split for word in words if (split := split_named(word)) is not None), UNASSIGNED)


_FLAG = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), False),
}
_EMPTY = ("", "nan", "none", "null")


@dataclass(frozen=True)
class SplitColumns:
    """The columns of a table that tell splits: one of words, and flags such as fastai's `is_valid`."""

    word: int | None
    flags: tuple[tuple[int, int], ...]

    @classmethod
    def among(cls, header: Sequence[str], words: Sequence[str] = ("split",)) -> SplitColumns:
        """Those of a table with this header; `words` are the names of a column of words."""
        names = [name.strip().strip("\ufeff").lower() for name in header]
        word = next((names.index(name) for name in words if name in names), None)
        flags = [
            (place, split)
            for place, name in enumerate(names)
            if name.startswith("is_") and (split := split_named(name.removeprefix("is_"))) is not None
        ]
        return cls(word, tuple(flags))

    @property
    def places(self) -> tuple[int, ...]:
        """The places of these columns in the header."""
        return (*(() if self.word is None else (self.word,)), *(place for place, _ in self.flags))

    def split(self, row: Sequence[object] | Mapping[int, object], where: str) -> int:
        """The split of a row of cells; UNASSIGNED where they are empty. An unknown word is an error at `where`."""
        if self.word is not None and (word := _cell(row[self.word])).lower() not in _EMPTY:
            found = split_named(word)
            if found is None:
                raise unknown(f"{where}: split", word, USUAL)
            return found
        answer = UNASSIGNED
        for place, split in self.flags:
            cell = _cell(row[place]).lower()
            if cell in _EMPTY:
                continue
            if cell not in _FLAG:
                raise DeepenoughError(f"{where}: {cell!r} says neither yes nor no; write true or false")
            if _FLAG[cell]:
                return split
            answer = TEST if split == TRAIN else TRAIN
        return answer


def _cell(value: object) -> str:
    return "" if value is None else str(value).strip().strip("\ufeff")
