"""The readers of ONNX's operators: what they have in common, and windows over images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from deepenough.nets.layers import AvgPool, Conv, Flatten, MaxPool, Pool
from deepenough.weights.graphs.builder import GraphBuilder
from deepenough.weights.graphs.graph import Array, Graph, GraphError, Operation, plain_name
from deepenough.weights.graphs.onnx_file import OnnxNode
from deepenough.weights.graphs.onnx_names import layer_name
from deepenough.weights.graphs.onnx_tokens import Tokenised
from deepenough.weights.graphs.values import NO_PADS, Value, flattened_order
from deepenough.weights.graphs.windows import Pads, conv_layer, no_dilation, one_side, pool_layer, same_pads


class OnnxBase(GraphBuilder):
    """The values of a graph while it is read."""

    def __init__(self, graph: Graph, name: str, images: Value, constants: Mapping[str, Array]) -> None:
        super().__init__(graph, images.operation)
        self.constants = dict(constants)
        self.values: dict[str, Value | Tokenised] = {name: images}
        self.softmaxes: set[str] = set()
        self.bare: set[Operation] = set()
        self.plain_norms: set[Operation] = set()

    def value(self, name: str, reader: str) -> Value:
        """The value called `name`."""
        found = self.values.get(name)
        if not isinstance(found, Value):
            raise GraphError(
                f"{self.graph.file}: layer {plain_name(reader)!r} reads {plain_name(name)!r}, which is no feature map"
            )
        return found

    def shape(self, name: str, reader: str) -> tuple[int, ...]:
        """The shape of the value called `name`, without the batch."""
        found = self.values.get(name)
        return found.shape if isinstance(found, Tokenised) else self.value(name, reader).shape

    def refused(self, node: OnnxNode, why: str) -> GraphError:
        """The error for one node."""
        return self.graph.refusal(node.name, node.kind, why)

    def made(self, node: OnnxNode, layer: Any, value: Value, name: str = "", **tensors: Any) -> Value:
        """Add a layer of ours behind a value."""
        return value.behind(self.graph.layer(name or node.name, node.kind, layer, self.consumed(value), tensors))

    def constant(self, node: OnnxNode, place: int) -> Array | None:
        """The constant at a place of a node's inputs."""
        return self.constants.get(node.inputs[place]) if place < len(node.inputs) else None

    def weight(self, node: OnnxNode, place: int) -> Array:
        """The constant at a place of a node\'s inputs, which has to be one."""
        found = self.constant(node, place)
        if found is None:
            raise self.refused(node, "its weights are computed, not constant")
        return found

    def flat(self, node: OnnxNode, value: Value) -> Value:
        """Make a vector of a value."""
        order = flattened_order(value)
        made = self.graph.layer(node.name, node.kind, Flatten(), self.consumed(value))
        return Value(made, order=order if len(value.shape) == 3 else value.order)


class WindowReader(OnnxBase):
    """Reads the operators that slide a window over an image, or put something around it."""

    def _pads(self, node: OnnxNode, value: Value, kernel: int, stride: int) -> Pads:
        """The padding of a window, and what a layer before it put around the image."""
        how = node.attributes.get("auto_pad", "NOTSET")
        above, left, below, right = node.attributes.get("pads") or (0, 0, 0, 0)
        pads: Pads = ((above, below), (left, right))
        if how.startswith("SAME"):
            if value.pads != NO_PADS:
                raise self.refused(node, "it pads an image that is padded already, by as much as its size asks for")
            pads = same_pads(value.operation.shape, kernel, stride, more_at_end=how == "SAME_UPPER")
        (a, b), (c, d) = pads
        (e, f), (g, h) = value.pads
        return (a + e, b + f), (c + g, d + h)

    def convolution(self, node: OnnxNode, value: Value) -> Value:
        """A convolution."""
        weight, bias = self.weight(node, 1), self.constant(node, 2)
        if value.last or weight.ndim != 4 or value.edge or len(value.operation.shape) != 3:
            raise self.refused(node, f"it is given {value.shape} and weights of {weight.shape}; expected images")
        dilation = one_side(node.attributes.get("dilations") or (1, 1), "dilation")
        kernel = one_side(weight.shape[2:], "kernel")
        stride = one_side(node.attributes.get("strides") or (1, 1), "stride")
        groups = node.attributes.get("group", 1)
        made = Conv(weight.shape[0], kernel, stride, 0, groups, bias is not None, dilation=dilation)
        layer = conv_layer(value.operation.shape, made, self._pads(node, value, made.extent, stride))
        tensors = {"weight": weight} | ({} if bias is None else {"bias": bias})
        bare = replace(value, pads=NO_PADS)
        return self.made(node, layer, bare, layer_name(node), **tensors)

    def pool(self, node: OnnxNode, value: Value) -> Value:
        """A pool over windows."""
        largest = node.kind == "MaxPool"
        no_dilation(node.attributes.get("dilations") or (1, 1))
        kernel = one_side(node.attributes["kernel_shape"], "kernel")
        stride = one_side(node.attributes.get("strides") or (1, 1), "stride")
        pads = self._pads(node, value, kernel, stride)
        own = pads != value.pads
        if value.last or len(value.operation.shape) != 3:
            raise self.refused(node, f"it is given {value.shape}; expected images")
        if not value.edge_is_neutral(largest=largest):
            raise self.refused(node, f"it pools over an edge of {value.edge:g} around the image, which ours leave out")
        if not largest and own and not node.attributes.get("count_include_pad", 0):
            raise self.refused(node, "its average leaves out the padding, which ours counts")
        kind: type[Pool] = MaxPool if largest else AvgPool
        ceil = bool(node.attributes.get("ceil_mode", 0))
        layer = pool_layer(value.operation.shape, kind(kernel, stride, ceil=ceil), pads)
        return self.made(node, layer, replace(value, pads=NO_PADS))

    def padded(self, node: OnnxNode, value: Value) -> Value:
        """Zeros, or another number, around images, which the next layer takes."""
        found = self.constant(node, 1)
        amounts: list[int] = list((node.attributes.get("pads") or ()) if found is None else found.tolist())
        edge = self.constant(node, 2)
        number = float(node.attributes.get("value", 0.0)) if edge is None else float(edge.reshape(-1)[0])
        if node.attributes.get("mode", "constant") != "constant" or len(amounts) != 8 or len(node.inputs) > 3:
            raise self.refused(node, "it pads in another way than by a constant around images")
        first = 1 if value.last else 2
        before, after = amounts[first : first + 2], amounts[4 + first : 6 + first]
        if sum(amounts) != sum(before) + sum(after) or min(amounts) < 0:
            raise self.refused(node, f"it pads by {amounts}; known are rows and columns around images")
        (a, b), (c, d) = value.pads
        pads = ((a + before[0], b + after[0]), (c + before[1], d + after[1]))
        if value.pads != NO_PADS and number != value.edge:
            raise self.refused(node, "it pads what is padded with another number")
        return replace(value, pads=pads, edge=number)
