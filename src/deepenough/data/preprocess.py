"""What happens to a picture before the network sees it, the same in training, prediction, export and serving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepenough.data.decode import ImageLike, upright
from deepenough.errors import DeepenoughError
from deepenough.weights.inputs import Input

NATIVE_SIDE = 64
"""Pictures that all have one size, with no side above this (pixels), are not resampled."""

PHOTO_SIDE = 64
"""The side (pixels) that other pictures are brought to, unless another is asked for."""

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

_VERSION = 2
_READ = (1, 2)  # version 1 knew neither `shorter` nor `interpolation` nor `order`: it had their defaults


def default_size(sizes: set[tuple[int, int]]) -> tuple[int, int]:
    """(H, W) for pictures of these sizes: their own when they share one small size, else 64 x 64."""
    if len(sizes) == 1:
        (size,) = sizes
        if max(size) <= NATIVE_SIDE:
            return size
    return PHOTO_SIDE, PHOTO_SIDE


@dataclass(frozen=True)
class Framing:
    """What of a picture is seen, and how large.

    The picture is scaled until its shorter side has `shorter` pixels, and the centre of `size` (H, W) is cut out; with
    `shorter` None the scaled picture just covers `size`. `interpolation` is antialiased when shrinking.
    """

    size: tuple[int, int]
    shorter: int | None = None
    interpolation: str = "bilinear"

    @property
    def reading_side(self) -> int:
        """The shorter side (pixels) that a JPEG has to keep when it is decoded at a reduced scale: twice the needed."""
        return 2 * max(*self.size, self.shorter or 0, 32)

    def resized(self, side: int) -> Framing:
        """The same framing for squares of `side` pixels."""
        shorter = None if self.shorter is None else round(self.shorter * side / min(self.size))
        return Framing((side, side), shorter, self.interpolation)

    def box(self, width: float, height: float) -> tuple[float, float, float, float]:
        """What of a picture of this size is seen: left, top, right and bottom, in its pixels."""
        across, down = self.size[::-1]
        if self._covers():
            scale = max(down / height, across / width)
        else:
            assert self.shorter is not None
            scale = self.shorter / min(width, height)
        left, top = (width - across / scale) / 2, (height - down / scale) / 2
        return max(left, 0.0), max(top, 0.0), min(left + across / scale, width), min(top + down / scale, height)

    def _covers(self) -> bool:
        return self.shorter is None or self.shorter < max(self.size)

    def apply(self, picture: Image.Image, channels: int) -> NDArray[np.uint8]:
        """uint8 (H, W, channels). A picture that has the size already is not resampled."""
        mode = "L" if channels == 1 else "RGB"
        if picture.mode != mode:
            picture = picture.convert(mode)
        seen = self._covered(picture) if self._covers() else self._cut(picture)
        return np.asarray(seen, np.uint8).reshape(*self.size, channels)

    def _covered(self, picture: Image.Image) -> Image.Image:
        """Scaled until it covers the size, the rest cut off."""
        height, width = self.size
        if picture.size == (width, height):
            return picture
        box = self.box(picture.width, picture.height)
        return picture.resize((width, height), RESAMPLING[self.interpolation], box=box)

    def _cut(self, picture: Image.Image) -> Image.Image:
        """As torchvision does it: scaled to whole pixels, and cut at whole pixels of the scaled picture."""
        assert self.shorter is not None
        height, width = self.size
        longer = int(self.shorter * max(picture.size) / min(picture.size))
        size = (self.shorter, longer) if picture.width <= picture.height else (longer, self.shorter)
        scaled = picture.resize(size, RESAMPLING[self.interpolation])
        left, top = round((scaled.width - width) / 2), round((scaled.height - height) / 2)
        return scaled.crop((left, top, left + width, top + height))


@dataclass(frozen=True)
class Preprocess:
    """How any image becomes the network's input.

    `size` is (H, W) in pixels, `channels` 1 (grey) or 3; `mean` and `std` are per channel, in 0..1: those of the
    training images, or of what pretrained weights were made with. `order` is the order of the channels that the network
    takes. Normalisation, `(pixels / 255 - mean) / std`, happens on the training device. `shorter` and `interpolation`
    are those of `Framing`.
    """

    size: tuple[int, int]
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    shorter: int | None = None
    interpolation: str = "bilinear"
    order: str = "RGB"

    @classmethod
    def of(cls, given: Input) -> Preprocess:
        """What pretrained weights expect."""
        return cls(given.size, len(given.mean), given.mean, given.std, given.shorter, given.interpolation, given.order)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of what the network takes."""
        return (self.channels, *self.size)

    @property
    def framing(self) -> Framing:
        return Framing(self.size, self.shorter, self.interpolation)

    def pixels(self, image: ImageLike) -> NDArray[np.uint8]:
        """uint8 (H, W, C) of a path, the bytes of a file, a Pillow image or an array.

        Raises `ImageError` for what cannot be used.
        """
        return self.framing.apply(upright(image, self.framing.reading_side), self.channels)

    def to_json(self) -> dict[str, Any]:
        """What `preprocess.json` holds beside the class names."""
        return {"version": _VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Preprocess:
        """The inverse of `to_json`; other keys (such as `classes`) are left alone."""
        if content.get("version") not in _READ:
            raise DeepenoughError(
                f"preprocessing of version {content.get('version')!r}: this deepenough reads versions "
                f"{' and '.join(map(str, _READ))}; use the deepenough that wrote the model"
            )
        names = {entry.name for entry in fields(cls)}
        known: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in content.items() if key in names
        }
        return cls(**known)
