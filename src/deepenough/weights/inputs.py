"""What pretrained weights expect of an image: size, crop, interpolation, channel order, mean, std."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from deepenough.errors import DeepenoughError, unknown

INTERPOLATIONS = ("bilinear", "bicubic")
ORDERS = ("RGB", "BGR")

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # RGB, 0..1; torchvision's and timm's
CAFFE_MEAN = (104 / 255, 117 / 255, 123 / 255)  # BGR; BVLC's ImageNet mean, rounded
KERAS_MEAN = (103.939 / 255, 116.779 / 255, 123.68 / 255)  # BGR; VGG's and the authors' ResNets', as Keras has them
HALF = (0.5, 0.5, 0.5)
ONE = (1 / 255,) * 3  # std of images that stay in 0..255

CAFFE_SIDES = {"alexnet": 227, "alexnet_bvlc": 227, "squeezenet1_1": 227}
"""Input sides (pixels) of Caffe's releases that are not 224."""


@dataclass(frozen=True)
class Input:
    """How an image becomes the input of pretrained weights.

    The image is scaled until its shorter side has `shorter` pixels, and the centre of `size` (H, W) is cut out; with
    `shorter` None the scaled image just covers `size`. `mean` and `std` are per channel in the order `order`, of
    pixels in 0..1: `(pixels / 255 - mean) / std`.
    """

    size: tuple[int, int]
    shorter: int | None = None
    interpolation: str = "bilinear"
    order: str = "RGB"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD

    def __post_init__(self) -> None:
        if self.interpolation not in INTERPOLATIONS:
            raise unknown("interpolation", self.interpolation, INTERPOLATIONS)
        if self.order not in ORDERS:
            raise unknown("channel order", self.order, ORDERS)
        if len(self.mean) != len(self.std) or not all(s > 0 for s in self.std):
            raise DeepenoughError(f"mean {self.mean}, std {self.std}: give as many of each, every std above 0")
        if self.shorter is not None and self.shorter < min(self.size):
            raise DeepenoughError(f"shorter side {self.shorter}: it has to be at least that of the crop, {self.size}")

    def __str__(self) -> str:
        height, width = self.size
        scaled = "scaled to cover" if self.shorter is None else f"shorter side {self.shorter}, centre"
        mean, std = (", ".join(f"{255 * v:.4g}" for v in values) for values in (self.mean, self.std))
        return f"{scaled} {width}x{height}, {self.interpolation}, {self.order} 0..255 minus ({mean}) over ({std})"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Input:
        """The inverse of `to_json`; lists stand for tuples, other keys (such as `classes`) are left alone."""
        known: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in content.items()
            if key in cls.__dataclass_fields__
        }
        try:
            return cls(**known)
        except TypeError as error:
            raise DeepenoughError(f"preprocessing {content!r:.200}: {error}") from None


PRESETS = ("torchvision", "torchvision-v2", "timm", "caffe-bgr", "keras", "paddle")


def preset(name: str, network: str) -> Input:
    """What the source `name` feeds the network `network`.

    torchvision: shorter side 256 (its V2 weights 232), bilinear; its GoogLeNet came from TensorFlow and brings
    ImageNet's mean and standard deviation to 0.5 in its forward pass (`transform_input`), which is done here. timm: a
    crop of 0.95, bicubic. caffe-bgr: BGR in 0..255 less the mean of BVLC's release. keras: `keras.applications`' caffe
    mode. paddle: as torchvision.
    """
    match name:
        case "torchvision" | "torchvision-v2" if network == "googlenet_bn":
            return Input((224, 224), 256, mean=HALF, std=HALF)
        case "torchvision" | "paddle":
            return Input((224, 224), 256)
        case "torchvision-v2":
            return Input((224, 224), 232)
        case "timm":
            return Input((224, 224), 235, "bicubic")
        case "caffe-bgr":
            side = CAFFE_SIDES.get(network, 224)
            return Input((side, side), 256, order="BGR", mean=CAFFE_MEAN, std=ONE)
        case "keras":
            return Input((224, 224), None, order="BGR", mean=KERAS_MEAN, std=ONE)
    raise unknown("preprocessing", name, PRESETS)
