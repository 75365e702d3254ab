"""ResNet (He et al. 2015, arXiv 1512.03385, table 1): the authors' networks, and torchvision's and Keras' variants."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from deepenough.nets.activation import Relu
from deepenough.nets.combinators import Group, Sum
from deepenough.nets.layer import Layer, Stack
from deepenough.nets.layers import BatchNorm, Conv, Dense, GlobalAvgPool, MaxPool
from deepenough.nets.network import Network
from deepenough.nets.zoo.family import ZooFamily

RESNETS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Blocks in conv2_x to conv5_x; bottlenecks from 50 up."""


@dataclass(frozen=True)
class Publisher:
    """The choices of one publisher, for `resnet`. `source` has the depth in place of `{}`."""

    source: str
    variant: str
    bottleneck_variant: str  # what bottlenecks add to it
    pool: MaxPool
    strides_first: bool = True  # a bottleneck's first 1x1 strides, not its 3x3
    eps: float = 1e-5


# The authors' Caffe net pools 112 to 56 without padding, rounded up; torchvision pads by one and rounds down.
AUTHORS_RESNETS = Publisher(
    "He et al. 2015, arXiv 1512.03385, table 1; stem pool as in the authors' release",
    "v1: stem pool without padding, rounded up",
    "; stride in the first 1x1",
    MaxPool(3, 2, 0, ceil=True),
)
TORCHVISION_RESNETS = Publisher(
    "torchvision resnet{}, after He et al. 2015, arXiv 1512.03385, table 1",
    "torchvision: stem pool padded",
    ", stride in the 3x3 (v1.5)",
    MaxPool(3, 2, 1),
    strides_first=False,
)
# Keras' convolutions have biases; before a batch norm a bias only moves the mean, so there is none here.
KERAS_RESNETS = Publisher(
    "keras.applications ResNet{}, after He et al. 2015, arXiv 1512.03385, table 1",
    "Keras: stem pool padded",
    ", stride in the first 1x1, eps 1.001e-5",
    MaxPool(3, 2, 1),
    eps=1.001e-5,
)


def conv_bn(out: int, kernel: int, stride: int = 1, eps: float = 1e-5) -> Stack:
    """Return a convolution without bias, and batch norm."""
    return Conv(out, kernel, stride, bias=False), BatchNorm(eps)


def basic(width: int, stride: int, publisher: Publisher) -> Stack:
    """Return the two 3x3 convolutions of a block (fig. 5 left)."""
    return (*conv_bn(width, 3, stride, publisher.eps), Relu(), *conv_bn(width, 3, 1, publisher.eps))


def bottleneck(width: int, stride: int, publisher: Publisher) -> Stack:
    """Return the three convolutions of a block (fig. 5 right)."""
    first, second = (stride, 1) if publisher.strides_first else (1, stride)
    eps = publisher.eps
    narrow = (*conv_bn(width, 1, first, eps), Relu(), *conv_bn(width, 3, second, eps), Relu())
    return (*narrow, *conv_bn(4 * width, 1, 1, eps))


def level(number: int, count: int, publisher: Publisher, *, deep: bool) -> Group:
    """Return conv2_x to conv5_x. Option B: a projection where the number of channels changes."""
    width, block = 64 * 2 ** (number - 1), bottleneck if deep else basic
    layers: list[Layer] = []
    for place in range(1, count + 1):
        stride = 2 if place == 1 and number > 1 else 1
        project = place == 1 and (number > 1 or deep)
        shortcut = conv_bn(4 * width if deep else width, 1, stride, publisher.eps) if project else ()
        layers += [Sum((block(width, stride, publisher), shortcut), name=f"block{place}"), Relu(name=f"relu{place}")]
    return Group(tuple(layers), name=f"level{number}")


def resnet(depth: int, name: str, publisher: Publisher) -> Network:
    """Return a 7x7 stem, levels of blocks, and one dense layer."""
    deep = depth >= 50
    stem = Group((*conv_bn(64, 7, 2, publisher.eps), Relu(), publisher.pool), name="stem")
    levels = (level(number, count, publisher, deep=deep) for number, count in enumerate(RESNETS[depth], 1))
    stack = (stem, *levels, GlobalAvgPool(name="pool"), Dense(1000, name="classifier"))
    variant = publisher.variant + (publisher.bottleneck_variant if deep else "")
    return Network(name, (3, 224, 224), stack, publisher.source.format(depth), variant)


_PUBLISHED = {
    **{f"resnet{depth}": (depth, AUTHORS_RESNETS) for depth in RESNETS},
    **{f"resnet{depth}_torchvision": (depth, TORCHVISION_RESNETS) for depth in (18, 34)},
    **{f"resnet{depth}_v1_5": (depth, TORCHVISION_RESNETS) for depth in (50, 101, 152)},
    **{f"resnet{depth}_keras": (depth, KERAS_RESNETS) for depth in (50, 101, 152)},
}

_IN_TORCHVISION = {
    **{f"resnet{depth}": f"resnet{depth}_torchvision" for depth in (18, 34)},
    **{f"resnet{depth}": f"resnet{depth}_v1_5" for depth in (50, 101, 152)},
}

RESNET = ZooFamily(
    "ResNet",
    2015,
    {name: partial(resnet, depth, name, publisher) for name, (depth, publisher) in _PUBLISHED.items()},
    {
        "resnet18_torchvision": (30.242, 10.922, 224), "resnet34_torchvision": (26.686, 8.58, 224),
        "resnet50_v1_5": (23.87, 7.138, 224), "resnet101_v1_5": (22.626, 6.454, 224),
        "resnet152_v1_5": (21.688, 5.954, 224),
    },
    torchvision=_IN_TORCHVISION,
    timm=_IN_TORCHVISION,
)  # fmt: skip
