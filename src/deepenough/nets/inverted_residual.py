"""Inverted residuals: the blocks of the networks for phones, in the zoo and in the family `mobile`."""

from __future__ import annotations

from dataclasses import dataclass

from deepenough.nets.activation import Activation, HardSigmoid, Relu, Relu6
from deepenough.nets.combinators import Group, Product, Sum
from deepenough.nets.layer import Layer, Stack
from deepenough.nets.layers import BatchNorm, Conv, GlobalAvgPool, StochasticDepth

RELU_GATE: tuple[Activation, Activation] = (Relu(), HardSigmoid())
"""The activations of MobileNetV3's gates."""

NORM, RELU6 = BatchNorm(), Relu6()


def squeeze_excitation(channels: int, squeezed: int, active: tuple[Activation, Activation]) -> Layer:
    """Scale each channel by a gate that sees the means of all (Hu et al. 2017, arXiv 1709.01507, fig. 3)."""
    inner, outer = active
    gate = (GlobalAvgPool(keep=True), Conv(squeezed, 1, name="reduce"), inner, Conv(channels, 1, name="expand"), outer)
    return Product(((), gate), name="se")


@dataclass(frozen=True)
class InvertedResidual:
    """One block: wide inside, narrow at its ends (Sandler et al. 2018, arXiv 1801.04381, fig. 3b and table 1).

    A 1x1 convolution from `into` to `expanded` channels, where those differ; a depthwise one; a 1x1 one to `out`
    channels without an activation. With `squeezed` channels in its middle a gate follows the depthwise one. A shortcut
    leads around it where it keeps its shape; `drop` is the probability of `StochasticDepth` then.
    """

    into: int
    expanded: int
    out: int
    kernel: int = 3
    stride: int = 1
    squeezed: int = 0
    active: Activation = RELU6
    gate: tuple[Activation, Activation] = RELU_GATE
    norm: BatchNorm = NORM
    same: bool = False
    drop: float = 0.0

    def layer(self, name: str) -> Layer:
        """The block as a layer: a `Sum` where a shortcut leads around it, else a `Group`."""
        expand = Conv(self.expanded, 1, bias=False, name="expand")
        depthwise = Conv(
            self.expanded, self.kernel, self.stride, groups=self.expanded, bias=False, same=self.same, name="depthwise"
        )
        project = Conv(self.out, 1, bias=False, name="project")
        stack: Stack = (expand, self.norm, self.active) if self.expanded != self.into else ()
        stack = (*stack, depthwise, self.norm, self.active)
        if self.squeezed:
            stack = (*stack, squeeze_excitation(self.expanded, self.squeezed, self.gate))
        stack = (*stack, project, self.norm)
        if self.stride > 1 or self.into != self.out:
            return Group(stack, name=name)
        return Sum(((*stack, StochasticDepth(self.drop)) if self.drop else stack, ()), name=name)


def round_to_eight(channels: float) -> int:
    """Round to a multiple of 8, up where that would lose more than a tenth (`_make_divisible` of TensorFlow's models).

    >>> round_to_eight(32 * 1.1), round_to_eight(88 / 4)
    (32, 24)
    """
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8
