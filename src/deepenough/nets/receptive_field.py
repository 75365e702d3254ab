"""The walk for receptive fields.

The field of a value is the extent, in input pixels along one side, that it can depend on. It is counted without the
image's border: padding counts, so a field can be larger than the image.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator
from dataclasses import dataclass, replace

from deepenough.nets.layers import (
    AvgPool,
    Concat,
    Conv,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    Group,
    Layer,
    MaxPool,
    Stack,
    Sum,
    named,
)
from deepenough.nets.network import Network
from deepenough.nets.shapes import visits


@dataclass(frozen=True)
class Field:
    """The first and last pixel that the first value depends on, and how far its neighbour's field is moved."""

    first: int = 0
    last: int = 0
    jump: int = 1

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    def window(self, kernel: int, stride: int, padding: int) -> Field:
        """The field after a layer that slides such a window."""
        return Field(
            self.first - padding * self.jump,
            self.last + (kernel - 1 - padding) * self.jump,
            self.jump * stride,
        )

    def whole(self, side: int) -> Field:
        """All of a map of `side` values together."""
        return replace(self, last=self.last + (side - 1) * self.jump)


def receptive_field(network: Network) -> int:
    """Pixels along one side that a value of the last feature map depends on: the figure that papers compare.

    The longest path counts (a `Sum` or `Concat` sees what its branches see together). The last feature map is the one
    before the first `Flatten` or global pool, after which every value sees the whole map; so the figure does not
    depend on the size of the images. VGG-16: 212; ResNet-50 with the stride in the 1x1: 483 (Araujo et al. 2019).
    """
    sizes = [1]
    outputs = {visit.path: visit.output for visit in visits(network)}
    for path, field in _stack(network.stack, Field(), "", {}):
        if len(outputs[path]) != 3:
            break
        sizes.append(field.size)
    return sizes[-1]


def extents(network: Network) -> dict[str, Field]:
    """Where every layer's output looks, by module path: the first value's field, and how far its neighbour's is moved.

    For layers before the first `Flatten` or global pool.
    """
    outputs = {visit.path: visit.output for visit in visits(network)}
    found = _stack(network.stack, Field(), "", {})
    return dict(itertools.takewhile(lambda one: len(outputs[one[0]]) == 3, found))


def fields(network: Network) -> dict[str, int]:
    """The receptive field of every layer's output by module path.

    From `Flatten` or a global pool on it is that of all positions of the map together, along the longer side.
    """
    sides = {visit.path: max(visit.input[1:], default=1) for visit in visits(network)}
    return {path: field.size for path, field in _stack(network.stack, Field(), "", sides)}


Walk = Generator[tuple[str, Field], None, Field]


def _stack(stack: Stack, field: Field, path: str, sides: dict[str, int]) -> Walk:
    for name, layer in named(stack):
        field = yield from _layer(layer, field, f"{path}.{name}" if path else name, sides)
    return field


def _layer(layer: Layer, field: Field, path: str, sides: dict[str, int]) -> Walk:
    match layer:
        case Group(stack=stack):
            return (yield from _stack(stack, field, path, sides))
        case Sum() | Concat():
            branches = []
            for label, branch in layer.labelled():
                branches.append((yield from _stack(branch, field, f"{path}.{label}", sides)))
            field = Field(min(b.first for b in branches), max(b.last for b in branches), branches[0].jump)
        case Conv(kernel=kernel, stride=stride):
            field = field.window(kernel, stride, layer.pad)
        case MaxPool(kernel=kernel, padding=padding) | AvgPool(kernel=kernel, padding=padding):
            field = field.window(kernel, layer.step, padding)
        case Flatten() | GlobalAvgPool() | GlobalMaxPool():
            field = field.whole(sides.get(path, 1))
    if layer.kind != "Auxiliary":
        yield path, field
    return field
