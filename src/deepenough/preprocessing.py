"""The way of a picture into a network, the same in training, prediction, export and serving."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from deepenough.errors import DeepenoughError, unknown

RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
ORDERS = ("RGB", "BGR")
THIN = 16  # from this ratio of its sides on, only the part of a picture that is seen is scaled

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # RGB, 0..1; torchvision's and timm's

_VERSION, _WITH_LEVELS = 2, 3  # a deepenough that knows of no levels or value range must not read what has them
_READ = (None, 1, 2, 3)  # 1 knew neither `shorter` nor `interpolation` nor `order`; what people write has no version


@dataclass(frozen=True)
class Preprocessing:
    """The way of any image into a network: how it is framed, and how its pixels are normalised.

    Framing: the picture is scaled until its shorter side has `shorter` pixels, and the centre of `size` (H, W) is cut
    out; with `shorter` None the scaled picture just covers `size`. `interpolation` is antialiased when shrinking.

    Normalisation, `(pixels / 255 - mean) / std`, happens on the device that computes. `mean` and `std` are per channel,
    1 (grey) or 3 in the order `order`, of pixels in 0..1: those of the training images, or of what pretrained weights
    were made with.

    `levels`: of images of more than 8 bits, the values that become 0 and 255; None stands for 0 and 65535, and for
    images that are still to be looked at. `value_range`: the same of arrays of floats; None stands for 0 and 1.
    """

    size: tuple[int, int]
    shorter: int | None = None
    interpolation: str = "bilinear"
    order: str = "RGB"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    levels: tuple[int, int] | None = None
    value_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.interpolation not in RESAMPLING:
            raise unknown("interpolation", self.interpolation, RESAMPLING)
        if self.order not in ORDERS:
            raise unknown("channel order", self.order, ORDERS)
        given = (*self.mean, *self.std)
        numbers = all(isinstance(value, Real) for value in given) and all(map(math.isfinite, given))
        if not numbers or len(self.mean) != len(self.std) or not all(s > 0 for s in self.std):
            raise DeepenoughError(f"mean {self.mean}, std {self.std}: give as many numbers of each, every std above 0")
        if self.levels is not None and not 0 <= self.levels[0] < self.levels[1] <= 65535:
            raise DeepenoughError(f"levels {self.levels}: give two values in 0..65535, the smaller one first")
        if self.shorter is not None and self.shorter < min(self.size):
            raise DeepenoughError(f"shorter side {self.shorter}: it has to be at least that of the crop, {self.size}")

    def __str__(self) -> str:
        height, width = self.size
        scaled = "scaled to cover" if self.covers() else f"shorter side {self.shorter}, centre"
        mean, std = (", ".join(f"{255 * v:.4g}" for v in values) for values in (self.mean, self.std))
        return f"{scaled} {width}x{height}, {self.interpolation}, {self.colours} 0..255 minus ({mean}) over ({std})"

    @classmethod
    def untrained(cls, shape: tuple[int, int, int]) -> Preprocessing:
        """For a network that takes (C, H, W) and that nobody has trained: as for ImageNet, or to -1..1."""
        channels, height, width = shape
        if channels == 3:
            return cls((height, width))
        return cls((height, width), mean=(0.5,) * channels, std=(0.5,) * channels)

    @property
    def channels(self) -> int:
        return len(self.mean)

    @property
    def colours(self) -> str:
        """The channels, in words: RGB, BGR or grey."""
        return "grey" if self.channels == 1 else self.order

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of what the network takes."""
        return (self.channels, *self.size)

    @property
    def framing(self) -> str:
        """The part of a picture that is seen, and how large, in words for the keys of caches."""
        return f"Framing(size={self.size}, shorter={self.shorter}, interpolation={self.interpolation!r})"

    @property
    def reading_side(self) -> int:
        """The shorter side (pixels) that a JPEG has to keep when it is decoded at a reduced scale: twice the needed."""
        return 2 * max(*self.size, self.shorter or 0, 32)

    def resized(self, side: int) -> Preprocessing:
        """The same for squares of `side` pixels."""
        shorter = None if self.shorter is None else round(self.shorter * side / min(self.size))
        return replace(self, size=(side, side), shorter=shorter)

    def box(self, width: float, height: float) -> tuple[float, float, float, float]:
        """Find the part of a picture of this size that is seen: left, top, right and bottom, in its pixels."""
        across, down = self.size[::-1]
        if self.covers():
            scale = max(down / height, across / width)
        else:
            assert self.shorter is not None
            scale = self.shorter / min(width, height)
        left, top = (width - across / scale) / 2, (height - down / scale) / 2
        return max(left, 0.0), max(top, 0.0), min(left + across / scale, width), min(top + down / scale, height)

    def covers(self) -> bool:
        """Tell whether a picture is scaled until it just covers the size, without regard to `shorter`."""
        return self.shorter is None or self.shorter < max(self.size)

    def frame(self, picture: Image.Image, channels: int | None = None) -> NDArray[np.uint8]:
        """uint8 (H, W, C), C its own channels unless given. A picture that has the size already is not resampled."""
        channels = channels or self.channels
        return np.asarray(self.frame_picture(picture, channels), np.uint8).reshape(*self.size, channels)

    def frame_picture(self, picture: Image.Image, channels: int) -> Image.Image:
        """As `frame`, but a picture of mode `L` (1 channel) or `RGB`."""
        mode = "L" if channels == 1 else "RGB"
        if picture.mode != mode:
            picture = picture.convert(mode)
        return self._covered(picture) if self.covers() else self._cut(picture)

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
        left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
        seen = (left, top, left + width, top + height)
        if longer <= THIN * self.shorter:
            return picture.resize(size, RESAMPLING[self.interpolation]).crop(seen)
        # The whole of a thin picture, scaled, could be gigabytes; of this part alone some pixels are a level off.
        box = [at * own / scaled for at, own, scaled in zip(seen, 2 * picture.size, 2 * size, strict=True)]
        return picture.resize((width, height), RESAMPLING[self.interpolation], box=(box[0], box[1], box[2], box[3]))

    def to_json(self) -> dict[str, Any]:
        """Return what `preprocess.json` holds beside the class names."""
        names = ("size", "channels", "mean", "std", "shorter", "interpolation", "order", "levels", "value_range")
        version = _VERSION if self.levels is None and self.value_range is None else _WITH_LEVELS
        return {"version": version, **{name: getattr(self, name) for name in names}}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Preprocessing:
        """The inverse of `to_json`; lists stand for tuples, other keys (such as `classes`) are left alone."""
        if content.get("version") not in _READ:
            raise DeepenoughError(
                f"preprocessing of version {content.get('version')!r}: this deepenough reads versions "
                f"{', '.join(map(str, filter(None, _READ)))}; use the deepenough that wrote the model"
            )
        names = {entry.name for entry in fields(cls)}
        known: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in content.items() if key in names
        }
        try:
            return cls(**known)
        except TypeError as error:
            raise DeepenoughError(f"preprocessing {content!r:.200}: {error}") from None
