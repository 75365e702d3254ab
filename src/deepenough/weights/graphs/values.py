"""Values of foreign graphs: an operation of ours, and how the file lays out what it gives."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from deepenough.weights.graphs.graph import Array, Operation
from deepenough.weights.graphs.windows import Pads

NO_PADS: Pads = ((0, 0), (0, 0))

ATTENTION_READ = (
    "known is attention whose queries, keys and values one dense layer gives, side by side in this order, each then "
    "taken apart into heads (make one of three dense layers: put their weights, and their biases, one after another)"
)
"""The attention that is read, for those whose network has another."""


@dataclass(frozen=True, eq=False)
class Value:
    """The output of a node of a file.

    `last`: channels come last. `order`: the map (H, W, C) that it is a vector of, channels fastest, where ours has them
    slowest. `pads`: zeros around it that no layer has taken yet; `edge` is what is there instead of zeros. `scale` and
    `shift` (per channel or one) and `flipped` are what was done to images so far.
    """

    operation: Operation
    last: bool = False
    order: tuple[int, int, int] | None = None
    pads: Pads = NO_PADS
    edge: float = 0.0
    scale: Array | None = None
    shift: Array | None = None
    flipped: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that the file's own framework gives it, without the batch; the zeros around it count."""
        sides = self.operation.shape
        if len(sides) != 3:
            return sides
        channels, *rest = sides
        height, width = (side + sum(pad) for side, pad in zip(rest, self.pads, strict=True))
        return (height, width, channels) if self.last else (channels, height, width)

    def edge_is_neutral(self, *, largest: bool) -> bool:
        """Tell whether what is around it changes nothing in a pool of ours, which takes zeros into its averages and
        nothing into its maxima."""
        if self.pads == NO_PADS or not largest:
            return self.pads == NO_PADS or self.edge == 0
        return self.edge <= -1e30 or (self.edge <= 0 and self.operation.nonnegative)

    def behind(self, operation: Operation) -> Value:
        """The output of another operation behind it, laid out alike."""
        keeps = len(operation.shape) == len(self.operation.shape)
        return Value(operation, self.last and len(operation.shape) == 3, self.order if keeps else None)

    def scaled(self, factor: Array, addend: Array) -> Value:
        """The images times `factor`, plus `addend`."""
        scale = np.float64(1) if self.scale is None else self.scale
        shift = np.float64(0) if self.shift is None else self.shift
        return replace(self, scale=np.asarray(scale * factor), shift=np.asarray(shift * factor + addend))

    def is_prepared_as(self, other: Value) -> bool:
        """Tell whether the same was done to the images before."""
        numbers = ((self.scale, other.scale), (self.shift, other.shift))
        alike = (
            np.array_equal(one, two) if one is not None and two is not None else one is two for one, two in numbers
        )
        return self.flipped == other.flipped and all(alike)

    def columns(self, weight: Array) -> Array:
        """A weight (out, in) for values in our order."""
        if self.order is None or weight.ndim != 2 or weight.shape[1] != prod(self.order):
            return weight
        moved = weight.reshape(len(weight), *self.order).transpose(0, 3, 1, 2)
        return np.ascontiguousarray(moved.reshape(len(weight), -1))

    def entries(self, values: Array) -> Array:
        """Numbers (in,), one for each value, in our order."""
        return self.columns(values.reshape(1, -1)).reshape(-1)


def flattened_order(value: Value) -> tuple[int, int, int] | None:
    """The order that a map has as a vector, where it is another than ours."""
    if not value.last or len(value.operation.shape) != 3:
        return value.order
    channels, height, width = value.operation.shape
    return None if channels == 1 or height == width == 1 else (height, width, channels)


def unknown_move(value: Value) -> str:
    """Tell why what a node or layer does to the axes of a value is not read."""
    sides = value.shape
    if len(sides) != 2:
        return f"how it moves values of {' x '.join(map(str, sides))} is not known here"
    tokens = f"how it moves {sides[0]} tokens of {sides[1]} channels is not known here"
    return f"{tokens}: they don't become a map again, none but the first is taken alone, and {ATTENTION_READ}"
