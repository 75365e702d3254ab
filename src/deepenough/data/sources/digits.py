"""The 1,797 handwritten digits, 8 x 8, that scikit-learn carries (UCI, Alpaydin and Kaynak 1998)."""

from __future__ import annotations

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
        from sklearn.datasets import load_digits

        digits = load_digits()
        self.pixels: NDArray[np.uint8] = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        self.labels = digits.target.astype(np.int64)
        self.splits = np.full(len(self.labels), UNASSIGNED, np.int8)
        self.names = NumberedNames([("digits", len(self.labels))])
        self.stamp = stamp_of(["digits", self.pixels.tobytes()])

    def read(self, row: int) -> NDArray[np.uint8]:
        return np.asarray(self.pixels[row])
