"""Networks that files describe themselves: our own come back, and damaged ones end in a sentence."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from canonical import canonical
from export_cases import CASES, export_of
from graph_files import (
    BODY,
    CONSTANTS,
    DEPLOY,
    KERAS,
    current,
    graph,
    keras_file,
    node,
    written,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepenough.errors import DeepenoughError
from deepenough.frameworks.targets import TARGETS
from deepenough.nets import Tokens
from deepenough.nets.shapes import visits
from deepenough.weights.read import read_weights

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


@pytest.fixture(scope="module")
def wholes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("wholes")
    config = keras_file(folder / "w.keras", KERAS).read_bytes()
    text = DEPLOY.encode() + b'layer { name: "one" type: "ReLU" bottom: "data" top: "y" }'
    content = graph([node("Identity", "x", "i"), *BODY], CONSTANTS)
    return {"w.onnx": content, "w.caffemodel": current(), "w.keras": config, "deploy.prototxt": text}


def test_names_that_are_no_text(tmp_path: Path, wholes: dict[str, bytes]) -> None:
    """A byte that no UTF-8 begins with, at every place of the file in turn."""
    whole, path, refused = wholes["w.onnx"], tmp_path / "w.onnx", []
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + b"\x80" + whole[place + 1 :])
        try:
            read_weights(path, preprocess="caffe-bgr")
        except DeepenoughError as error:
            refused.append(str(error))
    assert any("is not UTF-8" in error for error in refused)


@pytest.mark.parametrize("kind", ["ReLU", "Power", "Eltwise"])
def test_a_layer_of_caffe_that_gives_nothing(tmp_path: Path, wholes: dict[str, bytes], kind: str) -> None:
    """No definition is made of it: the file is read as it describes itself, and says so."""
    path = written(tmp_path / "w.caffemodel", wholes["w.caffemodel"])
    layer = f'layer {{ name: "one" type: "{kind}" bottom: "data" }}'
    (tmp_path / "deploy.prototxt").write_bytes(DEPLOY.encode() + layer.encode())
    (note,) = read_weights(path, preprocess="caffe-bgr").notes
    assert note.startswith("deploy.prototxt beside it does not define it (")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
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


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
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
                target[key] = deepcopy(data.draw(anything))  # it may be changed in turn
                break
            target = target[key]
    try:
        found = read_weights(keras_file(tmp_path / "w.keras", layers), preprocess="keras")
    except DeepenoughError:
        return
    assert found.network.classes
