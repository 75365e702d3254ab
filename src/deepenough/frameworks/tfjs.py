"""TensorFlow.js: a graph model for browsers and Node, of operators that its WebGL, WASM and CPU back ends compute.

It is written node by node, without TensorFlow.js' converter, which fuses layers and needs TensorFlow and tf_keras.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from deepenough.files import write_whole
from deepenough.frameworks.export import Array, Export, overhang
from deepenough.frameworks.graph_walk import GraphWalk
from deepenough.frameworks.metadata import PRODUCER, ModelMetadata
from deepenough.frameworks.names import renamed
from deepenough.frameworks.refusals import averages_beyond, has_no_centre, unknown_layer
from deepenough.frameworks.target import Runtime, Target
from deepenough.frameworks.tfjs_graph import TensorflowGraph, ends
from deepenough.frameworks.tfjs_norms import batch_norm, group_norm, layer_norm
from deepenough.frameworks.tfjs_tokens import attention, class_token_and_positions, each_token, first_token
from deepenough.nets.activation import SLOPES, Activation
from deepenough.nets.combinators import Elementwise
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

FOLDER = "web_model"
MODEL = "model.json"
LOWEST = float(np.finfo(np.float32).min)
"""The edge of an image that no maximum is changed by: an infinity is none of WebGL's numbers."""


class TfjsGraph(GraphWalk[str]):
    """Nodes and numbers, layer by layer. Maps are (N, H, W, C), tokens (N, T, C)."""

    def __init__(self, export: Export) -> None:
        export, _ = renamed(export)
        super().__init__(export)
        self.half = export.precision == "float16"
        self.graph = TensorflowGraph()
        channels, height, width = export.network.input
        images = self.graph.node("Placeholder", "images", dtype="DT_INT32", shape=(-1, height, width, channels))
        logits = self.through(export.network.stack, self._normalised(images))
        self.graph.node("Identity", "logits", [logits])

    def name(self, path: str, part: str = "") -> str:
        """Return the name of a node; groups are scopes, whose names may not begin with `_` in TensorFlow."""
        scoped = super().name(path, part).replace(".", "/")
        return f"layer.{scoped}" if scoped.startswith("_") else scoped

    def node(self, kind: str, path: str, part: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Add an operator: a layer's last one where `part` is empty, otherwise one before it."""
        return self.graph.node(kind, self.name(path, part), inputs, **attributes)

    def constant(self, path: str, part: str, values: Any) -> str:
        """Add numbers that belong to a layer: float32, or integers."""
        return self.graph.constant(self.name(path, part), values)

    def weight(self, path: str, part: str, values: Array) -> str:
        """Add the weights of a convolution or a dense layer in the precision of the export."""
        return self.graph.constant(self.name(path, part), values, self.half)

    def tensor(self, path: str, part: str) -> str:
        """Add a layer's own tensor as it is."""
        return self.constant(path, part, self.export.state[f"{path}.{part}"])

    def reshaped(self, path: str, part: str, value: str, shape: Sequence[int]) -> str:
        """Add a change of shape."""
        return self.node("Reshape", path, part, [value, self.constant(path, f"{part or 'row'}.shape", shape)])

    def biased(self, path: str, value: str) -> str:
        """Add the bias of a layer, whose last node it is."""
        return self.node("BiasAdd", path, "", [value, self.tensor(path, "bias")])

    def _normalised(self, images: str) -> str:
        """(images / 255 - mean) / std, channels in the network's order."""
        wanted, scope = self.export.input, "normalise"
        value = self.node("Cast", scope, "float", [images], SrcT="DT_INT32", DstT="DT_FLOAT")
        if wanted.order == "BGR":
            value = self.node("ReverseV2", scope, "bgr", [value, self.constant(scope, "channels", [3])])
        value = self.node("RealDiv", scope, "unit", [value, self.constant(scope, "255", 255.0)])
        for kind, part, numbers in (("Sub", "mean", wanted.mean), ("RealDiv", "std", wanted.std)):
            value = self.node(kind, scope, part, [value, self.constant(scope, f"{part}.values", np.array(numbers))])
        return value

    def concatenated(self, ends: Sequence[str], name: str) -> str:
        axis = self.graph.constant(f"{name}/axis", -1)
        return self.graph.node("ConcatV2", name, [*ends, axis], N=len(ends))

    def combined(self, layer: Elementwise, first: str, second: str, name: str) -> str:
        return self.graph.node(layer.tfjs, name, [first, second])

    def _activation(self, layer: Activation, path: str, value: str) -> str:
        values = [value]
        nodes = layer.nodes("tfjs")
        for number, node in enumerate(nodes, 1):
            part = "" if number == len(nodes) else str(number)
            given = [values[place] for place in node.inputs]
            for constant in node.constants:
                own = constant is SLOPES
                given.append(
                    self.tensor(path, "weight") if own else self.constant(path, f"{number}.constant", constant)
                )
            values.append(self.node(node.kind, path, part, given, **node.attributes))
        return values[-1]

    def _convolution(self, visit: Visit, layer: Conv, value: str) -> str:
        path, weight, dilation = visit.path, self.export.state[f"{visit.path}.weight"], layer.dilation
        depthwise = layer.depthwise(visit.input)
        if depthwise or layer.stride > 1:  # where TensorFlow has no dilation, and TensorFlow.js none beside a stride
            weight, dilation = spread(weight, dilation), 1
        (above, below), (left, right) = layer.pads(visit.input)
        sides: dict[str, Any] = {"strides": [1, layer.stride, layer.stride, 1], "dilations": [1, dilation, dilation, 1]}
        if above or below or left or right:
            pads = [0, 0, above, below, left, right, 0, 0]
            sides |= {"padding": "EXPLICIT", "explicit_paddings": pads}
        else:
            sides |= {"padding": "VALID"}
        part = "map" if layer.bias else ""
        filters = weight.transpose(2, 3, 1, 0)
        if depthwise:
            kernel, columns, *_ = filters.shape
            given = self.weight(path, "weight", filters.reshape(kernel, columns, visit.input[0], -1))
            value = self.node("DepthwiseConv2dNative", path, part, [value, given], **sides)
        elif layer.groups > 1:
            value = self._groups(path, part, value, np.split(filters, layer.groups, axis=3), sides)
        else:
            value = self.node("Conv2D", path, part, [value, self.weight(path, "weight", filters)], **sides)
        return self.biased(path, value) if layer.bias else value

    def _groups(self, path: str, part: str, value: str, filters: Sequence[Array], sides: Mapping[str, Any]) -> str:
        """A convolution in groups, which TensorFlow.js has none of: one for each group."""
        axis = self.constant(path, "axis", 3)
        split = self.node("Split", path, "groups", [axis, value], num_split=len(filters))
        found = [
            self.node("Conv2D", path, f"group{number}", [given, self.weight(path, f"weight{number}", weight)], **sides)
            for number, weight in enumerate(filters)
            for given in (f"{split}:{number}" if number else split,)
        ]
        return self.node("ConcatV2", path, part, [*found, axis], N=len(found))

    def _pool(self, visit: Visit, layer: Pool, value: str) -> str:
        """Windows that fit into an image with edges: zeros, which means count, or what changes no maximum."""
        path, before = visit.path, layer.padding
        pads = [[0, 0], [before, overhang(visit, 1)], [before, overhang(visit, 2)], [0, 0]]
        kind, edge = ("MaxPool", LOWEST) if isinstance(layer, MaxPool) else ("AvgPool", 0.0)
        if np.any(pads):
            given = [value, self.constant(path, "pads", pads), self.constant(path, "edge", edge)]
            value = self.node("PadV2", path, "padded", given)
        sides = {"ksize": [1, layer.kernel, layer.kernel, 1], "strides": [1, layer.step, layer.step, 1]}
        return self.node(kind, path, "", [value], **sides, padding="VALID")

    def _shuffled(self, visit: Visit, layer: ChannelShuffle, value: str) -> str:
        path, (groups, each, height, width) = visit.path, layer.apart(visit.input)
        apart = self.reshaped(path, "apart", value, [-1, height * width, groups, each])
        turned = self.node("Transpose", path, "turned", [apart, self.constant(path, "order", [0, 1, 3, 2])])
        return self.reshaped(path, "", turned, [-1, height, width, groups * each])

    def _global_pool(self, visit: Visit, layer: GlobalPool, value: str) -> str:
        axes = self.constant(visit.path, "axes", [1] if len(visit.input) == 2 else [1, 2])
        kind = "Mean" if isinstance(layer, GlobalAvgPool) else "Max"
        return self.node(kind, visit.path, "", [value, axes], keep_dims=len(visit.output) == 3)

    def _flatten(self, visit: Visit, value: str) -> str:
        path, (count,) = visit.path, visit.output
        if len(visit.input) == 3:  # our weights read (C, H, W)
            value = self.node("Transpose", path, "order", [value, self.constant(path, "order.axes", [0, 3, 1, 2])])
        return self.reshaped(path, "", value, [-1, count])

    def _dense(self, visit: Visit, layer: Dense, value: str) -> str:
        path = visit.path
        matrix = self.weight(path, "weight", self.export.state[f"{path}.weight"].T)
        product = self.node("MatMul", path, "product" if layer.bias else "", [value, matrix])
        return self.biased(path, product) if layer.bias else product

    def written(self, visit: Visit, value: str) -> str:
        layer, path = visit.layer, visit.path
        match layer:
            case Conv():
                return self._convolution(visit, layer, value)
            case BatchNorm(eps=eps):
                return batch_norm(self, visit, eps, value)
            case LayerNorm(eps=eps):
                return layer_norm(self, visit, eps, value)
            case GroupNorm():
                return group_norm(self, visit, layer, value)
            case ChannelShuffle():
                return self._shuffled(visit, layer, value)
            case ChannelSlice(start=start, stop=stop):
                others = len(visit.input)  # the batch, rows and columns
                begin = self.constant(path, "begin", [*[0] * others, start])
                size = self.constant(path, "size", [*[-1] * others, stop - start])
                return self.node("Slice", path, "", [value, begin, size], Index="DT_INT32")
            case LayerScale():
                return self.node("Mul", path, "", [value, self.tensor(path, "weight")])
            case Activation():
                return self._activation(layer, path, value)
            case Lrn(size=size, alpha=alpha, beta=beta, k=k):
                stated = {"depth_radius": size // 2, "bias": float(k), "alpha": alpha / size, "beta": float(beta)}
                return self.node("LRN", path, "", [value], **stated)
            case Pool():
                return self._pool(visit, layer, value)
            case GlobalPool():
                return self._global_pool(visit, layer, value)
            case Dropout():
                return value  # it does nothing in inference
            case Flatten():
                return self._flatten(visit, value)
            case Dense() if len(visit.input) == 2:
                return each_token(self, visit, layer, value)
            case Dense():
                return self._dense(visit, layer, value)
            case Tokens():
                return class_token_and_positions(self, visit, value)
            case SelfAttention(heads=heads):
                return attention(self, visit, heads, value)
            case FirstToken():
                return first_token(self, visit, value)
        raise unknown_layer(visit, "TensorFlow.js")


def spread(weight: Array, dilation: int) -> Array:
    """Return the kernels (out, in, H, W) of a dilated convolution with zeros between their values, for one without."""
    if dilation == 1:
        return weight
    out, channels, *sides = weight.shape
    made = np.zeros((out, channels, *((side - 1) * dilation + 1 for side in sides)), weight.dtype)
    made[:, :, ::dilation, ::dilation] = weight
    return made


class TfjsTarget(Target):
    """A graph model of TensorFlow.js."""

    name = "tfjs"
    title = "TensorFlow.js"
    extra = "tfjs"
    packages = ()
    files = (FOLDER,)
    needed_files = (FOLDER,)
    snippets = ("predict.mjs", "predict.html")
    needs = "tensorflow"
    runtimes = (Runtime("TensorFlow", ("tensorflow",)),)
    layout = "NHWC"
    refused: ClassVar[Mapping[str, str]] = {
        "int8": "TensorFlow.js computes in floats only; take --half, or --to litert or onnx",
    }
    notes = (
        f"`{FOLDER}/{MODEL}` is a graph model for `tf.loadGraphModel` of TensorFlow.js 4; the files beside it are its "
        "weights. Its input is `images`, its output `logits`; `userDefinedMetadata` has class names and preprocessing.",
        "`predict.mjs` does what `predict.py` does in JavaScript, in a browser or in Node, with `@tensorflow/tfjs`; "
        "`predict.html` is a page that takes a picture. `predict.py` runs the same graph in TensorFlow.",
    )

    def write(self, export: Export, folder: Path) -> None:
        """The graph, its weights, and the description in its own place for it."""
        graph = TfjsGraph(export).graph
        channels, height, width = export.network.input
        signature = {
            "inputs": {"images": ends("images", "int32", (height, width, channels))},
            "outputs": {"logits": ends("logits", "float32", (export.network.classes,))},
        }
        content = {
            "format": "graph-model",
            "generatedBy": f"{PRODUCER} {version('deepenough')}",
            "convertedBy": None,
            "signature": signature,
            "userDefinedMetadata": ModelMetadata.of(export).to_json(),
            "modelTopology": graph.to_json(),
            "weightsManifest": graph.manifest(),
        }
        (folder / FOLDER).mkdir()
        write_whole(folder / FOLDER / MODEL, json.dumps(content, ensure_ascii=False))
        for name, data in graph.shards():
            write_whole(folder / FOLDER / name, data)

    def refuses(self, visit: Visit) -> str | None:
        return has_no_centre(visit, self.title) or averages_beyond(visit, self.title)

    def predict_values(self, export: Export) -> dict[str, Any]:
        channels, height, width = export.network.input
        colours = {1: "grey", 3: "RGB"}.get(channels, "channels")
        takes = (
            f"int32 `(N, {height}, {width}, {channels})`, {colours}, 0..255, any N, as `tf.browser.fromPixels` gives"
        )
        return {"takes": f"{takes}. Normalisation is inside, and the order of the channels"}
