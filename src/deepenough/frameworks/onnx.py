"""ONNX: a graph of the standard's own operators, one for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.files import write_whole
from deepenough.frameworks.export import Export, overhang
from deepenough.frameworks.graph_walk import GraphWalk
from deepenough.frameworks.metadata import PRODUCER, ModelMetadata
from deepenough.frameworks.names import renamed
from deepenough.frameworks.onnx_int8 import quantised
from deepenough.frameworks.refusals import averages_beyond, has_no_centre, unknown_layer
from deepenough.frameworks.source import cpp_literal
from deepenough.frameworks.target import Runtime, Target
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

OPSET = 20
IR_VERSION = 9
"""Of ONNX 1.15, the first with opset 20."""


class _Graph(GraphWalk[str]):
    """Nodes and tensors, layer by layer."""

    def __init__(self, export: Export) -> None:
        export, self.keys = renamed(export)
        super().__init__(export)
        self.half = export.precision == "float16"
        self.nodes: list[Any] = []
        self.tensors: list[Any] = []
        logits = self.through(export.network.stack, self._normalised())
        self.node("Cast" if self.half else "Identity", [logits], "logits", **({"to": 1} if self.half else {}))

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), [output], name=output, **attributes))
        return output

    def tensor(self, name: str, values: Any) -> str:
        from onnx import numpy_helper

        name = self.keys.get(name, name)  # weights keep the names that `network.json` has
        self.tensors.append(numpy_helper.from_array(np.asarray(values, order="C"), name))
        return name

    def values(self, name: str, values: Any) -> str:
        """Add numbers in the precision of the graph."""
        return self.tensor(name, np.asarray(values, np.float16 if self.half else np.float32))

    def weight(self, key: str) -> str:
        return self.values(key, self.export.state[key])

    def _normalised(self) -> str:
        """(images / 255 - mean) / std, channels in the network's order."""
        wanted = self.export.input
        value = self.node("Cast", ["images"], "normalise.float", to=1)
        if wanted.order == "BGR":
            value = self.node("Gather", [value, self.tensor("normalise.order", np.array([2, 1, 0]))], "normalise.bgr",
                              axis=1)  # fmt: skip
        value = self.node("Div", [value, self.tensor("normalise.255", np.float32(255))], "normalise.unit")
        for kind, name, numbers in (("Sub", "mean", wanted.mean), ("Div", "std", wanted.std)):
            given = self.tensor(f"normalise.{name}.values", np.array(numbers, np.float32).reshape(1, -1, 1, 1))
            value = self.node(kind, [value, given], f"normalise.{name}")
        return self.node("Cast", [value], "normalise.half", to=10) if self.half else value

    def concatenated(self, ends: Sequence[str], name: str) -> str:
        return self.node("Concat", ends, name, axis=1)

    def combined(self, layer: Elementwise, first: str, second: str, name: str) -> str:
        return self.node(layer.onnx, [first, second], name)

    def _activation(self, visit: Visit, layer: Activation, value: str) -> str:
        path, values = visit.path, [value]
        for number, node in enumerate(layer.nodes("onnx"), 1):
            name = path if number == len(layer.onnx) else f"{path}.{number}"
            given = [values[place] for place in node.inputs]
            given += [
                self._slopes(visit) if number is SLOPES else self.values(f"{name}.{count}", number)
                for count, number in enumerate(node.constants)
            ]
            values.append(self.node(node.kind, given, name, **node.attributes))
        return values[-1]

    def _slopes(self, visit: Visit) -> str:
        """Slopes along the channels, or one for all."""
        slopes = self.export.state[f"{visit.path}.weight"]
        apart = len(visit.input) == 3 and slopes.size > 1
        return self.values(f"{visit.path}.weight", slopes.reshape(-1, 1, 1) if apart else slopes)

    def _layer_norm(self, visit: Visit, eps: float, value: str) -> str:
        path, image = visit.path, len(visit.input) == 3
        if image:
            value = self.node("Transpose", [value], f"{path}.last", perm=[0, 2, 3, 1])
        given = [value, self.weight(f"{path}.weight"), self.weight(f"{path}.bias")]
        normed = self.node("LayerNormalization", given, f"{path}.norm" if image else path, axis=-1, epsilon=eps)
        return self.node("Transpose", [normed], path, perm=[0, 3, 1, 2]) if image else normed

    def _group_norm(self, visit: Visit, layer: GroupNorm, value: str) -> str:
        """Each group as one channel in one row, which an instance norm takes; then factors and shifts of channels."""
        path, (channels, height, width) = visit.path, visit.input
        rows = self.tensor(f"{path}.rows.shape", np.array([0, layer.groups, -1]))
        ones, zeros = (
            self.values(f"{path}.{word}", number * np.ones(layer.groups))
            for word, number in (("ones", 1), ("zeros", 0))
        )
        given = [self.node("Reshape", [value, rows], f"{path}.rows"), ones, zeros]
        normed = self.node("InstanceNormalization", given, f"{path}.normed", epsilon=layer.eps)
        shape = self.tensor(f"{path}.map.shape", np.array([0, channels, height, width]))
        back = self.node("Reshape", [normed, shape], f"{path}.map")
        weight, bias = (
            self.values(f"{path}.{word}", self.export.state[f"{path}.{word}"].reshape(-1, 1, 1))
            for word in ("weight", "bias")
        )
        return self.node("Add", [self.node("Mul", [back, weight], f"{path}.scaled"), bias], path)

    def _each_token(self, path: str, bias: bool, value: str) -> str:
        weight = self.values(f"{path}.weight", self.export.state[f"{path}.weight"].T)
        product = self.node("MatMul", [value, weight], f"{path}.product" if bias else path)
        return self.node("Add", [product, self.weight(f"{path}.bias")], path) if bias else product

    def _tokens(self, visit: Visit, layer: Tokens, value: str) -> str:
        """Leave room for the class token, and add it with the positions."""
        path, channels, added = visit.path, visit.output[1], self.export.added_to_tokens(visit)
        shape = self.tensor(f"{path}.shape", np.array([0, channels, -1]))
        flat = self.node("Reshape", [value, shape], f"{path}.flat")
        tokens = self.node("Transpose", [flat], path if added is None else f"{path}.patches", perm=[0, 2, 1])
        if added is None:
            return tokens
        if layer.class_token:
            pads = self.tensor(f"{path}.pads", np.array([0, 1, 0, 0, 0, 0]))
            tokens = self.node("Pad", [tokens, pads], f"{path}.room")
        word = "position" if layer.position else "class_token"
        return self.node("Add", [tokens, self.values(f"{path}.{word}", added)], path)

    def _attention(self, path: str, heads: int, width: int, value: str) -> str:
        split = self.tensor(f"{path}.heads", np.array([0, 0, 3, heads, width]))
        apart = self.node("Reshape", [value, split], f"{path}.apart")
        parts = self.node("Transpose", [apart], f"{path}.parts", perm=[2, 0, 3, 1, 4])
        queries, keys, values = (
            self.node("Gather", [parts, self.tensor(f"{path}.{name}.place", np.array(place))], f"{path}.{name}", axis=0)
            for place, name in enumerate(("queries", "keys", "values"))
        )
        turned = self.node("Transpose", [keys], f"{path}.turned", perm=[0, 1, 3, 2])
        scaled = self.node("Mul", [queries, self.values(f"{path}.factor", width**-0.5)], f"{path}.scaled")
        scores = self.node("Softmax", [self.node("MatMul", [scaled, turned], f"{path}.scores")], f"{path}.weights",
                           axis=-1)  # fmt: skip
        found = self.node("Transpose", [self.node("MatMul", [scores, values], f"{path}.found")], f"{path}.rows",
                          perm=[0, 2, 1, 3])  # fmt: skip
        return self.node("Reshape", [found, self.tensor(f"{path}.joined", np.array([0, 0, heads * width]))], path)

    def _shuffled(self, visit: Visit, layer: ChannelShuffle, value: str) -> str:
        path = visit.path
        shape = self.tensor(f"{path}.groups", np.array([0, *layer.apart(visit.input)]))
        apart = self.node("Reshape", [value, shape], f"{path}.apart")
        across = self.node("Transpose", [apart], f"{path}.across", perm=[0, 2, 1, 3, 4])
        shape = self.tensor(f"{path}.shape", np.array([0, *visit.output]))
        return self.node("Reshape", [across, shape], path)

    def _convolution(self, visit: Visit, layer: Conv, value: str) -> str:
        path = visit.path
        inputs = [value, self.weight(f"{path}.weight"), *([self.weight(f"{path}.bias")] if layer.bias else [])]
        pads = [side[end] for end in (0, 1) for side in layer.pads(visit.input)]
        sides = {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2, "pads": pads}
        sides |= {"dilations": [layer.dilation] * 2} if layer.dilation > 1 else {}
        return self.node("Conv", inputs, path, group=layer.groups, **sides)

    def written(self, visit: Visit, value: str) -> str:
        layer, path = visit.layer, visit.path
        match layer:
            case Conv():
                return self._convolution(visit, layer, value)
            case BatchNorm(eps=eps):
                keys = ("weight", "bias", "running_mean", "running_var")
                return self.node(
                    "BatchNormalization", [value, *(self.weight(f"{path}.{key}") for key in keys)], path, epsilon=eps
                )
            case LayerNorm(eps=eps):
                return self._layer_norm(visit, eps, value)
            case GroupNorm():
                return self._group_norm(visit, layer, value)
            case LayerScale():
                scale = self.export.state[f"{path}.weight"]
                scale = scale.reshape(-1, 1, 1) if len(visit.input) == 3 else scale
                return self.node("Mul", [value, self.values(f"{path}.weight", scale)], path)
            case Activation():
                return self._activation(visit, layer, value)
            case Lrn(size=size, alpha=alpha, beta=beta, k=k):
                return self.node("LRN", [value], path, size=size, alpha=alpha, beta=beta, bias=k)
            case Pool(kernel=kernel):
                pads = [layer.padding, layer.padding, overhang(visit, 1), overhang(visit, 2)]
                sides = {"kernel_shape": [kernel] * 2, "strides": [layer.step] * 2, "pads": pads}
                if isinstance(layer, MaxPool):
                    return self.node("MaxPool", [value], path, **sides)
                return self.node("AveragePool", [value], path, count_include_pad=1, **sides)
            case GlobalPool() if len(visit.input) == 2:
                kind = "ReduceMean" if isinstance(layer, GlobalAvgPool) else "ReduceMax"
                return self.node(kind, [value, self.tensor(f"{path}.axes", np.array([1]))], path, keepdims=0)
            case GlobalAvgPool(keep=True):
                return self.node("GlobalAveragePool", [value], path)
            case GlobalPool():
                kind = "GlobalAveragePool" if isinstance(layer, GlobalAvgPool) else "GlobalMaxPool"
                return self.node("Flatten", [self.node(kind, [value], f"{path}.map")], path)
            case Dropout():
                return value  # it does nothing in inference
            case ChannelShuffle():
                return self._shuffled(visit, layer, value)
            case ChannelSlice(start=start, stop=stop):
                ends = {"start": start, "stop": stop, "axis": 1}
                places = (self.tensor(f"{path}.{word}", np.array([place])) for word, place in ends.items())
                return self.node("Slice", [value, *places], path)
            case Flatten():
                return self.node("Flatten", [value], path)
            case Dense() if len(visit.input) == 2:
                return self._each_token(path, layer.bias, value)
            case Tokens():
                return self._tokens(visit, layer, value)
            case SelfAttention(heads=heads):
                return self._attention(path, heads, visit.output[1] // heads, value)
            case FirstToken():
                return self.node("Gather", [value, self.tensor(f"{path}.place", np.array(0))], path, axis=1)
            case Dense(bias=bias):
                inputs = [value, self.weight(f"{path}.weight"), *([self.weight(f"{path}.bias")] if bias else [])]
                return self.node("Gemm", inputs, path, transB=1)
        raise unknown_layer(visit, "ONNX")


def onnx_model(export: Export) -> Any:
    """The `ModelProto`."""
    from onnx import TensorProto, checker, helper

    graph, metadata = _Graph(export), ModelMetadata.of(export)
    images = helper.make_tensor_value_info(
        "images", TensorProto.UINT8, ["batch", *export.network.input], "Pixels 0..255; normalisation is inside."
    )
    logits = helper.make_tensor_value_info(
        "logits", TensorProto.FLOAT, ["batch", export.network.classes], "Their softmax is the classes' probabilities."
    )
    made = helper.make_model(
        helper.make_graph(graph.nodes, export.network.name, [images], [logits], graph.tensors),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name=PRODUCER,
        producer_version=metadata.version,
        doc_string=metadata.description,
    )
    helper.set_model_props(made, metadata.to_strings())
    checker.check_model(made, full_check=True)
    return made


def onnx_bytes(export: Export) -> bytes:
    """Write the graph in the precision of the export, as the content of its file."""
    made = onnx_model(export)
    return quantised(made, export) if export.precision == "int8" else bytes(made.SerializeToString())


class OnnxTarget(Target):
    """A graph of ONNX, for ONNX Runtime and everything else that reads it."""

    name = "onnx"
    title = "ONNX"
    extra = "onnx"
    packages = ("onnx", "onnxruntime")
    files = ("model.onnx",)
    needed_files = ("model.onnx",)
    snippets = ("predict.mjs", "predict.cpp")
    needs = "onnxruntime"
    runtimes = (Runtime("ONNX Runtime", ("onnxruntime",)),)
    notes = (
        f"`model.onnx` has opset {OPSET} and any batch size; its input is `images`, its output `logits`. "
        "Its metadata have class names and preprocessing.",
        "`predict.mjs` does what `predict.py` does in JavaScript: in a browser or in Node, with `onnxruntime-web`. "
        "Models in int8 were not measured in a browser, where sums may saturate on processors without VNNI.",
        "`predict.cpp` does it in C++ with ONNX Runtime's own API, for PPM and PGM pictures; its first lines say how "
        "to compile it.",
    )

    def write(self, export: Export, folder: Path) -> None:
        """The graph, for any batch size."""
        write_whole(folder / self.files[0], onnx_bytes(export))

    def refuses(self, visit: Visit) -> str | None:
        return has_no_centre(visit, self.title) or averages_beyond(visit, self.title)

    def predict_values(self, export: Export) -> dict[str, Any]:
        return {"class_literals": [cpp_literal(name) for name in export.classes], "shorter": export.input.shorter or 0}
