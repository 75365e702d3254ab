"""A folder of class folders, with or without split folders above them."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from deepenough.data.finding import Finding
from deepenough.data.image_file import read_file
from deepenough.data.sources.base import (
    SPLIT_NAMES,
    Source,
    check_classes,
    is_text_like,
    status_stamp,
    visible,
    visible_folders,
)
from deepenough.data.sources.names import Names
from deepenough.data.split import UNASSIGNED
from deepenough.errors import DeepenoughError
from deepenough.files import printable


class Folder(Source):
    """`root/[split/]class/.../image`. Class names are the union over the splits, in the order of their spelling.

    Hidden and empty folders are no classes. Every other file in a class folder is looked at as an image.
    """

    @classmethod
    def is_at(cls, path: Path) -> bool:
        return path.is_dir()

    @classmethod
    def open(cls, given: str) -> Folder:
        path = Path(given)
        tables = sorted(path.glob("*.csv"))
        if len(tables) == 1 and not visible_folders(path):
            raise DeepenoughError(f"{path}: no class folders in it; to read its table, give {tables[0]}")
        return cls(path)

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = root.resolve().name
        splits, findings = _splits(root)
        places: list[tuple[str, str, int]] = []  # folder relative to the root, class, split
        for folder, split in splits:
            places += [(f"{folder}/{name}" if folder else name, name, split) for name in visible_folders(root / folder)]
        digest = hashlib.sha256(b"folder\0" + os.fsencode(root.resolve()))
        labels, parts, counts, filled = bytearray(), bytearray(), [], set()
        blob, ends = bytearray(), array("q", [0])
        named = sorted({name for _, name, _ in places})
        for folder, name, split in sorted(places):
            count = 0
            for file, status in _files(root, folder):
                raw = os.fsencode(file)
                blob += raw
                ends.append(len(blob))
                digest.update(raw + f"\0{status_stamp(status)}\0".encode())
                count += 1
            if count:
                filled.add(name)
                labels += np.full(count, named.index(name), np.int32).tobytes()
                parts += np.full(count, split, np.int8).tobytes()
                counts.append(count)
            else:
                findings.append(Finding("empty-class", folder, "the folder holds no file", "not taken as a class"))
        self.classes = tuple(printable(name) for name in named if name in filled)
        if len(self.classes) < 2:
            _explain(root, [folder for folder, _ in splits], self.classes)
        new_row = np.cumsum([name in filled for name in named]) - 1
        self.labels = new_row[np.frombuffer(bytes(labels), np.int32)].astype(np.int64)
        self.splits = np.frombuffer(bytes(parts), np.int8)
        self.names = Names(np.frombuffer(blob, np.uint8), np.frombuffer(ends, np.int64))
        self.findings = tuple(findings)
        self.mirror = not is_text_like(self.classes)
        digest.update("\0".join(self.classes).encode())
        self.stamp = digest.hexdigest()

    def read(self, row: int) -> bytes:
        return read_file(self.root / self.names[row])


def _splits(root: Path) -> tuple[list[tuple[str, int]], list[Finding]]:
    """The split folders of a root, or the root itself, which is unassigned; and what was passed over."""
    folders = visible_folders(root)
    splits = [(name, SPLIT_NAMES[name.lower()]) for name in folders if name.lower() in SPLIT_NAMES]
    splits = [(name, split) for name, split in splits if visible_folders(root / name)]
    if not splits:
        return [("", UNASSIGNED)], []
    others = [name for name in folders if name.lower() not in SPLIT_NAMES]
    return splits, [
        Finding("ignored", name, f"it lies beside the split folders {', '.join(n for n, _ in splits)}", "left out")
        for name in others
    ]


def _files(root: Path, folder: str, below: int = 0) -> Iterator[tuple[str, os.stat_result]]:
    """Files under a class folder, in the order of their spelling; folders inside it belong to the class."""
    files, folders = [], []
    with os.scandir(root / folder) as entries:
        for entry in entries:
            if visible(entry) and entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif visible(entry) and not entry.is_dir():
                files.append(entry.name)
    for name in sorted(files):
        path = f"{folder}/{name}"
        try:
            yield path, (root / path).stat()
        except OSError:  # a link to nothing: the audit names it
            yield path, (root / path).lstat()
    for name in sorted(folders) if below < 20 else ():
        yield from _files(root, f"{folder}/{name}", below + 1)


def _explain(root: Path, splits: list[str], classes: tuple[str, ...]) -> None:
    """Raise the error for fewer than two classes, with what seems to be there instead."""
    known = Image.registered_extensions()
    for split in splits:
        folder = root / split
        loose = sum(1 for entry in folder.iterdir() if entry.suffix.lower() in known)
        if loose and len(classes) < 2:
            raise DeepenoughError(
                f"{folder}: {loose:,} images lie in it without class folders; put the images of each class "
                f"into a folder with the name of the class, or give a CSV with the columns path and label"
            )
    if not any(root.iterdir()):
        raise DeepenoughError(f"{root}: the folder is empty; it should hold one folder of images for each class")
    deeper = [f"{root / name}" for name in visible_folders(root) if len(visible_folders(root / name)) >= 2]
    hint = f"; did you mean {', '.join(deeper[:3])}?" if deeper else "; each class is a folder with its images"
    check_classes(root, classes, hint)
