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

from deepenough.nets.zoo.families import ZOO

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


CATALOGUE: Mapping[str, CatalogueEntry] = MappingProxyType(
    {
        name: CatalogueEntry(
            family.name,
            family.year,
            family.errors.get(name),
            family.weights_of_timm.get(name, FIRST_OF_TORCHVISION),
        )
        for family in sorted(ZOO, key=lambda family: family.year)
        for name in family.networks
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
