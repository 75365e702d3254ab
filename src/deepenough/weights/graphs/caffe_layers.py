"""Caffe's layers, one by one, as ours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepenough.errors import DeepenoughError
from deepenough.nets.activation import Activation, Elu, LeakyRelu, PRelu
from deepenough.nets.combinators import Concat, Product, Sum
from deepenough.nets.layers import (
    AvgPool,
    BatchNorm,
    ChannelSlice,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    LayerScale,
    Lrn,
    MaxPool,
    Pool,
)
from deepenough.weights.caffemodel import CaffeLayer
from deepenough.weights.graphs.activations import Written
from deepenough.weights.graphs.graph import Array, Graph, GraphError, Operation, decimal
from deepenough.weights.graphs.windows import Pads, WindowError, conv_layer, count, one_side, pool_layer

DIGITS = 6
"""Digits that two roundings to single precision leave."""


@dataclass(frozen=True, eq=False)
class _Window:
    """A convolution or pool, of which `Slice` may leave out rows and columns: `kept` is first and count, by axis."""

    name: str
    kind: str
    value: Operation
    layer: Conv | type[Pool]
    sides: tuple[int, int]
    pads: Pads
    made: tuple[int, int]
    tensors: dict[str, Array]
    kept: tuple[tuple[int, tuple[int, int]], ...] = ()


class NetBuilder:
    """Makes operations of a graph from layers of Caffe in their order.

    `images` become those that a scale in front was applied to; `scaled` is that scale and the shift behind it.
    """

    def __init__(self, graph: Graph, name: str, images: Operation) -> None:
        self.graph = graph
        self.images = images
        self.scaled: tuple[float, float] | None = None
        self._values: dict[str, Operation | _Window] = {name: images}
        self._bare_norms: set[Operation] = set()
        self._padded: dict[str, int] = {}
        self._softmaxes: set[str] = set()

    def value(self, name: str, reader: str) -> Operation:
        """The operation that gives the value called `name`."""
        if name not in self._values:
            raise GraphError(f"{self.graph.file}: layer {reader!r} reads {name!r}, which the images don't lead to")
        found = self._values[name]
        if isinstance(found, _Window):
            found = self._values[name] = self._slid(found)
        return found

    def activation(self, node: Written, kind: type[Activation], given: str) -> None:
        """Add an activation of ours."""
        self._values[node.output] = self.graph.layer(node.name, node.kind, kind(), self.value(given, node.name))

    def add(self, node: Written, layer: CaffeLayer) -> None:
        """Add what a layer gives."""
        if self._softmaxes.intersection(node.inputs):
            raise self.refused(layer, "it reads a softmax, which is known only at the end")
        if not node.inputs or (node.kind not in ("Concat", "Eltwise", "Scale") and len(node.inputs) != 1):
            raise self.refused(layer, f"it reads {len(node.inputs)} values; expected one")
        if node.inputs[0] in self._padded and node.kind != "Convolution":
            raise self.refused(layer, "it reads what a layer of kind Padding gives, which only convolutions do")
        try:
            if node.kind == "Slice":
                self._values[node.output] = self._slice(node, layer)
            elif node.kind == "Padding":
                self._padded[node.output] = one_side(layer.stated.convolution_param.pad, "padding")
                self._values[node.output] = self._values[node.inputs[0]]
            else:
                self._values[node.output] = self._layer(node, layer)
        except GraphError:
            raise
        except DeepenoughError as error:  # of a layer of ours that can't be
            raise self.refused(layer, str(error)) from None

    def refused(self, layer: CaffeLayer, why: str) -> GraphError:
        """The error for one layer."""
        return self.graph.refusal(layer.name, layer.kind, why)

    def _layer(self, node: Written, layer: CaffeLayer) -> Operation | _Window:
        values = [self.value(name, node.name) for name in node.inputs]
        value, name, stated = values[0], layer.name, layer.stated
        match layer.kind:
            case "Convolution":
                return self._convolution(layer, value, self._padded.get(node.inputs[0], 0))
            case "InnerProduct":
                return self._dense(layer, value)
            case "Pooling":
                return self._pool(layer, value)
            case "BatchNorm":
                return self._norm(layer, value)
            case "Scale":
                return self._scale(layer, values)
            case "LRN":
                return self._response_norm(layer, value)
            case "Dropout":
                return self.graph.layer(name, layer.kind, Dropout(decimal(stated.dropout_param.dropout_ratio)), value)
            case "Flatten" | "Reshape":
                self._check_flat(layer)
                return self.graph.layer(name, layer.kind, Flatten(), value)
            case "Concat":
                self._check_axis(layer, stated.concat_param.axis, stated.concat_param.concat_dim)
                return self.graph.join(name, layer.kind, Concat, values)
            case "Eltwise":
                return self._elementwise(layer, values)
            case "Power":
                return self._power(layer, value)
            case "ReLU":  # one without a slope is in the table of activations
                slope = decimal(stated.relu_param.negative_slope)
                return self.graph.layer(name, layer.kind, LeakyRelu(slope), value)
            case "PReLU":
                slopes = self._tensors(layer, False)["weight"].reshape(-1)
                made = PRelu(shared=bool(stated.prelu_param.channel_shared))
                return self.graph.layer(name, layer.kind, made, value, {"weight": slopes})
            case "ELU":
                return self.graph.layer(name, layer.kind, Elu(decimal(stated.elu_param.alpha)), value)
            case "Softmax":
                self._softmaxes.add(node.output)
                return value
            case "Split":
                return value
        raise self.refused(layer, "its parameters are not known here")

    def _check_axis(self, layer: CaffeLayer, *axes: int) -> None:
        if any(axis not in (1, -3) for axis in axes):
            raise self.refused(layer, f"its axis is {axes}; only 1, the channels, is known here")

    def _check_flat(self, layer: CaffeLayer) -> None:
        stated = layer.stated
        if layer.kind == "Reshape":
            sides = list(stated.reshape_param.shape.dim)
            if len(sides) > 2 and all(side == 1 for side in sides[2:]):
                sides = sides[:2]
            if len(sides) != 2 or sides[0] not in (0, 1) or sides[1] not in (-1,):
                raise self.refused(layer, f"it makes the shape {sides}; only a vector, [0, -1], is known here")
        elif stated.HasField("flatten_param") and (stated.flatten_param.axis, stated.flatten_param.end_axis) != (1, -1):
            raise self.refused(layer, "it flattens a part of the axes; only all but the first are known here")

    def _tensors(self, layer: CaffeLayer, bias: bool) -> dict[str, Array]:
        keys = ("weight", "bias") if bias else ("weight",)
        if len(layer.arrays) < len(keys):
            raise self.refused(layer, f"it has {len(layer.arrays)} blobs of weights; expected {len(keys)}")
        found: dict[str, Array] = dict(zip(keys, layer.arrays, strict=False))
        if bias:
            found["bias"] = found["bias"].reshape(-1)
        return found

    def _convolution(self, layer: CaffeLayer, value: Operation, more: int) -> _Window:
        stated = layer.stated.convolution_param
        self._check_axis(layer, stated.axis)
        dilation = one_side(list(stated.dilation) or [1], "dilation")
        bias = stated.bias_term if stated.HasField("bias_term") else True
        kernel = one_side(_pair(stated, "kernel_size", "kernel", 0), "kernel")
        stride = one_side(_pair(stated, "stride", "stride", 1), "stride")
        height, width = (side + more for side in _pair(stated, "pad", "pad", 0))
        made = Conv(stated.num_output, kernel, stride, 0, stated.group or 1, bias, dilation=dilation)
        if len(value.shape) != 3:
            raise self.refused(layer, f"it is given {value.shape}; it needs (channels, height, width)")
        pads = ((height, height), (width, width))
        sides = [count(side, made.extent, stride, pad) for side, pad in zip(value.shape[1:], pads, strict=True)]
        return _Window(layer.name, layer.kind, value, made, (kernel, stride), pads, (sides[0], sides[1]),
                       self._tensors(layer, bias))  # fmt: skip

    def _pool(self, layer: CaffeLayer, value: Operation) -> Operation | _Window:
        stated = layer.stated.pooling_param
        if stated.pool not in (0, 1):
            raise self.refused(layer, "it pools by chance (STOCHASTIC); maximum and average are known here")
        if stated.global_pooling:
            if stated.pool == 0:
                return self.graph.whole_maximum(layer.name, layer.kind, value)
            return self.graph.layer(layer.name, layer.kind, GlobalAvgPool(keep=True), value)
        if len(value.shape) != 3:
            raise self.refused(layer, f"it is given {value.shape}; it needs (channels, height, width)")
        kernel = one_side(_pair(stated, "kernel_size", "kernel", 0), "kernel")
        stride = one_side(_pair(stated, "stride", "stride", 1), "stride")
        height, width = _pair(stated, "pad", "pad", 0)
        if kernel < 1 or stride < 1:
            raise self.refused(layer, f"its kernel is {kernel} and its stride {stride}; both have to be 1 or more")
        pads = ((height, height), (width, width))
        floor = bool(stated.round_mode)
        sides = [_pooled(side, kernel, stride, pad[0], floor) for side, pad in zip(value.shape[1:], pads, strict=True)]
        kind = MaxPool if stated.pool == 0 else AvgPool
        return _Window(layer.name, layer.kind, value, kind, (kernel, stride), pads, (sides[0], sides[1]), {})

    def _slid(self, window: _Window) -> Operation:
        """The convolution or pool with the rows and columns that were kept."""
        starts, sizes = [0, 0], list(window.made)
        for axis, (first, size) in window.kept:
            starts[axis], sizes[axis] = first, size
        kernel, stride = window.sides
        (top, below), (left, right) = window.pads
        try:
            if isinstance(window.layer, Conv):
                pads = ((top - starts[0] * stride, below), (left - starts[1] * stride, right))
                layer: Any = conv_layer(window.value.shape, window.layer, pads, (sizes[0], sizes[1]))
            elif any(starts):
                raise WindowError("of what it gives the first rows or columns are left out")
            else:
                made = window.layer(kernel, stride)
                layer = pool_layer(window.value.shape, made, window.pads, (sizes[0], sizes[1]))
        except GraphError:
            raise
        except DeepenoughError as error:
            raise self.graph.refusal(window.name, window.kind, str(error)) from None
        return self.graph.layer(window.name, window.kind, layer, window.value, window.tensors)

    def _slice(self, node: Written, layer: CaffeLayer) -> Operation | _Window:
        """Keep the channels (axis 1) that are this top's, or the rows (2) or columns (3) of a window."""
        stated, given = layer.stated.slice_param, self._values.get(node.inputs[0])
        if (stated.slice_dim or stated.axis) == 1:
            value, place = self.value(node.inputs[0], node.name), int(node.attributes["top"])
            whole, count = value.shape[0], len(layer.tops)
            points = list(stated.slice_point) or [whole // count * number for number in range(1, count)]
            ends = [0, *points, whole]
            if len(ends) != count + 1 or sorted(set(ends)) != ends:
                raise self.refused(layer, f"it slices {whole} channels at {points} for {count} values")
            return self.graph.layer(layer.name, layer.kind, ChannelSlice(ends[place], ends[place + 1]), value)
        if not isinstance(given, _Window) or stated.axis not in (2, 3):
            raise self.refused(layer, "it slices neither channels nor rows or columns of a convolution or pool")
        axis = stated.axis - 2
        whole = dict(given.kept).get(axis, (0, given.made[axis]))[1]
        ends = [0, *stated.slice_point, whole]
        place = int(node.attributes["top"])
        if len(ends) != len(layer.tops) + 1 or sorted(set(ends)) != ends or axis in dict(given.kept):
            raise self.refused(layer, f"it slices {whole} values at {list(stated.slice_point)}")
        kept = (*given.kept, (axis, (ends[place], ends[place + 1] - ends[place])))
        return _Window(
            given.name, given.kind, given.value, given.layer, given.sides, given.pads, given.made, given.tensors, kept
        )

    def _dense(self, layer: CaffeLayer, value: Operation) -> Operation:
        stated = layer.stated.inner_product_param
        self._check_axis(layer, stated.axis)
        bias = stated.bias_term if stated.HasField("bias_term") else True
        tensors = self._tensors(layer, bias)
        weight = tensors["weight"]
        weight = weight.reshape(weight.shape[-2:]) if weight.ndim > 2 and weight.size else weight  # once 1 x 1 x o x i
        tensors["weight"] = weight.T if stated.transpose else weight
        flat = self.graph.layer(f"{layer.name}/flatten", layer.kind, Flatten(), value)
        return self.graph.layer(layer.name, layer.kind, Dense(stated.num_output, bias), flat, tensors)

    def _norm(self, layer: CaffeLayer, value: Operation) -> Operation:
        """Statistics alone: sums, and by what to divide them. Scale and shift are a layer behind it."""
        if len(layer.arrays) != 3:
            raise self.refused(layer, f"it has {len(layer.arrays)} blobs of statistics; expected 3")
        total = float(layer.arrays[2].reshape(-1)[0]) if layer.arrays[2].size else 0.0
        mean, variance = (
            array.reshape(-1) / np.float32(total) if total else np.zeros(array.size, np.float32)
            for array in layer.arrays[:2]
        )
        made = self._normed(layer.name, layer.kind, decimal(layer.stated.batch_norm_param.eps), value, mean, variance)
        self._bare_norms.add(made)
        return made

    def _normed(
        self, name: str, kind: str, eps: float, value: Operation, mean: Array, variance: Array, *affine: Array
    ) -> Operation:
        size = mean.size
        weight = affine[0] if affine else np.ones(size, np.float32)
        bias = affine[1] if len(affine) > 1 else np.zeros(size, np.float32)
        tensors = {"weight": weight, "bias": bias, "running_mean": mean, "running_var": variance}
        return self.graph.layer(name, kind, BatchNorm(eps), value, tensors)

    def _scale(self, layer: CaffeLayer, values: Sequence[Operation]) -> Operation:
        stated = layer.stated.scale_param
        if len(values) == 2:
            if stated.axis != 0 or layer.arrays:
                raise self.refused(
                    layer, "it scales by another layer along one axis; known is a value for each channel"
                )
            gate = values[1].inputs[0] if isinstance(values[1].layer, Flatten) else values[1]
            return self.graph.join(layer.name, layer.kind, Product, [values[0], gate])
        if len(values) != 1 or not layer.arrays:
            raise self.refused(
                layer, f"it reads {len(values)} values and has {len(layer.arrays)} blobs; expected 1 of each"
            )
        if stated.axis != 1 or stated.num_axes != 1:
            raise self.refused(layer, f"its axis is {stated.axis}; only 1, the channels, is known here")
        affine = [array.reshape(-1) for array in layer.arrays[: 2 if stated.bias_term else 1]]
        value = values[0]
        if value in self._bare_norms:
            assert isinstance(value.layer, BatchNorm)
            statistics = (value.tensors["running_mean"], value.tensors["running_var"])
            return self._normed(value.name, layer.kind, value.layer.eps, value.inputs[0], *statistics, *affine)
        if len(affine) == 1:
            return self.graph.layer(layer.name, layer.kind, LayerScale(), value, {"weight": affine[0]})
        size = affine[0].size
        return self._normed(
            layer.name, layer.kind, 0.0, value, np.zeros(size, np.float32), np.ones(size, np.float32), *affine
        )

    def _response_norm(self, layer: CaffeLayer, value: Operation) -> Operation:
        stated = layer.stated.lrn_param
        if stated.norm_region != 0:
            raise self.refused(layer, "it normalises within channels; across channels is known here")
        if stated.local_size % 2 == 0:
            raise self.refused(layer, f"it normalises over {stated.local_size} channels, which have no centre")
        made = Lrn(stated.local_size, decimal(stated.alpha), decimal(stated.beta), decimal(stated.k))
        return self.graph.layer(layer.name, layer.kind, made, value)

    def _elementwise(self, layer: CaffeLayer, values: Sequence[Operation]) -> Operation:
        stated = layer.stated.eltwise_param
        if any(factor != 1 for factor in stated.coeff):
            raise self.refused(layer, f"it weights what it adds by {list(map(decimal, stated.coeff))}; 1 is known here")
        if stated.operation not in (0, 1):
            raise self.refused(layer, "it takes the largest of several values; sums and products are known here")
        if len(values) < 2:
            raise self.refused(layer, "it reads one value; expected two or more")
        return self.graph.join(layer.name, layer.kind, Sum if stated.operation == 1 else Product, values)

    def _power(self, layer: CaffeLayer, value: Operation) -> Operation:
        """A scale behind a response normalisation is its `k`; one of the images belongs to their preparation."""
        stated = layer.stated.power_param
        power, scale, shift = (decimal(getattr(stated, key)) for key in ("power", "scale", "shift"))
        if power == 1 and value is self.images and scale > 0 and self.scaled is None:
            self.scaled = (scale, shift)
            return value
        normed = value.layer
        if isinstance(normed, Lrn) and normed.k == 1 and (power, shift) == (1, 0) and scale > 0 and normed.beta > 0:
            k = _rounded(scale ** (-1 / normed.beta))
            made = Lrn(normed.size, _rounded(normed.alpha * k), normed.beta, k)
            return self.graph.layer(value.name, layer.kind, made, value.inputs[0])
        raise self.refused(layer, "it computes a power, which is known here only as a part of an activation")


def _pair(stated: Any, both: str, start: str, usual: int) -> tuple[int, int]:
    """Height and width of a side, which a message has once, twice, or by names of their own."""
    given = getattr(stated, both)
    if stated.HasField(f"{start}_h") or stated.HasField(f"{start}_w"):
        return getattr(stated, f"{start}_h") or usual, getattr(stated, f"{start}_w") or usual
    values = [given] if isinstance(given, int) else list(given)
    if len(values) > 2:
        raise WindowError(f"its {start} is {values}; expected one number for height and width")
    return (values[0], values[-1]) if values else (usual, usual)


def _pooled(side: int, kernel: int, stride: int, padding: int, floor: bool) -> int:
    """Count the windows of Caffe's pools, which round up."""
    room = side + 2 * padding - kernel
    windows = (room // stride if floor else -(-room // stride)) + 1
    return windows - 1 if padding and (windows - 1) * stride >= side + padding else windows


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
