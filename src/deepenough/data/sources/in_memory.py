"""Labelled images that are already in Python: arrays, tensors, lists, data frames and data sets."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepenough.data.decode import upright
from deepenough.data.sources.base import Source, is_text_like, too_few_classes
from deepenough.data.sources.hugging_face import HuggingFaceImages, is_dataset, labels_of
from deepenough.data.sources.labels_in_python import in_order, label_names
from deepenough.data.sources.names import JoinedNames
from deepenough.data.sources.python_images import (
    ImageArray,
    ImageDataset,
    ImageList,
    ValueRange,
    as_numpy,
    described,
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

IMAGE_COLUMNS = (
    "image", "img", "path", "file", "filename", "file_name", "filepath", "file_path", "image_path", "images"
)  # fmt: skip
LABEL_COLUMNS = ("label", "class", "category", "target", "class_name", "labels", "y")

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
            "them again, as in deepenough.resume(RUN, images)"
        )

    def __init__(
        self,
        parts: Mapping[str, tuple[Part, Sequence[str]]],
        known_splits_only: bool = True,
        value_range: ValueRange | None = None,
    ) -> None:
        """Join the `parts`, images and class names by the name of their split, which is "" where there is none."""
        self.name = "images"
        self.value_range = value_range
        self._parts = [images for images, _ in parts.values()]
        words = [word for _, labels in parts.values() for word in labels]
        self.classes = in_order(words)
        self.too_few = too_few_classes("the images", self.classes)
        row_of = {name: row for row, name in enumerate(self.classes)}
        self.labels = np.array([row_of[word] for word in words], np.int64)
        counts = [len(labels) for _, labels in parts.values()]
        self.splits = np.repeat(np.array([_split(name, known_splits_only) for name in parts], np.int8), counts)
        self.names = JoinedNames([images.names(split or "images") for split, (images, _) in parts.items()])
        self.mirror = not is_text_like(self.classes)
        self.sequential = any(isinstance(images, (ImageDataset, HuggingFaceImages)) for images in self._parts)
        self._starts = np.cumsum([0, *counts])
        digest = hashlib.sha256(b"python\0" + self.labels.tobytes() + self.splits.tobytes())
        digest.update("\0".join(self.classes).encode("utf-8", "surrogateescape"))
        for images in self._parts:
            images.add_to(digest)
        self.stamp = digest.hexdigest()

    def read(self, row: int) -> bytes | NDArray[np.uint8]:
        part = int(np.searchsorted(self._starts, row, side="right")) - 1
        found = self._parts[part][row - int(self._starts[part])]
        if isinstance(found, (bytes, np.ndarray)):
            return found
        if found.mode.startswith("I;16"):  # whose levels are those of all images
            return np.asarray(found).astype(np.uint16)
        return np.asarray(upright(found))


def from_python(data: Any, value_range: ValueRange | None = None) -> InMemory:
    """Open what Python holds as labelled images.

    Args:
        data: one of `FORMS`; the keys of a dict are the names of splits ("train", "validation", "test").
        value_range: the values of black and white in floats, by default 0 and 1.

    Raises `DeepenoughError` with type and shape for anything else, for missing labels, and for values out of range.
    """
    if not isinstance(data, Mapping):
        return InMemory({"": _labelled(data, "the images", value_range)}, value_range=value_range)
    if not data:
        raise DeepenoughError(f"the images: an empty dict; give {FORMS}")
    parts = {str(split): _labelled(part, f"data[{split!r}]", value_range) for split, part in data.items()}
    return InMemory(parts, value_range=value_range)


def image_column(frame: Any) -> Any:
    """The column of a data frame that holds images or their paths."""
    return _column(frame, IMAGE_COLUMNS, "images or paths")


def is_frame(data: Any) -> bool:
    """True for a pandas `DataFrame`."""
    return hasattr(data, "columns") and any(kind.__module__.split(".")[0] == "pandas" for kind in type(data).__mro__)


def _labelled(data: Any, what: str, value_range: ValueRange | None) -> tuple[Part, list[str]]:
    """Images and, for each, the name of its class."""
    if isinstance(data, (tuple, list)) and len(data) == 2 and not (isinstance(data, list) and _is_item(data[0])):
        return _pair(data[0], data[1], what, value_range)
    if is_frame(data):
        label = _column(data, LABEL_COLUMNS, "labels")
        return _pair(list(data[image_column(data)]), data[label], what, value_range)
    if is_dataset(data):
        images = HuggingFaceImages(data, what)
        labels, classes = labels_of(data, what)
        return images, label_names(labels, what, classes)
    if hasattr(data, "shape"):
        raise DeepenoughError(f"{what}: {described(data)} without labels; give the images and their labels as (X, y)")
    if isinstance(data, (str, bytes, Mapping)) or not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        loader = "; of a DataLoader give its dataset" * hasattr(data, "dataset")
        raise DeepenoughError(
            f"{what}: {described(data)} can't be read as labelled images{loader}; give a path, or {FORMS}"
        )
    dataset = ImageDataset(data, what, value_range)
    return dataset, label_names(dataset.labels, what, getattr(data, "classes", None))


def _pair(images: Any, labels: Any, what: str, value_range: ValueRange | None) -> tuple[Part, list[str]]:
    array = as_numpy(images)
    if array is not None and array.dtype != object:
        part: Part = ImageArray(array, what, value_range)
    elif hasattr(images, "__iter__") and not isinstance(images, (str, bytes, Mapping)):
        part = ImageList(list(images), what, value_range)
    else:
        raise DeepenoughError(f"{what}: {described(images)} is no sequence of images; give {FORMS}")
    if not hasattr(labels, "__len__") or isinstance(labels, (str, bytes, Mapping)):
        raise DeepenoughError(f"{what}: {described(labels)} is no sequence of labels; give one label for each image")
    if len(part) != len(labels):
        raise DeepenoughError(f"{what}: {len(part):,} images and {len(labels):,} labels; give one label for each image")
    return part, label_names(labels, what)


def _is_item(value: Any) -> bool:
    """True for one (image, label)."""
    return isinstance(value, (tuple, list)) and len(value) == 2


def _column(frame: Any, names: Sequence[str], role: str) -> Any:
    by_word = {str(column).strip().lower(): column for column in frame.columns}
    column = next((by_word[name] for name in names if name in by_word), None)
    if column is None:
        raise DeepenoughError(
            f"a DataFrame with the columns {', '.join(map(str, frame.columns))}: no column of {role} among them; call "
            f"it {names[0]!r}"
        )
    return column


def _split(name: str, known_only: bool) -> int:
    split = split_named(name)
    if name and known_only and split is None:
        raise unknown("split", name, USUAL)
    return UNASSIGNED if split is None else split
