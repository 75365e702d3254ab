"""Tar shards as WebDataset writes them: files of one sample have one name but for its ending."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepenough.data.finding import PassedOver
from deepenough.data.sources.base import (
    Source,
    distinct,
    file_stamp,
    stamp_of,
    too_few_classes,
)
from deepenough.data.sources.data_files import CLASS_LISTS, DataFile, data_files, is_folder_of
from deepenough.data.sources.labels import MISSING, FileLabels, combine, is_number, text_of
from deepenough.data.sources.names import Names
from deepenough.data.sources.tar_index import LABEL_ENDINGS, ONE_OF_SEVERAL, Sample, samples
from deepenough.errors import DeepenoughError

_ENDING = ".tar"


class Tar(Source):
    """One shard, or all of a folder: `train-000000.tar` holds `0001.jpg` and `0001.cls` and so on.

    A label is a number or a word in `.cls`, or `label` or `cls` in `.json`, or, where there is nothing else, in `.txt`.
    Numbers are rows of the file `classes.txt` beside the shards, where there is one. A shard's split is in the name of
    its folder or in its own. Shards are read where they lie, at any place, and are not unpacked.
    """

    @classmethod
    def is_at(cls, path: Path) -> bool:
        return path.suffix.lower() == _ENDING if path.is_file() else is_folder_of(path, _ENDING, among_folders=False)

    @classmethod
    def open(cls, given: str) -> Tar:
        return cls(Path(given))

    def __init__(self, path: Path) -> None:
        passed = PassedOver()
        shards = data_files(path, _ENDING, passed)
        found = [samples(shard.path, shard.label, passed) for shard in shards]
        names = [f"{shard.label}/{sample.name}" for shard, those in zip(shards, found, strict=True) for sample in those]
        splits = np.repeat(np.array([shard.split for shard in shards], np.int8), [len(those) for those in found])
        listed = _class_names(path if path.is_dir() else path.parent)
        self.classes, labels, findings = combine(_parts(shards, found, listed))
        kept = np.flatnonzero(labels != MISSING)
        for row in np.flatnonzero(labels == MISSING):
            passed.count("unlabelled", names[int(row)], "nothing beside it in the shard says its label")
        _check_labels(path, found, len(kept), passed)
        self.too_few = too_few_classes(path, self.classes)
        self.name = path.resolve().name
        self.files = [shard.path for shard in shards]
        self.labels, self.splits = labels[kept], splits[kept]
        self.names = Names.of(names[row] for row in kept)
        places = [
            (number, sample.image.start, sample.image.length) for number, those in enumerate(found) for sample in those
        ]
        self._places: NDArray[np.int64] = np.array(places, np.int64).reshape(-1, 3)[kept]
        self.findings = (*passed.findings(), *findings)
        told = (self.labels.tobytes(), *self.classes, *self.findings)
        self.stamp = stamp_of(["tar", *map(file_stamp, self.files), self.splits.tobytes(), *told])

    def read(self, row: int) -> bytes:
        shard, start, length = (int(value) for value in self._places[row])
        with self.files[shard].open("rb") as file:
            file.seek(start)
            content = file.read(length)
        if len(content) < length:
            raise OSError(f"{self.files[shard].name} ends before its image does")
        return content


def _parts(shards: list[DataFile], found: list[list[Sample]], listed: list[str]) -> list[FileLabels]:
    """The labels of each shard. A text that may be a caption counts only where no sample has anything better."""
    caption = LABEL_ENDINGS.index("txt")
    best = min((rank for those in found for sample in those for rank in sample.labels), default=caption)
    parts = []
    for shard, those in zip(shards, found, strict=True):
        values: list[object] = []
        for sample in those:
            rank = min(sample.labels, default=caption)
            values.append(sample.labels.get(rank) if rank < caption or best == caption else None)
        part = FileLabels.of(str(shard.path), values, "image")
        parts.append(_by_list(part, listed) if listed else part)
    return parts


def _by_list(part: FileLabels, listed: list[str]) -> FileLabels:
    """The part with numbers as rows of a list of class names, and words as they are in it."""
    places = [_place(part.file, name, listed) for name in part.names]
    codes = np.array([*places, MISSING], np.int64)[part.codes]
    return FileLabels(part.file, tuple(distinct(listed)), codes, listed=True, findings=part.findings)


def _place(file: str, label: str, listed: list[str]) -> int:
    if label == "-1":
        return MISSING
    if is_number(label) and 0 <= int(label) < len(listed):
        return int(label)
    if label in listed:
        return listed.index(label)
    raise DeepenoughError(
        f"{file}: the label {label:.80} has no line among the {len(listed)} class names beside it, nor is it one"
    )


def _check_labels(path: Path, found: list[list[Sample]], labelled: int, passed: PassedOver) -> None:
    """Raise the error for shards without images or without labels."""
    names = [sample.name for those in found for sample in those]
    several = [finding.name for finding in passed.findings() if finding.detail.startswith(ONE_OF_SEVERAL)]
    if several and not names:
        raise DeepenoughError(
            f"{path}: its samples have several images each, and nothing says which of them the label means "
            f"({several[0]}); keep one of them, or give it the field image, as 0001.image.jpg beside 0001.cls"
        )
    if not names:
        raise DeepenoughError(f"{path}: no images in it; WebDataset's shards hold 0001.jpg, 0001.cls and so on")
    if not labelled:
        images = "1 image" if len(names) == 1 else f"{len(names):,} images"
        folders = sorted({name.split("/")[-2] for name in names if "/" in name})
        hint = "give each image a label of its name, as 0001.cls beside 0001.jpg"
        if len(folders) > 1:
            hint = f"it seems to hold class folders ({', '.join(folders[:3])}): unpack it, and give the folder"
        raise DeepenoughError(f"{path}: {images} and no labels beside them (.cls, .json or .txt); {hint}")


def _class_names(folder: Path) -> list[str]:
    """The names in the list of classes beside the shards, by their lines; empty where there is none."""
    file = next((folder / name for name in CLASS_LISTS if (folder / name).is_file()), None)
    if file is None:
        return []
    try:
        lines = file.read_text(encoding="utf-8-sig").rstrip().splitlines()
    except UnicodeDecodeError:
        raise DeepenoughError(f"{file}: the text is not UTF-8; save it as UTF-8") from None
    return [text_of(line) or f"(line {number})" for number, line in enumerate(lines, 1)]
