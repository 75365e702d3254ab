"""Keras' layers, one by one, as ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np

from deepenough.errors import DeepenoughError
from deepenough.nets.activation import Activation, Elu, HardSigmoid, LeakyRelu, PRelu, Relu, Relu6, Silu
from deepenough.nets.combinators import Branches, Concat, Product, Sum
from deepenough.nets.layers import (
    BatchNorm,
    ChannelSlice,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    GroupNorm,
    LayerNorm,
    LayerScale,
    StochasticDepth,
)
from deepenough.weights.graphs.activations import KINDS
from deepenough.weights.graphs.graph import GraphError, Operation, decimal, plain_name
from deepenough.weights.graphs.keras_base import NO_ARGUMENTS, Layer, number_of
from deepenough.weights.graphs.keras_parts import KINDS as KINDS_OF_PARTS
from deepenough.weights.graphs.keras_parts import Call, Part, made_tokens, read_part
from deepenough.weights.graphs.keras_windows import WindowReader
from deepenough.weights.graphs.values import NO_PADS, Value, flattened_order, unknown_move

IN_TRAINING = (
    "RandomFlip", "RandomRotation", "RandomZoom", "RandomContrast", "RandomBrightness", "RandomTranslation",
    "RandomCrop", "RandomErasing", "RandomHue", "RandomSaturation", "GaussianNoise", "GaussianDropout",
    "AlphaDropout", "SpatialDropout2D", "ActivityRegularization",
)  # fmt: skip
"""Kinds of layers that do nothing when a network predicts, and that have no counterpart among our layers."""

ARITHMETIC = ("Add", "Subtract", "Multiply", "Divide", "TrueDivide")
"""Kinds of operations that may have a number beside a value."""

READ = (
    *IN_TRAINING, "Activation", "Add", "AveragePooling2D", "BatchNormalization", "Concatenate", "Conv2D",
    "Dense", "DepthwiseConv2D", "Dropout", "ELU", "EinsumDense", "Flatten", "Flip", "GlobalAveragePooling2D",
    "GlobalAveragePooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling1D", "GroupNormalization", "Identity",
    "InputLayer", "LayerNormalization", "LayerScale", "LeakyReLU", "MaxPooling2D", "Multiply", "Normalization", "PReLU",
    "Pad", "Permute", "ReLU", "Rescaling", "Reshape", "SeparableConv2D", "Softmax", "StochasticDepth", "ZeroPadding2D",
    *ARITHMETIC, *KINDS_OF_PARTS,
)  # fmt: skip
"""Kinds of layers that are read."""

SIXTH = 1e-6
"""Difference up to which a number is a sixth."""

ACTIVATIONS: dict[str, Activation] = {kind.keras: kind() for kind in KINDS if kind.keras} | {
    "swish": Silu(),
    "hard_swish": next(kind() for kind in KINDS if kind.keras == "hard_silu"),
    "leaky_relu": LeakyRelu(0.2),
    "elu": Elu(),
}
"""Our activations by Keras' names."""


class KerasBuilder(WindowReader):
    """Makes operations of a graph from layers of Keras in their order. `old` is Keras before 3."""

    def add(self, layer: Layer) -> None:
        """Add what a layer gives."""
        if layer.kind == "InputLayer":
            return
        if self.softmaxes.intersection(layer.inputs):
            raise self.refused(layer, "it reads a softmax, which is known only at the end")
        if not layer.inputs:
            raise self.refused(layer, "it reads nothing")
        try:
            if layer.config.get("data_format") == "channels_first":
                raise self.refused(layer, "its channels come first; known is channels last, Keras' usual order")
            if self._split(layer) or self._computed(layer):
                return
            if self._settled(layer):
                self.add(layer)
                return
            outputs = layer.outputs or (0,) * len(layer.inputs)
            values = [self.value(place, output) for place, output in zip(layer.inputs, outputs, strict=True)]
            made = self._made(layer, values)
            self.values[layer.place] = self._activated(layer, made)
        except GraphError:
            raise
        except (DeepenoughError, ValueError, KeyError, IndexError, TypeError, AttributeError, ArithmeticError) as error:
            why = str(error) if isinstance(error, DeepenoughError) else f"it can't be read ({plain_name(str(error))})"
            raise self.refused(layer, why) from None

    def _computed(self, layer: Layer) -> bool:
        """Take a step of what is computed one by one, a sum or product with a number, or a part of a hard sigmoid."""
        outputs = layer.outputs or (0,) * len(layer.inputs)
        given = [
            self.partial.get(place) or self.value(place, output)
            for place, output in zip(layer.inputs, outputs, strict=True)
        ]
        positional, named = layer.arguments or NO_ARGUMENTS
        others = [each for each in (*positional, *named.values()) if each is not None]
        call = Call(layer.kind, layer.name, given, outputs, layer.config, others, layer.arrays)
        found = read_part(self.graph, call, self.consumed) or self._with_number(layer, given)
        if isinstance(found, Part):
            self.partial[layer.place] = found
        elif found is not None:
            self.values[layer.place] = found
        return found is not None

    def _settled(self, layer: Layer) -> bool:
        """Make tokens of patches that go on here without a class token, or without positions."""
        found = {place: part for place in layer.inputs if (part := self.partial.get(place)) is not None}
        settled = {place: part for place, part in found.items() if part.step in ("patches", "tokens")}
        for place, part in settled.items():

            def tokens(made: Any, value: Value, **tensors: Any) -> Value:
                return Value(self.graph.layer("", layer.kind, made, self.consumed(value), tensors))

            self.values[place] = made_tokens(part, None, tokens)
            del self.partial[place]
        return bool(settled)

    def _split(self, layer: Layer) -> bool:
        """Take the channels of a map apart, each part for who reads it; whatever else is split is read elsewhere."""
        if layer.kind != "Split" or layer.inputs[0] in self.partial:
            return False
        value = self.value(layer.inputs[0], *layer.outputs[:1])
        if len(value.shape) == 2:
            return False
        axis, parts = layer.config.get("axis", 0), layer.config["indices_or_sections"]
        if axis not in (-1, len(value.shape)) or value.order is not None or not (value.last or len(value.shape) == 1):
            raise self.refused(layer, "it takes apart rows, columns or images; known are parts of the channels")
        whole = value.shape[-1]
        ends = [0, *parts, whole] if isinstance(parts, (list, tuple)) else range(0, whole + 1, whole // parts)
        self.several[layer.place] = [
            self.behind(layer, ChannelSlice(start, stop), value) for start, stop in pairwise(ends)
        ]
        return True

    def _with_number(self, layer: Layer, given: Sequence[Value | Part]) -> Value | Part | None:
        first, number = given[0], number_of(layer) if layer.kind in ARITHMETIC else None
        if isinstance(first, Part):
            if layer.kind == "ReLU" and first.step == "x + 3" and layer.config.get("max_value") == 6:
                return replace(first, step="relu6(x + 3)")
            sixth = (
                number is not None and abs((number if layer.kind == "Multiply" else 1 / (number or 1)) - 1 / 6) < SIXTH
            )
            if first.step == "relu6(x + 3)" and sixth and layer.kind in ("Multiply", "Divide", "TrueDivide"):
                return self.behind(layer, HardSigmoid(), first.value)
        elif number is not None and first.operation is self.images:
            factor = number if layer.kind == "Multiply" else 1 / number if layer.kind.endswith("Divide") else 1.0
            added = number if layer.kind == "Add" else -number if layer.kind == "Subtract" else 0.0
            return first.scaled(np.asarray(factor), np.asarray(added))
        elif number == 3 and layer.kind == "Add":
            return Part("x + 3", first)
        if number is not None:
            raise self.refused(layer, f"what it computes with the number {number:g} is not known here")
        return None

    def _made(self, layer: Layer, values: Sequence[Value]) -> Value:
        value = values[0]
        if layer.kind in ("Add", "Multiply", "Concatenate") and len(values) > 1:
            return self._joined(layer, values)
        if layer.kind in ARITHMETIC:
            raise self.refused(layer, "known are sums and products of values, and of the images with one number")
        if len(values) != 1:
            raise self.refused(layer, f"it reads {len(values)} values; expected one")
        if value.pads != NO_PADS and not layer.kind.endswith(("Conv2D", "Pooling2D", "ZeroPadding2D")):
            raise self.refused(layer, "it reads padded values, which is known of convolutions and pools")
        if layer.kind in IN_TRAINING:
            self.notes = (*self.notes, f"its layer {plain_name(layer.name)!r}, for training only, is left out")
            return value
        methods: dict[str, Callable[[Layer, Value], Value]] = {
            "Conv2D": self.convolution, "DepthwiseConv2D": self.depthwise, "SeparableConv2D": self.separable,
            "Dense": self._dense, "BatchNormalization": self._norm, "LayerNormalization": self._layer_norm,
            "GroupNormalization": self._group_norm,
            "LayerScale": self._scale, "EinsumDense": self._scale, "Dropout": self._dropout,
            "StochasticDepth": self._dropout, "MaxPooling2D": self.pool, "AveragePooling2D": self.pool,
            "ZeroPadding2D": self.padded, "Pad": self.padded, "Rescaling": self._rescaled,
            "Normalization": self._normalised, "ReLU": self._relu, "LeakyReLU": self._with_slope,
            "ELU": self._with_slope, "PReLU": self._with_slopes,
        }  # fmt: skip
        if layer.kind in methods:
            return methods[layer.kind](layer, value)
        if layer.kind.startswith("Global"):
            return self._global_pool(layer, value)
        if layer.kind == "Softmax":
            self.softmaxes.add(layer.place)
            return value
        if layer.kind in ("Activation", "Identity"):
            return value
        return self._moved(layer, value)

    def _activated(self, layer: Layer, value: Value) -> Value:
        """Add the activation that a layer may have as an option."""
        stated = layer.config.get("activation")
        if isinstance(stated, dict):
            if stated.get("class_name") == "function" or str(stated.get("module") or "keras").split(".")[0] != "keras":
                raise self.refused(layer, "its activation is a function of the user's; nothing in a file is run")
            stated = stated["config"] if isinstance(stated.get("config"), str) else stated.get("class_name")
        if stated in (None, "linear"):
            return value
        if stated == "softmax":
            self.softmaxes.add(layer.place)
            return value
        if stated not in ACTIVATIONS or (self.old and stated == "hard_sigmoid"):
            raise self.refused(layer, f"its activation is {plain_name(str(stated))}, which is not known here")
        name = layer.path if layer.kind == "Activation" else f"{layer.path}/activation"
        return self.behind(layer, ACTIVATIONS[stated], value, name)

    def _relu(self, layer: Layer, value: Value) -> Value:
        stated = layer.config
        slope, most = stated.get("negative_slope"), stated.get("max_value")
        if stated.get("threshold") or most not in (None, 6, 6.0) or (slope and most is not None):
            raise self.refused(layer, "it is no plain or leaky ReLU, nor one that ends at 6")
        if slope:
            return self.behind(layer, LeakyRelu(decimal(slope)), value)
        return self.behind(layer, Relu() if stated.get("max_value") is None else Relu6(), value)

    def _with_slope(self, layer: Layer, value: Value) -> Value:
        """An activation with a number of its own; Keras 2 has `alpha` for the slope."""
        stated = layer.config
        if layer.kind == "ELU":
            return self.behind(layer, Elu(decimal(stated.get("alpha", 1.0))), value)
        return self.behind(layer, LeakyRelu(decimal(stated.get("negative_slope", stated.get("alpha", 0.3)))), value)

    def _with_slopes(self, layer: Layer, value: Value) -> Value:
        (slopes,) = self.arrays_of(layer, 1)
        channels = value.operation.shape[0 if len(value.operation.shape) == 3 else -1]
        along = slopes.shape[-1] == slopes.size == channels and (value.last or len(value.shape) == 1)
        if slopes.size > 1 and not along:
            known = "known are one for all, or one for each channel (`shared_axes=[1, 2]`)"
            raise self.refused(layer, f"it has slopes of {' x '.join(map(str, slopes.shape))}; {known}")
        shared = slopes.size == 1
        entries = slopes.reshape(-1) if shared else value.entries(slopes.reshape(-1))
        return self.behind(layer, PRelu(shared=shared), value, weight=entries)

    def _dense(self, layer: Layer, value: Value) -> Value:
        weight, *bias = self.arrays_of(layer, 2 if layer.config["use_bias"] else 1)
        if weight.ndim != 2:
            raise self.refused(layer, f"its kernel has {weight.ndim} sides; expected 2")
        weight = weight.T
        tensors: dict[str, Any] = {"bias": bias[0]} if bias else {}
        if len(value.operation.shape) == 3:
            if not value.last:
                raise self.refused(layer, "it multiplies the columns of a feature map; expected a vector")
            made: Any = Conv(len(weight), 1, bias=bool(bias))
            return self.behind(layer, made, value, weight=weight[:, :, None, None], **tensors)
        found = self.behind(layer, Dense(len(weight), bool(bias)), value, weight=value.columns(weight), **tensors)
        return replace(found, order=None)

    def _norm(self, layer: Layer, value: Value) -> Value:
        stated = layer.config
        axis = stated.get("axis", -1)
        axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
        if axis not in (-1, len(value.shape)) or (len(value.shape) == 3 and not value.last):
            raise self.refused(layer, f"its axis is {axis}; known is the channels")
        center, scale = stated.get("center", True), stated.get("scale", True)
        arrays = list(self.arrays_of(layer, 2 + bool(center) + bool(scale)))
        weight = arrays.pop(0) if scale else np.ones_like(arrays[-1])
        bias = arrays.pop(0) if center else np.zeros_like(arrays[-1])
        tensors = {"weight": weight, "bias": bias, "running_mean": arrays[0], "running_var": arrays[1]}
        entries: dict[str, Any] = {key: value.entries(array) for key, array in tensors.items()}
        made = BatchNorm(stated["epsilon"], round(1 - stated["momentum"], 12))
        return self.behind(layer, made, value, **entries)

    def _layer_norm(self, layer: Layer, value: Value) -> Value:
        stated = layer.config
        axis = stated.get("axis", -1)
        axis = axis[0] if isinstance(axis, list) and len(axis) == 1 else axis
        if (
            axis not in (-1, len(value.shape))
            or stated.get("rms_scaling")
            or (len(value.shape) == 3 and not value.last)
        ):
            raise self.refused(layer, "it normalises in another way than over the channels of each position")
        arrays = list(self.arrays_of(layer, bool(stated.get("scale", True)) + bool(stated.get("center", True))))
        channels = value.operation.shape[0 if len(value.shape) == 3 else -1]
        weight = arrays.pop(0) if stated.get("scale", True) else np.ones(channels, np.float32)
        bias = arrays.pop(0) if arrays else np.zeros(channels, np.float32)
        return self.behind(
            layer, LayerNorm(stated["epsilon"]), value, weight=value.entries(weight), bias=value.entries(bias)
        )

    def _group_norm(self, layer: Layer, value: Value) -> Value:
        stated = layer.config
        if len(value.shape) != 3 or not value.last or stated.get("axis", -1) not in (-1, 3):
            raise self.refused(layer, "it normalises something else than groups of the channels of images")
        channels = value.operation.shape[0]
        groups = channels if stated["groups"] == -1 else stated["groups"]
        arrays = list(self.arrays_of(layer, bool(stated.get("scale", True)) + bool(stated.get("center", True))))
        weight = arrays.pop(0) if stated.get("scale", True) else np.ones(channels, np.float32)
        bias = arrays.pop(0) if arrays else np.zeros(channels, np.float32)
        return self.behind(layer, GroupNorm(groups, stated["epsilon"]), value, weight=weight, bias=bias)

    def _scale(self, layer: Layer, value: Value) -> Value:
        (weight,) = self.arrays_of(layer, 1)
        stated = layer.config.get("equation")
        if layer.kind == "EinsumDense" and (stated not in ("ab,b->ab", "abc,c->abc") or layer.config.get("bias_axes")):
            raise self.refused(layer, "it multiplies in another way than by a factor for each channel")
        return self.behind(layer, LayerScale(), value, weight=value.entries(weight.reshape(-1)))

    def _dropout(self, layer: Layer, value: Value) -> Value:
        rate = layer.config.get("rate", layer.config.get("drop_path_rate", 0.0))
        shape = layer.config.get("noise_shape")
        whole = layer.kind == "StochasticDepth" or (shape and all(side == 1 for side in shape[1:]))
        return self.behind(layer, StochasticDepth(rate) if whole else Dropout(rate), value)

    def _rescaled(self, layer: Layer, value: Value) -> Value:
        if value.operation is not self.images:
            raise self.refused(layer, "it scales feature maps; known is to scale images before the first layer")
        scale, offset = (
            np.asarray(layer.config.get(key, usual), np.float64) for key, usual in (("scale", 1), ("offset", 0))
        )
        return value.scaled(scale, offset)

    def _normalised(self, layer: Layer, value: Value) -> Value:
        if value.operation is not self.images or layer.config.get("invert"):
            raise self.refused(layer, "it normalises something else than images")
        mean, variance = layer.config.get("mean"), layer.config.get("variance")
        if mean is None or variance is None:
            mean, variance = layer.arrays[:2] if len(layer.arrays) >= 2 else (0.0, 1.0)
        mean, variance = (np.asarray(numbers, np.float64).reshape(-1) for numbers in (mean, variance))
        scale = 1 / np.maximum(np.sqrt(np.maximum(variance, 0)), 1e-7)
        return value.scaled(scale, -mean * scale)

    def _joined(self, layer: Layer, values: Sequence[Value]) -> Value:
        first = values[0]
        alike = {(each.last, len(each.shape)) for each in values if len(each.shape) == 3}
        if len(alike) > 1 or any(each.pads != NO_PADS for each in values):
            raise self.refused(layer, "its values have their channels in different places, or are padded")
        if len({each.order for each in values}) > 1 or (layer.kind == "Concatenate" and first.order):
            raise self.refused(layer, "its vectors have their values in different orders")
        if layer.kind == "Concatenate" and layer.config.get("axis", -1) not in (-1, len(first.shape)):
            raise self.refused(layer, f"its axis is {layer.config.get('axis')}; known is the channels")
        how: type[Branches] = Sum if layer.kind == "Add" else Product if layer.kind == "Multiply" else Concat
        ends = [self.consumed(each) for each in values]
        if how is Product and len(ends) == 2 and len(ends[0].shape) == 3 and len(ends[1].shape) == 1:
            raise self.refused(layer, "it multiplies a map by a vector; known are maps of one position")
        return first.behind(self.graph.join(layer.path, layer.kind, how, ends))

    def _global_pool(self, layer: Layer, value: Value) -> Value:
        largest = "Max" in layer.kind
        if layer.kind.endswith("1D"):
            made = self.graph.layer(
                layer.path, layer.kind, GlobalMaxPool() if largest else GlobalAvgPool(), value.operation
            )
            return Value(made)
        if largest:
            made = self.graph.whole_maximum(layer.path, layer.kind, self.consumed(value))
        else:
            made = self.graph.layer(layer.path, layer.kind, GlobalAvgPool(keep=True), self.consumed(value))
        kept = value.behind(made)
        return kept if layer.config.get("keepdims") else self._flat(layer, kept)

    def _flat(self, layer: Layer, value: Value) -> Value:
        order = flattened_order(value)
        return Value(self.graph.layer(layer.path, layer.kind, Flatten(), self.consumed(value)), order=order)

    def _moved(self, layer: Layer, value: Value) -> Value:
        sides, config = value.shape, layer.config
        match layer.kind:
            case "Flatten" if len(sides) != 2:
                return self._flat(layer, value)
            case "Reshape":
                wanted = list(config["target_shape"])
                if wanted == [1, 1, sides[-1]] and isinstance(value.operation.layer, (GlobalAvgPool, GlobalMaxPool)):
                    pool = value.operation
                    largest = isinstance(pool.layer, GlobalMaxPool)
                    make = self.graph.whole_maximum if largest else self._kept
                    return Value(make(pool.name, layer.kind, pool.inputs[0]), last=True)
                if len(wanted) == 1 and len(sides) != 2:
                    return self._flat(layer, value)
                if wanted == list(sides):
                    return value
            case "Permute" if len(sides) == 3 and list(config["dims"]) == ([3, 1, 2] if value.last else [2, 3, 1]):
                return replace(value, last=not value.last)
            case "Flip" if value.operation is self.images:
                axis = config.get("axis", (layer.arguments or NO_ARGUMENTS)[1].get("axis", -1))
                if axis in (-1, 3) and value.scale is None:
                    return replace(value, flipped=not value.flipped)
        raise self.refused(layer, unknown_move(value))

    def _kept(self, name: str, kind: str, value: Operation) -> Operation:
        return self.graph.layer(name, kind, GlobalAvgPool(keep=True), value)
