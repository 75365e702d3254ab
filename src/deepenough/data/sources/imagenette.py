"""Imagenette: ten classes of ImageNet that are easy to tell apart (fast.ai)."""

from __future__ import annotations

from pathlib import Path

from deepenough.data.sources.base import stamp_of
from deepenough.data.sources.folder import Folder

CLASSES = {
    "n01440764": "tench",
    "n02102040": "English springer",
    "n02979186": "cassette player",
    "n03000684": "chain saw",
    "n03028079": "church",
    "n03394916": "French horn",
    "n03417042": "garbage truck",
    "n03425413": "gas pump",
    "n03445777": "golf ball",
    "n03888257": "parachute",
}
"""The classes' names by the numbers in WordNet that their folders are called by."""


class Imagenette(Folder):
    """The folder that comes out of the archive of any size, with the names of the classes. `val` is validation."""

    @classmethod
    def is_at(cls, path: Path) -> bool:
        return all((path / split / number).is_dir() for split in ("train", "val") for number in CLASSES)

    def __init__(self, root: Path, name: str = "") -> None:
        super().__init__(root)
        self.name = name or self.name
        self.classes = tuple(CLASSES.get(number, number) for number in self.classes)
        self.stamp = stamp_of([self.stamp, *self.classes])
