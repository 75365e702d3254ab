"""Images without labels that Python holds, to be predicted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepenough.data.decode import ImageLike
from deepenough.data.sources.data_frame import images_of_frame, is_frame
from deepenough.data.sources.headings import IMAGE_HEADINGS
from deepenough.data.sources.hugging_face import HuggingFaceImages, is_dataset
from deepenough.data.sources.labels import LONGEST_LABEL
from deepenough.data.sources.python_images import (
    CHANNELS,
    ImageArray,
    ValueRange,
    as_numpy,
    check_value_range,
    described,
    is_pixels,
    item_of,
    key_of,
    one_image,
)
from deepenough.errors import DeepenoughError

_WHAT = "the images"


def images_of(data: Any, grey: bool, value_range: ValueRange | None = None) -> Iterator[ImageLike]:
    """Give one by one the images to predict: of one image or many, in every form that `fit` takes, labels aside.

    Args:
        data: a path, bytes, an open file, a Pillow image, an array or a tensor, or several of them: an array
            (N, H, W), (N, H, W, C) or (N, C, H, W), a list, a DataFrame, a data set, or (images, labels).
        grey: true for a model of grey images, for which a tensor (3, H, W) is three of them, and not one in colour.
        value_range: the values of black and white in floats, by default 0 and 1.
    """
    check_value_range(value_range)
    if (key := key_of(data, IMAGE_HEADINGS)) is not None and "bytes" not in data:
        data = data[key]  # of a row of a table or a data set
    if isinstance(data, tuple) and len(data) == 2 and _are_labels(data[1], data[0]):
        data = data[0]
    if isinstance(data, (str, Path, bytes, bytearray, memoryview, Image.Image)) or callable(
        getattr(data, "read", None)
    ):
        yield one_image(data, _WHAT, value_range)
    elif (array := as_numpy(data)) is not None and is_pixels(array):
        yield from ImageArray(_batch(array, data, grey), _WHAT, value_range)
    else:
        for row, item in enumerate(_items(data)):
            yield one_image(_image_of(item, f"{_WHAT}[{row}]"), f"{_WHAT}[{row}]", value_range)


def _batch(array: NDArray[Any], given: Any, grey: bool) -> NDArray[Any]:
    """A batch of one image or several. Three axes are (H, W, C) if the last has 1, 3 or 4, else (N, H, W); a tensor
    (3, H, W) or (4, H, W) is one image in colour, as torch has it."""
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in CHANNELS):
        return array[np.newaxis]
    if array.ndim == 3 and array.shape[0] in (3, 4) and not grey:
        if given is array:
            raise DeepenoughError(
                f"{_WHAT}: {described(array)} may be one image (C, H, W) or several grey ones (N, H, W); give "
                "images[None] or images[..., None]"
            )
        return array[np.newaxis]
    return array


def _items(data: Any) -> Iterable[Any]:
    """The items of a sequence or of a data set, or of the image column of a table."""
    if isinstance(data, Mapping):
        raise DeepenoughError(f"{_WHAT}: a dict of {', '.join(map(repr, data))}; give the images of one split")
    if is_frame(data):
        return images_of_frame(data)
    if is_dataset(data):
        return HuggingFaceImages(data, _WHAT)
    if hasattr(data, "__getitem__") and hasattr(data, "__len__"):
        items = data if isinstance(data, Sequence) else as_numpy(data) if hasattr(data, "dtype") else None
        return items if items is not None else (item_of(data, row, _WHAT) for row in range(len(data)))
    if hasattr(data, "dataset"):
        raise DeepenoughError(f"{_WHAT}: {described(data)} gives batches; of a DataLoader give its dataset")
    if hasattr(data, "__iter__"):
        return (item for item in data)
    raise DeepenoughError(
        f"{described(data)} is no image; give a path, bytes, an open file, a Pillow image, an array or a tensor, "
        "or several"
    )


def _image_of(item: Any, what: str) -> Any:
    """The image of an item: the item itself, or its first part if the other is a label."""
    if (key := key_of(item, IMAGE_HEADINGS)) is not None and "bytes" not in item:
        return item[key]
    if not isinstance(item, (tuple, list)) or not item:
        return item
    if len(item) == 1 or (len(item) == 2 and _is_label(item[1])):
        return item[0]
    raise DeepenoughError(f"{what}: an image or (image, label) is expected, got {described(tuple(item))}")


def _is_label(value: Any) -> bool:
    """True for a word, a number or one-hot numbers; false for what may be an image."""
    if value is None or isinstance(value, (int, float)):
        return True
    if isinstance(value, str):
        return not (len(value) < LONGEST_LABEL and Path(value).is_file())
    array = as_numpy(value)
    return array is not None and array.ndim < 2


def _are_labels(labels: Any, images: Any) -> bool:
    """True if these are the labels of (images, labels), and not the second of two images."""
    if isinstance(images, (str, bytes)) or not hasattr(images, "__len__") or not hasattr(labels, "__len__"):
        return False
    values = as_numpy(labels)
    if values is None and isinstance(labels, (list, tuple)):
        plain = all(isinstance(each, (int, str)) for each in labels)
        return plain and len(labels) == len(images) and not hasattr(labels, "read")
    return values is not None and values.ndim == 1 and len(values) == len(images)
