"""Keras' `mnist.npz` and files like it: arrays x_train, y_train, x_test and y_test."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from deepenough.data.sources.array_files import ArrayFiles, ArrayPart, damaged
from deepenough.data.split import TEST, TRAIN

SPLITS = {"train": TRAIN, "test": TEST}


class Npz(ArrayFiles):
    """One file. The classes are the numbers that the labels have."""

    @classmethod
    def is_at(cls, path: Path) -> bool:
        return path.is_file() and path.suffix.lower() == ".npz"

    @classmethod
    def open(cls, given: str) -> Npz:
        return cls(Path(given))

    def __init__(self, path: Path, name: str = "") -> None:
        names = [f"{axis}_{split}" for split in SPLITS for axis in "xy"]
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {each: np.asarray(file[each]) for each in names}
        except (ValueError, KeyError, EOFError, OSError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
            raise damaged(path, f"arrays of numbers {', '.join(names)} ({type(error).__name__})") from None
        labels = {split: arrays[f"y_{split}"].reshape(-1) for split in SPLITS}
        if any(each.dtype.kind not in "ui" for each in labels.values()):
            raise damaged(path, "labels that are whole numbers")
        values = np.unique(np.concatenate([each.astype(np.int64) for each in labels.values()]))
        parts = [
            ArrayPart(f"{path.name}/x_{split}", arrays[f"x_{split}"], np.searchsorted(values, labels[split]), number)
            for split, number in SPLITS.items()
        ]
        super().__init__(path, name, parts, [str(value) for value in values])

    @property
    def mirror(self) -> bool:
        """False for MNIST and its relatives, as for `Idx`."""
        return super().mirror and "mnist" not in self.name.lower()
