"""Images at paths that a table lists."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from deepenough.data.finding import Finding, PassedOver
from deepenough.data.image_file import read_file
from deepenough.data.links import kind_of
from deepenough.data.sources.base import Source, stamp_of, too_few_classes
from deepenough.data.sources.labels import MISSING, FileLabels, combine
from deepenough.data.sources.names import Names
from deepenough.data.sources.other_columns import Choice
from deepenough.data.walk import below, files_below, files_in, status_stamp
from deepenough.errors import DeepenoughError
from deepenough.files import printable

_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")


@dataclass
class ListedRows:
    """The rows of one table: paths, labels of any type, and splits.

    `choice`: the columns that could be labels; `others`: the cells of those that are not taken, by place; `findings`:
    on other columns.
    """

    table: str
    paths: list[str] = field(default_factory=list)
    labels: list[object] = field(default_factory=list)
    splits: list[int] = field(default_factory=list)
    choice: Choice = field(default_factory=lambda: Choice((), "the label", ()))
    others: dict[int, list[object]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def coded(self) -> FileLabels:
        """The labels, with findings on other columns; an error where one that could be labels disagrees with them."""
        if self.choice.taken is None:
            return FileLabels.of(self.table, self.labels)
        part = self.choice.labels(self.table, lambda at: FileLabels.of(self.table, self.others.get(at, self.labels)))
        return replace(part, findings=(*part.findings, *self.findings))


class Listed(Source):
    """The base of sources that list paths, relative to `root` or absolute."""

    root: Path

    def read(self, row: int) -> bytes:
        return read_file(self.root / self.names[row])

    def _take(self, kind: str, where: Path, tables: Sequence[ListedRows], passed: PassedOver) -> None:
        """Set everything but name and root from what the tables at `where` list."""
        classes, labels, findings = combine([rows.coded() for rows in tables])
        given = [path for rows in tables for path in rows.paths]
        splits = [split for rows in tables for split in rows.splits]
        paths, stamps, kept = [], [], []
        for row, (path, label) in enumerate(zip(given, labels.tolist(), strict=True)):
            if label == MISSING:
                passed.count("unlabelled", path, "it has no label")
                continue
            found, status = self._find(path)
            if status is not None and not stat.S_ISREG(status.st_mode):
                passed.add("not-a-file", path, f"it is {kind_of(status)}, which is not opened")
                continue
            paths.append(found)
            stamps.append("" if status is None else status_stamp(status))
            kept.append(row)
        if len(given) and (labels == MISSING).all():
            raise DeepenoughError(f"{where}: none of its {len(given):,} rows has a label")
        self.too_few = too_few_classes(where, classes)
        if not any(stamps):
            raise self._nothing_there(where, paths or given)
        self.classes = classes
        self.labels = labels[kept]
        self.splits = np.array(splits, np.int8)[kept]
        self.names = Names.of(paths)
        self.findings = tuple(dict.fromkeys((*passed.findings(), *findings)))
        told = (self.labels.tobytes(), self.splits.tobytes(), *self.findings)
        self.stamp = stamp_of([kind, self.root.resolve(), *classes, *told, *paths, *stamps])

    def _find(self, path: str) -> tuple[str, os.stat_result | None]:
        """The path as it is here, where a backslash separates nothing, and its status; None if it is nowhere."""
        for tried in dict.fromkeys((path, path.replace("\\", "/"))):
            try:
                return tried, (self.root / tried).stat()
            except (OSError, ValueError):
                continue
        return path, None

    def _nothing_there(self, where: Path, paths: list[str]) -> DeepenoughError:
        first = paths[0]
        hint = f"they are taken relative to {self.root}"
        if _WINDOWS.match(first):
            hint = f"they are those of a Windows machine; write them relative to {self.root}"
        elif "\\" in first:
            hint += ", and with their backslashes taken for slashes too"
        elif near := self._of_that_name(first):
            hint += f"; there is {near}: the paths need the folder and the ending of each file"
        return DeepenoughError(f"{where}: none of its {len(paths):,} paths exists (the first is {first!r}); {hint}")

    def _of_that_name(self, path: str) -> str | None:
        """A file below the root of the same name, with or without its ending."""
        wanted = {Path(path).name, Path(path).stem}
        for folder, files in files_below(self.root, "", PassedOver()):
            for name, _ in files:
                if name in wanted or Path(name).stem in wanted:
                    return printable(below(folder, name))
        return None


def count_unlisted(root: Path, table: Path, listed: Iterable[str], passed: PassedOver) -> None:
    """Count the files that lie in the folders of the listed ones, which paths relative to `root` name, and are not
    listed, other than the table itself."""
    named: dict[str, set[str]] = {}
    odd = set()  # names with backslashes, which most often separate folders
    for path in listed:
        folder, _, name = path.replace("\\", "/").rpartition("/")
        named.setdefault(folder or path[: path.startswith("/")], set()).add(name)
        if "\\" in path:
            odd.add(path.rpartition("/")[2])
    places: dict[str, tuple[str, set[str]]] = {}  # by what they really are: a/../b is b
    for folder, names in named.items():
        places.setdefault(os.path.realpath(root / folder), (folder, set()))[1].update(names)
    own = os.path.realpath(table)
    for place, (folder, names) in places.items():
        there = files_in(place, "")
        # Disks that do not tell upper and lower case, or two forms of Unicode, apart find a file by another spelling.
        spelt_otherwise = {_folded(name) for name in names.difference(there)}
        for name in there:
            if name in names or name in odd or below(place, name) == own:
                continue
            if _folded(name) not in spelt_otherwise:
                passed.count("ignored", below(folder, name), f"no line of {table.name} lists it")


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
