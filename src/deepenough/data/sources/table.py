"""A CSV file of path and label."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from deepenough.data.finding import PassedOver
from deepenough.data.sources.headings import LABEL_HEADINGS, PATH_HEADINGS, SPLIT_HEADINGS
from deepenough.data.sources.listed import Listed, ListedRows, count_unlisted
from deepenough.data.sources.other_columns import Choice
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
            _take_rows(rows, _Columns.of(file, next(lines, []), paths, labelled), lines)
    except UnicodeDecodeError:
        raise DeepenoughError(f"{file}: the text is not UTF-8; save it as UTF-8") from None
    except csv.Error as error:
        raise DeepenoughError(f"{file}: not a readable CSV file: {error}") from None
    if not rows.paths:
        raise DeepenoughError(f"{file}: no line below the header; each should give the path and label of an image")
    return rows


@dataclass(frozen=True)
class _Columns:
    """The columns of a CSV: of paths, labels and splits, each with others that could be it as well."""

    paths: Choice
    labels: Choice
    split: Choice
    splits: SplitColumns

    @classmethod
    def of(cls, file: Path, header: list[str], paths: tuple[str, ...], labelled: bool) -> _Columns:
        """Those of a header. A missing column of paths is an error; one of labels, if it has to be there."""
        found = cls(
            Choice.among(header, "the path of the image", paths),
            Choice.among(header, "the label", LABEL_HEADINGS),
            Choice.among(header, "the split", SPLIT_HEADINGS),
            SplitColumns.among(header, SPLIT_HEADINGS),
        )
        for name, choice in (("path", found.paths), ("label", found.labels)):
            if choice.taken is None and (labelled or name == "path"):
                raise DeepenoughError(
                    f"{file}: no column {name!r} in its first line ({', '.join(header)[:200] or 'empty'}); "
                    "the first line should read: path,label (and split, if the data is split already)"
                )
        return found


def _take_rows(rows: ListedRows, columns: _Columns, lines: Iterable[list[str]]) -> None:
    """Add the lines below the header to the rows."""
    path, label = columns.paths.places[0], columns.labels.taken
    rows.choice, rows.others = columns.labels, {place: [] for place in columns.labels.others}
    rows.findings = columns.paths.findings() + columns.split.findings()
    most = max(path, path if label is None else label, *columns.splits.places)
    for number, row in enumerate(lines, 2):
        if not any(cell.strip() for cell in row):
            continue
        where = f"{rows.table}, line {number}"
        if len(row) <= most or not row[path].strip():
            raise DeepenoughError(f"{where}: path and label are expected, got {row!r:.200}")
        if "\0" in row[path]:
            raise DeepenoughError(f"{where}: a path can't hold a null character")
        columns.paths.check_cells(where, row)
        columns.split.check_cells(where, row)
        rows.paths.append(row[path].strip())
        rows.labels.append(None if label is None else row[label])
        rows.splits.append(columns.splits.split(row, where))
        for place, cells in rows.others.items():
            cells.append(row[place] if place < len(row) else None)
