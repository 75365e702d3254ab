"""The base of all kinds of sources, and what they share."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from deepenough.data.finding import Finding
from deepenough.data.walk import status_stamp

Raw = bytes | NDArray[np.uint8]

WINDOW = 8
"""Blocks of a source that images are drawn from at once, where blocks are what is cheap to read."""

RULES = "2"
"""Raised whenever the same files come to other images, labels or splits, so that older caches are left alone."""


class Source(ABC):
    """Labelled images before anything has been decoded.

    `labels` int64 (n,), rows into `classes`; `splits` int8 (n,): TRAIN, VALIDATION, TEST or UNASSIGNED;
    `names` n strings; `stamp`: changes when the files change, and costs no reading of images; `sequential`: images are
    cheap to read in order only, by one thread.
    `blocks` int64 (n,), where images that lie together are cheap to read together: the number of each one's block.
    """

    name: str  # what it is called in records and reports, without the folders it lies in
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    splits: NDArray[np.int8]
    names: Sequence[str]
    stamp: str
    value_range: tuple[float, float] | None = None  # of arrays of floats, the values of black and white
    sequential: bool = False
    blocks: NDArray[np.int64] | None = None
    findings: tuple[Finding, ...] = ()
    too_few: str = ""  # why its classes are too few to learn from; a trained network can be measured on one

    known_as: ClassVar[tuple[str, ...]] = ()
    """The names that stand for a source of this kind, beside paths."""

    @classmethod
    def is_named(cls, word: str) -> bool:
        """True if `word` is a name, not a path, of such a source."""
        return word in cls.known_as

    @classmethod
    def is_at(cls, path: Path) -> bool:
        """True if the file or folder at `path`, which exists, is such a source."""
        return False

    @classmethod
    def open(cls, given: str) -> Source:
        """The source at a path for which `is_at` holds, or of a name for which `is_named` does."""
        raise TypeError(f"{cls.__name__} is not opened by a name or a path")

    @abstractmethod
    def read(self, row: int) -> Raw:
        """The bytes of an image file, or pixels uint8 (H, W) or (H, W, 3). Raises OSError or ImageError where there are
        none."""

    def read_many(self, rows: NDArray[np.int64], pool: ThreadPoolExecutor) -> Iterable[Raw]:
        """Read many rows as `read` does, in any order of them, with the threads of a pool."""
        return pool.map(self.read, map(int, rows))

    @property
    def mirror(self) -> bool:
        """False where the source or its classes are known to be letters or digits, which mirror images turn into
        something else."""
        return not is_text_like(self.classes)

    def __len__(self) -> int:
        return len(self.labels)


def is_text_like(classes: Sequence[str]) -> bool:
    """True if these classes are letters, digits among letters or digits in words, which a mirror image would turn into
    something else. Plain numbers alone say nothing: they number classes of any kind."""
    if all(name.isdigit() for name in classes):
        return False
    words = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
    return all(len(name) == 1 or name.isdigit() or name.lower() in words for name in classes)


def too_few_classes(where: object, classes: Sequence[str], hint: str = "") -> str:
    """The reason why a source has too few classes to learn from, one or none; empty where it has enough."""
    if len(classes) > 1:
        return ""
    found = f"only the class {classes[0]!r}" if classes else "no class"
    return f"{where}: {found} was found, and at least two are needed{hint}"


def distinct(names: Sequence[str]) -> list[str]:
    """Names of classes by their numbers; one that an earlier class has is told apart by its number.

    >>> distinct(["crane", "drake", "crane"])  # a bird and a machine, in ImageNet's list
    ['crane', 'drake', 'crane (2)']
    """
    seen: set[str] = set()
    found = []
    for number, name in enumerate(names):
        found.append(f"{name} ({number})" if name in seen else name)
        seen.add(name)
    return found


def present_classes(labels: NDArray[np.int64], names: Sequence[str]) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The classes that labels (n,), rows into `names`, speak of, in that order, and the labels as rows into these."""
    present = np.bincount(labels, minlength=len(names)) > 0
    classes = tuple(name for name, there in zip(distinct(names), present, strict=True) if there)
    return classes, (np.cumsum(present) - 1)[labels].astype(np.int64)


def stamp_of(parts: Iterable[object]) -> str:
    """A hash of what tells that files have changed."""
    digest = hashlib.sha256(RULES.encode())
    for part in parts:
        digest.update(str(part).encode("utf-8", "surrogateescape"))
        digest.update(b"\0")
    return digest.hexdigest()


def file_stamp(path: Path) -> str:
    """Place, size (bytes) and times of change (ns) of a file."""
    return f"{path.resolve()} {status_stamp(path.stat())}"
