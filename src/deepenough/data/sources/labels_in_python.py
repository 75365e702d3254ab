"""The names of classes from labels that Python holds."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepenough.data.sources.base import distinct
from deepenough.data.sources.labels import label_text, text_of
from deepenough.data.sources.python_images import as_numpy, described
from deepenough.errors import DeepenoughError

_LISTS = (list, tuple, np.ndarray)


def label_names(labels: Any, what: str, classes: Sequence[Any] | None = None) -> list[str]:
    """Name the class of each label: a whole number or a word, in a list, an array (N,) or (N, 1), a tensor or a column.

    Whole numbers are rows into `classes`, where all of them can be.

    >>> label_names([0, 1.0, "1"], "y"), label_names([1, 0], "y", ["cat", "dog"])
    (['0', '1', '1'], ['dog', 'cat'])
    """
    array = as_numpy(labels)
    values: Any = labels if array is None else array
    shape = tuple(getattr(values, "shape", ()))
    if len(shape) == 2 and shape[1] == 1:
        values = np.asarray(values)[:, 0]
    elif len(shape) > 1:
        raise DeepenoughError(
            f"{what}: labels of shape {shape}; one label for each image is expected, (N,): from one-hot rows it is "
            "y.argmax(axis=1)"
        )
    found = [_label_name(value, what, row) for row, value in enumerate(values)]
    if classes is not None and all(name.isdecimal() and int(name) < len(classes) for name in set(found)):
        names = _in_words(classes)
        return [names[int(name)] for name in found]
    return found


def classes_of(dataset: Any, what: str) -> list[Any] | None:
    """The list `classes` of a data set, or of those that torch's `Subset` and `ConcatDataset` are made of.

    Raises `DeepenoughError` where joined data sets have different lists, since their labels are numbers of both.
    """
    own = getattr(dataset, "classes", None)
    if isinstance(own, _LISTS):
        return list(own)
    inner = getattr(dataset, "datasets", None) or [getattr(dataset, "dataset", None)]
    if not isinstance(inner, _LISTS):
        return None
    lists = [classes_of(each, what) for each in inner if each is not None]
    known = [names for names in lists if names is not None]
    if any(names != known[0] for names in known):
        raise DeepenoughError(
            f"{what}: the data sets that were joined have different lists of classes, so that a label means one class "
            "here and another there; map their labels to one list first"
        )
    return known[0] if known and len(known) == len(lists) else None


def _in_words(classes: Sequence[Any]) -> list[str]:
    """Names of classes, told apart where two are alike; several words for one class are joined by commas."""
    words = [", ".join(map(str, name)) if isinstance(name, (list, tuple)) else name for name in classes]
    return distinct([text_of(word) or str(word) for word in words])


def _label_name(value: Any, what: str, row: int) -> str:
    where = f"{what}: label {row}"
    if hasattr(value, "item") and (getattr(value, "ndim", 0) == 0 or _size(value) == 1):
        value = value.item()  # a scalar of NumPy or a tensor of one value
    fraction = isinstance(value, float) and value == value and not value.is_integer()
    known = value is None or isinstance(value, (str, bytes, bytearray, numbers.Real, list, tuple))
    if fraction or not (known or type(value).__name__ == "NAType"):
        raise DeepenoughError(f"{where} is {described(value)}; a whole number or a word is expected")
    text = label_text(value, where)
    if text is None:
        raise DeepenoughError(f"{where} is missing ({value!r}); leave out the images without a label")
    return text


def _size(value: Any) -> int:
    return int(value.numel() if hasattr(value, "numel") else value.size)
