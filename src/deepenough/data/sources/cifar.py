"""CIFAR-10 and CIFAR-100, in the binary version and in the one for Python, whose pickles run nothing here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepenough.data.sources.array_files import ArrayFiles, ArrayPart, damaged
from deepenough.data.split import TEST, TRAIN
from deepenough.errors import DeepenoughError
from deepenough.pickled_arrays import array_of, load_pickled_arrays

SIDE = 32
_VALUES = 3 * SIDE * SIDE
_EXPECTED = "CIFAR's batches, dicts of one array and lists, as they are published"


@dataclass(frozen=True)
class _Version:
    """The files of a version; `labels` is the key of the labels where they are pickles, and `label_bytes` how many
    bytes of a row come before the pixels where they are not."""

    train: tuple[str, ...]
    test: str
    meta: str
    names: str = ""
    labels: str = ""
    label_bytes: int = 0

    @property
    def files(self) -> tuple[str, ...]:
        return (*self.train, self.test, self.meta)


VERSIONS = (
    _Version(tuple(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin", "batches.meta.txt", label_bytes=1),
    _Version(("train.bin",), "test.bin", "fine_label_names.txt", label_bytes=2),
    _Version(tuple(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta", "label_names", "labels"),
    _Version(("train",), "test", "meta", "fine_label_names", "fine_labels"),
)
"""CIFAR-10 and CIFAR-100 in binary, whose rows have the fine label last, and the same for Python."""


class Cifar(ArrayFiles):
    """The folder that comes out of one of CIFAR's archives. CIFAR-100 has its fine classes."""

    @classmethod
    def is_at(cls, path: Path) -> bool:
        return _version_at(path) is not None

    @classmethod
    def open(cls, given: str) -> Cifar:
        return cls(Path(given))

    def __init__(self, path: Path, name: str = "") -> None:
        version = _version_at(path)
        if version is None:
            raise DeepenoughError(f"{path}: it lacks files of CIFAR; unpack the archive again")
        classes = _class_names(path / version.meta, version.names)
        read = _read_pickle if version.labels else _read_binary
        parts = []
        for file in (*version.train, version.test):
            pixels, labels = read(path / file, version)
            parts.append(ArrayPart(file, pixels, labels, TEST if file == version.test else TRAIN))
        super().__init__(path, name, parts, classes)


def _version_at(path: Path) -> _Version | None:
    if not path.is_dir():
        return None
    return next((v for v in VERSIONS if all((path / file).is_file() for file in v.files)), None)


def _class_names(path: Path, key: str) -> list[str]:
    if key:
        content = load_pickled_arrays(path, _EXPECTED)
        names = content.get(key) if isinstance(content, dict) else None
    else:
        names = [line.strip() for line in path.read_text("utf-8", "replace").splitlines() if line.strip()]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise damaged(path, "the names of the classes")
    return names


def _read_binary(path: Path, version: _Version) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Pixels (N, 32, 32, 3), mapped from the file, and labels of rows of labels and pixels, channel by channel."""
    row = version.label_bytes + _VALUES
    size = path.stat().st_size
    if not size or size % row:
        raise damaged(path, f"rows of {row:,} bytes, and it has {size:,} in all")
    rows = np.memmap(path, np.uint8, "r").reshape(-1, row)
    return _last(rows[:, version.label_bytes :]), np.array(rows[:, version.label_bytes - 1])


def _read_pickle(path: Path, version: _Version) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    content = load_pickled_arrays(path, _EXPECTED)
    values = array_of(content.get("data")) if isinstance(content, dict) else None
    if values is None or values.dtype != np.uint8 or values.ndim != 2 or values.shape[1] != _VALUES:
        raise damaged(path, f"an array uint8 (N, {_VALUES:,}) called data")
    labels = content.get(version.labels)
    if not isinstance(labels, list) or not all(type(label) is int and 0 <= label < 256 for label in labels):
        raise damaged(path, f"a list of whole numbers called {version.labels}")
    return _last(values), np.array(labels, np.int64)


def _last(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rows (N, 3072) of planes of 32 x 32 as images (N, 32, 32, 3)."""
    return values.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
