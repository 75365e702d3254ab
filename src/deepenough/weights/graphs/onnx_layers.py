"""ONNX's operators, one by one, as our layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from deepenough.errors import DeepenoughError
from deepenough.nets.activation import Activation, Elu, LeakyRelu, PRelu
from deepenough.nets.combinators import Concat, Product, Sum
from deepenough.nets.layers import (
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    GlobalAvgPool,
    GlobalMaxPool,
    GroupNorm,
    LayerNorm,
    LayerScale,
    Lrn,
)
from deepenough.weights.graphs.graph import Array, Graph, GraphError, Operation, decimal, plain_name
from deepenough.weights.graphs.onnx_base import WindowReader
from deepenough.weights.graphs.onnx_file import OnnxNode
from deepenough.weights.graphs.onnx_names import layer_name
from deepenough.weights.graphs.onnx_slices import sliced, split
from deepenough.weights.graphs.onnx_tokens import TokenReader
from deepenough.weights.graphs.values import NO_PADS, Value, unknown_move

READ = ("Add", "AveragePool", "BatchNormalization", "Cast", "Concat", "Conv", "Div", "Dropout", "Elu", "Flatten",
        "Gather", "Gemm", "GlobalAveragePool", "GlobalMaxPool", "GroupNormalization", "Identity",
        "InstanceNormalization", "LRN", "LayerNormalization", "LeakyRelu", "LogSoftmax", "MatMul", "MaxPool", "Mul",
        "PRelu", "Pad", "ReduceMax", "ReduceMean", "Reshape", "Slice", "Softmax", "Split", "Squeeze", "Sub",
        "Sum", "Transpose")  # fmt: skip
"""Kinds of nodes that are read where they are given what the images lead to."""

FLOATS = (1, 10, 11)
"""TensorProto's numbers of floating-point types."""


class OnnxBuilder(WindowReader):
    """Makes operations of a graph from nodes of ONNX in their order.

    `given` is the images as the first layers got them, with what was done to them before.
    """

    def __init__(self, graph: Graph, name: str, images: Value, constants: Mapping[str, Array]) -> None:
        super().__init__(graph, name, images, constants)
        self._tokens = TokenReader(self)

    def vector(self, value: Value) -> Operation:
        """The output of the network."""
        return self.consumed(value)

    def activation(self, node: OnnxNode, kind: type[Activation], given: str) -> None:
        """Add an activation of ours."""
        self._tokens.settled(node, given)
        value = self.value(given, node.name)
        if value.pads != NO_PADS:
            raise self.refused(node, "it reads padded values")
        made = self.graph.layer(node.name, node.kind, kind(), self.consumed(value))
        self.values[node.outputs[0]] = value.behind(made)

    def add(self, node: OnnxNode) -> None:
        """Add what a node gives."""
        if self.softmaxes.intersection(node.inputs) and node.kind not in ("Identity", "Cast"):
            raise self.refused(node, "it reads a softmax, which is known only at the end and in attention")
        try:
            tokens = self._tokens.read(node, [self.values.get(name) for name in node.inputs])
            if tokens is not None:
                self.values.update(zip(node.outputs, tokens, strict=False))
                return
            if node.kind == "Split":
                self.values.update(zip(node.outputs, split(self, node, self._unpadded(node)[0]), strict=True))
            else:
                self.values[node.outputs[0]] = self._value(node)
        except GraphError:
            raise
        except (DeepenoughError, ValueError, KeyError, IndexError, TypeError) as error:
            why = str(error) if isinstance(error, DeepenoughError) else f"it can't be read ({plain_name(str(error))})"
            raise self.refused(node, why) from None

    def _unpadded(self, node: OnnxNode) -> list[Value]:
        """The values that a node reads; only some kinds take what is padded before."""
        given = [name for name in node.inputs if name and name not in self.constants]
        if not given:
            raise self.refused(node, "it reads only constants")
        values = [self.value(name, node.name) for name in given]
        if values[0].pads != NO_PADS and node.kind not in ("Conv", "MaxPool", "AveragePool", "Transpose", "Identity"):
            raise self.refused(node, "it reads padded values, which is known of convolutions and pools")
        return values

    def _value(self, node: OnnxNode) -> Value:
        values = self._unpadded(node)
        value = values[0]
        match node.kind:
            case "Slice":
                return sliced(self, node, value)
            case "Conv":
                return self.convolution(node, value)
            case "MaxPool" | "AveragePool":
                return self.pool(node, value)
            case "Gemm" | "MatMul":
                return self._dense(node, value)
            case "BatchNormalization" | "LayerNormalization" | "LRN":
                return self._normalised(node, value)
            case "GroupNormalization" | "InstanceNormalization":
                return self._group_norm(node, value)
            case "GlobalAveragePool" | "GlobalMaxPool" | "ReduceMean" | "ReduceMax":
                return self._global_pool(node, value)
            case "Add" | "Sub" | "Mul" | "Div" | "Sum":
                return self._arithmetic(node, values)
            case "Concat":
                return self._concatenated(node, values)
            case "Flatten" | "Reshape" | "Squeeze" | "Transpose" | "Pad" | "Gather":
                return self._moved(node, value)
            case "Cast":
                if value.operation is not self.images and node.attributes.get("to") not in FLOATS:
                    raise self.refused(node, "it makes whole numbers of a feature map")
                return value
            case "Identity":
                return value
            case "Dropout":
                ratio = node.attributes.get("ratio", 0.5)
                found = self.constant(node, 1)
                ratio = ratio if found is None else found.reshape(-1)[0]
                return self.made(node, Dropout(decimal(ratio)), value)
            case "LeakyRelu":
                return self.made(node, LeakyRelu(decimal(node.attributes.get("alpha", 0.01))), value)
            case "Elu":
                return self.made(node, Elu(decimal(node.attributes.get("alpha", 1.0))), value)
            case "PRelu":
                return self._sloped(node, value)
            case "Softmax" | "LogSoftmax":
                self.softmaxes.add(node.outputs[0])
                return value
        raise self.refused(node, "what it does to a feature map is not known here")

    def _sloped(self, node: OnnxNode, value: Value) -> Value:
        """An activation whose slopes are weights."""
        slopes, shared = self.weight(node, 1), self.weight(node, 1).size == 1
        channels = value.operation.shape[0 if len(value.operation.shape) == 3 else -1]
        if not shared and (slopes.size != channels or not self._per_channel(value, slopes)):
            sides = " x ".join(map(str, slopes.shape))
            raise self.refused(node, f"it has slopes of {sides}; known are one for all, or one for each channel")
        entries = slopes.reshape(-1) if shared else value.entries(slopes.reshape(-1))
        return self.made(node, PRelu(shared=shared), value, layer_name(node), weight=entries)

    def _dense(self, node: OnnxNode, value: Value) -> Value:
        """A dense layer on vectors or tokens, or with channels last a convolution of one pixel."""
        weight, bias = self.weight(node, 1), None
        if weight.ndim != 2 or node.inputs[0] in self.constants:
            raise self.refused(
                node, f"it multiplies by an array of {weight.ndim} sides; expected a matrix behind values"
            )
        if node.kind == "Gemm":
            stated = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0} | dict(node.attributes)
            bias = self.constant(node, 2)
            if stated["alpha"] != 1 or stated["beta"] != 1 or stated["transA"]:
                raise self.refused(
                    node, "it scales or transposes what it multiplies; only its weight may be transposed"
                )
            if len(node.inputs) > 2 and bias is None:
                raise self.refused(node, "what it adds is computed, not constant")
            weight = weight if stated["transB"] else weight.T
        else:
            weight = weight.T
        name = layer_name(node).removesuffix(".product")
        tensors = {"weight": weight} | ({} if bias is None else {"bias": np.broadcast_to(bias, (len(weight),))})
        if len(value.operation.shape) == 3:
            if not value.last:
                raise self.refused(node, "it multiplies the columns of a feature map; expected a vector")
            tensors["weight"] = weight[:, :, None, None]
            made = self.made(node, Conv(len(weight), 1, bias=bias is not None), value, name, **tensors)
        else:
            tensors["weight"] = value.columns(weight)
            made = Value(self.graph.layer(name, node.kind, Dense(len(weight), bias is not None),
                                          self.consumed(value), tensors))  # fmt: skip
        if bias is None:
            self.bare.add(made.operation)
        return made

    def _normalised(self, node: OnnxNode, value: Value) -> Value:
        if node.kind == "LRN":
            stated = {"alpha": 1e-4, "beta": 0.75, "bias": 1.0} | dict(node.attributes)
            if stated["size"] % 2 == 0:
                raise self.refused(node, f"it normalises over {stated['size']} channels, which have no centre")
            numbers = (decimal(stated[key]) for key in ("alpha", "beta", "bias"))
            return self.made(node, Lrn(stated["size"], *numbers), value)
        eps = decimal(node.attributes.get("epsilon", 1e-5))
        if node.kind == "BatchNormalization":
            if node.attributes.get("training_mode", 0):
                raise self.refused(node, "it is as in training; export the network in evaluation mode")
            keys = ("weight", "bias", "running_mean", "running_var")
            entries: dict[str, Any] = {
                key: value.entries(self.weight(node, place)) for place, key in enumerate(keys, 1)
            }
            return self.made(node, BatchNorm(eps), value, **entries)
        sides = value.shape
        if node.attributes.get("axis", -1) not in (-1, len(sides)) or (len(sides) == 3 and not value.last):
            raise self.refused(node, "it normalises over several axes; known is the channels of each position")
        weight, bias = self.weight(node, 1), self.constant(node, 2)
        bias = np.zeros_like(weight) if bias is None else bias
        return self.made(node, LayerNorm(eps), value, weight=value.entries(weight), bias=value.entries(bias))

    def _group_norm(self, node: OnnxNode, value: Value) -> Value:
        if len(value.operation.shape) != 3 or value.last:
            raise self.refused(node, f"it is given {value.shape}; expected images")
        channels = value.operation.shape[0]
        groups = node.attributes["num_groups"] if node.kind == "GroupNormalization" else channels
        weight, bias = (self.weight(node, place).reshape(-1) for place in (1, 2))
        if weight.size == groups:  # before opset 21 there is one for each group
            weight, bias = (np.repeat(each, channels // groups) for each in (weight, bias))
        eps = decimal(node.attributes.get("epsilon", 1e-5))
        return self.made(node, GroupNorm(groups, eps), value, weight=weight, bias=bias)

    def _of_plain_norm(self, node: OnnxNode, value: Value, numbers: Array) -> Value:
        """The norm before it, with the factors or shifts of its channels."""
        before, key = value.operation, "weight" if node.kind == "Mul" else "bias"
        assert before.layer is not None
        tensors = {**before.tensors, key: np.broadcast_to(numbers.reshape(-1), before.shape[:1])}
        made = self.graph.layer(node.name, node.kind, before.layer, before.inputs[0], tensors)
        if node.kind == "Mul":
            self.plain_norms.add(made)
        return replace(value, operation=made)

    def _global_pool(self, node: OnnxNode, value: Value) -> Value:
        mean = node.kind in ("GlobalAveragePool", "ReduceMean")
        sides = value.shape
        keeps = True
        if node.kind.startswith("Reduce"):
            found = self.constant(node, 1)
            axes = node.attributes.get("axes") if found is None else found.tolist()
            keeps = bool(node.attributes.get("keepdims", 1))
            places = {axis % (len(sides) + 1) for axis in axes or ()}
            wanted = {1} if len(sides) == 2 else {1, 2} if value.last else {2, 3}
            if places != wanted:
                raise self.refused(node, f"it goes over the axes {sorted(places)}; known is all positions of a map")
        if len(sides) == 2 and not keeps:
            return Value(self.graph.layer(node.name, node.kind, GlobalAvgPool() if mean else GlobalMaxPool(),
                                          value.operation))  # fmt: skip
        if len(sides) != 3 or (value.last and not node.kind.startswith("Reduce")):
            raise self.refused(node, f"it is given {sides}; expected images")
        if mean:
            made = self.graph.layer(node.name, node.kind, GlobalAvgPool(keep=True), self.consumed(value))
        else:
            made = self.graph.whole_maximum(node.name, node.kind, self.consumed(value))
        kept = value.behind(made)
        return kept if keeps else self.flat(node, kept)

    def _arithmetic(self, node: OnnxNode, values: Sequence[Value]) -> Value:
        value = values[0]
        if len(values) > 1 or node.kind == "Sum":
            if node.kind not in ("Add", "Sum", "Mul"):
                raise self.refused(
                    node, "of two feature maps it takes the difference or quotient; sums and products are known"
                )
            if (
                len({each.last for each in values if len(each.shape) == 3}) > 1
                or len({each.order for each in values}) > 1
            ):
                raise self.refused(node, "its values have their channels in different places")
            if len(values) < len(node.inputs):
                raise self.refused(node, "it adds feature maps and constants at once; known are sums of feature maps")
            ends = [self.consumed(each) for each in values]
            return value.behind(self.graph.join(node.name, node.kind, Product if node.kind == "Mul" else Sum, ends))
        place = next(place for place, name in enumerate(node.inputs) if name in self.constants)
        numbers = self.constants[node.inputs[place]]
        if value.operation is self.images:
            return self._prepared(node, value, place, numbers)
        if value.operation in self.plain_norms and node.kind in ("Mul", "Add") and self._per_channel(value, numbers):
            return self._of_plain_norm(node, value, numbers)
        if node.kind == "Add" and value.operation in self.bare:
            if numbers.size > 1 and not self._per_channel(value, numbers):
                raise self.refused(node, f"it adds an array of {numbers.shape}; expected a number a channel")
            return self._biased(node, value, numbers)
        channels = value.operation.shape[0 if len(value.operation.shape) == 3 else -1]
        if node.kind == "Mul" and numbers.size == channels and self._per_channel(value, numbers):
            weight = value.entries(numbers.reshape(-1)) if value.order else numbers.reshape(-1)
            return self.made(node, LayerScale(), value, layer_name(node), weight=weight)
        if numbers.size == 1 and float(numbers.reshape(-1)[0]) == (0 if node.kind in ("Add", "Sub") else 1) and place:
            return value
        raise self.refused(node, "what it computes with constants is not known here: biases and scales of channels are")

    def _per_channel(self, value: Value, numbers: Array) -> bool:
        """Tell whether an array stands along the channels of a value."""
        if len(value.shape) != 3:
            return bool(numbers.shape[-1] == numbers.size)
        axis = -1 if value.last else -3
        return bool(numbers.ndim >= -axis and numbers.shape[axis] == numbers.size)

    def _prepared(self, node: OnnxNode, value: Value, place: int, numbers: Array) -> Value:
        """Scale or shift the images."""
        if numbers.size > 1 and not self._per_channel(value, numbers):
            raise self.refused(node, f"it changes images by an array of {numbers.shape}; expected a number a channel")
        given = numbers.astype(np.float64).reshape(-1)
        one, zero = np.ones(1), np.zeros(1)
        match node.kind:
            case "Add":
                return value.scaled(one, given)
            case "Mul":
                return value.scaled(given, zero)
            case "Sub":
                return value.scaled(one, -given) if place else value.scaled(-one, given)
            case "Div" if place and given.all():
                return value.scaled(1 / given, zero)
        raise self.refused(node, "it divides by images, or by zero")

    def _biased(self, node: OnnxNode, value: Value, bias: Array) -> Value:
        """The dense layer or convolution before it, with a bias."""
        before = value.operation
        assert isinstance(before.layer, (Conv, Dense))
        layer = replace(before.layer, bias=True)
        tensors = {**before.tensors, "bias": np.broadcast_to(bias.reshape(-1), (layer.out,))}
        return replace(value, operation=self.graph.layer(before.name, node.kind, layer, before.inputs[0], tensors))

    def _concatenated(self, node: OnnxNode, values: Sequence[Value]) -> Value:
        value, axis = values[0], node.attributes["axis"]
        sides = value.shape
        wanted = len(sides) if value.last or len(sides) == 1 else 1
        if axis % (len(sides) + 1) != wanted or len(values) < len(node.inputs) or len(sides) == 2:
            raise self.refused(node, f"it puts values side by side along axis {axis}; known is the channels")
        if len({each.last for each in values}) > 1 or any(each.order or each.pads != NO_PADS for each in values):
            raise self.refused(node, "its values have their channels in different places")
        return value.behind(self.graph.join(node.name, node.kind, Concat, [self.consumed(each) for each in values]))

    def _moved(self, node: OnnxNode, value: Value) -> Value:
        sides = value.shape
        match node.kind:
            case "Flatten" if node.attributes.get("axis", 1) in (1, -len(sides)) and len(sides) != 2:
                return self.flat(node, value)
            case "Squeeze":
                found = self.constant(node, 1)
                axes = node.attributes.get("axes") if found is None else found.tolist()
                squeezed = {axis % (len(sides) + 1) for axis in axes or ()}
                if len(sides) == 3 and squeezed == ({1, 2} if value.last else {2, 3}):
                    return self.flat(node, value)
            case "Reshape":
                wanted = self.weight(node, 1).tolist()
                total = int(np.prod(sides))
                if len(wanted) == 2 and wanted[1] in (-1, total) and len(sides) != 2 and wanted[0] in (0, -1, 1):
                    return self.flat(node, value)
                if wanted[1:] == list(sides):
                    return value
                if len(sides) == 1 and wanted[1:] == [total, 1, 1] and value.order is None:
                    made = self.graph.unflattened(value.operation)
                    if made is not None:
                        return Value(made)
            case "Transpose":
                return self._turned(node, value)
            case "Pad":
                return self.padded(node, value)
            case "Gather":
                places = self.weight(node, 1).reshape(-1).tolist()
                axis = node.attributes.get("axis", 0) % 4
                if value.operation is self.images and places == [2, 1, 0] and axis == (3 if value.last else 1):
                    if value.scale is not None and max(value.scale.size, np.asarray(value.shift).size) > 1:
                        raise self.refused(node, "it turns channels round after they were normalised")
                    return replace(value, flipped=not value.flipped)
        raise self.refused(node, unknown_move(value))

    def _turned(self, node: OnnxNode, value: Value) -> Value:
        perm = list(node.attributes.get("perm") or ())
        if len(value.shape) == 3 and perm == [0, 1, 2, 3]:
            return value
        if len(value.shape) == 2:
            raise self.refused(node, unknown_move(value))
        if len(value.shape) != 3 or perm != ([0, 3, 1, 2] if value.last else [0, 2, 3, 1]):
            raise self.refused(node, f"it turns axes as {perm}; known is channels from first to last and back")
        if value.last and value.operation.name == f"{node.name}.norm":  # deepenough's three nodes of one norm
            value.operation.name = node.name
        return replace(value, last=not value.last)
