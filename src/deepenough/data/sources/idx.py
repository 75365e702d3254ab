"""IDX files, the layout of MNIST: a magic number, the sizes, then plain bytes; gzipped or not."""

from __future__ import annotations

import gzip
import re
import shutil
import struct
import tempfile
import threading
import zlib
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from deepenough.data.sources.base import Source, file_stamp, stamp_of, too_few_classes
from deepenough.data.sources.names import NumberedNames
from deepenough.data.sources.splits import split_of_file
from deepenough.data.split import TEST, TRAIN
from deepenough.errors import DeepenoughError, first_line

FASHION = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

KUZUSHIJI = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

_IMAGES = re.compile(r"images[-.]idx\d-ubyte(\.gz)?$|images(\.idx)?(\.gz)?$")
_MOST_PACKED = 1_032
"""Bytes that one byte of a gzip file can stand for (zlib's documentation)."""

_BLOCK = 1 << 20


class _File:
    """The array in one IDX file, memory-mapped when first asked for; a gzipped one is unpacked to a nameless file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as file:
            try:
                start = file.read(4)
                if len(start) < 4 or start[:2] != b"\0\0" or start[2] != 8 or not 1 <= start[3] <= 4:
                    raise DeepenoughError(
                        f"{path}: not an IDX file of unsigned bytes (it begins with {start.hex(' ')})"
                    )
                self.shape: tuple[int, ...] = struct.unpack(f">{start[3]}I", file.read(4 * start[3]))
            except (struct.error, EOFError, OSError, zlib.error) as error:
                raise DeepenoughError(f"{path}: the header cannot be read ({error}); fetch the file again") from None
        self.offset = 4 + 4 * start[3]
        self._values: NDArray[np.uint8] | None = None
        self._lock = threading.Lock()

    def _open(self) -> BinaryIO:
        return gzip.open(self.path) if self.path.suffix == ".gz" else self.path.open("rb")  # type: ignore[return-value]

    def check(self) -> None:
        """Raise the error for a header that claims more than there can be in the file."""
        packed = self.path.suffix == ".gz"
        there = self.path.stat().st_size
        if self.offset + prod(self.shape) > there * (_MOST_PACKED if packed else 1):
            raise self._wrong(f"the file has {there:,}{' packed' if packed else ''} in all")

    def values(self) -> NDArray[np.uint8]:
        with self._lock:
            if self._values is None:
                self._values = self._map()
            return self._values

    def _map(self) -> NDArray[np.uint8]:
        self.check()
        try:
            if self.path.suffix != ".gz":
                return np.memmap(self.path, np.uint8, "r", self.offset, self.shape)
            with tempfile.TemporaryFile() as plain:
                self._unpack(plain, self.offset + prod(self.shape))
                return np.memmap(plain, np.uint8, "r", self.offset, self.shape)
        except (ValueError, OverflowError, EOFError, OSError, zlib.error) as error:
            raise self._wrong(first_line(error)) from None

    def _unpack(self, plain: BinaryIO, wanted: int) -> None:
        """Unpack exactly the bytes that the header says; raises the error where there are more, or no room for them."""
        free = shutil.disk_usage(tempfile.gettempdir()).free
        if wanted > free:
            raise DeepenoughError(
                f"{self.path}: unpacking it takes {wanted:,} bytes, and {tempfile.gettempdir()} has {free:,} free; "
                "make room, or name another folder in TMPDIR"
            )
        with self._open() as packed:
            left = wanted
            while left and (block := packed.read(min(left, _BLOCK))):
                plain.write(block)
                left -= len(block)
            if left:
                raise self._wrong(f"it lacks the last {left:,}")
            if packed.read(1):
                raise self._wrong("it goes on behind them")
        plain.flush()

    def _wrong(self, what: str) -> DeepenoughError:
        shape = " x ".join(f"{side:,}" for side in self.shape)
        return DeepenoughError(
            f"{self.path}: its header says {shape} bytes, and it does not hold those ({what}); fetch the file again"
        )


class Idx(Source):
    """All pairs of image and label files of a folder, or the pair that one file belongs to."""

    @classmethod
    def is_at(cls, path: Path) -> bool:
        if path.is_file():
            return _IMAGES.search(path.name) is not None
        return any(_IMAGES.search(entry.name) for entry in path.iterdir() if entry.is_file())

    @classmethod
    def open(cls, given: str) -> Idx:
        return cls(Path(given))

    @classmethod
    def is_whole(cls, path: Path) -> bool:
        """True if a folder holds images and labels of both splits."""
        try:
            pairs = _pairs(path) if path.is_dir() else []
        except DeepenoughError:
            return False
        return {TRAIN, TEST} <= {split_of_file(images.name) for images, _ in pairs}

    def __init__(self, path: Path, name: str = "") -> None:
        pairs = _pairs(path)
        self.path = path
        self.name = name or path.resolve().name
        self._images, parts, labels, splits, stamps = [], [], [], [], ["idx"]
        for images, label_file in pairs:
            file, values = _File(images), _File(label_file).values()
            file.check()
            if file.shape[0] != len(values) or len(file.shape) < 3 or values.ndim != 1:
                raise DeepenoughError(
                    f"{images}: shape {file.shape} does not go with the labels' {values.shape} in {label_file.name}"
                )
            self._images.append(file)
            label = images.name.removesuffix(".gz")
            parts.append((label, len(values)))
            labels.append(values.astype(np.int64))
            splits.append(np.full(len(values), split_of_file(images.name), np.int8))
            stamps += [file_stamp(images), file_stamp(label_file)]
        self.labels = np.concatenate(labels)
        self.splits = np.concatenate(splits)
        self.names = NumberedNames(parts)
        self._starts = np.cumsum([0, *(count for _, count in parts)])
        self.classes, self.labels = _classes(self.labels, self.name)
        self.too_few = too_few_classes(path, self.classes)
        self.stamp = stamp_of([*stamps, *self.classes])

    @property
    def mirror(self) -> bool:
        """False for MNIST and its relatives but Fashion-MNIST: all of them are digits, letters or characters."""
        return super().mirror and ("mnist" not in self.name.lower() or self.classes == FASHION)

    def __reduce__(self) -> tuple[type[Idx], tuple[Path, str]]:
        return Idx, (self.path, self.name)  # maps and locks do not travel to other processes

    def read(self, row: int) -> NDArray[np.uint8]:
        file = int(np.searchsorted(self._starts, row, side="right")) - 1
        return np.asarray(self._images[file].values()[row - int(self._starts[file])])


def _pairs(path: Path) -> list[tuple[Path, Path]]:
    folder = path if path.is_dir() else path.parent
    files = sorted(entry for entry in folder.iterdir() if entry.is_file()) if path.is_dir() else [path]
    chosen = {file.name.removesuffix(".gz"): file for file in files if _IMAGES.search(file.name)}
    for file in files:  # an unpacked file goes before its gzipped copy
        if file.name in chosen:
            chosen[file.name] = file
    pairs = []
    for plain, images in sorted(chosen.items(), key=lambda item: (split_of_file(item[0]), item[0])):
        base = re.sub(r"idx\d", "idx1", plain.replace("images", "labels"))
        options = [folder / base, folder / f"{base}.gz"]
        found = next((option for option in options if option.is_file()), None)
        if found is None:
            raise DeepenoughError(f"{images}: its labels, {base} or {base}.gz, are missing from {folder}")
        pairs.append((images, found))
    return pairs


def _classes(labels: NDArray[Any], name: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    values, rows = np.unique(labels, return_inverse=True)
    if "fashion" in name.lower() and set(values) <= set(range(10)):
        return FASHION, labels
    if name.lower() == "kmnist" and set(values) <= set(range(10)):
        return KUZUSHIJI, labels
    return tuple(str(value) for value in values), rows.astype(np.int64)
