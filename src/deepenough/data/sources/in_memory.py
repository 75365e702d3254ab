"""Labelled images that are already in Python: arrays, tensors, lists, data frames and data sets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepenough.data.decode import upright
from deepenough.data.finding import Finding
from deepenough.data.sixteen_bits import GREY_MODES
from deepenough.data.sources.base import Source, too_few_classes
from deepenough.data.sources.data_frame import (
    frames_by_split,
    images_of_frame,
    is_frame,
    labels_of_frame,
    other_columns_of_frame,
)
from deepenough.data.sources.hugging_face import HuggingFaceImages, is_dataset, labels_of, other_columns_of_dataset
from deepenough.data.sources.labels import FileLabels, combine
from deepenough.data.sources.labels_in_python import classes_of, label_names
from deepenough.data.sources.names import JoinedNames
from deepenough.data.sources.python_images import (
    ImageArray,
    ImageDataset,
    ImageList,
    ValueRange,
    as_numpy,
    described,
    is_pixels,
)
from deepenough.data.sources.splits import USUAL, split_named
from deepenough.data.split import UNASSIGNED
from deepenough.errors import DeepenoughError, unknown

PREFIX = "python:"

FORMS = (
    "(X, y) with arrays or tensors (N, H, W), (N, H, W, C) or (N, C, H, W); (images, labels) with a list of images or "
    "of their paths; a list of (image, label); a pandas DataFrame with a column of images or paths and one of labels; "
    "a torch Dataset of (image, label); a Hugging Face Dataset; or a dict of such splits"
)
_UNORDERED = (str, bytes, Mapping, set, frozenset)  # no sequences of images or labels, whatever they iterate over

Part = ImageArray | ImageList | ImageDataset | HuggingFaceImages


class InMemory(Source):
    """Images and labels that Python holds. The images are read where they are, without a copy of the whole.

    Classes are named as the labels are: words in the order of their spelling, or numbers in order.
    """

    @classmethod
    def is_named(cls, word: str) -> bool:
        return word.startswith(PREFIX)

    @classmethod
    def open(cls, given: str) -> Source:
        raise DeepenoughError(
            f"these images were given in Python ({given.removeprefix(PREFIX)}) and can't be opened by a name; give "
            "them again in Python, as in deepenough.resume(RUN, images), or the same images as files, as in "
            "`deepenough fit DATA --config args.yaml`"
        )

    def __init__(
        self,
        parts: Mapping[str, tuple[Part, Sequence[str]]],
        known_splits_only: bool = True,
        value_range: ValueRange | None = None,
        findings: Iterable[Finding] = (),
    ) -> None:
        """Join the `parts`, images and class names by the name of their split, which is "" where there is none."""
        self.name = "images"
        self.value_range = value_range
        self._parts = [images for images, _ in parts.values()]
        named = [_coded(split or "the images", labels) for split, (_, labels) in parts.items()]
        self.classes, self.labels, found = combine(named)
        self.findings = tuple(dict.fromkeys((*findings, *found)))
        self.too_few = too_few_classes("the images", self.classes)
        counts = [len(labels) for _, labels in parts.values()]
        self.splits = np.repeat(np.array([_split(name, known_splits_only) for name in parts], np.int8), counts)
        self.names = JoinedNames([images.names(split or "images") for split, (images, _) in parts.items()])
        self.sequential = any(isinstance(images, (ImageDataset, HuggingFaceImages)) for images in self._parts)
        self._starts = np.cumsum([0, *counts])
        digest = hashlib.sha256(b"python\0" + self.labels.tobytes() + self.splits.tobytes())
        digest.update("\0".join(self.classes).encode("utf-8", "surrogateescape"))
        if value_range is not None:  # which the same floats are other pixels in
            digest.update(str(tuple(map(float, value_range))).encode())
        for images in self._parts:
            images.add_to(digest)
        self.stamp = digest.hexdigest()

    def read(self, row: int) -> bytes | NDArray[np.uint8]:
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        found = self._parts[part][row - int(self._starts[part])]
        if isinstance(found, (bytes, np.ndarray)):
            return found
        if found.mode in GREY_MODES:  # whose levels are those of all images
            values = np.asarray(found)
            if values.min() >= 0 and values.max() <= 65535:
                return values.astype(np.uint16)
        return np.asarray(upright(found))


def from_python(data: Any, value_range: ValueRange | None = None) -> InMemory:
    """Open what Python holds as labelled images.

    Args:
        data: one of `FORMS`; the keys of a dict are the names of splits ("train", "validation", "test").
        value_range: the values of black and white in floats, by default 0 and 1.

    Raises `DeepenoughError` with type and shape for anything else, for missing labels, and for values out of range.
    """
    if is_frame(data):
        data = frames_by_split(data)
    by_split = data if isinstance(data, Mapping) else {"": data}
    if not by_split:
        raise DeepenoughError(f"the images: an empty dict; give {FORMS}")
    for split in by_split:
        _split(str(split), known_only=True)
    parts, findings = {}, []
    for split, part in by_split.items():
        what = f"data[{split!r}]" if split else "the images"
        parts[str(split)] = _labelled(part, what, value_range)
        if is_dataset(part):
            findings += other_columns_of_dataset(part, what)
        elif is_frame(part):
            findings += other_columns_of_frame(part, what)
    return InMemory(parts, value_range=value_range, findings=findings)


def _labelled(data: Any, what: str, value_range: ValueRange | None) -> tuple[Part, list[str]]:
    """Images, at least one, and for each the name of its class."""
    part, labels = _read(data, what, value_range)
    if not labels:
        raise DeepenoughError(f"{what}: {described(data)} holds no image")
    return part, labels


def _read(data: Any, what: str, value_range: ValueRange | None) -> tuple[Part, list[str]]:
    if isinstance(data, (tuple, list)) and len(data) == 2 and not (isinstance(data, list) and _is_item(data[0])):
        return _pair(data[0], data[1], what, value_range)
    if is_frame(data):
        return _pair(images_of_frame(data), labels_of_frame(data), what, value_range)
    if is_dataset(data):
        images = HuggingFaceImages(data, what)
        labels, classes = labels_of(data, what)
        return images, label_names(labels, what, classes)
    if hasattr(data, "shape"):
        raise DeepenoughError(f"{what}: {described(data)} without labels; give the images and their labels as (X, y)")
    if isinstance(data, (str, Path)):
        raise DeepenoughError(f"{what}: a path is given by itself, not in a dict; a folder may hold its splits")
    by_row = hasattr(data, "__getitem__") and hasattr(data, "__len__")
    if isinstance(data, (bytes, Mapping)) or not by_row:
        loader = "; of a DataLoader give its dataset" * hasattr(data, "dataset")
        raise DeepenoughError(
            f"{what}: {described(data)} can't be read as labelled images{loader}; give a path, or {FORMS}"
        )
    dataset = ImageDataset(data, what, value_range)
    return dataset, label_names(dataset.labels, what, classes_of(data, what))


def _pair(images: Any, labels: Any, what: str, value_range: ValueRange | None) -> tuple[Part, list[str]]:
    if is_frame(images):
        images = images_of_frame(images)
    array = as_numpy(images)
    if array is not None and is_pixels(array):
        part: Part = ImageArray(array, what, value_range)
    elif hasattr(images, "__iter__") and not isinstance(images, _UNORDERED):
        part = ImageList(list(images), what, value_range)
    else:
        raise DeepenoughError(f"{what}: {described(images)} is no sequence of images; give {FORMS}")
    if not hasattr(labels, "__len__") or isinstance(labels, _UNORDERED):
        raise DeepenoughError(f"{what}: {described(labels)} is no sequence of labels; give one label for each image")
    if len(part) != len(labels):
        raise DeepenoughError(f"{what}: {len(part):,} images and {len(labels):,} labels; give one label for each image")
    return part, label_names(labels, what)


def _is_item(value: Any) -> bool:
    """True for one (image, label)."""
    return isinstance(value, (tuple, list)) and len(value) == 2


def _coded(what: str, labels: Sequence[str]) -> FileLabels:
    """The names of classes of one part as rows into the distinct ones."""
    rows = {name: row for row, name in enumerate(dict.fromkeys(labels))}
    return FileLabels(what, tuple(rows), np.array([rows[name] for name in labels], np.int64))


def _split(name: str, known_only: bool) -> int:
    split = split_named(name)
    if name and known_only and split is None:
        raise unknown("split", name, USUAL)
    return UNASSIGNED if split is None else split
