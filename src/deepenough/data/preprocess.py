"""What happens to a picture before the network sees it, the same in training, prediction, export and serving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepenough.data.decode import ImageLike, upright
from deepenough.errors import DeepenoughError

NATIVE_SIDE = 64
"""Pictures that all have one size, with no side above this (pixels), are not resampled."""

PHOTO_SIDE = 64
"""The side (pixels) that other pictures are brought to, unless another is asked for."""

_VERSION = 1


def default_size(sizes: set[tuple[int, int]]) -> tuple[int, int]:
    """(H, W) for pictures of these sizes: their own when they share one small size, else 64 x 64."""
    if len(sizes) == 1:
        (size,) = sizes
        if max(size) <= NATIVE_SIDE:
            return size
    return PHOTO_SIDE, PHOTO_SIDE


def reading_side(size: tuple[int, int]) -> int:
    """The shorter side (pixels) that a JPEG has to keep when it is decoded at a reduced scale: twice what is needed."""
    return 2 * max(*size, 32)


def fit(picture: Image.Image, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """Shrink or enlarge until the picture covers `size`, keep the centre: uint8 (H, W, channels).

    Bilinear, antialiased when shrinking. A picture that has the size already is not resampled.
    """
    mode = "L" if channels == 1 else "RGB"
    if picture.mode != mode:
        picture = picture.convert(mode)
    height, width = size
    if picture.size != (width, height):
        scale = max(height / picture.height, width / picture.width)
        left, top = (picture.width - width / scale) / 2, (picture.height - height / scale) / 2
        box = (
            max(left, 0.0),
            max(top, 0.0),
            min(left + width / scale, picture.width),
            min(top + height / scale, picture.height),
        )
        picture = picture.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.asarray(picture, np.uint8).reshape(height, width, channels)


@dataclass(frozen=True)
class Preprocess:
    """How any image becomes the network's input.

    `size` is (H, W) in pixels, `channels` 1 (grey) or 3 (RGB); `mean` and `std` are those of the training images, per
    channel, in 0..1. Normalisation, `(pixels / 255 - mean) / std`, happens on the training device.
    """

    size: tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def pixels(self, image: ImageLike) -> NDArray[np.uint8]:
        """uint8 (H, W, C) of a path, the bytes of a file, a Pillow image or an array.

        Raises `ImageError` for what cannot be used.
        """
        return fit(upright(image, reading_side(self.size)), self.size, self.channels)

    def to_json(self) -> dict[str, Any]:
        """What `preprocess.json` holds beside the class names."""
        return {
            "version": _VERSION,
            "size": list(self.size),
            "channels": self.channels,
            "resize": "cover, centre crop, bilinear antialiased",
            "mean": list(self.mean),
            "std": list(self.std),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Preprocess:
        """The inverse of `to_json`; other keys (such as `classes`) are left alone."""
        if content.get("version") != _VERSION:
            raise DeepenoughError(
                f"preprocessing of version {content.get('version')!r}: this deepenough reads version {_VERSION}; "
                "use the deepenough that wrote the model"
            )
        height, width = content["size"]
        return cls((int(height), int(width)), int(content["channels"]), tuple(content["mean"]), tuple(content["std"]))
