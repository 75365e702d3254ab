"""A folder of class folders, with or without split folders above or below them."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepenough.data.finding import Finding, PassedOver
from deepenough.data.image_file import read_file
from deepenough.data.sources.base import RULES, Source, too_few_classes
from deepenough.data.sources.labels import alike
from deepenough.data.sources.layout import DEEPEST, Place, flat_splits, places_in
from deepenough.data.sources.names import Names
from deepenough.data.sources.splits import split_named, splits_among
from deepenough.data.split import TEST, TRAIN, UNASSIGNED, VALIDATION
from deepenough.data.walk import below, files_below, files_in, subfolders
from deepenough.errors import DeepenoughError, first_few
from deepenough.files import printable

_EXAMPLES = 5
_SPLIT_WORDS = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}


class Folder(Source):
    """`root/[split/]class/[split/].../image`. Class names are the union over the splits, in order of spelling.

    Hidden, system and empty folders are no classes. Every other file in a class folder is looked at as an image.
    """

    @classmethod
    def is_at(cls, path: Path) -> bool:
        return path.is_dir()

    @classmethod
    def open(cls, given: str) -> Folder:
        path = Path(given)
        tables = sorted(path.glob("*.csv"))
        if len(tables) == 1 and not subfolders(path, "", PassedOver()):
            raise DeepenoughError(f"{path}: no class folders in it; to read its table, give {tables[0]}")
        return cls(path)

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = root.resolve().name
        passed = PassedOver()
        places = places_in(root, passed)
        found = _list(root, places, passed)
        self.classes = tuple(sorted({run.label for run in found.runs}))
        _note_spellings(places, passed)
        if len(self.classes) < 2:
            self.too_few = _explain(root, places, self.classes)
        _note_same_folders(found.runs, passed)
        row = {name: place for place, name in enumerate(self.classes)}
        counts = [run.count for run in found.runs]
        self.labels = np.repeat(np.array([row[run.label] for run in found.runs], np.int64), counts)
        self.splits = np.repeat(_splits_of(found.runs, passed), counts)
        self.names = Names(np.frombuffer(found.blob, np.uint8), np.frombuffer(found.ends, np.int64))
        self.findings = (*passed.findings(), *alike(self.classes))
        found.digest.update(self.labels.tobytes() + self.splits.tobytes())
        found.digest.update(repr((self.classes, self.findings)).encode())
        self.stamp = found.digest.hexdigest()

    def read(self, row: int) -> bytes:
        return read_file(self.root / self.names[row])


@dataclass(frozen=True)
class _Run:
    """Images that follow each other: of one class, in one split, below one folder of the class (by its name)."""

    label: str
    split: int
    below: str
    count: int


@dataclass(frozen=True)
class _Files:
    """All images: their names in one blob with the ends of each, what tells that they have changed, and their runs."""

    digest: hashlib._Hash
    blob: bytearray
    ends: array[int]
    runs: list[_Run]


def _list(root: Path, places: list[Place], passed: PassedOver) -> _Files:
    digest = hashlib.sha256(f"folder{RULES}\0".encode() + os.fsencode(root.resolve()))
    blob, ends, runs = bytearray(), array("q", [0]), []
    folders = {(root / place.folder).resolve() for place in places}
    for place in sorted(places, key=lambda place: place.folder):
        empty = True
        for folder, files in files_below(root, place.folder, passed, folders):
            for name, stamp in files:
                raw = os.fsencode(f"{folder}/{name}")
                blob += raw
                ends.append(len(blob))
                digest.update(raw + f"\0{stamp}\0".encode())
            first = folder[len(place.folder) + 1 :].partition("/")[0]
            runs.append(_Run(_class_name(place.label), place.split, first, len(files)))
            empty = False
        if empty:
            passed.note(
                Finding("empty-class", printable(place.folder), "no file was found in it", "not taken as a class")
            )
    return _Files(digest, blob, ends, runs)


def _class_name(folder: str) -> str:
    """A folder's name as that of a class, in one form of Unicode: a disk may give another one than was written."""
    return unicodedata.normalize("NFC", printable(folder))


def _splits_of(runs: list[_Run], passed: PassedOver) -> NDArray[np.int8]:
    """The split of each run, int8 (runs,): that above its class, or one below it where several classes have such."""
    named = splits_among({run.below for run in runs if run.split == UNASSIGNED and run.below})
    classes: dict[int, set[str]] = {}
    for run in runs:
        if run.split == UNASSIGNED and run.below in named:
            classes.setdefault(named[run.below], set()).add(run.label)
    splits = []
    for run in runs:
        split = named.get(run.below, UNASSIGNED) if run.split == UNASSIGNED else run.split
        if run.split == UNASSIGNED and split in (VALIDATION, TEST) and len(classes[split]) < 2:
            detail = f"the name is that of a split, but no other class has a {_SPLIT_WORDS[split]} split"
            passed.note(Finding("split-like", f"{run.label}/{run.below}", detail, "taken as images of the class"))
            split = UNASSIGNED
        splits.append(split)
    return np.array(splits, np.int8)


def _note_same_folders(runs: list[_Run], passed: PassedOver) -> None:
    """Say so where all classes hold the same folders and nothing else: parts of the data with classes in them (`fold1`,
    `fold2`), or folders of which some hold no images to learn from (`masks`)."""
    inside: dict[str, set[str]] = {}
    for run in runs:
        if run.split == UNASSIGNED:
            inside.setdefault(run.label, set()).add(run.below)
    first = next(iter(inside.values()), set())
    if len(inside) < 2 or len(first) < 2 or "" in first or any(names != first for names in inside.values()):
        return
    if splits_among(first):
        return
    detail = (
        f"all of them hold the same folders, {_some(sorted(first))}, which may be the classes themselves, or hold "
        "other things than images of the class, such as masks"
    )
    passed.note(Finding("split-like", _some(sorted(inside)), detail, "taken as classes, with all that is in them"))


def _some(names: list[str]) -> str:
    """The first names, and how many more there are."""
    return first_few([printable(name) for name in names], _EXAMPLES)


def _note_spellings(places: list[Place], passed: PassedOver) -> None:
    """Say which folders are one class, since their names are the same in two forms of Unicode."""
    spelt: dict[str, set[str]] = {}
    for place in places:
        spelt.setdefault(_class_name(place.label), set()).add(place.label)
    for name, labels in spelt.items():
        if len(labels) > 1:
            forms = " and ".join(sorted(map(ascii, labels)))
            passed.note(Finding("same-class", name, f"folders in two forms of Unicode, {forms}", "taken as one class"))


def _explain(root: Path, places: list[Place], classes: tuple[str, ...]) -> str:
    """The reason why there are fewer than two classes, with what seems to be there instead."""
    loose = files_in(root, "")
    if not any(root.iterdir()):
        return f"{root}: the folder is empty; it should hold one folder of images for each class"
    deeper = _wrapped(root, "", DEEPEST)
    if loose and not classes:
        hint = f"; did you mean {', '.join(deeper[:3])}?" if deeper else ""
        return (
            f"{root}: {len(loose):,} files (such as {printable(loose[0])}) lie in it without class folders; put the "
            f"images of each class into a folder with its name, or give a CSV with the columns path and label{hint}"
        )
    flat = sorted({place.folder.rpartition("/")[0] for place in places if place.split != UNASSIGNED})
    flat = [folder for folder in flat if files_in(root, folder)]
    if flat:
        return str(flat_splits(root, flat))
    hint = f"; did you mean {', '.join(deeper[:3])}?" if deeper else "; each class is a folder with its images"
    return too_few_classes(root, classes, hint)


def _wrapped(root: Path, folder: str, depth: int) -> list[str]:
    """The folders below that look like a data set: with several folders, with splits, Parquet files or shards."""
    found = []
    for name in subfolders(root, folder, PassedOver()):
        place = below(folder, name)
        inside = subfolders(root, place, PassedOver())
        files = files_in(root, place)
        if (
            len(inside) >= 2
            or any(split_named(each) is not None for each in inside)
            or any(file.lower().endswith((".parquet", ".tar")) for file in files)
        ):
            found.append(str(root / place))
        elif depth:
            found += _wrapped(root, place, depth - 1)
    return found
