"""What looks like a layer of ours and computes something else is refused, or read as what it computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepenough.weights.graphs.graph import GraphError
from deepenough.weights.graphs.keras import _is_keras_own
from deepenough.weights.graphs.onnx import read_onnx_graph

onnx = pytest.importorskip("onnx")
helper = onnx.helper
Nodes = Sequence[Any]
SIDE, CHANNELS = 8, 8


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., Path]:
    """Writes a network: a convolution of an image (3, 8, 8) called `map`, the nodes given, and a head on `out`."""

    def write(nodes: Nodes, out: str = "out", *, head: Nodes | None = None, **constants: np.ndarray) -> Path:
        rng = np.random.default_rng(0)
        arrays = {
            "w": rng.standard_normal((CHANNELS, 3, 1, 1)),
            "dense": rng.standard_normal((CHANNELS, 5)),
            "sides": np.array([0, -1], np.int64),
            **constants,
        }
        usual = (
            helper.make_node("GlobalAveragePool", [out], ["pooled"]),
            helper.make_node("Reshape", ["pooled", "sides"], ["vector"]),
            helper.make_node("MatMul", ["vector", "dense"], ["logits"]),
        )
        graph = helper.make_graph(
            [helper.make_node("Conv", ["x", "w"], ["map"]), *nodes, *(usual if head is None else head)],
            "net",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
            [helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, ["n", 5])],
            [
                onnx.numpy_helper.from_array(a if a.dtype.kind == "i" else a.astype(np.float32), name)
                for name, a in arrays.items()
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
        path = tmp_path / "net.onnx"
        path.write_bytes(model.SerializeToString())
        return path

    return write


def around(edge: float) -> dict[str, np.ndarray]:
    return {"around": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), "edge": np.array(edge)}


PADDED = (
    helper.make_node("Relu", ["map"], ["positive"]),
    helper.make_node("Pad", ["positive", "around", "edge"], ["p"]),
)
WINDOW = {"kernel_shape": [3, 3], "strides": [1, 1]}


@pytest.mark.parametrize(
    ("nodes", "constants", "why"),
    [
        ([helper.make_node("Sum", ["map", "b"], ["out"])], {"b": np.ones((CHANNELS, 1, 1))}, "constants at once"),
        (
            [helper.make_node("Relu", ["map"], ["r"]), helper.make_node("Sum", ["map", "r", "b"], ["out"])],
            {"b": np.ones((CHANNELS, 1, 1))},
            "constants at once",
        ),
        (
            [
                helper.make_node("Transpose", ["map"], ["last"], perm=[0, 2, 3, 1]),
                helper.make_node("MatMul", ["last", "m"], ["product"]),
                helper.make_node("Add", ["product", "b"], ["sum"]),
                helper.make_node("Transpose", ["sum"], ["out"], perm=[0, 3, 1, 2]),
            ],
            {"m": np.ones((CHANNELS, CHANNELS)), "b": np.ones((SIDE, 1, 1))},
            "a number a channel",
        ),
        ([*PADDED, helper.make_node("AveragePool", ["p"], ["out"], **WINDOW)], around(9), "edge of 9"),
        ([*PADDED, helper.make_node("MaxPool", ["p"], ["out"], **WINDOW)], around(9), "edge of 9"),
        (
            [*PADDED, helper.make_node("Conv", ["p", "w3"], ["out"], auto_pad="SAME_UPPER", strides=[3, 3])],
            {**around(0), "w3": np.ones((CHANNELS, CHANNELS, 3, 3))},
            "padded already",
        ),
        (
            [
                helper.make_node("Add", ["map", "three"], ["a"]),
                helper.make_node("Clip", ["a", "zero", "six"], ["c"]),
                helper.make_node("Div", ["six", "c"], ["out"]),
            ],
            {"three": np.array(3.0), "zero": np.array(0.0), "six": np.array(6.0)},
            "net.onnx",
        ),
    ],
    ids=["sum", "sum of three", "bias of rows", "average edge", "maximum edge", "same after pad", "six by x"],
)
def test_what_computes_something_else_is_refused(
    written: Callable[..., Path], nodes: Nodes, constants: dict[str, np.ndarray], why: str
) -> None:
    with pytest.raises(GraphError, match=why):
        read_onnx_graph(written(nodes, **constants))


PATCHES = (
    helper.make_node("Reshape", ["map", "rows"], ["flat"]),
    helper.make_node("Transpose", ["flat"], ["patches"], perm=[0, 2, 1]),
)
"""Tokens of the map, a row each."""

OF_TOKENS = (
    helper.make_node("ReduceMean", ["out", "along"], ["vector"], keepdims=0),
    helper.make_node("MatMul", ["vector", "dense"], ["logits"]),
)

PARTS: dict[str, tuple[Nodes, dict[str, np.ndarray], str]] = {
    "a slope for each column": (
        [helper.make_node("PRelu", ["map", "s"], ["out"])], {"s": np.ones(SIDE)}, "slopes of 8; known are one for all",
    ),
    "a slope for each row": (
        [helper.make_node("PRelu", ["map", "s"], ["out"])], {"s": np.ones((SIDE, 1))}, "slopes of 8 x 1; known",
    ),
    "part of the rows": (
        [helper.make_node("Slice", ["map", "from", "to", "axis"], ["out"])],
        {"from": np.array([0]), "to": np.array([4]), "axis": np.array([2])},
        "a part of the rows, columns or images",
    ),
    "channels from last to first": (
        [helper.make_node("Slice", ["map", "from", "to", "axis", "step"], ["out"])],
        {"from": np.array([-1]), "to": np.array([-9]), "axis": np.array([1]), "step": np.array([-1])},
        "in steps",
    ),
    "columns apart": (
        [
            helper.make_node("Split", ["map"], ["left", "right"], axis=3, num_outputs=2),
            helper.make_node("Add", ["left", "right"], ["out"]),
        ],
        {},
        "a part of the rows, columns or images",
    ),
}  # fmt: skip
"""What looks like slopes and parts of the channels, on maps with as many channels as rows and columns."""


@pytest.mark.parametrize("case", PARTS)
def test_other_slopes_and_parts_are_refused(written: Callable[..., Path], case: str) -> None:
    nodes, constants, why = PARTS[case]
    with pytest.raises(GraphError, match=why):
        read_onnx_graph(written(nodes, **constants))


TOKENS: dict[str, tuple[Nodes, dict[str, np.ndarray], str]] = {
    "positions of two images": (
        [helper.make_node("Add", ["patches", "p"], ["out"])],
        {"p": np.ones((2, SIDE * SIDE, CHANNELS))},
        "other positions to each of 2 images",
    ),
    "positions of fewer tokens": (
        [helper.make_node("Add", ["patches", "p"], ["out"])],
        {"p": np.ones((1, 4, CHANNELS))},
        "adds 1 x 4 x 8 to 64 tokens of 8 channels; known are positions",
    ),
    "a token behind the patches": (
        [helper.make_node("Concat", ["patches", "p"], ["out"], axis=1)], {"p": np.ones((1, 1, CHANNELS))}, "Concat",
    ),
    "tokens that are a map again": (
        [
            helper.make_node("Relu", ["patches"], ["positive"]),
            helper.make_node("Transpose", ["positive"], ["out"], perm=[0, 2, 1]),
        ],
        {},
        "64 tokens of 8 channels is not known here: they don't become a map again",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TOKENS)
def test_other_tokens_are_refused(written: Callable[..., Path], case: str) -> None:
    nodes, constants, why = TOKENS[case]
    both = {"rows": np.array([0, CHANNELS, -1]), "along": np.array([1]), **constants}
    with pytest.raises(GraphError, match=why):
        read_onnx_graph(written([*PATCHES, *nodes], head=OF_TOKENS, **both))


@pytest.mark.parametrize("shape", [(), (CHANNELS,), (1, CHANNELS), (SIDE * SIDE, CHANNELS)])
def test_positions_are_for_each_token_or_for_all(written: Callable[..., Path], shape: tuple[int, ...]) -> None:
    added = np.random.default_rng(0).random(shape, np.float32)
    constants = {"rows": np.array([0, CHANNELS, -1]), "along": np.array([1]), "p": added}
    found = read_onnx_graph(written([*PATCHES, helper.make_node("Add", ["patches", "p"], ["out"])], head=OF_TOKENS,
                                    **constants))  # fmt: skip
    (position,) = (tensor for name, tensor in found.state.items() if name.endswith(".position"))
    np.testing.assert_array_equal(position[0], np.broadcast_to(added, (SIDE * SIDE, CHANNELS)))


@pytest.mark.parametrize(("edge", "kind"), [(0.0, "AveragePool"), (0.0, "MaxPool"), (-1e38, "MaxPool")])
def test_an_edge_that_changes_nothing_is_read(written: Callable[..., Path], edge: float, kind: str) -> None:
    found = read_onnx_graph(written([*PADDED, helper.make_node(kind, ["p"], ["out"], **WINDOW)], **around(edge)))
    assert found.network.classes == 5


def test_a_sigmoid_at_the_end_is_left_out_with_a_note(written: Callable[..., Path]) -> None:
    head = (
        helper.make_node("GlobalAveragePool", ["map"], ["pooled"]),
        helper.make_node("Reshape", ["pooled", "sides"], ["vector"]),
        helper.make_node("MatMul", ["vector", "dense"], ["z"]),
        helper.make_node("Sigmoid", ["z"], ["logits"]),
    )
    plain, found = read_onnx_graph(written([], "map")), read_onnx_graph(written([], head=head))
    assert [type(layer) for layer in found.network.stack] == [type(layer) for layer in plain.network.stack]
    assert any("its sigmoid is left out" in note for note in found.notes)


def test_a_network_of_one_value_is_refused(written: Callable[..., Path]) -> None:
    with pytest.raises(GraphError, match="one value for an image"):
        read_onnx_graph(written([], "map", dense=np.ones((CHANNELS, 1))))


@pytest.mark.parametrize(
    ("entry", "own"),
    [
        ({"class_name": "Dense"}, True),  # Keras 2
        ({"class_name": "Dense", "module": "keras.layers", "registered_name": None}, True),
        (
            {"class_name": "LayerScale", "module": "keras.src.applications.convnext", "registered_name": "LayerScale"},
            True,
        ),
        ({"class_name": "LayerScale", "module": None, "registered_name": "mine>LayerScale"}, False),
        ({"class_name": "Dense", "module": "my_layers", "registered_name": None}, False),
        ({"class_name": "Dense", "module": "kerasy.layers", "registered_name": None}, False),
    ],
)
def test_classes_of_users_are_not_taken_for_keras_own(entry: dict[str, Any], own: bool) -> None:
    assert _is_keras_own(entry) is own
