"""The operations that a program of Core ML has to have, by the layers, for a comparison with what was written.

They are stated here for a second time, and without coremltools, so that a slip where they are written is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from deepenough.frameworks.export import Export, overhang
from deepenough.frameworks.refusals import unknown_layer
from deepenough.nets.activation import Activation, PRelu
from deepenough.nets.combinators import Branches, Elementwise
from deepenough.nets.layer import Layer
from deepenough.nets.layers import (
    BatchNorm,
    ChannelShuffle,
    ChannelSlice,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalPool,
    GroupNorm,
    LayerNorm,
    LayerScale,
    Lrn,
    MaxPool,
    Pool,
)
from deepenough.nets.shapes import Visit
from deepenough.nets.tokens import FirstToken, SelfAttention, Tokens
from deepenough.nets.walk import Walk


class Variable(str):
    """The name of what an earlier operation gives."""

    __slots__ = ()


class Weight(NamedTuple):
    """A tensor of the network by its key, in its own shape or in another."""

    key: str
    shape: tuple[int, ...] | None = None


class Operation(NamedTuple):
    """An operation and its arguments: variables (a tuple of them), weights, and constants."""

    name: str
    kind: str
    given: Mapping[str, Any]


class ExpectedOperations(Walk[Variable]):
    """The operations of a network in the order of computation. A walk's value is a variable."""

    def __init__(self, export: Export, names: Mapping[str, str]) -> None:
        self.at = {visit.path: visit for visit in export.walk}
        self.names = names
        self.all: list[Operation] = []
        logits = self._add("logits", "identity", x=self.through(export.network.stack, self._normalised(export)))
        shares = self._add("probabilities", "softmax", x=logits, axis=-1)
        self._add("classify_0", "classify", probabilities=shares, classes=list(export.classes))

    def _add(self, name: str, kind: str, **given: Any) -> Variable:
        self.all.append(Operation(name, kind, given))
        return Variable(name)

    def _normalised(self, export: Export) -> Variable:
        mean, std = (np.array(each, np.float32)[None, :, None, None] for each in (export.input.mean, export.input.std))
        unit = self._add("normalise__unit", "real_div", x=Variable("images"), y=255.0)
        return self._add("normalise__std", "real_div", x=self._add("normalise__mean", "sub", x=unit, y=mean), y=std)

    def joined(self, layer: Branches, value: Variable, ends: Sequence[Variable], path: str) -> Variable:
        name = self.names[path]
        if not isinstance(layer, Elementwise):
            return self._add(name, "concat", values=tuple(ends), axis=1)
        total, *rest = ends
        for number, end in enumerate(rest, 1):
            total = self._add(name if number == len(rest) else f"{name}__{number}", layer.coreml, x=total, y=end)
        return total

    def single(self, layer: Layer, value: Variable, path: str) -> Variable:
        visit, name = self.at[path], self.names[path]
        match layer:
            case Dropout():
                return value
            case PRelu():
                return self._sloped(visit, layer, name, value)
            case Activation():
                return self._activation(layer, name, value)
            case BatchNorm() | LayerNorm() | GroupNorm():
                return self._norm(visit, layer, name, value)
            case ChannelShuffle():
                apart = self._add(f"{name}__apart", "reshape", x=value, shape=[1, *layer.apart(visit.input)])
                across = self._add(f"{name}__across", "transpose", x=apart, perm=[0, 2, 1, 3, 4])
                return self._add(name, "reshape", x=across, shape=[1, *visit.output])
            case Tokens():
                return self._tokens(visit, layer, name, value)
            case SelfAttention(heads=heads):
                return self._attention(visit, heads, name, value)
            case _:
                kind, given = _stated(visit)
                return self._add(name, kind, x=value, **given)

    def _activation(self, layer: Activation, name: str, value: Variable) -> Variable:
        values = [value]
        for number, node in enumerate(layer.nodes("coreml"), 1):
            given = {argument: values[place] for argument, place in zip("xy", node.inputs, strict=False)}
            here = name if number == len(layer.coreml) else f"{name}__{number}"
            values.append(self._add(here, node.kind, **given, **node.attributes))
        return values[-1]

    def _sloped(self, visit: Visit, layer: PRelu, name: str, value: Variable) -> Variable:
        key = f"{visit.path}.weight"
        if layer.shared:
            return self._add(name, "leaky_relu", x=value, alpha=Weight(key, ()))
        if len(visit.input) == 3:
            return self._add(name, "prelu", x=value, alpha=Weight(key))
        one = self._add(f"{name}__one", "expand_dims", x=value, axes=[2, 3])
        sloped = self._add(f"{name}__map", "prelu", x=one, alpha=Weight(key))
        return self._add(name, "squeeze", x=sloped, axes=[2, 3])

    def _norm(self, visit: Visit, layer: BatchNorm | LayerNorm | GroupNorm, name: str, value: Variable) -> Variable:
        path, axes = visit.path, len(visit.input)
        ends: dict[str, Any] = {"gamma": Weight(f"{path}.weight"), "beta": Weight(f"{path}.bias"), "epsilon": layer.eps}
        match layer:
            case BatchNorm():
                ends |= {"mean": Weight(f"{path}.running_mean"), "variance": Weight(f"{path}.running_var")}
                if axes == 3:
                    return self._add(name, "batch_norm", x=value, **ends)
                row = self._add(f"{name}__row", "expand_dims", x=value, axes=[2])
                return self._add(name, "squeeze", x=self._add(f"{name}__norm", "batch_norm", x=row, **ends), axes=[2])
            case LayerNorm():
                ends["axes"] = [-1]
                if axes != 3:
                    return self._add(name, "layer_norm", x=value, **ends)
                last = self._add(f"{name}__last", "transpose", x=value, perm=[0, 2, 3, 1])
                normed = self._add(f"{name}__norm", "layer_norm", x=last, **ends)
                return self._add(name, "transpose", x=normed, perm=[0, 3, 1, 2])
            case GroupNorm(groups=groups):
                shape = (1, visit.input[0], 1, 1)
                rows = self._add(f"{name}__rows", "reshape", x=value, shape=[1, groups, -1])
                normed = self._add(f"{name}__norm", "instance_norm", x=rows, epsilon=layer.eps)
                back = self._add(f"{name}__map", "reshape", x=normed, shape=[1, *visit.input])
                scaled = self._add(f"{name}__scaled", "mul", x=back, y=Weight(f"{path}.weight", shape))
                return self._add(name, "add", x=scaled, y=Weight(f"{path}.bias", shape))

    def _tokens(self, visit: Visit, layer: Tokens, name: str, value: Variable) -> Variable:
        channels, height, width = visit.input
        token, position = (Weight(f"{visit.path}.{word}") for word in ("class_token", "position"))
        flat = self._add(f"{name}__flat", "reshape", x=value, shape=[1, channels, height * width])
        plain = not (layer.class_token or layer.position)
        tokens = self._add(name if plain else f"{name}__patches", "transpose", x=flat, perm=[0, 2, 1])
        if layer.class_token:
            here = f"{name}__rows" if layer.position else name
            tokens = self._add(here, "concat", values=(token, tokens), axis=1)
        return self._add(name, "add", x=tokens, y=position) if layer.position else tokens

    def _attention(self, visit: Visit, heads: int, name: str, value: Variable) -> Variable:
        count, channels = visit.output
        self._add(f"{name}__parts", "split", x=value, num_splits=3, axis=2)
        queries, keys, values = (
            self._of_heads(f"{name}__{part}", Variable(f"{name}__parts_{place}"), [1, count, heads, channels // heads])
            for place, part in enumerate(("queries", "keys", "values"))
        )
        scaled = self._add(f"{name}__scaled", "mul", x=queries, y=(channels // heads) ** -0.5)
        scores = self._add(f"{name}__scores", "matmul", x=scaled, y=keys, transpose_y=True)
        weights = self._add(f"{name}__weights", "softmax", x=scores, axis=-1)
        found = self._add(f"{name}__found", "matmul", x=weights, y=values)
        back = self._add(f"{name}__back", "transpose", x=found, perm=[0, 2, 1, 3])
        return self._add(name, "reshape", x=back, shape=[1, count, channels])

    def _of_heads(self, name: str, part: Variable, shape: list[int]) -> Variable:
        apart = self._add(f"{name}_apart", "reshape", x=part, shape=shape)
        return self._add(name, "transpose", x=apart, perm=[0, 2, 1, 3])


def _stated(visit: Visit) -> tuple[str, dict[str, Any]]:
    """The kind and the arguments, without `x`, of the one operation that a layer is."""
    layer, path = visit.layer, visit.path
    match layer:
        case Conv():
            pad = [pixels for side in layer.pads(visit.input) for pixels in side]
            given: dict[str, Any] = {"strides": [layer.stride] * 2, "pad_type": "custom", "pad": pad}
            given |= {"dilations": [layer.dilation] * 2, "groups": layer.groups}
            return "conv", {**given, **_weights(path, layer.bias)}
        case Dense():
            return "linear", _weights(path, layer.bias)
        case LayerScale():
            channels = visit.output[-1] if len(visit.output) < 3 else visit.output[0]
            return "mul", {"y": Weight(f"{path}.weight", (1, channels, 1, 1) if len(visit.output) == 3 else None)}
        case Lrn():
            return "local_response_norm", {
                "size": layer.size, "alpha": float(layer.alpha), "beta": float(layer.beta), "k": float(layer.k),
            }  # fmt: skip
        case Pool():
            pad = [layer.padding, overhang(visit, 1), layer.padding, overhang(visit, 2)]
            sides = {"kernel_sizes": [layer.kernel] * 2, "strides": [layer.step] * 2, "pad_type": "custom", "pad": pad}
            return ("max_pool" if isinstance(layer, MaxPool) else "avg_pool"), sides
        case GlobalPool():
            kind = "reduce_mean" if isinstance(layer, GlobalAvgPool) else "reduce_max"
            return kind, {"axes": [1] if len(visit.input) == 2 else [2, 3], "keep_dims": len(visit.output) == 3}
        case Flatten():
            return "reshape", {"shape": [1, *visit.output]}
        case ChannelSlice(start=start, stop=stop):
            rest = visit.input[1:]
            return "slice_by_index", {"begin": [0, start, *[0] * len(rest)], "end": [1, stop, *rest]}
        case FirstToken():
            ends = {"begin": [0, 0, 0], "end": [1, 1, *visit.output]}
            return "slice_by_index", {**ends, "squeeze_mask": [False, True, False]}
    raise unknown_layer(visit, "Core ML")


def _weights(path: str, bias: bool) -> dict[str, Any]:
    return {"weight": Weight(f"{path}.weight")} | ({"bias": Weight(f"{path}.bias")} if bias else {})
