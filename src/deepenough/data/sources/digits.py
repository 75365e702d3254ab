"""The 1,797 handwritten digits, 8 x 8, that scikit-learn carries (UCI, Alpaydin and Kaynak 1998)."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepenough.data.sources.base import Source, stamp_of
from deepenough.data.sources.names import NumberedNames
from deepenough.data.split import UNASSIGNED


class Digits(Source):
    """Grey 8 x 8 images; 0..16 in the original becomes 0..255."""

    name = "digits"
    classes = tuple("0123456789")
    known_as = ("digits",)
    mirror = False

    @classmethod
    def open(cls, given: str) -> Digits:
        return cls()

    def __init__(self) -> None:
        table = _table()
        self.pixels: NDArray[np.uint8] = np.rint(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
        self.labels = table[:, -1].astype(np.int64)
        self.splits = np.full(len(self.labels), UNASSIGNED, np.int8)
        self.names = NumberedNames([("digits", len(self.labels))])
        self.stamp = stamp_of(["digits", self.pixels.tobytes()])

    def read(self, row: int) -> NDArray[np.uint8]:
        return np.asarray(self.pixels[row])


def _table() -> NDArray[np.uint8]:
    """A row for each digit, uint8 (1797, 65): its pixels in 0..16, and its number. The file is scikit-learn's, which
    takes as long to import as torch, so it is read without where it is at its place."""
    found = find_spec("sklearn")
    for folder in (found and found.submodule_search_locations) or ():
        file = Path(folder, "datasets", "data", "digits.csv.gz")
        if file.is_file():
            return np.loadtxt(file, np.uint8, delimiter=",")
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.column_stack([digits.data, digits.target]).astype(np.uint8)
