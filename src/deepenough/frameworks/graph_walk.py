"""The base of walks that write a network as a graph of named nodes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from deepenough.frameworks.export import Export
from deepenough.nets.combinators import Branches, Elementwise
from deepenough.nets.layer import Layer
from deepenough.nets.shapes import Visit
from deepenough.nets.walk import Value, Walk


class GraphWalk(Walk[Value]):
    """Writes a layer as a node that has its name, or as several, of which the last one has it.

    A walk's value is what a node gives. Where more than two branches join value by value, there are nodes of two each.
    """

    def __init__(self, export: Export) -> None:
        self.export = export
        self.at = {visit.path: visit for visit in export.walk}

    def name(self, path: str, part: str = "") -> str:
        """Return the name of a layer's last node, or of a part before it."""
        return f"{path}.{part}" if part else path

    def single(self, layer: Layer, value: Value, path: str) -> Value:
        return self.written(self.at[path], value)

    def joined(self, layer: Branches, value: Value, ends: Sequence[Value], path: str) -> Value:
        if not isinstance(layer, Elementwise):
            return self.concatenated(ends, self.name(path))
        total, last = ends[0], len(ends) - 1
        for number, end in enumerate(ends[1:], 1):
            total = self.combined(layer, total, end, self.name(path, "" if number == last else str(number)))
        return total

    @abstractmethod
    def written(self, visit: Visit, value: Value) -> Value:
        """Write a layer that is not made of stacks."""

    @abstractmethod
    def concatenated(self, ends: Sequence[Value], name: str) -> Value:
        """Write a node that puts channels one after another."""

    @abstractmethod
    def combined(self, layer: Elementwise, first: Value, second: Value, name: str) -> Value:
        """Write a node of two maps, value by value."""
