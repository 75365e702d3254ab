"""ResNeXt (Xie et al. 2016, arXiv 1611.05431) and Wide ResNet (Zagoruyko & Komodakis 2016, arXiv 1605.07146).

Both are ResNet-50 with bottlenecks that are twice as wide inside, ResNeXt's in 32 groups.
"""

from __future__ import annotations

from functools import partial

from deepenough.nets.activation import Relu
from deepenough.nets.combinators import Group, Sum
from deepenough.nets.layer import Layer, Stack
from deepenough.nets.layers import BatchNorm, Conv, Dense, GlobalAvgPool, MaxPool
from deepenough.nets.network import Network
from deepenough.nets.zoo.family import ZooFamily
from deepenough.nets.zoo.resnet import RESNETS, conv_bn


def grouped_bottleneck(width: int, stride: int, groups: int) -> Stack:
    """The three convolutions of a block, the middle one in groups and with the stride (Xie et al. 2016, fig. 3c)."""
    middle = (Conv(2 * width, 3, stride, groups=groups, bias=False), BatchNorm(), Relu())
    return (*conv_bn(2 * width, 1), Relu(), *middle, *conv_bn(4 * width, 1))


def wider_resnet50(name: str, groups: int, source: str, variant: str) -> Network:
    """ResNet-50's levels with bottlenecks of twice the width."""
    stack: list[Layer] = [Group((*conv_bn(64, 7, 2), Relu(), MaxPool(3, 2, 1)), name="stem")]
    for number, count in enumerate(RESNETS[50], 1):
        width = 64 * 2 ** (number - 1)
        layers: list[Layer] = []
        for place in range(1, count + 1):
            stride = 2 if place == 1 and number > 1 else 1
            shortcut = conv_bn(4 * width, 1, stride) if place == 1 else ()
            block = Sum((grouped_bottleneck(width, stride, groups), shortcut), name=f"block{place}")
            layers += [block, Relu(name=f"relu{place}")]
        stack.append(Group(tuple(layers), name=f"level{number}"))
    head = (GlobalAvgPool(name="pool"), Dense(1000, name="classifier"))
    return Network(name, (3, 224, 224), (*stack, *head), source, variant)


RESNEXT = ZooFamily(
    "ResNeXt",
    2016,
    {
        "resnext50_32x4d": partial(
            wider_resnet50,
            "resnext50_32x4d",
            32,
            "Xie et al. 2016, arXiv 1611.05431, table 1; torchvision and timm resnext50_32x4d",
            "32 groups of 4 channels; stem pool padded, stride in the 3x3",
        )
    },
    {"resnext50_32x4d": (22.382, 6.302, 224)},
    timm={"resnext50_32x4d": "resnext50_32x4d"},
)

WIDE_RESNET = ZooFamily(
    "Wide ResNet",
    2016,
    {
        "wide_resnet50_2": partial(
            wider_resnet50,
            "wide_resnet50_2",
            1,
            "Zagoruyko & Komodakis 2016, arXiv 1605.07146, section 3.4; torchvision and timm wide_resnet50_2",
            "bottlenecks twice as wide; stem pool padded, stride in the 3x3",
        )
    },
    {"wide_resnet50_2": (21.532, 5.914, 224)},
    timm={"wide_resnet50_2": "wide_resnet50_2"},
)
