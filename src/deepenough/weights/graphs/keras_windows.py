"""Keras' convolutions, pools and padding as ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deepenough.nets.layers import AvgPool, Conv, LayerScale, MaxPool, Pool
from deepenough.weights.graphs.graph import Array, plain_name
from deepenough.weights.graphs.keras_base import NO_ARGUMENTS, KerasBase, Layer
from deepenough.weights.graphs.values import NO_PADS, Value
from deepenough.weights.graphs.windows import Pads, conv_layer, one_side, pool_layer, same_pads


class WindowReader(KerasBase):
    """Reads the layers that slide a window over an image, or put something around it."""

    def _window(self, layer: Layer, value: Value, side: str) -> tuple[int, int, Pads]:
        """Kernel, stride and padding."""
        stated = layer.config
        if len(value.operation.shape) != 3 or not value.last:
            raise self.refused(layer, f"it is given {value.shape}; expected images with channels last")
        kernel, stride = one_side(stated[side], "kernel"), one_side(stated["strides"], "stride")
        if (dilation := _dilation(layer)) < 1:
            raise self.refused(layer, f"its dilation is {dilation}; it has to be 1 or more")
        if kernel < 1 or stride < 1:
            raise self.refused(layer, f"its kernel is {kernel} and its stride {stride}; both have to be 1 or more")
        if stated["padding"] not in ("same", "valid"):
            raise self.refused(layer, f"its padding is {plain_name(str(stated['padding']))}; known are same and valid")
        if stated["padding"] == "valid":
            return kernel, stride, value.pads
        if value.pads != NO_PADS:
            raise self.refused(layer, "it pads what is padded before")
        extent = dilation * (kernel - 1) + 1
        return kernel, stride, same_pads(value.operation.shape, extent, stride)

    def _convolved(
        self, layer: Layer, value: Value, weight: Array, bias: Array | None, *, groups: int = 1, name: str = ""
    ) -> Value:
        if value.edge:
            raise self.refused(layer, "what is around its image is not zero")
        kernel, stride, pads = self._window(layer, value, "kernel_size")
        made = Conv(weight.shape[0], kernel, stride, 0, groups, bias is not None, dilation=_dilation(layer))
        fitted = conv_layer(value.operation.shape, made, pads)
        tensors: dict[str, Any] = {"weight": weight} | ({} if bias is None else {"bias": bias})
        return self.behind(layer, fitted, replace(value, pads=NO_PADS), name, **tensors)

    def convolution(self, layer: Layer, value: Value) -> Value:
        """A convolution."""
        weight, *bias = self.arrays_of(layer, 2 if layer.config["use_bias"] else 1)
        if weight.ndim != 4:
            raise self.refused(layer, f"its kernel has {weight.ndim} sides; expected 4")
        groups = layer.config.get("groups", 1)
        return self._convolved(layer, value, weight.transpose(3, 2, 0, 1), bias[0] if bias else None, groups=groups)

    def depthwise(self, layer: Layer, value: Value) -> Value:
        """A convolution of each channel by itself, or a factor for each."""
        weight, *bias = self.arrays_of(layer, 2 if layer.config["use_bias"] else 1)
        plain_scale = not bias and weight.shape[:2] == (1, 1) and weight.shape[3] == 1
        if plain_scale and layer.config["strides"] in ([1, 1], (1, 1), 1) and value.pads == NO_PADS:
            return self.behind(layer, LayerScale(), value, weight=weight.reshape(-1))
        return self._convolved(layer, value, _filters(weight), bias[0] if bias else None, groups=weight.shape[2])

    def separable(self, layer: Layer, value: Value) -> Value:
        """A convolution of each channel, and one of single pixels behind it."""
        depthwise, pointwise, *bias = self.arrays_of(layer, 3 if layer.config["use_bias"] else 2)
        name = f"{layer.path}/depthwise"
        inner = self._convolved(layer, value, _filters(depthwise), None, groups=depthwise.shape[2], name=name)
        weight = pointwise.transpose(3, 2, 0, 1)
        tensors: dict[str, Any] = {"weight": weight} | ({"bias": bias[0]} if bias else {})
        return self.behind(layer, Conv(len(weight), 1, bias=bool(bias)), inner, **tensors)

    def pool(self, layer: Layer, value: Value) -> Value:
        """A pool over windows."""
        largest = layer.kind == "MaxPooling2D"
        kernel, stride, pads = self._window(layer, value, "pool_size")
        own = pads != value.pads
        if not value.edge_is_neutral(largest=largest):
            raise self.refused(layer, f"it pools over an edge of {value.edge:g} around the image, which ours leave out")
        if not largest and own and pads != NO_PADS:
            raise self.refused(layer, "its average leaves out the padding, which ours counts")
        kind: type[Pool] = MaxPool if largest else AvgPool
        return self.behind(
            layer, pool_layer(value.operation.shape, kind(kernel, stride), pads), replace(value, pads=NO_PADS)
        )

    def padded(self, layer: Layer, value: Value) -> Value:
        """Zeros, or another number, around images, which the next layer takes."""
        if layer.kind == "Pad":
            positional, named = layer.arguments or NO_ARGUMENTS
            sides = layer.config.get("pad_width") or named.get("pad_width") or positional[1]
            edge = float(
                _first(named.get("constant_values"), layer.config.get("constant_values"), *positional[2:], 0.0)
            )
            if layer.config.get("mode", "constant") != "constant" or len(sides) != 4 or any(sides[0]) or any(sides[3]):
                raise self.refused(layer, "it pads in another way than by a constant around images")
            (above, below), (left, right) = sides[1:3]
        else:
            (above, below), (left, right) = layer.config["padding"]
            edge = 0.0
        (a, b), (c, d) = value.pads
        if (value.pads != NO_PADS and value.edge != edge) or len(value.shape) != 3 or not value.last:
            raise self.refused(layer, "it pads something else than images")
        if min(above, below, left, right) < 0:
            raise self.refused(layer, "it pads by less than nothing")
        return replace(value, pads=((a + above, b + below), (c + left, d + right)), edge=edge)


def _dilation(layer: Layer) -> int:
    return one_side(layer.config.get("dilation_rate", (1, 1)), "dilation")


def _filters(weight: Array) -> Array:
    """Depthwise filters (H, W, in, multiplier) as ours."""
    if weight.ndim != 4:
        raise ValueError(f"a kernel of {weight.ndim} sides; expected 4")
    height, width = weight.shape[:2]
    return weight.transpose(2, 3, 0, 1).reshape(-1, 1, height, width)


def _first(*values: Any) -> Any:
    return next(value for value in values if value is not None)
