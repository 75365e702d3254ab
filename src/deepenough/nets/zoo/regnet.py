"""RegNetY (Radosavovic et al. 2020, arXiv 2003.13678): grouped bottlenecks with squeeze-and-excitation."""

from __future__ import annotations

from functools import partial

from deepenough.nets.activation import Relu, Sigmoid
from deepenough.nets.combinators import Group, Sum
from deepenough.nets.inverted_residual import squeeze_excitation
from deepenough.nets.layer import Layer, Stack
from deepenough.nets.layers import BatchNorm, Conv, Dense, GlobalAvgPool
from deepenough.nets.network import Network
from deepenough.nets.zoo.family import ZooFamily
from deepenough.nets.zoo.resnet import conv_bn

REGNETS = {
    "400mf": (8, (1, 3, 6, 6), (48, 104, 208, 440)),
    "1_6gf": (24, (2, 6, 17, 2), (48, 120, 336, 888)),
}
"""Table 11 (appendix D): channels of a group, and each level's blocks and channels."""


def gated_bottleneck(into: int, width: int, stride: int, groups: int) -> Stack:
    """A grouped bottleneck of one width, with a gate of a quarter of the channels that it is given."""
    middle = (Conv(width, 3, stride, groups=groups, bias=False), BatchNorm(), Relu())
    gate = squeeze_excitation(width, round(into / 4), (Relu(), Sigmoid()))
    return (*conv_bn(width, 1), Relu(), *middle, gate, *conv_bn(width, 1))


def regnet_y(size: str) -> Network:
    """A stem, four levels of blocks, of which the first strides, and one dense layer."""
    per_group, counts, widths = REGNETS[size]
    stack: list[Layer] = [Group((*conv_bn(32, 3, 2), Relu()), name="stem")]
    into = 32
    for number, (count, width) in enumerate(zip(counts, widths, strict=True), 1):
        layers: list[Layer] = []
        for place in range(1, count + 1):
            stride = 2 if place == 1 else 1
            main = gated_bottleneck(into, width, stride, width // per_group)
            shortcut = conv_bn(width, 1, stride) if place == 1 else ()
            layers += [Sum((main, shortcut), name=f"block{place}"), Relu(name=f"relu{place}")]
            into = width
        stack.append(Group(tuple(layers), name=f"level{number}"))
    return Network(
        f"regnet_y_{size}",
        (3, 224, 224),
        (*stack, GlobalAvgPool(name="pool"), Dense(1000, name="classifier")),
        f"Radosavovic et al. 2020, arXiv 2003.13678, appendix D; torchvision regnet_y_{size}",
        "gates of a quarter of the channels that a block is given",
    )


REGNET_Y = ZooFamily(
    "RegNetY",
    2020,
    {f"regnet_y_{size}": partial(regnet_y, size) for size in REGNETS},
    {"regnet_y_400mf": (25.954, 8.284, 224), "regnet_y_1_6gf": (22.05, 6.034, 224)},
    timm={"regnety_004": "regnet_y_400mf", "regnety_016": "regnet_y_1_6gf"},
)
