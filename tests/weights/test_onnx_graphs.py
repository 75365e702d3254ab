"""Networks that ONNX files describe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from graph_files import (
    BODY,
    CONSTANTS,
    FIRST,
    graph,
    node,
    onnx,
    written,
)

from deepenough.errors import DeepenoughError
from deepenough.nets import Conv, Dense, GlobalAvgPool, MaxPool, Relu
from deepenough.weights.read import read_weights


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
    "a slope for each position": (
        [node("Identity", "x", "i"), BODY[0], node("PRelu", "one o", "r"), *BODY[2:]],
        r"'PRelu r' of kind PRelu: it has slopes of 4 x 9 x 9; known are one for all, or one for each channel",
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
    constants = {**CONSTANTS, "t": FIRST[:, :, :1], "o": np.zeros((4, 9, 9), np.float32)}
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
