"""The common base of the builders of foreign graphs."""

from __future__ import annotations

from deepenough.weights.graphs.graph import Graph, GraphError, Operation
from deepenough.weights.graphs.values import Value


class GraphBuilder:
    """A graph while it is built, and the images that it begins with; `given` is what its first layers make of them."""

    def __init__(self, graph: Graph, images: Operation) -> None:
        self.graph = graph
        self.images = images
        self.given: Value | None = None

    def consumed(self, value: Value) -> Operation:
        """The operation of a value that a layer reads; images are noted as they are given to the first."""
        if value.operation is self.images:
            if self.given is not None and not value.is_prepared_as(self.given):
                raise GraphError(f"{self.graph.file}: its first layers get images that are normalised in several ways")
            self.given = value
        return value.operation
