"""Parquet files with an image column, as Hugging Face writes them."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepenough.data.sources.base import (
    WINDOW,
    Source,
    check_classes,
    file_stamp,
    is_text_like,
    present_classes,
    split_of,
    stamp_of,
    visible_folders,
)
from deepenough.data.sources.names import NumberedNames
from deepenough.errors import DeepenoughError

_BATCH = 256
DAMAGED = "its row group is damaged"
_LABELS = ("label", "labels", "fine_label", "class", "target")


class Parquet(Source):
    """One file, or all files of a folder; images are read by batches of rows, in order.

    The image column holds bytes, or a struct with `bytes`; labels are ints with class names in the schema's
    `huggingface` metadata, plain ints, or words. A file's split is in its name: `train-00000-of-00001.parquet`.
    """

    sequential = True

    @classmethod
    def is_at(cls, path: Path) -> bool:
        """A Parquet file, or a folder of some; not class folders that one called `data` with such files is among."""
        if path.is_file():
            return path.suffix.lower() == ".parquet"
        return bool(_files_of(path)) and (any(path.glob("*.parquet")) or len(visible_folders(path)) < 2)

    @classmethod
    def open(cls, given: str) -> Parquet:
        return cls(Path(given))

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        files = [path] if path.is_file() else _files_of(path)
        self.path = path
        self.name = path.resolve().name
        self._files: list[Any] = []
        try:
            self._files = [pq.ParquetFile(file, memory_map=True) for file in files]
        except Exception as error:  # pyarrow's own exceptions, by version
            raise DeepenoughError(f"{files[len(self._files)]}: not a readable Parquet file ({error})") from None
        schema = self._files[0].schema_arrow
        for file, opened in zip(files, self._files, strict=True):
            if opened.schema_arrow.names != schema.names:
                raise DeepenoughError(f"{file}: its columns {opened.schema_arrow.names} are not {schema.names}")
        features = _features(schema)
        self._column = _image_column(files[0], schema, features)
        label = _label_column(files[0], schema, features)
        values = np.concatenate(
            [opened.read(columns=[label]).column(0).to_numpy(zero_copy_only=False) for opened in self._files]
        )
        self.classes, self.labels = _classes(files[0], values, features.get(label, {}).get("names"))
        check_classes(path, self.classes)
        counts = [opened.metadata.num_rows for opened in self._files]
        self.names = NumberedNames([(file.name, count) for file, count in zip(files, counts, strict=True)])
        self.splits = np.repeat(np.array([split_of(file.name) for file in files], np.int8), counts)
        self.mirror = not is_text_like(self.classes)
        self.stamp = stamp_of(["parquet", *map(file_stamp, files), *self.classes])
        groups = [o.metadata.row_group(g).num_rows for o in self._files for g in range(o.metadata.num_row_groups)]
        self._groups = [(f, g) for f, o in enumerate(self._files) for g in range(o.metadata.num_row_groups)]
        self._starts = np.cumsum([0, *groups])
        self.blocks = np.repeat(np.arange(len(groups)), groups)
        self._kept: OrderedDict[int, Any] = OrderedDict()
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
        if group in self._kept:
            self._kept.move_to_end(group)
        else:
            self._kept[group] = _as_far_as_it_goes(self._batches_of(group))
            while len(self._kept) > WINDOW + 1:
                self._kept.popitem(last=False)
        return self._kept[group]

    def _batches_of(self, group: int) -> Iterator[Any]:
        file, number = self._groups[group]
        batches: Iterator[Any] = self._files[file].iter_batches(_BATCH, row_groups=[number], columns=[self._column])
        return batches


def _unreadable() -> tuple[type[Exception], ...]:
    """What reading a damaged page raises; a reader that has raised is at its end."""
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
        raise OSError("the row holds no image bytes")
    return found


def _files_of(folder: Path) -> list[Path]:
    """The Parquet files of a folder, or of its folder `data`, where Hugging Face puts them."""
    return sorted(folder.glob("*.parquet")) or sorted(folder.glob("data/*.parquet"))


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return {name: feature for name, feature in found.items() if isinstance(feature, dict)}


def _image_column(file: Path, schema: Any, features: dict[str, dict[str, Any]]) -> str:
    for name in schema.names:
        if features.get(name, {}).get("_type") == "Image":
            return str(name)
    import pyarrow as pa

    for field in schema:
        kind = field.type
        if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            return str(field.name)
    for field in schema:
        if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type):
            return str(field.name)
    raise DeepenoughError(f"{file}: no image column among {', '.join(schema.names)}; one with bytes is needed")


def _label_column(file: Path, schema: Any, features: dict[str, dict[str, Any]]) -> str:
    named = [name for name in schema.names if features.get(name, {}).get("_type") == "ClassLabel"]
    for name in (*_LABELS, *named):
        if name in schema.names:
            return str(name)
    raise DeepenoughError(f"{file}: no label column among {', '.join(schema.names)}; name it label")


def _classes(file: Path, values: Any, names: list[str] | None) -> tuple[tuple[str, ...], Any]:
    if names:
        labels = values.astype(np.int64)
        if len(labels) and (labels.min() < 0 or labels.max() >= len(names)):
            raise DeepenoughError(
                f"{file}: labels run from {labels.min()} to {labels.max()}, and there are {len(names)} class names; "
                "test splits without labels (-1) cannot be used"
            )
        return present_classes(labels, names)
    if any(value is None or value != value for value in values):
        raise DeepenoughError(f"{file}: some rows have no label")
    classes, labels = np.unique(values, return_inverse=True)
    return tuple(str(value) for value in classes), labels.astype(np.int64)
