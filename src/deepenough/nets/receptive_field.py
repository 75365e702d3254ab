"""The walk for receptive fields.

The field of a value is the extent, in input pixels along one side, that it can depend on. It is counted without the
image's border: padding counts, so a field can be larger than the image.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deepenough.nets.combinators import Auxiliary, Branches
from deepenough.nets.layer import Layer, Window
from deepenough.nets.network import Network
from deepenough.nets.shapes import visits
from deepenough.nets.walk import Walk


@dataclass(frozen=True)
class Field:
    """The first and last pixel that the first value depends on, and how far its neighbour's field is moved."""

    first: int = 0
    last: int = 0
    jump: int = 1

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    def window(self, window: Window) -> Field:
        """The field after a layer that slides such a window."""
        kernel, stride, padding = window
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
    fields = list(extents(network).values())
    return fields[-1].size if fields else 1


def extents(network: Network) -> dict[str, Field]:
    """Find the field of the first value of every layer's output, and how far its neighbour's is moved, by module path.

    For layers before the first `Flatten` or global pool.
    """
    outputs = {visit.path: visit.output for visit in visits(network)}
    return dict(itertools.takewhile(lambda one: len(outputs[one[0]]) == 3, _walked(network, {}).items()))


def fields(network: Network) -> dict[str, int]:
    """The receptive field of every layer's output by module path.

    From `Flatten` or a global pool on it is that of all positions of the map together, along the longer side.
    """
    sides = {visit.path: max(visit.input[1:], default=1) for visit in visits(network)}
    return {path: field.size for path, field in _walked(network, sides).items()}


def _walked(network: Network, sides: Mapping[str, int]) -> dict[str, Field]:
    """The field behind every layer; `sides` are those of the maps before it, where they count."""
    walk = _Fields(sides)
    walk.through(network.stack, Field())
    return walk.found


class _Fields(Walk[Field]):
    def __init__(self, sides: Mapping[str, int]) -> None:
        self.sides = sides
        self.found: dict[str, Field] = {}

    def single(self, layer: Layer, value: Field, path: str) -> Field:
        if isinstance(layer, Auxiliary):
            return value
        if layer.window is not None:
            value = value.window(layer.window)
        elif layer.sees_all:
            value = value.whole(self.sides.get(path, 1))
        self.found[path] = value
        return value

    def joined(self, layer: Branches, value: Field, ends: Sequence[Field], path: str) -> Field:
        together = Field(min(end.first for end in ends), max(end.last for end in ends), ends[0].jump)
        self.found[path] = together
        return together
