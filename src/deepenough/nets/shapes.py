"""The walk for shapes: what every layer gets and gives, by module path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deepenough.nets.combinators import Auxiliary, Branches
from deepenough.nets.layer import Layer, Shape, ShapeError
from deepenough.nets.network import Network
from deepenough.nets.walk import Walk


@dataclass(frozen=True, slots=True)
class Visit:
    """One layer of a walk: its module path, the shapes it gets and gives. Groups are not visited, their layers are."""

    path: str
    layer: Layer
    input: Shape
    output: Shape


def visits(network: Network, *, training: bool = False) -> Iterator[Visit]:
    """Every layer in the order of computation; a `Sum` or `Concat` after its branches.

    Layers of `Auxiliary` branches come only with `training`. A shape that does not fit is a `ShapeError`.
    """
    return iter(_walked(network, training).visits)


def output_shape(network: Network) -> Shape:
    """The shape that comes out, without the batch: `(classes,)`."""
    return _walked(network, False).output


def _walked(network: Network, training: bool) -> ShapeWalk:
    """Walk a network, once: it never changes, and reading weights asks hundreds of networks for their shapes."""
    if training not in network.walks:
        network.walks[training] = ShapeWalk(network, training)
    return network.walks[training]


class ShapeWalk(Walk[Shape]):
    """The layers that a network's images go through, and the shape that comes out."""

    def __init__(self, network: Network, training: bool) -> None:
        self.training = training
        self.visits: list[Visit] = []
        self.output = self.through(network.stack, network.input)

    def single(self, layer: Layer, value: Shape, path: str) -> Shape:
        if isinstance(layer, Auxiliary):
            if self.training:
                self.through(layer.stack, value, path)
            return value
        try:
            output = layer.output(value)
        except ShapeError as error:
            raise ShapeError(f"{path}: {layer!r} got {value}; it needs {error}") from None
        self.visits.append(Visit(path, layer, value, output))
        return output

    def joined(self, layer: Branches, value: Shape, ends: Sequence[Shape], path: str) -> Shape:
        try:
            output = layer.joined(ends)
        except ShapeError as error:
            given = ", ".join(f"{label} {shape}" for (label, _), shape in zip(layer.stacks, ends, strict=True))
            raise ShapeError(f"{path}: {layer.kind} got {given}; it needs {error}") from None
        self.visits.append(Visit(path, layer, value, output))
        return output
