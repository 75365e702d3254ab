"""Small files of Caffe, ONNX and Keras that describe a network, made by hand."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepenough.weights.caffe_messages import message

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
h5py = pytest.importorskip("h5py", reason="h5py is not installed")

RANDOM = np.random.default_rng(0)
FIRST, SECOND = (RANDOM.standard_normal(shape).astype(np.float32) for shape in ((4, 3, 3, 3), (5, 4)))
BIASES = [RANDOM.standard_normal(size).astype(np.float32) for size in (4, 5)]
DEPLOY = 'name: "tiny" input: "data" input_dim: 1 input_dim: 3 input_dim: 9 input_dim: 9\n'


def blob(array: np.ndarray, *, old: bool = False) -> bytes:
    if not old:
        return message("BlobProto")(data=[array.tobytes()], shape={"dim": array.shape}).SerializeToString()
    num, channels, height, width = (1,) * (4 - array.ndim) + array.shape
    sides = {"num": num, "channels": channels, "height": height, "width": width}
    return message("BlobProto")(data=[array.tobytes()], **sides).SerializeToString()


def blobs(weight: np.ndarray, bias: np.ndarray, *, old: bool = False) -> list[bytes]:
    return [blob(weight, old=old), blob(bias, old=old)]


def layer(kind: str, name: str, bottom: str, top: str = "", **more: Any) -> bytes:
    made = message("LayerParameter")(
        type=kind.encode(), name=name.encode(), bottom=[bottom.encode()] if bottom else [],
        top=[(top or name).encode()], **more,
    )  # fmt: skip
    return made.SerializeToString()


def current(*, data: dict[str, Any] | None = None, extra: tuple[bytes, ...] = ()) -> bytes:
    """A net of current layers, with a layer of data where `data` is given."""
    first = [layer("Data", "data", "", **data)] if data is not None else []
    layers = [
        *first,
        layer("Convolution", "one", "data", blobs=blobs(FIRST, BIASES[0]),
              convolution_param={"num_output": 4, "kernel_size": [3], "pad": [1]}),
        layer("ReLU", "relu", "one", "one"),
        layer("Pooling", "pool", "one", pooling_param={"pool": "MAX", "kernel_size": 3, "stride": 2}),
        *extra,
        layer("Pooling", "mean", "pool", pooling_param={"pool": "AVE", "global_pooling": True}),
        layer("InnerProduct", "two", "mean", blobs=blobs(SECOND, BIASES[1]), inner_product_param={"num_output": 5}),
        layer("Softmax", "prob", "two"),
    ]  # fmt: skip
    inputs = {} if first else {"input": [b"data"], "input_dim": [1, 3, 9, 9]}
    return message("NetParameter")(name=b"tiny", layer=layers, **inputs).SerializeToString()


def v1() -> bytes:
    """The same net as it was written until 2014-12."""

    def old(kind: int, name: str, bottom: str, top: str = "", **more: Any) -> bytes:
        ends = {"bottom": [bottom.encode()], "top": [(top or name).encode()]}
        return message("V1LayerParameter")(type=kind, name=name.encode(), **ends, **more).SerializeToString()

    layers = [
        old(4, "one", "data", blobs=blobs(FIRST, BIASES[0], old=True),
            convolution_param={"num_output": 4, "kernel_size": [3], "pad": [1]}),
        old(18, "relu", "one", "one"),
        old(17, "pool", "one", pooling_param={"pool": "MAX", "kernel_size": 3, "stride": 2}),
        old(17, "mean", "pool", pooling_param={"pool": "AVE", "global_pooling": True}),
        old(14, "two", "mean", blobs=blobs(SECOND, BIASES[1], old=True), inner_product_param={"num_output": 5}),
    ]  # fmt: skip
    inputs = {"input": [b"data"], "input_dim": [1, 3, 9, 9]}
    return message("NetParameter")(name=b"tiny", layers=layers, **inputs).SerializeToString()


def v0() -> bytes:
    """The same net as it was written until 2014-04: parameters side by side, padding a layer of its own."""

    def old(kind: str, name: str, bottom: str, top: str = "", **more: Any) -> bytes:
        inner = message("V0LayerParameter")(type=kind.encode(), name=name.encode(), **more).SerializeToString()
        ends = {"bottom": [bottom.encode()], "top": [(top or name).encode()]}
        return message("V1LayerParameter")(layer=inner, **ends).SerializeToString()

    layers = [
        old("padding", "padded", "data", pad=1),
        old("conv", "one", "padded", blobs=blobs(FIRST, BIASES[0], old=True), num_output=4, kernelsize=3),
        old("relu", "relu", "one", "one"),
        old("pool", "pool", "one", pool="MAX", kernelsize=3, stride=2),
        old("pool", "mean", "pool", pool="AVE", kernelsize=4),
        old("innerproduct", "two", "mean", blobs=blobs(SECOND, BIASES[1], old=True), num_output=5),
    ]
    inputs = {"input": [b"data"], "input_dim": [1, 3, 9, 9]}
    return message("NetParameter")(name=b"tiny", layers=layers, **inputs).SerializeToString()


def graph(nodes: list[Any], constants: dict[str, np.ndarray] | None = None, shape: tuple = ("n", 3, 9, 9)) -> bytes:
    helper = onnx.helper
    arrays = [onnx.numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    ends = [helper.make_tensor_value_info(name, 1, sides) for name, sides in (("x", shape), ("y", None))]
    made = helper.make_graph(nodes, "tiny", ends[:1], ends[1:], arrays)
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(made, opset_imports=opset, ir_version=9).SerializeToString()


def node(kind: str, inputs: str, output: str, **attributes: Any) -> Any:
    return onnx.helper.make_node(kind, inputs.split(), [output], name=f"{kind} {output}", **attributes)


CONSTANTS = {"w": FIRST, "b": BIASES[0], "v": SECOND, "c": BIASES[1]}
BODY = [
    node("Conv", "i w b", "one", pads=[1, 1, 1, 1]), node("Relu", "one", "r"),
    node("MaxPool", "r", "p", kernel_shape=[2, 2], strides=[2, 2]), node("GlobalAveragePool", "p", "g"),
    node("Flatten", "g", "f"), node("Gemm", "f v c", "y", transB=1),
]  # fmt: skip


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def keras_layer(kind: str, name: str, given: str, **config: Any) -> dict[str, Any]:
    tensor = {"class_name": "__keras_tensor__", "config": {"shape": [], "keras_history": [given, 0, 0]}}
    nodes = [{"args": [tensor], "kwargs": {}}] if given else []
    return {
        "class_name": kind,
        "module": "keras.layers",
        "name": name,
        "config": {"name": name, **config},
        "inbound_nodes": nodes,
    }


CONV = {
    "filters": 4,
    "kernel_size": [3, 3],
    "strides": [1, 1],
    "padding": "same",
    "use_bias": True,
    "activation": "relu",
}
KERAS = [
    keras_layer("InputLayer", "x", "", batch_shape=[None, 9, 9, 3], dtype="float32"),
    keras_layer("Rescaling", "scale", "x", scale=1 / 127.5, offset=-1.0),
    keras_layer("Conv2D", "one", "scale", **CONV),
    keras_layer("GlobalAveragePooling2D", "mean", "one"),
    keras_layer("Dense", "two", "mean", units=5, use_bias=True, activation="softmax"),
]


def keras_file(
    path: Path, layers: list[dict[str, Any]], end: str = "two", more: dict[str, np.ndarray] | None = None
) -> Path:
    """A model of these layers; `more` are the arrays of layers that have one each."""
    config = {"name": "tiny", "layers": layers, "input_layers": ["x", 0, 0], "output_layers": [end, 0, 0]}
    weights = path.with_suffix(".h5")
    with h5py.File(weights, "w") as file:
        all_arrays = {"one": (FIRST.transpose(2, 3, 1, 0), BIASES[0]), "two": (SECOND.T, BIASES[1])}
        for name, arrays in (all_arrays | {name: (array,) for name, array in (more or {}).items()}).items():
            group = file.create_group(f"layers/{name}_{name}/vars")
            group.attrs["name"] = name
            for number, array in enumerate(arrays):
                group[str(number)] = array
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Functional", "config": config}))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.9.0"}))
        archive.write(weights, "model.weights.h5")
    return path
