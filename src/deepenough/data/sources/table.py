"""A CSV file of path and label."""

from __future__ import annotations

import csv
from pathlib import Path

from deepenough.data.finding import PassedOver
from deepenough.data.sources.headings import LABEL_HEADINGS, PATH_HEADINGS, SPLIT_HEADINGS, column
from deepenough.data.sources.listed import Listed, ListedRows, count_unlisted
from deepenough.data.sources.splits import SplitColumns
from deepenough.errors import DeepenoughError


class Table(Listed):
    """Columns `path` (relative to the CSV, or absolute) and `label`, and if there is one `split` or `is_valid`.

    Common other names of the columns are understood; comma, semicolon and tab separate. Files that lie among the listed
    ones and are not listed are passed over.
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
        rows, passed = read_table(file), PassedOver()
        count_unlisted(self.root, file, rows.paths, passed)
        self._take("csv", file, [rows], passed)


def read_table(file: Path, paths: tuple[str, ...] = PATH_HEADINGS, labelled: bool = True) -> ListedRows:
    """The rows of a CSV whose paths are in one of the columns `paths`; only if not `labelled` it may lack labels."""
    rows = ListedRows(str(file))
    try:
        with file.open(newline="", encoding="utf-8-sig") as text:
            first = text.readline()
            text.seek(0)
            lines = csv.reader(text, delimiter=max(",;\t", key=first.count))
            header = next(lines, [])
            path = _column(file, header, "path", paths)
            label = _column(file, header, "label", LABEL_HEADINGS) if labelled else column(header, LABEL_HEADINGS)
            splits = SplitColumns.among(header, SPLIT_HEADINGS)
            most = max(path, path if label is None else label, *splits.places)
            for number, row in enumerate(lines, 2):
                if not any(cell.strip() for cell in row):
                    continue
                if len(row) <= most or not row[path].strip():
                    raise DeepenoughError(f"{file}, line {number}: path and label are expected, got {row!r:.200}")
                if "\0" in row[path]:
                    raise DeepenoughError(f"{file}, line {number}: a path can't hold a null character")
                rows.paths.append(row[path].strip())
                rows.labels.append(None if label is None else row[label])
                rows.splits.append(splits.split(row, f"{file}, line {number}"))
    except UnicodeDecodeError:
        raise DeepenoughError(f"{file}: the text is not UTF-8; save it as UTF-8") from None
    except csv.Error as error:
        raise DeepenoughError(f"{file}: not a readable CSV file: {error}") from None
    if not rows.paths:
        raise DeepenoughError(f"{file}: no line below the header; each should give the path and label of an image")
    return rows


def _column(file: Path, header: list[str], name: str, wanted: tuple[str, ...]) -> int:
    """The place of a column that has to be there."""
    place = column(header, wanted)
    if place is None:
        raise DeepenoughError(
            f"{file}: no column {name!r} in its first line ({', '.join(header)[:200] or 'empty'}); "
            "the first line should read: path,label (and split, if the data is split already)"
        )
    return place
