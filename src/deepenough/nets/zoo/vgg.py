"""VGG (Simonyan & Zisserman 2014, arXiv 1409.1556, table 1), with and without batch norm."""

from __future__ import annotations

from functools import partial

from deepenough.nets.activation import Relu
from deepenough.nets.combinators import Group
from deepenough.nets.layer import Layer
from deepenough.nets.layers import BatchNorm, Conv, Dense, Dropout, Flatten, MaxPool
from deepenough.nets.network import Network
from deepenough.nets.zoo.family import ZooFamily

WIDTHS = (64, 128, 256, 512, 512)

VGGS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
"""Convolutions in each of the five levels; table 1's columns A, B, D and E."""

COLUMNS = {11: "A", 13: "B", 16: "D", 19: "E"}


def vgg(counts: tuple[int, ...], *, norm: bool, name: str, source: str = "", variant: str = "") -> Network:
    """3x3 convolutions with a 2x2 max pool after each level, and three dense layers."""
    levels: list[Layer] = []
    for number, (count, width) in enumerate(zip(counts, WIDTHS, strict=True), 1):
        unit = (Conv(width), BatchNorm(), Relu()) if norm else (Conv(width), Relu())
        levels.append(Group((*(layer for _ in range(count) for layer in unit), MaxPool(2)), name=f"level{number}"))
    dense = (*(Dense(4096), Relu(), Dropout()), *(Dense(4096), Relu(), Dropout()), Dense(1000))
    return Network(name, (3, 224, 224), (*levels, Flatten(), *dense), source, variant)


def published_vgg(depth: int, *, norm: bool = False) -> Network:
    """Return VGG-`depth`."""
    source = f"Simonyan & Zisserman 2014, arXiv 1409.1556, table 1 {COLUMNS[depth]}"
    name, variant = f"vgg{depth}", "as published, without batch norm"
    if norm:
        name, variant = f"{name}_bn", f"torchvision {name}_bn: batch norm after each convolution, biases kept"
    return vgg(VGGS[depth], norm=norm, name=name, source=source, variant=variant)


VGG = ZooFamily(
    "VGG",
    2014,
    {
        **{f"vgg{depth}": partial(published_vgg, depth) for depth in VGGS},
        **{f"vgg{depth}_bn": partial(published_vgg, depth, norm=True) for depth in VGGS},
    },
    {
        "vgg11": (30.98, 11.372, 224), "vgg13": (30.072, 10.754, 224), "vgg16": (28.408, 9.618, 224),
        "vgg19": (27.624, 9.124, 224), "vgg11_bn": (29.63, 10.19, 224), "vgg13_bn": (28.414, 9.626, 224),
        "vgg16_bn": (26.64, 8.484, 224), "vgg19_bn": (25.782, 8.158, 224),
    },
)  # fmt: skip
