"""Many names in little memory."""

from __future__ import annotations

import os
from abc import abstractmethod
from array import array
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray


class _Rows(Sequence[str]):
    """The base of names by row: subclasses give the name at a row that is there, counted from 0."""

    @abstractmethod
    def _at(self, row: int) -> str:
        """The name at `row`."""

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self._at(r) for r in range(*row.indices(len(self)))]
        if not -len(self) <= row < len(self):
            raise IndexError(row)
        return self._at(row % len(self))


class Names(_Rows):
    """A read-only sequence of strings, kept as one blob of bytes with offsets.

    100,000 file names cost about 4 MB here and about 9 MB as a list; memory-mapped arrays cost none.
    `blob` is uint8 (bytes,), `offsets` int64 (n + 1,).
    """

    def __init__(self, blob: NDArray[np.uint8], offsets: NDArray[np.int64]) -> None:
        self.blob = blob
        self.offsets = offsets

    @classmethod
    def of(cls, names: Iterable[str]) -> Names:
        blob, ends = bytearray(), array("q", [0])
        for name in names:
            blob += os.fsencode(name)
            ends.append(len(blob))
        return cls(np.frombuffer(blob, np.uint8), np.frombuffer(ends, np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def _at(self, row: int) -> str:
        return os.fsdecode(self.blob[self.offsets[row] : self.offsets[row + 1]].tobytes())


class NumberedNames(_Rows):
    """Names such as `train-images-idx3-ubyte[17]` that are worked out when asked for.

    `parts` are (label, count) in order.
    """

    def __init__(self, parts: Sequence[tuple[str, int]]) -> None:
        self.labels = [label for label, _ in parts]
        self.starts = np.cumsum([0, *(count for _, count in parts)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def _at(self, row: int) -> str:
        part = int(np.searchsorted(self.starts, row, side="right")) - 1
        return f"{self.labels[part]}[{row - int(self.starts[part])}]"


class JoinedNames(_Rows):
    """The names of several parts, one after the other."""

    def __init__(self, parts: Sequence[Sequence[str]]) -> None:
        self.parts = parts
        self.starts = np.cumsum([0, *map(len, parts)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def _at(self, row: int) -> str:
        part = int(np.searchsorted(self.starts, row, side="right")) - 1
        return self.parts[part][row - int(self.starts[part])]


class ChosenNames(_Rows):
    """Some rows of other names: those at `rows`, int64 (n,)."""

    def __init__(self, names: Sequence[str], rows: NDArray[np.int64]) -> None:
        self.names = names
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def _at(self, row: int) -> str:
        return self.names[int(self.rows[row])]
