"""Calls of Keras' layers, and what their readers have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from deepenough.weights.graphs.builder import GraphBuilder
from deepenough.weights.graphs.graph import Array, Graph, GraphError, plain_name
from deepenough.weights.graphs.keras_parts import Part
from deepenough.weights.graphs.values import Value

Reference = tuple[Any, ...]
"""The names of the models that a layer is in, its own, and the number of the call."""


@dataclass(frozen=True, eq=False)
class Layer:
    """A call of a layer: its name and kind, configuration, what it reads, arguments, and arrays in Keras' order.

    `outputs` says for each value that it reads which of those of its layer it is.
    """

    name: str
    kind: str
    config: dict[str, Any]
    inputs: tuple[Reference, ...]
    arguments: Any
    arrays: list[Array]
    place: Reference
    outputs: tuple[int, ...] = ()

    @property
    def path(self) -> str:
        """The name with dots where deepenough's exports have dashes."""
        return self.name.replace("-", ".")


NO_ARGUMENTS: tuple[list[Any], dict[str, Any]] = ([], {})
"""The arguments of a call beside values, by place and by name, where there are none."""


def number_of(layer: Layer) -> float | None:
    """The number that an operation has beside the one value it reads, which comes first."""
    if len(layer.inputs) != 1 or not layer.arguments:
        return None
    positional, named = layer.arguments
    numbers = [
        each for each in (*positional, *named.values()) if isinstance(each, (int, float)) and not isinstance(each, bool)
    ]
    return float(numbers[0]) if len(numbers) == 1 and positional and positional[0] is None else None


class KerasBase(GraphBuilder):
    """The values of a graph while it is read."""

    def __init__(self, graph: Graph, images: Layer, *, old: bool) -> None:
        self.old = old
        self.notes: tuple[str, ...] = ()
        shape: Any = images.config.get("batch_shape") or images.config.get("batch_input_shape") or ()
        if len(shape) != 4 or not all(isinstance(side, int) for side in shape[1:]):
            raise GraphError(
                f"{graph.file}: its images have the shape {plain_name(str(shape))}; expected height, width and "
                "channels as numbers: save the model for images of one size"
            )
        height, width, channels = shape[1:]
        self.whole_bytes = "int" in str(images.config.get("dtype"))
        super().__init__(graph, graph.images((channels, height, width)))
        self.values: dict[Reference, Value] = {images.place: Value(self.images, last=True)}
        self.softmaxes: set[Reference] = set()
        self.partial: dict[Reference, Part] = {}
        self.several: dict[Reference, list[Value]] = {}

    def value(self, place: Reference, output: int = 0) -> Value:
        """The value that a layer gives, of several the one at a place."""
        if place in self.several:
            return self.several[place][output]
        if place in self.partial:
            raise GraphError(
                f"{self.graph.file}: what {plain_name(str(place[-2]))!r} computes with a number is not known here"
            )
        return self.values[place]

    def refused(self, layer: Layer, why: str) -> GraphError:
        """The error for one layer."""
        return self.graph.refusal(layer.name, layer.kind, why)

    def behind(self, layer: Layer, made: Any, value: Value, name: str = "", **tensors: Any) -> Value:
        operation = self.graph.layer(name or layer.path, layer.kind, made, self.consumed(value), tensors)
        return value.behind(operation)

    def arrays_of(self, layer: Layer, count: int) -> list[Array]:
        if len(layer.arrays) != count:
            raise self.refused(layer, f"it has {len(layer.arrays)} arrays in the file; expected {count}")
        return layer.arrays
