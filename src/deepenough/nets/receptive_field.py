"""The walk for receptive fields.

The field of a value is the extent, in input pixels along one side, that it can depend on. It is counted without the
image's border: padding counts, so a field can be larger than the image.

Convolutions and pools widen it by their windows. The gates of a `Product` (squeeze-and-excitation) do not: a mean of
the whole map only scales a channel, and the figures that are published for such networks leave it out; nor do group
norms, for the same reason. Attention does:
a token sees all of the image from the first attention on.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deepenough.nets.combinators import Auxiliary, Branches
from deepenough.nets.layer import Layer, Window
from deepenough.nets.network import Network
from deepenough.nets.shapes import Visit, visits
from deepenough.nets.tokens import Tokens
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
        """All of a map of `side` values together. Its neighbours' fields are the same."""
        return replace(self, last=self.last + (side - 1) * self.jump, jump=0)


def receptive_field(network: Network) -> int:
    """Pixels along one side that a value of the last feature map depends on: the figure that papers compare.

    The longest path counts (a `Sum` or `Concat` sees what its branches see together). The last feature map is the one
    before the first `Flatten` or global pool, after which every value sees the whole map; so the figure does not
    depend on the size of the images, unless attention sees them whole. VGG-16: 212; ResNet-50 with the stride in the
    1x1: 483 (Araujo et al. 2019).
    """
    walk = list(visits(network))
    mixed = {visit.path for visit in walk if len(visit.output) == len(visit.input) > 1}  # attention keeps the positions
    sides = {path: side for path, side in _sides(walk).items() if path in mixed}
    before = itertools.takewhile(lambda visit: len(visit.output) > 1, walk)
    found = _walked(network, sides)
    return [Field(), *(found[visit.path] for visit in before)][-1].size


def extents(network: Network) -> dict[str, Field]:
    """Find the field of the first value of every layer's output, and how far its neighbour's is moved, by module path.

    For layers before the first `Flatten`, global pool or tokens.
    """
    outputs = {visit.path: visit.output for visit in visits(network)}
    return dict(itertools.takewhile(lambda one: len(outputs[one[0]]) == 3, _walked(network, {}).items()))


def fields(network: Network) -> dict[str, int]:
    """The receptive field of every layer's output by module path.

    From `Flatten` or a global pool on it is that of all positions of the map together, along the longer side.
    """
    return {path: field.size for path, field in _walked(network, _sides(list(visits(network)))).items()}


def _sides(walk: Sequence[Visit]) -> dict[str, int]:
    """The longer side of the map, also one that is now tokens, before each layer that sees all of it."""
    sides, grid = {}, 1
    for visit in walk:
        if isinstance(visit.layer, Tokens):
            grid = max(visit.input[1:])
        if visit.layer.sees_all:
            sides[visit.path] = grid if len(visit.input) == 2 else max(visit.input[1:], default=1)
    return sides


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
        ends = layer.leading(ends)
        together = Field(min(end.first for end in ends), max(end.last for end in ends), ends[0].jump)
        self.found[path] = together
        return together
