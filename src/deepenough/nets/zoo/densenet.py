"""DenseNet (Huang et al. 2016, arXiv 1608.06993, table 1)."""

from __future__ import annotations

from deepenough.nets.activation import Relu
from deepenough.nets.combinators import Concat, Group
from deepenough.nets.layer import Layer
from deepenough.nets.layers import AvgPool, BatchNorm, Conv, Dense, GlobalAvgPool, MaxPool
from deepenough.nets.network import Network
from deepenough.nets.zoo.family import ZooFamily

GROWTH = 32
"""Channels that a layer adds."""

BLOCKS_121 = (6, 12, 24, 16)
"""Layers of the four dense blocks of DenseNet-121."""


def dense_layer(number: int) -> Layer:
    """A bottleneck behind norm and ReLU (DenseNet-B), whose channels are added to those before."""
    bottleneck = (BatchNorm(), Relu(), Conv(4 * GROWTH, 1, bias=False))
    new = (*bottleneck, BatchNorm(), Relu(), Conv(GROWTH, 3, bias=False))
    return Concat(((), new), ("before", "new"), name=f"layer{number}")


def transition(channels: int, number: int) -> Layer:
    """Norm, ReLU, a 1x1 convolution to half the channels (DenseNet-C), and a pool."""
    return Group((BatchNorm(), Relu(), Conv(channels // 2, 1, bias=False), AvgPool(2)), name=f"transition{number}")


def densenet121() -> Network:
    """DenseNet-121, with bottlenecks and compression (DenseNet-BC, growth 32)."""
    stack: list[Layer] = [Group((Conv(64, 7, 2, bias=False), BatchNorm(), Relu(), MaxPool(3, 2, 1)), name="stem")]
    channels = 64
    for number, count in enumerate(BLOCKS_121, 1):
        layers = tuple(dense_layer(place) for place in range(1, count + 1))
        channels += count * GROWTH
        if number < len(BLOCKS_121):
            stack += [Group(layers, name=f"level{number}"), transition(channels, number)]
            channels //= 2
        else:
            stack.append(Group((*layers, BatchNorm(), Relu()), name=f"level{number}"))
    return Network(
        "densenet121",
        (3, 224, 224),
        (*stack, GlobalAvgPool(name="pool"), Dense(1000, name="classifier")),
        "Huang et al. 2016, arXiv 1608.06993, table 1; torchvision and timm densenet121",
        "DenseNet-BC, growth 32, stem pool padded",
    )


DENSENET = ZooFamily(
    "DenseNet",
    2016,
    {"densenet121": densenet121},
    {"densenet121": (25.566, 8.028, 224)},
    timm={"densenet121": "densenet121"},
)
