"""The names of classes from labels that Python holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from deepenough.data.sources.labels import SeveralLabelsError, several, sorting_key, text_of
from deepenough.data.sources.python_images import as_numpy, described
from deepenough.errors import DeepenoughError


def label_names(labels: Any, what: str, classes: Sequence[Any] | None = None) -> list[str]:
    """Name the class of each label: a whole number or a word, in a list, an array, a tensor or a column.

    Whole numbers are rows into `classes`, where all of them can be.

    >>> label_names([0, 1.0, "1"], "y"), label_names([1, 0], "y", ["cat", "dog"])
    (['0', '1', '1'], ['dog', 'cat'])
    """
    array = as_numpy(labels)
    values: Any = labels if array is None else array
    if getattr(values, "ndim", 1) != 1:
        raise DeepenoughError(
            f"{what}: labels of shape {tuple(values.shape)}; one label for each image is expected, (N,): from one-hot "
            "rows it is y.argmax(axis=1)"
        )
    found = [_label_name(value, what, row) for row, value in enumerate(values)]
    if classes is not None and all(name.isdecimal() and int(name) < len(classes) for name in set(found)):
        return [str(classes[int(name)]) for name in found]
    return found


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """The distinct names by their spelling; whole numbers by their value, so that 10 comes after 9."""
    distinct = set(names)
    return tuple(sorted(distinct, key=sorting_key(distinct)))


def _label_name(value: Any, what: str, row: int) -> str:
    if hasattr(value, "item"):  # a scalar of NumPy or a tensor of one value
        value = value.item() if getattr(value, "ndim", 0) == 0 or _size(value) == 1 else value
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        try:
            text = text_of(value)
        except SeveralLabelsError as error:
            raise several(f"{what}: label {row}", error) from None
        if text is not None:
            return text
    if isinstance(value, int):  # True and False among them
        return str(value)
    if value is None or isinstance(value, str) or (isinstance(value, float) and value != value):
        raise DeepenoughError(f"{what}: label {row} is missing ({value!r}); leave out the images without a label")
    raise DeepenoughError(f"{what}: label {row} is {described(value)}; a whole number or a word is expected")


def _size(value: Any) -> int:
    return int(value.numel() if hasattr(value, "numel") else value.size)
