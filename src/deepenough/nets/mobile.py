"""The levels of the family `mobile`: inverted residuals (Sandler et al. 2018, arXiv 1801.04381)."""

from __future__ import annotations

from dataclasses import replace

from deepenough.nets.activation import Relu6
from deepenough.nets.combinators import Group, Sum
from deepenough.nets.inverted_residual import InvertedResidual
from deepenough.nets.layer import Layer, Stack
from deepenough.nets.layers import BatchNorm, Conv

EXPANSION = 4
"""Channels inside a block, times those at its ends; the paper's 6 costs half as much again."""


def inverted_block(width: int, number: int, layers: int = 3) -> Layer:
    """A block around an identity shortcut, which starts as the identity: three convolutions, or two or one of them.

    Two are a depthwise convolution and the 1x1 one behind it, one is the depthwise one alone.
    """
    name = f"block{number}"
    if layers == 1:
        return Sum(
            ((Conv(width, groups=width, bias=False, name="depthwise"), BatchNorm(zero_init=True)), ()), name=name
        )
    block = InvertedResidual(width, EXPANSION * width if layers == 3 else width, width).layer(name)
    assert isinstance(block, Sum)
    (*before, _), shortcut = block.branches
    return replace(block, branches=((*before, BatchNorm(zero_init=True)), shortcut))


def mobile_levels(layers: tuple[int, ...], widths: tuple[int, ...]) -> Stack:
    """Levels with so many weighted layers in their bodies, and the 1x1 convolution that widens the last map.

    A block without a shortcut opens each level but the first, whose first convolution is the stem.
    """
    levels: list[Layer] = []
    for number, (width, count) in enumerate(zip(widths, layers, strict=True), 1):
        into = widths[max(number - 2, 0)]
        opening = (InvertedResidual(into, EXPANSION * into, width, stride=2).layer("opening"),) if number > 1 else ()
        sizes = [3] * (count // 3) + [count % 3] * (count % 3 > 0)
        body = [inverted_block(width, block, size) for block, size in enumerate(sizes, 1)]
        levels.append(Group((*opening, *body), name=f"level{number}"))
    last = (Conv(EXPANSION * widths[-1], 1, bias=False), BatchNorm(), Relu6())
    return *levels, Group(last, name="last")
