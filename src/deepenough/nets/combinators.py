"""Layers that are made of stacks: groups, branches that are joined, branches on the side."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

from deepenough.errors import DeepenoughError
from deepenough.nets.layer import Layer, Shape, ShapeError, Stack, is_name
from deepenough.nets.layers import BatchNorm, Dropout, Weighted

__all__ = ["Auxiliary", "Branches", "Concat", "Elementwise", "Group", "Product", "Sum"]

End = TypeVar("End")


@dataclass(frozen=True, repr=False)
class Enclosing(Layer, base=True):
    """A layer around one stack."""

    stack: Stack

    @property
    def stacks(self) -> Sequence[tuple[str, Stack]]:
        return (("", self.stack),)

    def with_stacks(self, stacks: Sequence[Stack]) -> Layer:
        (stack,) = stacks
        return replace(self, stack=stack)


@dataclass(frozen=True, repr=False)
class Group(Enclosing):
    """A named part of a stack. It computes what its layers compute, and gives their module paths a common start.

    `block` says that it is one block though `is_block` would not see it, as a transformer's two sums are.
    """

    block: bool = False

    @property
    def is_block(self) -> bool:
        """True for one block, inside of which a network does not end, and not a level of blocks.

        Its weighted layers lead up to what ends no network by itself: a weighted layer without an activation (the
        linear bottleneck of MobileNetV2), or the `Concat` that they squeeze for (SqueezeNet's fire).
        """
        layers = [layer for layer in self.stack if not isinstance(layer, BatchNorm)]
        if self.block or not layers:
            return self.block
        *before, last = layers
        squeezed = isinstance(last, Concat) and any(isinstance(layer, Weighted) for layer in before)
        return squeezed or isinstance(last, Weighted)


@dataclass(frozen=True, repr=False)
class Auxiliary(Enclosing):
    """A side branch that exists only in training; its input passes through unchanged.

    `stack` ends in logits whose loss counts `weight` times (0.3 in GoogLeNet). It stands in a network's outermost
    stack only.
    """

    weight: float = 0.3


@dataclass(frozen=True, repr=False)
class Branches(Layer, base=True):
    """Stacks that read the same, and whose outputs are joined. A branch `()` gives what it reads.

    `labels` are the branches' elements of the module path: `branch1`, `branch2`, ... unless given.
    """

    branches: tuple[Stack, ...]
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        labels = tuple(self._labels())
        if len(self.branches) < 2 or len(self.branches) != len(labels):
            raise DeepenoughError(
                f"{self.kind}: {len(self.branches)} branches and {len(labels)} labels; it takes two or more, one "
                "label each"
            )
        if len(set(labels)) < len(labels) or not all(is_name(label) for label in labels):
            raise DeepenoughError(f"{self.kind}: labels {labels}; labels differ, and are letters, digits and _")

    def _labels(self) -> Sequence[str]:
        return self.labels or [f"branch{number + 1}" for number in range(len(self.branches))]

    @property
    def stacks(self) -> Sequence[tuple[str, Stack]]:
        return list(zip(self._labels(), self.branches, strict=True))

    def with_stacks(self, stacks: Sequence[Stack]) -> Layer:
        return replace(self, branches=tuple(stacks))

    def leading(self, ends: Sequence[End]) -> Sequence[End]:
        """Select what depth and receptive field follow, of what a walk found at the ends of the branches: all of it.

        For a `Product` it is that of its first branch alone.
        """
        return ends

    @abstractmethod
    def joined(self, shapes: Sequence[Shape]) -> Shape:
        """The shape that branches of these shapes give. Those that don't fit are a `ShapeError`."""


@dataclass(frozen=True, repr=False)
class Elementwise(Branches, base=True):
    """Branches of one shape, joined value by value, the first two first."""

    torch: ClassVar[str]  # the function of two tensors
    paddle: ClassVar[str]
    keras: ClassVar[str]  # the layer
    onnx: ClassVar[str]  # the operator of two tensors
    caffe: ClassVar[str]  # the operation of the layer Eltwise
    coreml: ClassVar[str]  # the operation of two tensors
    ncnn: ClassVar[int]  # that of the layer BinaryOp
    tfjs: ClassVar[str]  # the operator of two tensors

    def joined(self, shapes: Sequence[Shape]) -> Shape:
        if len(set(shapes)) > 1:
            raise ShapeError("branches of one shape")
        return shapes[0]


@dataclass(frozen=True, repr=False)
class Sum(Elementwise):
    """The sum of its branches (residual block). A branch `()` is the identity."""

    labels: tuple[str, ...] = ("main", "shortcut")

    torch = paddle = "add"
    keras = onnx = "Add"
    caffe = "SUM"
    coreml = "add"
    ncnn = 0
    tfjs = "AddV2"

    @property
    def starts_as_identity(self) -> bool:
        """True where all branches but one, which is the identity, start at zero."""
        others = [branch for branch in self.branches if branch]
        return len(others) == len(self.branches) - 1 and all(_starts_at_zero(branch) for branch in others)


@dataclass(frozen=True, repr=False)
class Product(Elementwise):
    """The product of its first branch and the others, the gates, which give a factor for each value or channel.

    Squeeze-and-excitation (Hu et al. 2017, arXiv 1709.01507, fig. 3) has one gate: from a global pool that keeps a
    position, by two convolutions, to a factor for each channel.
    """

    labels: tuple[str, ...] = ("main", "gate")

    torch = "mul"
    paddle = "multiply"
    keras = "Multiply"
    onnx = "Mul"
    caffe = "PROD"
    coreml = "mul"
    ncnn = 2
    tfjs = "Mul"

    def leading(self, ends: Sequence[End]) -> Sequence[End]:
        return ends[:1]

    def joined(self, shapes: Sequence[Shape]) -> Shape:
        first, *gates = shapes
        if any(gate not in (first, (first[0], 1, 1)) for gate in gates):
            raise ShapeError("gates of the first branch's shape, or of its channels with one position")
        return first


@dataclass(frozen=True, repr=False)
class Concat(Branches):
    """Its branches' channels side by side (inception module). Without labels: `branch1`, `branch2`, ..."""

    def joined(self, shapes: Sequence[Shape]) -> Shape:
        if any(len(shape) == 2 for shape in shapes):
            raise ShapeError("branches of (channels, height, width) or (features,), not tokens")
        if len({shape[1:] for shape in shapes}) > 1:
            raise ShapeError("branches of one height and width")
        return (sum(shape[0] for shape in shapes), *shapes[0][1:])


def _starts_at_zero(stack: Stack) -> bool:
    last = next((layer for layer in reversed(stack) if not isinstance(layer, Dropout)), None)
    return isinstance(last, BatchNorm) and last.zero_init
