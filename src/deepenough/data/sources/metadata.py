"""Hugging Face's imagefolder: images, and beside them a `metadata.csv`, `.jsonl` or `.parquet` with their labels."""

from __future__ import annotations

import csv
import json
import os
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deepenough.data.finding import PassedOver
from deepenough.data.sources.columns import features_of, read_labels
from deepenough.data.sources.headings import LABEL_HEADINGS, SPLIT_HEADINGS, column
from deepenough.data.sources.listed import Listed, ListedRows
from deepenough.data.sources.other_columns import Choice
from deepenough.data.sources.splits import SplitColumns, split_named, splits_among
from deepenough.data.sources.table import read_table
from deepenough.data.split import UNASSIGNED
from deepenough.data.walk import below, files_below, files_in, subfolders
from deepenough.errors import DeepenoughError, first_line

FILE_NAME_HEADINGS = ("file_name", "image_file_name")
"""The names of the column with the paths of images, relative to the table."""

TABLES = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


class Metadata(Listed):
    """A folder with such a table, or with split folders that each have one.

    The label is a column `label` (or `class`, `category`, `target`). The split is that of the folder, of a column
    `split`, or of the folder that a path begins with. Images that no table lists are passed over.
    """

    @classmethod
    def is_at(cls, path: Path) -> bool:
        return path.is_dir() and any(_is_ours(path, folder, table) for folder, table, _ in _tables(path))

    @classmethod
    def open(cls, given: str) -> Metadata:
        return cls(Path(given))

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = root.resolve().name
        passed = PassedOver()
        tables = []
        for folder, file, split in _tables(root):
            rows = _read(root / folder / file)
            rows.splits = [_split(told, split, path) for told, path in zip(rows.splits, rows.paths, strict=True)]
            rows.paths = [posixpath.normpath(posixpath.join(folder, _slashes(path))) for path in rows.paths]
            tables.append(rows)
        if all(label is None for rows in tables for label in rows.labels):
            first = tables[0].table
            columns = ", ".join(_header(Path(first)) or ["nothing"])
            raise DeepenoughError(f"{first}: no label column among {columns}; name it label")
        listed = {path for rows in tables for path in rows.paths}
        read = {Path(rows.table) for rows in tables}
        for folder, files in files_below(root, "", passed):
            for file, _ in files:
                place = below(folder, file)
                if place not in listed and Path(root, place) not in read:
                    why = "another metadata table was read" if file in TABLES else "no metadata table lists it"
                    passed.count("ignored", place, why)
        self._take("metadata", root, tables, passed)


def _slashes(path: str) -> str:
    return path.replace("\\", "/")


def _split(told: int, folder: int, path: str) -> int:
    """The split that the row tells, or else the folder of the table, or else the first folder of the path."""
    if told != UNASSIGNED or folder != UNASSIGNED:
        return folder if told == UNASSIGNED else told
    first, slash, _ = _slashes(path).removeprefix("./").partition("/")
    named = split_named(first) if slash else None
    return UNASSIGNED if named is None else named


def _tables(root: Path) -> list[tuple[str, str, int]]:
    """Folder below the root, name and split of each table."""
    splits = splits_among(subfolders(root, "", PassedOver()))
    found = []
    for folder, split in [("", UNASSIGNED), *splits.items()]:
        files = files_in(root, folder)
        found += [(folder, table, split) for table in TABLES if table in files][:1]
    return found


def _is_ours(root: Path, folder: str, table: str) -> bool:
    """True for a table of file names with labels, and for one without or a damaged one where no class folders are."""
    names = _header(root / folder / table)
    if names is not None and column(names, FILE_NAME_HEADINGS) is None:
        return False
    if names is not None and column(names, LABEL_HEADINGS) is not None:
        return True
    below_it = subfolders(root, folder, PassedOver())
    splits = splits_among(below_it)
    return len(splits) == len(below_it) and not any(
        subfolders(root, below(folder, split), PassedOver()) for split in splits
    )


def _header(file: Path) -> list[str] | None:
    """The names of a table's columns; None where they can't be read."""
    try:
        if file.suffix == ".parquet":
            import pyarrow.parquet as pq

            return list(pq.read_schema(file).names)
        with file.open(encoding="utf-8-sig", newline="") as text:
            if file.suffix == ".jsonl":
                first = json.loads(text.readline())
                return list(first) if isinstance(first, dict) else None
            line = text.readline()
            return next(csv.reader([line], delimiter=max(",;\t", key=line.count)), [])
    except Exception:  # a damaged table: whoever reads all of it says so
        return None


def _read(file: Path) -> ListedRows:
    if file.suffix == ".csv":
        return read_table(file, FILE_NAME_HEADINGS, labelled=False)
    rows = ListedRows(str(file))
    for number, entry in enumerate(_parquet(file) if file.suffix == ".parquet" else _lines(file), 1):
        names = list(entry)
        if number == 1:
            rows.choice = Choice.among(names, "the label", LABEL_HEADINGS)
            rows.others = {place: [] for place in rows.choice.others}
            rows.findings = Choice.among(names, "the path of the image", FILE_NAME_HEADINGS).findings()
            rows.findings += Choice.among(names, "the split", SPLIT_HEADINGS).findings()
        path, label = column(names, FILE_NAME_HEADINGS), column(names, LABEL_HEADINGS)
        where = f"{file}, row {number}"
        if path is None or not isinstance(entry[names[path]], str):
            raise DeepenoughError(f"{where}: no {FILE_NAME_HEADINGS[0]} among {', '.join(names) or 'nothing'}")
        rows.paths.append(_checked(entry[names[path]], where))
        rows.labels.append(None if label is None else entry[names[label]])
        rows.splits.append(SplitColumns.among(names, SPLIT_HEADINGS).split(list(entry.values()), where))
        for place, cells in rows.others.items():
            cells.append(entry.get(str(rows.choice.header[place])))
    if not rows.paths:
        raise DeepenoughError(f"{file}: it lists no image")
    return rows


def _checked(path: str, where: str) -> str:
    try:
        if b"\0" not in os.fsencode(path):
            return path
    except UnicodeEncodeError:
        pass
    raise DeepenoughError(f"{where}: {path!a} can't be the name of a file")


def _lines(file: Path) -> Iterator[dict[str, Any]]:
    with file.open("rb") as text:
        for number, line in enumerate(text, 1):
            if not line.strip():
                continue
            try:
                entry = json.loads(line.removeprefix(b"\xef\xbb\xbf"))
            except (ValueError, RecursionError) as error:
                raise DeepenoughError(f"{file}, line {number}: no readable JSON ({first_line(error)})") from None
            if not isinstance(entry, dict):
                raise DeepenoughError(f"{file}, line {number}: a JSON object is expected on each line")
            yield {str(name): value for name, value in entry.items()}


def _parquet(file: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise DeepenoughError(f"{file}: not a readable Parquet file ({first_line(error)})") from None
    place = column(table.column_names, LABEL_HEADINGS)
    if place is not None:  # numbers become the names that the file brings for them
        name = table.column_names[place]
        part = read_labels(str(file), table.column(place), features_of(table.schema).get(name, {}))
        words = [part.names[code] if code >= 0 else None for code in part.codes.tolist()]
        table = table.set_column(place, name, pa.array(words, pa.string()))
    yield from table.to_pylist()
