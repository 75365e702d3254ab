"""Images that Python holds, many in an array or one by one, made into what `deepenough.data.decode` takes."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepenough.data.decode import SMALLEST_SIDE, ImageLike
from deepenough.data.image_file import read_file
from deepenough.data.sources.base import file_stamp
from deepenough.data.sources.headings import IMAGE_HEADINGS, LABEL_HEADINGS, column
from deepenough.data.sources.names import NumberedNames
from deepenough.errors import DeepenoughError, first_line

ValueRange = tuple[float, float]

UNIT: ValueRange = (0.0, 1.0)
CHANNELS = (1, 3, 4)
_AT_ONCE = 1024
_READ_TWICE = 16  # images of a data set, which show a random flip in all but one case of 65,536


class ImageArray(Sequence[Any]):
    """Images in one array (N, H, W), (N, H, W, C) or (N, C, H, W), C being 1, 3 or 4. Its rows are views, not copies.

    Values: uint8, bool, uint16, other whole numbers in 0..255, or floats in `value_range`, by default 0..1.
    """

    def __init__(self, array: NDArray[Any], what: str, value_range: ValueRange | None = None) -> None:
        self._array = channels_last(array, what)
        self._convert = conversion(self._array, what, value_range)

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, row: Any) -> Any:
        return self._convert(self._array[row])

    def names(self, part: str) -> Sequence[str]:
        """Give each image a name: the part of the data that it is in, with its row."""
        return NumberedNames([(part, len(self))])

    def add_to(self, digest: Any) -> None:
        """Add the content to a hash."""
        digest.update(str((self._array.shape, self._array.dtype)).encode())
        for start in range(0, len(self), _AT_ONCE):
            digest.update(np.ascontiguousarray(self._array[start : start + _AT_ONCE]).data)


class ImageList(Sequence[Any]):
    """Images one by one: paths, the bytes of files, open files, Pillow images, arrays or tensors of one image each."""

    def __init__(self, images: Sequence[Any], what: str, value_range: ValueRange | None = None) -> None:
        self._images = [one_image(image, f"{what}[{row}]", value_range) for row, image in enumerate(images)]

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, row: Any) -> Any:
        image = self._images[row]
        return read_file(image) if isinstance(image, Path) else image

    def names(self, part: str) -> Sequence[str]:
        """Give each image a name: its path, or the part of the data that it is in, with its row."""
        return [str(each) if isinstance(each, Path) else f"{part}[{row}]" for row, each in enumerate(self._images)]

    def add_to(self, digest: Any) -> None:
        """Add the content to a hash; of files their place, size and time."""
        for image in self._images:
            digest.update(_print_of(image))


class ImageDataset(Sequence[Any]):
    """The images of a data set of (image, label), such as a torch `Dataset`, by one pass over all of it at first.

    `labels` are those of all rows. Raises `DeepenoughError` where an item is not such a pair, or is another one when it
    is read again, as with random transforms: augmentation is deepenough's, on training images only.
    """

    def __init__(self, dataset: Any, what: str, value_range: ValueRange | None = None) -> None:
        self._dataset, self._what, self._range = dataset, what, value_range
        self.labels: list[Any] = []
        seen = hashlib.sha256()
        for row in range(len(dataset)):
            image, label = self._item(row)
            self.labels.append(label)
            content = _print_of(image)
            if row < _READ_TWICE and content != _print_of(self._item(row)[0]):
                raise DeepenoughError(
                    f"{what}: {described(dataset)} gives another image each time that it is read; give it without "
                    "random transforms, since deepenough augments the training images itself"
                )
            seen.update(content)
        self._content = seen.digest()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, row: Any) -> Any:
        image = self._item(row)[0]
        return read_file(image) if isinstance(image, Path) else image

    def names(self, part: str) -> Sequence[str]:
        """Give each image a name: the part of the data that it is in, with its row."""
        return NumberedNames([(part, len(self))])

    def add_to(self, digest: Any) -> None:
        """Add the content, as it was when it was looked through, to a hash."""
        digest.update(self._content)

    def _item(self, row: int) -> tuple[Any, Any]:
        item = item_of(self._dataset, row, self._what)
        if isinstance(item, (tuple, list)) and len(item) == 2:
            image, label = item
        elif None not in (keys := (key_of(item, IMAGE_HEADINGS), key_of(item, LABEL_HEADINGS))):
            image, label = item[keys[0]], item[keys[1]]
        else:
            raise DeepenoughError(f"{self._what}[{row}]: (image, label) is expected, got {described(item)}")
        return one_image(image, f"{self._what}[{row}]", self._range), label


def item_of(dataset: Any, row: int, what: str) -> Any:
    """One item of a data set. What its own code raises is named with the row."""
    try:
        return dataset[row]
    except Exception as error:  # anything: the code is the user's
        words = f"{type(error).__name__}: {first_line(error)}"
        raise DeepenoughError(f"{what}[{row}]: {described(dataset)} gave no item ({words})") from error


def key_of(item: Any, headings: Sequence[str]) -> Any:
    """The key of a dict that is one of these names; None for anything else."""
    place = column(item, headings) if isinstance(item, Mapping) else None
    return None if place is None else list(item)[place]


def one_image(image: Any, what: str, value_range: ValueRange | None = None) -> ImageLike:
    """Make one image what `decode` takes: a path, bytes, a Pillow image, or an array uint8 or uint16 (H, W[, C]).

    A tensor of three axes is (C, H, W) where its first axis has 1, 3 or 4, an array where its last has not.
    """
    if isinstance(image, Image.Image):
        return _of_pillow(image, what, value_range)
    if isinstance(image, (str, Path)):
        return Path(image)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return bytes(image)
    if callable(getattr(image, "read", None)):
        return _content_of(image, what)
    if isinstance(image, Mapping) and ("bytes" in image or "path" in image):  # as Hugging Face stores them
        return one_image(image.get("bytes") or image.get("path"), what, value_range)
    array = as_numpy(image)
    if array is None:
        raise DeepenoughError(
            f"{what}: {described(image)} is no image; a path, bytes, an open file, a Pillow image, an array or a "
            "tensor is"
        )
    if array.ndim == 2:
        return _converted(array, what, value_range)
    if array.ndim != 3:
        raise DeepenoughError(f"{what}: {described(image)} is no image; (H, W), (H, W, C) or (C, H, W) is")
    return _converted(channels_last(array[np.newaxis], what)[0], what, value_range)


def described(value: Any) -> str:
    """Type, and where it has them values and shape, in words for messages."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {described(part)}" for key, part in list(value.items())[:5]) + "}"
    kind = type(value)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.split('.')[0]}.{kind.__name__}"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"{name} of {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}"
    if isinstance(value, (int, float, str)) and len(repr(value)) < 60:
        return f"{name} {value!r}"
    if isinstance(value, tuple):
        return f"({', '.join(map(described, value[:3]))}{', ...' * (len(value) > 3)})"
    return f"{name} of {len(value):,}" if hasattr(value, "__len__") else name


def as_numpy(value: Any) -> NDArray[Any] | None:
    """An array, a tensor on any device, or a pandas column as a NumPy array, which shares its memory where it can."""
    if isinstance(value, np.ndarray):
        return value
    if callable(getattr(value, "detach", None)):
        try:
            tensor = value.detach().cpu()
            return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)
        except (TypeError, RuntimeError) as error:  # sparse, quantized or without values
            raise DeepenoughError(f"{described(value)}: its values can't be read ({first_line(error)})") from None
    if hasattr(value, "dtype") and (hasattr(value, "__array__") or hasattr(value, "to_numpy")):
        return np.asarray(value)
    return None


def is_pixels(array: NDArray[Any]) -> bool:
    """False for an array of words, such as paths, or of any objects, which are images one by one."""
    return array.dtype.kind not in "OSTU"


def channels_last(array: NDArray[Any], what: str) -> NDArray[Any]:
    """Images (N, H, W), (N, H, W, C) or (N, C, H, W) as a view (N, H, W) or (N, H, W, C).

    Sides have at least 8 pixels, so that an axis of 1, 3 or 4 is that of the channels.
    """
    shape = array.shape
    if array.ndim == 3 or (array.ndim == 4 and shape[3] in CHANNELS and shape[1] >= SMALLEST_SIDE):
        return array
    if array.ndim == 4 and shape[1] in CHANNELS and min(shape[2:]) >= SMALLEST_SIDE:
        return array.transpose(0, 2, 3, 1)
    side = round(shape[1] ** 0.5) if array.ndim == 2 else 0
    flat = f"; for flattened images X.reshape(-1, {side}, {side})" if side and side**2 == shape[1] else ""
    raise DeepenoughError(
        f"{what}: {described(array)}; (N, H, W), (N, H, W, C) or (N, C, H, W) is expected, C being 1, 3 or 4 and sides "
        f"of at least {SMALLEST_SIDE} pixels{flat}"
    )


def check_value_range(given: Any) -> None:
    """Raise the error for what is no pair of numbers, the values of black and white."""
    try:
        black, white = map(float, given if given is not None else UNIT)
    except (TypeError, ValueError):
        black = white = float("nan")
    if not white > black:
        raise DeepenoughError(f"value_range {given!r}: give the value of black and a larger one of white, as (-1, 1)")


def conversion(
    array: NDArray[Any], what: str, value_range: ValueRange | None
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """The function that makes parts of an array uint8, after a look at the range of all its values."""
    kind = array.dtype.kind
    if array.dtype in (np.uint8, np.bool_) or (array.dtype == np.uint16 and value_range is None):
        return lambda values: values
    if kind not in "iuf":
        raise DeepenoughError(f"{what}: {described(array)}; uint8, bool, uint16 or floats can be read")
    check_value_range(value_range)
    low, high = (value_range or UNIT) if kind == "f" or value_range else (0, 255)
    least, most = (float(array.min()), float(array.max())) if array.size else (low, high)
    if not (np.isfinite(least) and np.isfinite(most)):  # NaN is the least and the most where there is one
        raise DeepenoughError(
            f"{what}: {described(array)} holds values that are NaN or infinite; leave out these images, or replace the "
            "values, as by np.nan_to_num"
        )
    if not (least >= low and most <= high):
        raise DeepenoughError(
            f"{what}: {described(array)} with values from {least:g} to {most:g}, and {low:g} to {high:g} are read as "
            f"black to white; give value_range=(black, white), as value_range={_likely_range(least, most)}"
        )
    if kind != "f" and value_range is None:
        return lambda values: values.astype(np.uint8)
    scale = 255 / (high - low)
    return lambda values: np.rint((values.astype(np.float64) - low) * scale).astype(np.uint8)


def _likely_range(least: float, most: float) -> str:
    """The range that is likeliest for values from `least` to `most`: a usual one of which they go at least a quarter of
    the way to each end, else their own."""
    for low, high in ((0, 1), (0, 255), (-1, 1), (-128, 127), (0, 4095), (0, 65535)):
        if low <= least <= (low / 4 or most) and high / 4 <= most <= high:
            return f"({low}, {high})"
    white = most if most > least else least + max(1, abs(least))
    return f"({_rounded(least, math.floor)}, {_rounded(white, math.ceil)})"


def _rounded(value: float, whole: Callable[[float], int]) -> str:
    """A number with four digits, floored or ceiled, so that it still bounds what it did."""
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 3) if value else 1.0
    text = f"{whole(value / unit) * unit:.4g}"
    return text if whole(float(text) - value) == 0 or (float(text) > value) == (whole is math.ceil) else repr(value)


def _of_pillow(image: Image.Image, what: str, value_range: ValueRange | None) -> ImageLike:
    """A Pillow image; one that was opened and not decoded yet as its file, which is then read as every other."""
    if getattr(image, "tile", None) and image.tell() == 0:
        name, file = getattr(image, "filename", ""), getattr(image, "fp", None)
        if name and Path(name).is_file():
            return Path(name)
        if file is not None and not getattr(file, "closed", False):
            return _content_of(file, what)
    return _converted(np.asarray(image), what, value_range) if image.mode == "F" else image


def _content_of(file: Any, what: str) -> bytes:
    """All bytes of an open file from its beginning, as Pillow reads it too."""
    if isinstance(file, io.TextIOBase):
        raise DeepenoughError(f"{what}: {described(file)} is a file opened as text; open it with mode 'rb'")
    try:
        if callable(getattr(file, "seekable", None)) and file.seekable():
            file.seek(0)
        return bytes(file.read())
    except (OSError, ValueError, TypeError) as error:
        raise DeepenoughError(f"{what}: {described(file)} can't be read ({first_line(error)})") from None


def _converted(array: NDArray[Any], what: str, value_range: ValueRange | None) -> NDArray[Any]:
    return conversion(array, what, value_range)(array)


def _print_of(image: Any) -> bytes:
    """A hash of an image; of a file its place, size and time of change."""
    if isinstance(image, Path):
        try:
            return hashlib.sha256(file_stamp(image).encode("utf-8", "surrogateescape")).digest()
        except OSError:
            return hashlib.sha256(str(image).encode("utf-8", "surrogateescape")).digest()
    if isinstance(image, bytes):
        return hashlib.sha256(image).digest()
    if isinstance(image, Image.Image):
        try:
            pixels = image.tobytes()
        except Exception as error:  # Pillow's decoders raise many kinds for broken images, which the audit names
            pixels = repr(error).encode()
        return hashlib.sha256(f"{image.mode} {image.size}".encode() + pixels).digest()
    return hashlib.sha256(f"{image.dtype} {image.shape}".encode() + np.ascontiguousarray(image).tobytes()).digest()
