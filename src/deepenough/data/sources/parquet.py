"""Parquet files with an image column, as Hugging Face writes them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepenough.data.finding import PassedOver
from deepenough.data.sources.base import WINDOW, Source, file_stamp, stamp_of, too_few_classes
from deepenough.data.sources.columns import columns_of_images, features_of, labels_of_table
from deepenough.data.sources.data_files import DataFile, data_files, is_folder_of
from deepenough.data.sources.labels import MISSING, FileLabels, combine
from deepenough.data.sources.names import ChosenNames, NumberedNames
from deepenough.data.sources.other_columns import Choice
from deepenough.data.sources.splits import SplitColumns
from deepenough.data.split import UNASSIGNED
from deepenough.errors import DeepenoughError, first_line

_ENDING = ".parquet"
DAMAGED = "its row group is damaged"
_BATCH = 256


class Parquet(Source):
    """One file, or all files of a folder; images are read by batches of rows, in order.

    The image column holds bytes, or a struct with `bytes`; labels are ints with class names in the schema's
    `huggingface` metadata, plain ints, or words; files may number the same names differently. A file's split is in the
    name of its folder or in its own, `train-00000-of-00001.parquet`, or in a column, `split` or `is_valid`.
    """

    sequential = True

    @classmethod
    def is_at(cls, path: Path) -> bool:
        return path.suffix.lower() == _ENDING if path.is_file() else is_folder_of(path, _ENDING, among_folders=True)

    @classmethod
    def open(cls, given: str) -> Parquet:
        return cls(Path(given))

    def __init__(self, path: Path) -> None:
        passed = PassedOver()
        files = data_files(path, _ENDING, passed)
        self.path = path
        self.name = path.resolve().name
        self._files = [_opened(file.path) for file in files]
        self._columns, parts, splits = [], [], []
        for file, opened in zip(files, self._files, strict=True):
            column, part, split = _described(file, opened)
            self._columns.append(column)
            parts.append(part)
            splits.append(split)
        self.classes, labels, findings = combine(parts)
        counts = [opened.metadata.num_rows for opened in self._files]
        names = NumberedNames([(file.label, count) for file, count in zip(files, counts, strict=True)])
        self._kept = np.flatnonzero(labels != MISSING)
        for row in np.flatnonzero(labels == MISSING):
            passed.count("unlabelled", names[int(row)], "the row has no label")
        if len(labels) and not len(self._kept):
            raise DeepenoughError(f"{path}: none of its {len(labels):,} rows has a label")
        self.too_few = too_few_classes(path, self.classes)
        self.labels = labels[self._kept]
        self.names = names if len(self._kept) == len(labels) else ChosenNames(names, self._kept)
        self.splits = np.concatenate(splits)[self._kept]
        self.findings = tuple(dict.fromkeys((*passed.findings(), *findings)))
        stamps = [file_stamp(file.path) for file in files]
        self.stamp = stamp_of(["parquet", *stamps, *self.classes, self.splits.tobytes(), *self.findings])
        groups = [o.metadata.row_group(g).num_rows for o in self._files for g in range(o.metadata.num_row_groups)]
        self._groups = [(f, g) for f, o in enumerate(self._files) for g in range(o.metadata.num_row_groups)]
        self._starts = np.cumsum([0, *groups])
        self.blocks = np.repeat(np.arange(len(groups)), groups)[self._kept]
        self._recent: OrderedDict[int, Any] = OrderedDict()
        self._lock = threading.Lock()
        self._group = -1
        self._batches: Any = None
        self._span = (0, 0)
        self._rows: list[Any] = []
        self._whole: dict[int, int] = {}  # of damaged row groups, the first row that can't be read

    def __reduce__(self) -> tuple[type[Parquet], tuple[Path]]:
        return Parquet, (self.path,)  # open files and locks do not travel to other processes

    def read(self, row: int) -> bytes:
        with self._lock:
            row = int(self._kept[row])
            group = int(np.searchsorted(self._starts, row, side="right")) - 1
            if row >= self._whole.get(group, row + 1):
                raise OSError(DAMAGED)
            if group != self._group or row < self._span[0]:
                self._batches = self._batches_of(group)
                self._group, self._span = group, (int(self._starts[group]),) * 2
            while row >= self._span[1]:
                try:
                    self._rows = next(self._batches).column(0).to_pylist()
                except _unreadable():
                    self._whole[group], self._group = self._span[1], -1
                    raise OSError(DAMAGED) from None
                self._span = (self._span[1], self._span[1] + len(self._rows))
            value: Any = self._rows[row - self._span[0]]
        return _bytes_of(value)

    def read_many(self, rows: NDArray[np.int64], pool: ThreadPoolExecutor) -> Iterator[bytes]:
        rows = self._kept[rows]
        with self._lock:
            groups = np.searchsorted(self._starts, rows, side="right") - 1
            columns = {int(group): self._group_of(int(group)) for group in np.unique(groups)}
        for row, group in zip(rows, groups, strict=True):
            column, place = columns[int(group)], int(row - self._starts[group])
            if place >= len(column):
                raise OSError(DAMAGED)
            value = column[place].as_py()
            yield _bytes_of(value)

    def _group_of(self, group: int) -> Any:
        """The images of a row group, from the few that are kept in memory where it is among them."""
        if group in self._recent:
            self._recent.move_to_end(group)
        else:
            self._recent[group] = _as_far_as_it_goes(self._batches_of(group))
            while len(self._recent) > WINDOW + 1:
                self._recent.popitem(last=False)
        return self._recent[group]

    def _batches_of(self, group: int) -> Iterator[Any]:
        file, number = self._groups[group]
        batches: Iterator[Any] = self._files[file].iter_batches(
            _BATCH, row_groups=[number], columns=[self._columns[file]]
        )
        return batches


def _unreadable() -> tuple[type[Exception], ...]:
    """The exceptions that reading a damaged page raises; a reader that has raised is at its end."""
    import pyarrow as pa

    return (StopIteration, pa.ArrowException, OSError)


def _as_far_as_it_goes(batches: Iterator[Any]) -> Any:
    """The images of a row group, up to the first batch that is damaged."""
    import pyarrow as pa

    found: list[Any] = []
    with suppress(*_unreadable()):
        found.extend(batch.column(0) for batch in batches)
    return pa.chunked_array(found) if found else found


def _bytes_of(value: Any) -> bytes:
    found = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(found, bytes):
        path = isinstance(value, dict) and value.get("path")
        raise OSError("the row holds a path and no image bytes" if path else "the row holds no image bytes")
    return found


def _opened(file: Path) -> Any:
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(file, memory_map=True)
    except Exception as error:  # pyarrow's own exceptions, by version
        raise DeepenoughError(f"{file}: not a readable Parquet file ({first_line(error)})") from None


def _described(file: DataFile, opened: Any) -> tuple[str, FileLabels, NDArray[np.int8]]:
    """The image column of a file, its labels, and the split of each row, int8 (rows,)."""
    schema, name = opened.schema_arrow, str(file.path)
    features = features_of(schema)
    images = columns_of_images(name, schema, features)
    column = str(schema.names[images.places[0]])
    if _has_only_paths(opened, column):
        raise DeepenoughError(
            f"{name}: its column {column!r} holds the paths of images and not their bytes; write the files' bytes into "
            "it, or give a CSV with the columns path and label"
        )
    told = SplitColumns.among(schema.names)
    splits = np.full(opened.metadata.num_rows, file.split, np.int8)
    try:
        part = labels_of_table(name, schema, features, lambda column: opened.read(columns=[column]))
        cells = [opened.read(columns=[schema.names[place]]).column(0).to_pylist() for place in told.places]
    except _unreadable() as error:
        raise DeepenoughError(f"{name}: its labels can't be read ({first_line(error)}); fetch the file again") from None
    for number, values in enumerate(zip(*cells, strict=True)):
        row: dict[int, object] = dict(zip(told.places, values, strict=True))
        split = told.split(row, f"{name}, row {number + 1}")
        splits[number] = file.split if split == UNASSIGNED else split
    also = (*images.findings(), *Choice.among(schema.names, "the split", ("split",)).findings())
    return column, replace(part, findings=(*part.findings, *also)), splits


def _has_only_paths(opened: Any, column: str) -> bool:
    """True where every image of the first rows has a path and no bytes."""
    with suppress(*_unreadable()):
        first = next(opened.iter_batches(_BATCH, columns=[column])).column(0).to_pylist()
        given = [value for value in first if isinstance(value, dict)]
        return any(value.get("path") for value in given) and not any(value.get("bytes") for value in given)
    return False
