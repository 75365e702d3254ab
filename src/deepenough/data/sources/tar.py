"""Tar shards as WebDataset writes them: files of one sample have one name up to its first dot."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepenough.data.finding import Finding
from deepenough.data.sources.base import (
    Source,
    check_classes,
    file_stamp,
    is_text_like,
    present_classes,
    split_of,
    stamp_of,
    visible_folders,
)
from deepenough.data.sources.names import Names
from deepenough.errors import DeepenoughError

IMAGES = {"jpg", "jpeg", "png", "webp", "bmp", "gif", "ppm", "tif", "tiff", "img", "image"}
LABELS = ("cls", "cls.txt", "label", "label.txt", "txt", "json")
CLASSES = ("classes.txt", "classnames.txt", "labels.txt")


@dataclass(frozen=True)
class Sample:
    """Where an image lies: the number of its shard, its first byte there and its length."""

    shard: int
    start: int
    length: int


class Tar(Source):
    """One shard, or all of a folder: `train-000000.tar` holds `0001.jpg` and `0001.cls` and so on.

    A label is a number or a word in `.cls` (or `.txt`), or `label` or `cls` in `.json`. Numbers are rows of the file
    `classes.txt` beside the shards, where there is one. A shard's split is in its name. Shards are read where they lie,
    at any place, and are not unpacked.
    """

    @classmethod
    def is_at(cls, path: Path) -> bool:
        if path.is_file():
            return path.suffix.lower() == ".tar"
        return bool(_shards(path)) and not visible_folders(path)

    @classmethod
    def open(cls, given: str) -> Tar:
        return cls(Path(given))

    def __init__(self, path: Path) -> None:
        self.files = [path] if path.is_file() else _shards(path)
        folder = path.parent if path.is_file() else path
        self.name = path.resolve().name
        labels: list[str] = []
        names: list[str] = []
        splits: list[int] = []
        self.samples: list[Sample] = []
        findings: list[Finding] = []
        for number, file in enumerate(self.files):
            for key, sample, label in _samples(file, number):
                if label is None:
                    findings.append(Finding("unlabelled", f"{file.name}/{key}", "no .cls, .txt or .json", "left out"))
                    continue
                self.samples.append(sample)
                labels.append(label)
                names.append(f"{file.name}/{key}")
                splits.append(split_of(file.name))
        given = _class_names(folder)
        self.classes, self.labels = _classes(path, labels, given)
        check_classes(path, self.classes)
        self.splits = np.array(splits, np.int8)
        self.names = Names.of(names)
        self.findings = tuple(findings)
        self.mirror = not is_text_like(self.classes)
        self.stamp = stamp_of(["tar", *map(file_stamp, self.files), *self.classes])

    def read(self, row: int) -> bytes:
        sample = self.samples[row]
        with self.files[sample.shard].open("rb") as file:
            file.seek(sample.start)
            content = file.read(sample.length)
        if len(content) < sample.length:
            raise OSError(f"{self.files[sample.shard].name} ends before its image does")
        return content


def _shards(folder: Path) -> list[Path]:
    """The shards of a folder."""
    return sorted(folder.glob("*.tar"))


def _samples(file: Path, number: int) -> list[tuple[str, Sample, str | None]]:
    """Name, place and label of every image of a shard, in order."""
    images: dict[str, Sample] = {}
    labels: dict[str, str] = {}
    names: dict[str, str] = {}
    try:
        with tarfile.open(file, "r:") as shard:
            for member in shard:
                stem, _, ending = member.name.rpartition("/")[2].partition(".")
                key = f"{member.name.rpartition('/')[0]}/{stem}"
                if not member.isfile():
                    continue
                if ending.lower() in IMAGES:
                    images[key] = Sample(number, member.offset_data, member.size)
                    names[key] = member.name
                elif ending.lower() in LABELS and key not in labels:
                    opened = shard.extractfile(member)
                    found = _label(opened.read() if opened else b"", ending.lower())
                    if found is not None:
                        labels[key] = found
    except (tarfile.TarError, OSError) as error:
        raise DeepenoughError(
            f"{file}: not a readable tar file ({error}); WebDataset's shards are not compressed"
        ) from None
    return [(names[key], sample, labels.get(key)) for key, sample in images.items()]


def _label(content: bytes, ending: str) -> str | None:
    text = content.decode("utf-8", "replace").strip()
    if ending != "json":
        return text or None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    value = (
        next((found[key] for key in ("label", "cls", "class") if key in found), None)
        if isinstance(found, dict)
        else found
    )
    return None if value is None or isinstance(value, (dict, list)) else str(value)


def _class_names(folder: Path) -> list[str]:
    for name in CLASSES:
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8").splitlines()
    return []


def _classes(path: Path, labels: list[str], given: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    if given and all(label.isdecimal() for label in labels):
        beyond = [label for label in labels if int(label) >= len(given)]
        if beyond:
            raise DeepenoughError(
                f"{path}: the label {beyond[0]} has no line among the {len(given)} class names beside it"
            )
        return present_classes(np.array(labels, np.int64), given)
    numbers = all(label.isdecimal() for label in labels)
    names = sorted(set(labels), key=int if numbers else str)
    row = {name: place for place, name in enumerate(names)}
    return tuple(names), np.array([row[label] for label in labels], np.int64)
