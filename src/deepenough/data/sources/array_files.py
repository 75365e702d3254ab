"""The base of sources whose files hold all images as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepenough.data.sources.base import Source, file_stamp, present_classes, stamp_of, too_few_classes
from deepenough.data.sources.names import NumberedNames
from deepenough.errors import DamagedError


@dataclass(frozen=True)
class ArrayPart:
    """The images of one file: `pixels` uint8 (N, H, W) or (N, H, W, 3), `labels` whole numbers (N,), rows into the
    classes, and the split that they are all in."""

    file: str
    pixels: NDArray[np.uint8]
    labels: NDArray[Any]
    split: int


class ArrayFiles(Source):
    """Images in arrays of one size for each file. Subclasses read the files, and can be opened anew by a path and a
    name."""

    def __init__(self, path: Path, name: str, parts: Sequence[ArrayPart], classes: Sequence[str]) -> None:
        """Join the `parts`, whose files lie in the folder at `path`, or are the file there."""
        self.path = path
        self.name = name or path.resolve().name
        for part in parts:
            _check(path, part, len(classes))
        self._pixels = [part.pixels for part in parts]
        counts = [len(part.labels) for part in parts]
        labels = np.concatenate([part.labels.astype(np.int64) for part in parts])
        self.classes, self.labels = present_classes(labels, classes)
        self.splits = np.repeat(np.array([part.split for part in parts], np.int8), counts)
        self.names = NumberedNames([(part.file, count) for part, count in zip(parts, counts, strict=True)])
        self._starts = np.cumsum([0, *counts])
        self.too_few = too_few_classes(path, self.classes)
        files = dict.fromkeys(path if path.is_file() else path / part.file for part in parts)
        self.stamp = stamp_of([type(self).__name__, *map(file_stamp, files), *self.classes])

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.path, self.name)  # arrays are read anew in other processes

    def read(self, row: int) -> NDArray[np.uint8]:
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        return np.ascontiguousarray(self._pixels[part][row - int(self._starts[part])])


def _check(path: Path, part: ArrayPart, classes: int) -> None:
    """Raise the error for images without labels, or labels without a class."""
    where = path if path.is_file() else path / part.file
    pixels, labels = part.pixels, part.labels
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or (pixels.ndim == 4 and pixels.shape[3] != 3):
        raise damaged(where, f"images uint8 (N, H, W) or (N, H, W, 3), not {pixels.dtype} {pixels.shape}")
    if labels.dtype.kind not in "ui" or labels.shape != (len(pixels),) or not len(pixels):
        raise damaged(where, f"one label for each of {len(pixels):,} images, not {labels.dtype} {labels.shape}")
    if not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise damaged(where, f"labels from 0 to {classes - 1}, not {labels.min()} to {labels.max()}")


def damaged(path: Path, expected: str) -> DamagedError:
    """The error for a file that does not hold what was expected."""
    return DamagedError(f"{path}: expected {expected}; it is damaged or another file: fetch it again")
