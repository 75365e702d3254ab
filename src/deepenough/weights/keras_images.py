"""The images that the networks of `keras.applications` are given: what `preprocess_input` of each one's module does."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepenough.errors import DeepenoughError
from deepenough.nets.network import Network
from deepenough.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing

if TYPE_CHECKING:
    from deepenough.weights.graphs.described import Described

HALVES = (0.5, 0.5, 0.5)
CAFFE_MEAN = (103.939 / 255, 116.779 / 255, 123.68 / 255)  # BGR; VGG's and the authors' ResNets', as Keras has them
CAFFE = {"order": "BGR", "mean": CAFFE_MEAN, "std": (1 / 255,) * 3}  # images stay in 0..255
TF = {"mean": HALVES, "std": HALVES}  # -1..1
TORCH = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
EIGHT_BITS = {"mean": (128 / 255,) * 3, "std": (128 / 255,) * 3}

APPLICATIONS: Sequence[tuple[str, dict[str, Any]]] = (
    ("vgg1[69]", CAFFE),
    ("resnet(?:50|101|152)(?:keras)?", CAFFE),
    ("resnet(?:50|101|152)v2", TF),
    (r"mobilenet(?:v2)?(?:keras)?(?:\d{3}\d{2,3})?", TF),
    ("inceptionv3|inceptionresnetv2|xception|nasnet(?:mobile|large)?", TF),
    ("densenet(?:121|169|201)", TORCH),
    # These have it inside, and `preprocess_input` does nothing; a network here begins behind it.
    ("mobilenetv3(?:small|large)(?:100tf)?", TF),
    ("efficientnetb[0-7](?:tf)?", TORCH),
    ("efficientnetv2b[0-3]", TORCH),
    ("efficientnetv2[sml]", EIGHT_BITS),
    ("convnext(?:tiny|small|base|large|xlarge)", TORCH),
)
"""Names of networks, less all but letters and digits, and how their images are normalised."""

SIDES = {
    "efficientnetb1": 240, "efficientnetb2": 260, "efficientnetb3": 300, "efficientnetb4": 380, "efficientnetb5": 456,
    "efficientnetb6": 528, "efficientnetb7": 600, "efficientnetv2b1": 240, "efficientnetv2b2": 260,
    "efficientnetv2b3": 300, "efficientnetv2s": 384, "efficientnetv2m": 480, "efficientnetv2l": 480,
    "inceptionv3": 299, "inceptionresnetv2": 299, "xception": 299, "nasnetlarge": 331,
}  # fmt: skip
"""Input sides (pixels) that are not 224."""


def keras_preset(network: str) -> Preprocessing:
    """Return what `keras.applications` feeds a network, by our name or theirs; the whole image, squeezed to a square.

    An error where the network is none of theirs: their modules want different images, and the wrong ones give wrong
    answers without a word.
    """
    normalised = _normalised(network)
    if normalised is None:
        raise DeepenoughError(
            f"the preprocessing 'keras' depends on the network, and {network} is none of keras.applications; give "
            "another one, or a preprocess.json beside the weights with size, mean, std and order"
        )
    side = usual_side(network)
    return Preprocessing((side, side), None, **normalised)


def usual_side(network: str) -> int:
    """The pixels of a side of the images that a network of Keras' usually takes."""
    return SIDES.get(_plain(network).removesuffix("tf"), 224)


def is_application(network: str) -> bool:
    """Tell whether `keras_preset` knows a network."""
    return _normalised(network) is not None


def _normalised(network: str) -> dict[str, Any] | None:
    """The order, mean and standard deviation of its images; None for a network that is none of Keras'."""
    name = _plain(network)
    return next((found for pattern, found in APPLICATIONS if re.fullmatch(pattern, name)), None)


def _plain(network: str) -> str:
    return "".join(letter for letter in network.lower() if letter.isalnum())


def images_of_normalization(path: Path, network: Network) -> Preprocessing | None:
    """The images by the tensors of EfficientNet's own normalisation, of images in 0..1."""
    from deepenough.weights.keras import image_statistics

    found = image_statistics(path)
    if found is None or min(found[1]) <= 0:
        return None
    mean, variance = found
    published = all(abs(a - b) < 1e-3 for a, b in zip(variance, IMAGENET_STD, strict=False))
    # Published files have ImageNet's standard deviation for the variance; a constant behind it divides by its root, too
    std = IMAGENET_STD if published else tuple(value**0.5 for value in variance)
    return Preprocessing((network.input[1], network.input[2]), None, mean=mean, std=std)


def keras_images(path: Path, network: Network, described: Described | None) -> Preprocessing | None:
    """The images that a file of one of Keras' own networks wants: by its first layers, else those of `preprocess_input`
    in the size that the file states. None where it states neither."""
    if described is None:
        return images_of_normalization(path, network) if network.name.startswith("efficientnet") else None
    if described.input is not None:
        return described.input
    return replace(keras_preset(network.name), size=described.network.input[1:])
