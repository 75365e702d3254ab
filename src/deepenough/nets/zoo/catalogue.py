"""Every network of the zoo by family and year, with its single-crop error where one is published.

Errors are in percent on ILSVRC-2012 validation, in one crop of so many pixels from the centre: of the weights that
torchvision calls IMAGENET1K_V1 (acc@1 and acc@5 of its weights tables), or, of what torchvision hasn't, of timm's that
were trained on ILSVRC-2012 alone (results-imagenet.csv of 8 August 2026; DeiT's for ViT-Tiny and ViT-Small).
`published` has the eight best-known networks' figures under other protocols.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

FIRST_OF_TORCHVISION = "IMAGENET1K_V1"
"""Torchvision's name of its first weights of every network."""


@dataclass(frozen=True)
class CatalogueEntry:
    """A network's family and year, and its error: top-1, top-5 and pixels of the crop, None where none is published.

    `weights` names the weights that have this error: `IMAGENET1K_V1` is torchvision's, every other name is timm's.
    """

    family: str
    year: int
    single_crop: tuple[float, float, int] | None = None
    weights: str = FIRST_OF_TORCHVISION

    @property
    def source(self) -> str:
        """The library that publishes the error."""
        return "torchvision" if self.weights == FIRST_OF_TORCHVISION else "timm"


_GROUPS: tuple[tuple[str, int, Mapping[str, tuple[float, float, int] | None]], ...] = (
    ("AlexNet", 2012, {"alexnet": None, "alexnet_bvlc": None}),
    ("AlexNet", 2014, {"alexnet_torchvision": (43.478, 20.934, 224)}),
    (
        "VGG", 2014,
        {
            "vgg11": (30.98, 11.372, 224), "vgg13": (30.072, 10.754, 224), "vgg16": (28.408, 9.618, 224),
            "vgg19": (27.624, 9.124, 224), "vgg11_bn": (29.63, 10.19, 224), "vgg13_bn": (28.414, 9.626, 224),
            "vgg16_bn": (26.64, 8.484, 224), "vgg19_bn": (25.782, 8.158, 224),
        },
    ),
    ("GoogLeNet", 2014, {"googlenet": None, "googlenet_bn": (30.222, 10.47, 224)}),
    (
        "ResNet", 2015,
        {
            **dict.fromkeys(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
            "resnet18_torchvision": (30.242, 10.922, 224), "resnet34_torchvision": (26.686, 8.58, 224),
            "resnet50_v1_5": (23.87, 7.138, 224), "resnet101_v1_5": (22.626, 6.454, 224),
            "resnet152_v1_5": (21.688, 5.954, 224), **dict.fromkeys(f"resnet{depth}_keras" for depth in (50, 101, 152)),
        },
    ),
    ("SqueezeNet", 2016, {"squeezenet1_1": (41.822, 19.376, 224), "squeezenet1_1_paddle": None}),
    ("ResNeXt", 2016, {"resnext50_32x4d": (22.382, 6.302, 224)}),
    ("Wide ResNet", 2016, {"wide_resnet50_2": (21.532, 5.914, 224)}),
    ("DenseNet", 2016, {"densenet121": (25.566, 8.028, 224)}),
    ("MobileNetV2", 2018, {"mobilenet_v2": (28.122, 9.714, 224), "mobilenet_v2_keras": None}),
    (
        "MobileNetV3", 2019,
        {
            "mobilenet_v3_small": (32.332, 12.598, 224), "mobilenet_v3_large": (25.958, 8.66, 224),
            "mobilenetv3_small_100": (32.364, 12.362, 224), "mobilenetv3_large_100": (24.216, 7.472, 224),
            "mobilenetv3_small_100_tf": (32.078, 12.314, 224), "mobilenetv3_large_100_tf": (24.49, 7.4, 224),
        },
    ),
    (
        "EfficientNet", 2019,
        {
            "efficientnet_b0": (22.308, 6.468, 224), "efficientnet_b1": (21.358, 5.814, 240),
            "efficientnet_b2": (19.392, 4.69, 288), "efficientnet_b3": (17.992, 3.946, 300),
            "efficientnet_b4": (16.616, 3.406, 380),
            "efficientnet_b0_tf": (23.458, 6.992, 224), "efficientnet_b1_tf": (21.454, 5.904, 240),
            "efficientnet_b2_tf": (20.388, 5.286, 260), "efficientnet_b3_tf": (19.122, 4.692, 300),
            "efficientnet_b4_tf": (17.402, 3.868, 380),
        },
    ),
    (
        "EfficientNet-Lite", 2020,
        {
            "efficientnet_lite0": (24.512, 7.492, 224), "efficientnet_lite1": None, "efficientnet_lite2": None,
            "efficientnet_lite0_tf": (25.154, 7.82, 224),
            "efficientnet_lite1_tf": (23.326, 6.768, 240),
            "efficientnet_lite2_tf": (22.53, 6.244, 260),
        },
    ),
    ("RegNetY", 2020, {"regnet_y_400mf": (25.954, 8.284, 224), "regnet_y_1_6gf": (22.05, 6.034, 224)}),
    (
        "ViT", 2020,
        {
            "vit_tiny_patch16_224": (27.81, 8.9, 224), "vit_small_patch16_224": (20.144, 4.944, 224),
            "vit_base_patch16_224": (18.928, 4.682, 224),
        },
    ),
    (
        "ConvNeXt", 2022,
        {
            "convnext_atto": (24.328, 7.086, 224), "convnext_tiny": (17.48, 3.854, 224),
            "convnext_small": (16.384, 3.35, 224),
        },
    ),
)  # fmt: skip

_WEIGHTS_OF_TIMM = {
    "mobilenetv3_small_100": "mobilenetv3_small_100.lamb_in1k",
    "mobilenetv3_large_100": "mobilenetv3_large_100.ra_in1k",
    "mobilenetv3_small_100_tf": "tf_mobilenetv3_small_100.in1k",
    "mobilenetv3_large_100_tf": "tf_mobilenetv3_large_100.in1k",
    **{f"efficientnet_b{scale}_tf": f"tf_efficientnet_b{scale}.in1k" for scale in range(5)},
    "efficientnet_lite0": "efficientnet_lite0.ra_in1k",
    **{f"efficientnet_lite{scale}_tf": f"tf_efficientnet_lite{scale}.in1k" for scale in range(3)},
    "vit_tiny_patch16_224": "deit_tiny_patch16_224.fb_in1k",
    "vit_small_patch16_224": "deit_small_patch16_224.fb_in1k",
    "convnext_atto": "convnext_atto.d2_in1k",
}
"""The weights whose errors stand above, of the networks that torchvision lacks."""

CATALOGUE: Mapping[str, CatalogueEntry] = MappingProxyType(
    {
        name: CatalogueEntry(family, year, figure, _WEIGHTS_OF_TIMM.get(name, FIRST_OF_TORCHVISION))
        for family, year, networks in _GROUPS
        for name, figure in networks.items()
    }
)
"""The networks by name, in the order of their years."""


def title(name: str) -> str:
    """A network's name in words; of one that is not in the table, or of one of several of that name, its name.

    >>> title("mobilenet_v3_small"), title("squeezenet1_1"), title("resnet50_v1_5"), title("efficientnet_lite0_tf")
    ('MobileNetV3-Small', 'SqueezeNet 1.1', 'ResNet-50 v1.5', 'EfficientNet-Lite0 (TensorFlow)')
    """
    entry = CATALOGUE.get(name)
    family, rest = (entry.family, _beyond(entry.family, name)) if entry else ("", None)
    if rest is None:
        return name
    size, *details = re.sub(r"(?<!\d)1_(\d)", r"1.\1", rest).split("_")
    if details == ["100", "tf"]:  # "100" says timm, and timm's copies of TensorFlow's networks are TensorFlow's
        details = ["tf"]
    if size in _DETAILS:
        size, details = "", [size, *details]
    joint = "" if not size or family.endswith("Lite") else " " if re.fullmatch(r"\d\.\d", size) else "-"
    words = "".join(f" {_DETAILS.get(word, word)}" for word in details)
    return f"{family}{joint}{size[:1].upper()}{size[1:]}{words}"


_DETAILS = {
    "tf": "(TensorFlow)", "torchvision": "(torchvision)", "keras": "(Keras)", "paddle": "(PaddlePaddle)",
    "bvlc": "(BVLC)", "100": "(timm)", "bn": "with batch norm",
}  # fmt: skip


def _beyond(family: str, name: str) -> str | None:
    """The part of a network's name behind its family's; None where it does not begin with that."""
    wanted = "".join(letter for letter in family.lower() if letter.isalnum())
    place = 0
    for letter in wanted:
        while name[place : place + 1] == "_":
            place += 1
        if name[place : place + 1] != letter:
            return None
        place += 1
    return name[place:].lstrip("_")
