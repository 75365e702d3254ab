"""A CSV file of path and label."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from deepenough.data.image_file import read_file
from deepenough.data.sources.base import SPLIT_NAMES, Source, check_classes, is_text_like, stamp_of, status_stamp
from deepenough.data.sources.names import Names
from deepenough.data.split import UNASSIGNED
from deepenough.errors import DeepenoughError, unknown

_COLUMNS = {
    "path": ("path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path"),
    "label": ("label", "class", "category", "target", "class_name"),
    "split": ("split", "set", "subset", "partition"),
}


class Table(Source):
    """Columns `path` (relative to the CSV, or absolute) and `label`, and if there is one `split`.

    Common other names of the columns are understood; comma, semicolon and tab separate.
    """

    @classmethod
    def is_at(cls, path: Path) -> bool:
        return path.is_file() and path.suffix.lower() in (".csv", ".tsv")

    @classmethod
    def open(cls, given: str) -> Table:
        return cls(Path(given))

    def __init__(self, file: Path) -> None:
        self.root = file.parent
        self.name = file.name
        paths: list[str] = []
        words: list[str] = []
        splits: list[int] = []
        try:
            with file.open(newline="", encoding="utf-8-sig") as text:
                first = text.readline()
                text.seek(0)
                rows = csv.reader(text, delimiter=max(",;\t", key=first.count))
                columns = _columns(file, next(rows, []))
                for number, row in enumerate(rows, 2):
                    if not any(cell.strip() for cell in row):
                        continue
                    if len(row) <= max(columns.values()) or not row[columns["label"]].strip():
                        raise DeepenoughError(f"{file}, line {number}: path and label are expected, got {row}")
                    if "\0" in row[columns["path"]]:
                        raise DeepenoughError(f"{file}, line {number}: a path can't hold a null character")
                    paths.append(row[columns["path"]].strip())
                    words.append(row[columns["label"]].strip())
                    splits.append(_split(file, number, row[columns["split"]]) if "split" in columns else UNASSIGNED)
        except UnicodeDecodeError:
            raise DeepenoughError(f"{file}: the text is not UTF-8; save it as UTF-8") from None
        except csv.Error as error:
            raise DeepenoughError(f"{file}: not a readable CSV file: {error}") from None
        if not paths:
            raise DeepenoughError(f"{file}: no line below the header; each should give the path and label of an image")
        self.names = Names.of(paths)
        classes, labels = np.unique(np.array(words), return_inverse=True)
        if all(name.isdecimal() for name in classes):  # 10 comes after 9
            order = np.argsort([int(name) for name in classes], kind="stable")
            labels = np.argsort(order)[labels]
            classes = classes[order]
        self.classes = tuple(str(name) for name in classes)
        self.labels = labels.astype(np.int64)
        self.splits = np.array(splits, np.int8)
        check_classes(file, self.classes)
        self.mirror = not is_text_like(self.classes)
        stamps = [self._stamp(path) for path in paths]
        if not any(stamps):
            raise DeepenoughError(
                f"{file}: none of its {len(paths):,} paths exists (the first is {paths[0]!r}); "
                f"they are taken relative to {self.root}"
            )
        given = (self.labels.tobytes(), self.splits.tobytes())
        self.stamp = stamp_of(["csv", self.root.resolve(), *self.classes, *given, *paths, *stamps])

    def _stamp(self, path: str) -> str:
        try:
            return status_stamp((self.root / path).stat())
        except OSError:
            return ""

    def read(self, row: int) -> bytes:
        return read_file(self.root / self.names[row])


def _columns(file: Path, header: list[str]) -> dict[str, int]:
    given = [cell.strip().lower() for cell in header]
    found = {}
    for column, names in _COLUMNS.items():
        match = next((name for name in names if name in given), None)
        if match is not None:
            found[column] = given.index(match)
        elif column != "split":
            raise DeepenoughError(
                f"{file}: no column {column!r} in its first line ({', '.join(header) or 'empty'}); "
                "the first line should read: path,label (and split, if the data is split already)"
            )
    return found


def _split(file: Path, number: int, word: str) -> int:
    if not word.strip():
        return UNASSIGNED
    if word.strip().lower() not in SPLIT_NAMES:
        raise unknown(f"{file}, line {number}: split", word, SPLIT_NAMES)
    return SPLIT_NAMES[word.strip().lower()]
