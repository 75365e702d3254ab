"""Networks that files describe themselves: what is read, what is refused and how it says so."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from canonical import canonical
from export_cases import CASES, export_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepenough.errors import DeepenoughError
from deepenough.frameworks.targets import TARGETS
from deepenough.nets import Conv, Dense, GlobalAvgPool, MaxPool, Network, Relu, Tokens
from deepenough.nets.build import build
from deepenough.nets.cut import cut_at, cuts
from deepenough.nets.shapes import visits
from deepenough.weights.caffe_messages import message
from deepenough.weights.load import load_weights
from deepenough.weights.read import read_weights

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
h5py = pytest.importorskip("h5py", reason="h5py is not installed")

FILES = {"onnx": "model.onnx", "caffe": "model.caffemodel"}
SOME = ("residual-3x41", "inception-1x28", "odd", "pools", "gates", "tokens", "hardswish", "squeezenet1_1-cut3")


@pytest.mark.parametrize("target", FILES)
@pytest.mark.parametrize("name", SOME)
def test_our_own_files_are_read_without_what_lies_beside_them(tmp_path: Path, target: str, name: str) -> None:
    """All others are read in tests/frameworks/test_natively.py."""
    network = CASES[name]()
    if reason := TARGETS[target].refusal(network):
        pytest.skip(reason)
    export = export_of(name, network)
    TARGETS[target].write(export, tmp_path)
    weights = read_weights(tmp_path / FILES[target])
    assert weights.network.input == export.network.input
    assert canonical(weights.network) == canonical(export.network)
    assert weights.input.order == export.input.order
    np.testing.assert_allclose(weights.input.mean + weights.input.std, export.input.mean + export.input.std, rtol=1e-5)
    tokens = {visit.path for visit in visits(export.network) if isinstance(visit.layer, Tokens)}
    assert set(weights.state) == set(export.state)
    for key, value in export.state.items():
        if key.rpartition(".")[0] not in tokens or target != "onnx":  # where the class token is added to its position
            np.testing.assert_array_equal(weights.state[key].numpy(), value, strict=True)


# Caffe ------------------------------------------------------------------------------------------------------------

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


@pytest.mark.parametrize("written", [current, v1, v0])
def test_layers_of_every_age_make_the_same_network(tmp_path: Path, written: Callable[[], bytes]) -> None:
    (tmp_path / "w.caffemodel").write_bytes(written())
    weights = read_weights(tmp_path / "w.caffemodel", preprocess="caffe-bgr")
    assert (weights.network.name, weights.network.classes, weights.input.size) == ("tiny", 5, (9, 9))
    module = build(weights.network)
    module.load_state_dict(dict(weights.state))
    images = torch.randn(2, 3, 9, 9)
    x = torch.nn.functional.conv2d(images, torch.from_numpy(FIRST), torch.from_numpy(BIASES[0]), padding=1).relu()
    x = torch.nn.functional.max_pool2d(x, 3, 2, ceil_mode=True).mean((2, 3))
    wanted = x @ torch.from_numpy(SECOND).T + torch.from_numpy(BIASES[1])
    torch.testing.assert_close(module.eval()(images), wanted)


def test_a_definition_beside_it_says_what_a_net_in_training_does_not(tmp_path: Path) -> None:
    data = {"transform_param": {"mean_value": [104, 117, 123], "scale": 0.017, "crop_size": 0}}
    (tmp_path / "w.caffemodel").write_bytes(current(data=data))
    with pytest.raises(DeepenoughError, match=r"it doesn't say the size of its images; put the deploy \.prototxt"):
        read_weights(tmp_path / "w.caffemodel")
    text = (
        DEPLOY
        + """
        layer { name: "x" type: "Data" top: "data" include { phase: TRAIN } data_param { source: "x" } }
        layer { name: "one" type: "Convolution" bottom: "data" top: "one" param { lr_mult: 1 }
                convolution_param { num_output: 4 kernel_size: 3 pad: 1 weight_filler { type: "xavier" } } }
        layer { name: "relu" type: "ReLU" bottom: "one" top: "one" }
        layer { name: "mean" type: "Pooling" bottom: "one" top: "mean"
                pooling_param { pool: AVE global_pooling: true } }
        layer { name: "two" type: "InnerProduct" bottom: "mean" top: "two" inner_product_param { num_output: 5 } }
        layer { name: "loss" type: "SoftmaxWithLoss" bottom: "two" top: "loss" }
    """
    )
    (tmp_path / "deploy.prototxt").write_text(text)
    weights = read_weights(tmp_path / "w.caffemodel", preprocess="caffe-bgr")
    assert weights.network.stack == (
        Conv(4, name="one"), Relu(name="relu"), GlobalAvgPool(name="mean"), Dense(5, name="two"),
    )  # fmt: skip


def test_the_preparation_of_images_is_the_data_layers(tmp_path: Path) -> None:
    data = {"transform_param": {"mean_value": [104, 117, 123], "scale": 0.017, "crop_size": 9}}
    (tmp_path / "w.caffemodel").write_bytes(current(data=data))
    wanted = read_weights(tmp_path / "w.caffemodel").input
    assert (wanted.order, wanted.size) == ("BGR", (9, 9))
    np.testing.assert_allclose(wanted.mean, np.array([104, 117, 123]) / 255)
    np.testing.assert_allclose(wanted.std, 1 / (255 * 0.017))


def test_where_nothing_says_how_images_are_normalised_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "w.caffemodel"
    path.write_bytes(current())
    with pytest.raises(DeepenoughError, match=r"describes its network, tiny, but not how .* --preprocess"):
        load_weights(path)
    (tmp_path / "preprocess.json").write_text(json.dumps({"size": [9, 9], "mean": [0.5] * 3, "std": [0.25] * 3}))
    assert load_weights(path).input.mean == (0.5,) * 3


def test_every_kind_that_is_not_known_is_named_once(tmp_path: Path) -> None:
    strange = (layer("Deconvolution", "up1", "pool"), layer("Deconvolution", "up2", "up1"), layer("PReLU", "p", "up2"))
    net = message("NetParameter").FromString(current(extra=strange))
    net.layer[6] = layer("Pooling", "mean", "p", pooling_param={"pool": "AVE", "global_pooling": True})
    (tmp_path / "w.caffemodel").write_bytes(net.SerializeToString())
    with pytest.raises(DeepenoughError) as error:
        read_weights(tmp_path / "w.caffemodel")
    text = str(error.value)
    assert "layer 'up1', 'up2' of kind Deconvolution: a transposed convolution" in text
    assert "layer 'p' of kind PReLU: no activation here has weights" in text
    assert text.count("of kind Deconvolution") == 1


def test_a_network_of_the_zoo_stays_one(tmp_path: Path) -> None:
    """The file's own description is asked only where its tensors fit no network that is known."""
    (tmp_path / "w.caffemodel").write_bytes(v1())
    with pytest.raises(DeepenoughError, match="can't hold alexnet"):
        read_weights(tmp_path / "w.caffemodel", network="alexnet", preprocess="caffe-bgr")


def test_layers_may_be_called_as_those_of_a_cuts_head(tmp_path: Path) -> None:
    weight = blobs(RANDOM.standard_normal((4, 4, 1, 1)).astype(np.float32), BIASES[0])
    names = (
        layer("Scale", "scale", "pool", "a", blobs=[blob(BIASES[0])]), layer("Dropout", "dropout", "a", "b"),
        layer("Convolution", "head", "b", blobs=weight, convolution_param={"num_output": 4, "kernel_size": [1]}),
        layer("ReLU", "r", "head", "pooled"),
    )  # fmt: skip
    net = message("NetParameter").FromString(current(extra=names))
    net.layer[7] = layer("Pooling", "mean", "pooled", pooling_param={"pool": "AVE", "global_pooling": True})
    (tmp_path / "w.caffemodel").write_bytes(net.SerializeToString())
    found = read_weights(tmp_path / "w.caffemodel", preprocess="caffe-bgr").network
    assert [cut.place for cut in cuts(found)] == ["one", "head2"]
    for cut in cuts(found):
        assert build(cut_at(found, cut.place, 3)).eval()(torch.randn(2, 3, 9, 9)).shape == (2, 3)


# ONNX -------------------------------------------------------------------------------------------------------------


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


def test_the_normalisation_in_front_is_the_preprocessing(tmp_path: Path) -> None:
    mean, std = np.array([0.4, 0.5, 0.6], np.float32), np.array([0.2, 0.25, 0.3], np.float32)
    constants = {**CONSTANTS, "m": mean.reshape(1, 3, 1, 1), "s": std.reshape(1, 3, 1, 1), "k": np.float32(255)}
    front = [node("Sub", "x m", "h"), node("Div", "h s", "i")]
    found = read_weights(written(tmp_path / "a.onnx", graph([*front, *BODY], constants)))
    np.testing.assert_allclose(found.input.mean + found.input.std, [*mean, *std], rtol=1e-6)
    assert "values in 0..1" in found.notes[0]
    front = [node("Div", "x k", "u"), node("Sub", "u m", "h"), node("Div", "h s", "i")]
    found = read_weights(written(tmp_path / "b.onnx", graph([*front, *BODY], constants)))
    np.testing.assert_allclose(found.input.mean + found.input.std, [*mean, *std], rtol=1e-6)
    assert "values in 0..255" in found.notes[0]
    assert found.network.stack == (
        Conv(4, name="Conv_one"), Relu(name="relu"), MaxPool(2, name="pool"), GlobalAvgPool(name="pool2"),
        Dense(5, name="Gemm_y"),
    )  # fmt: skip


REFUSED = {
    "a circle": (
        [node("Add", "x z", "i"), node("Relu", "i", "z"), *BODY], "it reads 'z', which no node before it gives",
    ),
    "no output": ([node("Relu", "x", "i")], "none of its nodes gives its output, 'y'"),
    "a tensor of the wrong shape": (
        [node("Conv", "x w c", "one"), *BODY[1:]], "its bias has the shape 5; expected 4",
    ),
    "a kernel of two sides": (
        [node("Conv", "x t", "one"), *BODY[1:]], "its kernel is 1 x 3; only squares",
    ),
    "no weights": ([node("Conv", "x q", "one"), *BODY[1:]], "it reads 'q', which no node before it gives"),
    "branches across": (
        [node("Identity", "x", "i"), BODY[0], node("Relu", "one", "a"), node("Sigmoid", "one", "s"),
         node("Add", "a s", "d"), node("Mul", "a d", "r"), *BODY[2:]],
        "what layer 'Relu a' gives is read in branches that part",
    ),
    "no classifier": ([node("Conv", "x w", "y")], "it gives 4 x 7 x 7 values for an image; a classifier gives one"),
    "a program": ([node("If", "x", "i"), *BODY], "layer 'If i' of kind If: which layers are computed depends on the"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_graphs_that_are_refused_say_why(tmp_path: Path, case: str) -> None:
    nodes, words = REFUSED[case]
    constants = {**CONSTANTS, "t": FIRST[:, :, :1]}
    with pytest.raises(DeepenoughError, match=words):
        read_weights(written(tmp_path / "w.onnx", graph(nodes, constants)), preprocess="torchvision")


def test_images_that_are_too_large(tmp_path: Path) -> None:
    for shape in (("n", 3, 1 << 30, 1 << 30), ("n", 512, 9, 9), ("n", 3, "h", "w"), (3, 9, 9)):
        with pytest.raises(DeepenoughError, match=r"at most 8,192 pixels|size of its images|has 3 sides"):
            read_weights(written(tmp_path / "w.onnx", graph([node("Identity", "x", "i"), *BODY], CONSTANTS, shape)))


def test_fields_without_end_are_counted_first(tmp_path: Path) -> None:
    content = b"\x08\x09\x3a\x80\x89\x7a" + b"\x0a\x00" * 1_000_000
    with pytest.raises(DeepenoughError, match="it has more than 1,000,000 fields"):
        read_weights(written(tmp_path / "w.onnx", content))


def test_weights_beside_a_graph_are_read_from_its_folder_alone(tmp_path: Path) -> None:
    model = onnx.load_from_string(graph([node("Identity", "x", "i"), *BODY], CONSTANTS))
    (tmp_path / "in").mkdir()
    onnx.save_model(
        model, str(tmp_path / "in" / "w.onnx"), save_as_external_data=True, size_threshold=0, location="w.data"
    )
    found = read_weights(tmp_path / "in" / "w.onnx", preprocess="torchvision")
    np.testing.assert_array_equal(found.state["Conv_one.weight"].numpy(), FIRST)
    (tmp_path / "w.data").write_bytes((tmp_path / "in" / "w.data").read_bytes())
    content = (tmp_path / "in" / "w.onnx").read_bytes()
    model = onnx.ModelProto.FromString(content)
    for tensor in model.graph.initializer:
        next(entry for entry in tensor.external_data if entry.key == "location").value = "../w.data"
    with pytest.raises(DeepenoughError, match=r"its weights are in '../w.data', which is no file beside it"):
        read_weights(written(tmp_path / "in" / "w.onnx", model.SerializeToString()))


# Keras ------------------------------------------------------------------------------------------------------------


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


def keras_file(path: Path, layers: list[dict[str, Any]], end: str = "two") -> Path:
    config = {"name": "tiny", "layers": layers, "input_layers": ["x", 0, 0], "output_layers": [end, 0, 0]}
    weights = path.with_suffix(".h5")
    with h5py.File(weights, "w") as file:
        for name, arrays in (("one", (FIRST.transpose(2, 3, 1, 0), BIASES[0])), ("two", (SECOND.T, BIASES[1]))):
            group = file.create_group(f"layers/{name}_{name}/vars")
            group.attrs["name"] = name
            for number, array in enumerate(arrays):
                group[str(number)] = array
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Functional", "config": config}))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.9.0"}))
        archive.write(weights, "model.weights.h5")
    return path


def test_a_keras_model_is_read_by_its_configuration(tmp_path: Path) -> None:
    found = read_weights(keras_file(tmp_path / "w.keras", KERAS))
    assert found.network == Network("tiny", (3, 9, 9), (Conv(4, name="one"), Relu(name="relu"),
                                                       GlobalAvgPool(name="pool"), Dense(5, name="two")))  # fmt: skip
    np.testing.assert_array_equal(found.state["one.weight"].numpy(), FIRST)
    np.testing.assert_array_equal(found.state["two.weight"].numpy(), SECOND)
    np.testing.assert_allclose(found.input.mean + found.input.std, 0.5)


STRANGE = {
    "a program": (
        "Lambda",
        {"function": {"code": "4wAAAA=="}},
        "of kind Lambda: it is a program, and nothing in a file",
    ),
    "a class of somebody's": ("Mine>Special", {}, "of kind Mine>Special: no layer here does what it does"),
    "an activation": ("Activation", {"activation": "tanh"}, "its activation is tanh, which is not known here"),
    "another order": ("MaxPooling2D", {"data_format": "channels_first"}, "its channels come first"),
    "no window": (
        "MaxPooling2D",
        {"pool_size": [0, 0], "strides": [0, 0], "padding": "same"},
        "both have to be 1 or more",
    ),
    "a configuration of nothing": ("MaxPooling2D", {}, "it can't be read"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_layers_of_keras_that_are_refused_say_why(tmp_path: Path, case: str) -> None:
    kind, config, words = STRANGE[case]
    layers = [
        *KERAS[:3],
        keras_layer(kind, "odd", "one", **config),
        keras_layer("GlobalAveragePooling2D", "mean", "odd"),
        KERAS[4],
    ]
    with pytest.raises(DeepenoughError, match=words):
        read_weights(keras_file(tmp_path / "w.keras", layers))


def test_layers_in_a_circle(tmp_path: Path) -> None:
    layers = [KERAS[0], keras_layer("ReLU", "a", "b"), keras_layer("ReLU", "b", "a"), keras_layer("Dense", "two", "b")]
    with pytest.raises(DeepenoughError, match=r"its layers read each other's values in a circle"):
        read_weights(keras_file(tmp_path / "w.keras", layers))


def test_models_in_models_without_end(tmp_path: Path) -> None:
    inner = KERAS
    for _ in range(20):
        inner = [
            KERAS[0],
            keras_layer("Functional", "two", "x", layers=inner, input_layers=["x", 0, 0], output_layers=["two", 0, 0]),
        ]
    with pytest.raises(DeepenoughError, match="its models are nested more than 8 deep"):
        read_weights(keras_file(tmp_path / "w.keras", inner))


# All --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("wholes")
    config = keras_file(folder / "w.keras", KERAS).read_bytes()
    text = DEPLOY.encode() + b'layer { name: "one" type: "ReLU" bottom: "data" top: "y" }'
    content = graph([node("Identity", "x", "i"), *BODY], CONSTANTS)
    return {"w.onnx": content, "w.caffemodel": current(), "w.keras": config, "deploy.prototxt": text}


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_files_end_in_a_sentence(tmp_path: Path, wholes: dict[str, bytes], data: st.DataObject) -> None:
    """Bytes changed, taken out or repeated: a network or an error of ours comes of it, never another."""
    name = data.draw(st.sampled_from(sorted(wholes)))
    content = bytearray(wholes[name])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        match data.draw(st.sampled_from(("change", "cut", "repeat", "end"))):
            case "change":
                content[place] = data.draw(st.integers(0, 255))
            case "cut":
                del content[place : place + data.draw(st.integers(1, 8))]
            case "repeat":
                content[place:place] = content[place : place + data.draw(st.integers(1, 8))]
            case "end":
                del content[place + 1 :]
        if not content:
            break
    for old in tmp_path.iterdir():
        old.unlink()
    (tmp_path / name).write_bytes(content)
    path = tmp_path / name
    if name == "deploy.prototxt":
        path = written(tmp_path / "w.caffemodel", wholes["w.caffemodel"])
    try:
        found = read_weights(path, preprocess="caffe-bgr")
    except DeepenoughError:
        return
    assert found.network.classes


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_configurations_of_anything_end_in_a_sentence(tmp_path: Path, data: st.DataObject) -> None:
    layers = json.loads(json.dumps(KERAS))
    anything = st.sampled_from(
        [None, True, -1, 0, 7, 1e300, float("nan"), "", "x", [], [None], {}, {"a": []}, [[1, 2], 3]]
    )
    for _ in range(data.draw(st.integers(1, 3))):
        target: Any = layers[data.draw(st.integers(0, len(layers) - 1))]
        while isinstance(target, (dict, list)) and target:
            keys = sorted(target) if isinstance(target, dict) else list(range(len(target)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(target[key], (dict, list)) or not target[key] or data.draw(st.booleans()):
                target[key] = data.draw(anything)
                break
            target = target[key]
    try:
        found = read_weights(keras_file(tmp_path / "w.keras", layers), preprocess="keras")
    except DeepenoughError:
        return
    assert found.network.classes
