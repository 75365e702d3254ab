"""Oxford's 102 flowers: a folder `jpg` of images, their labels and splits in MATLAB's files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepenough.data.image_file import read_file
from deepenough.data.sources.array_files import damaged
from deepenough.data.sources.base import Source, file_stamp, present_classes, stamp_of, too_few_classes
from deepenough.data.sources.flower_names import FLOWERS
from deepenough.data.sources.matlab import read_matlab
from deepenough.data.sources.names import Names
from deepenough.data.split import TEST, TRAIN, UNASSIGNED, VALIDATION
from deepenough.errors import DamagedError

LABELS, SETS, IMAGES = "imagelabels.mat", "setid.mat", "jpg"
_SPLITS = {"trnid": TRAIN, "valid": VALIDATION, "tstid": TEST}


class Flowers(Source):
    """The folder that holds `jpg`, `imagelabels.mat` and `setid.mat`, with the official splits."""

    @classmethod
    def is_at(cls, path: Path) -> bool:
        return (path / IMAGES).is_dir() and all((path / file).is_file() for file in (LABELS, SETS))

    @classmethod
    def open(cls, given: str) -> Flowers:
        return cls(Path(given))

    def __init__(self, path: Path, name: str = "") -> None:
        self.path = path
        self.name = name or path.resolve().name
        numbers = read_matlab(path / LABELS, ("labels",))["labels"].reshape(-1).astype(np.int64)
        if not len(numbers) or not 1 <= numbers.min() <= numbers.max() <= len(FLOWERS):
            raise damaged(path / LABELS, f"labels from 1 to {len(FLOWERS)}")
        self.splits = _splits(path / SETS, len(numbers))
        self.names = Names.of(f"{IMAGES}/image_{number:05}.jpg" for number in range(1, len(numbers) + 1))
        missing = [file for file in self.names if not (path / file).is_file()]
        if missing:
            raise DamagedError(
                f"{path}: {len(missing):,} of {len(numbers):,} images are missing, such as {missing[0]}; unpack "
                "102flowers.tgz there again"
            )
        self.classes, self.labels = present_classes(numbers - 1, FLOWERS)
        self.too_few = too_few_classes(path, self.classes)
        files = (path / LABELS, path / SETS, *(path / file for file in self.names))
        self.stamp = stamp_of(["flowers", *map(file_stamp, files), *self.classes])

    def read(self, row: int) -> bytes:
        return read_file(self.path / self.names[row])


def _splits(path: Path, count: int) -> NDArray[np.int8]:
    """The split of each of `count` images, int8 (count,)."""
    splits = np.full(count, UNASSIGNED, np.int8)
    seen = np.zeros(count, np.int64)
    for name, numbers in read_matlab(path, tuple(_SPLITS)).items():
        rows = numbers.reshape(-1).astype(np.int64) - 1
        if len(rows) and not 0 <= rows.min() <= rows.max() < count:
            raise damaged(path, f"numbers of images from 1 to {count:,} in {name}")
        splits[rows] = _SPLITS[name]
        np.add.at(seen, rows, 1)
    if seen.max(initial=0) > 1:
        raise damaged(path, "splits that share no image")
    return splits
