"""What is written, without the frameworks: the plain torch module, Caffe's definition, errors."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from export_cases import ANY_NETWORK, CASES, REPRESENTATIVES, export_of, features, input_of, pixels_of, wanted_of
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from deepenough.errors import DeepenoughError
from deepenough.frameworks import caffe
from deepenough.frameworks.export import Export
from deepenough.frameworks.folder import write_folder
from deepenough.frameworks.keras import keras_source
from deepenough.frameworks.paddle import paddle_source
from deepenough.frameworks.parity import RuntimeFailedError, compare_logits
from deepenough.frameworks.source import imported
from deepenough.frameworks.targets import TARGETS, target_named
from deepenough.frameworks.torch import torch_source
from deepenough.frameworks.writer import run_writer
from deepenough.nets import AvgPool, Conv, Flatten, Lrn, MaxPool, Network, Relu
from deepenough.nets.layer import Layer
from deepenough.nets.layers import window_count
from deepenough.weights.caffe_messages import message

REGISTRY = list(CASES)


@pytest.mark.parametrize("name", REGISTRY)
def test_the_plain_torch_module_computes_what_ours_does(name: str, tmp_path: Path) -> None:
    network = CASES[name]()
    export = export_of(name, network)
    (tmp_path / "network.py").write_text(torch_source(export))
    module = imported(tmp_path / "network.py")
    made = module.Classifier(module.network())
    state = {key: torch.from_numpy(value) for key, value in export.state.items()}
    missing, unexpected = made.network.load_state_dict(state, strict=False)
    assert unexpected == []
    assert all(key.endswith("num_batches_tracked") for key in missing)
    pixels = pixels_of(network, 3)
    with torch.no_grad():
        found = made.eval()(torch.from_numpy(pixels.transpose(0, 3, 1, 2).copy())).numpy()
    wanted = wanted_of(name, network, pixels)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("name", REGISTRY)
@pytest.mark.parametrize("framework", [torch_source, keras_source, paddle_source])
def test_sources_compile_and_name_every_layer(framework: Callable[[Export], str], name: str) -> None:
    export = export_of(name, CASES[name]())
    source = framework(export)
    compile(source, "network.py", "exec")
    if framework is keras_source:
        for visit in export.walk:
            if export.tensors(visit.path):
                assert f"name='{visit.path.replace('.', '-')}'" in source
    else:
        convolutions = sum(isinstance(visit.layer, Conv) for visit in export.walk)
        assert len(re.findall(r"Conv2[dD]\(\d", source)) == convolutions


@pytest.mark.parametrize("name", REGISTRY)
def test_opencv_reads_what_is_written_for_caffe(name: str, tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    network = CASES[name]()
    if reason := TARGETS["caffe"].refusal(network):
        pytest.skip(reason)
    export = export_of(name, network)
    TARGETS["caffe"].write(export, tmp_path)
    net = cv2.dnn.readNetFromCaffe(str(tmp_path / "model.prototxt"), str(tmp_path / "model.caffemodel"))
    pixels = pixels_of(network, 2)
    prepared = input_of(name, network)
    turned = pixels[..., ::-1] if prepared.order == "BGR" else pixels
    images = ((turned / 255 - np.array(prepared.mean)) / np.array(prepared.std)).astype(np.float32)
    net.setInput(np.ascontiguousarray(images.transpose(0, 3, 1, 2)), "data")
    wanted = wanted_of(name, network, pixels)
    *silenced, last = net.getUnconnectedOutLayersNames()
    assert all(name.endswith(".silence") for name in silenced)  # what slices cut off
    np.testing.assert_allclose(net.forward(last), wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


@given(
    size=st.integers(3, 40), kernel=st.integers(1, 5), stride=st.integers(1, 4), padding=st.integers(0, 2),
    ceil=st.booleans(),
)  # fmt: skip
def test_a_pool_in_caffe_has_our_size_or_one_more(
    size: int, kernel: int, stride: int, padding: int, ceil: bool
) -> None:
    padding = min(padding, kernel // 2)
    if size + 2 * padding < kernel:
        return
    ours = window_count(size, kernel, stride, padding, ceil=ceil)
    theirs = caffe.rounded_up(size, kernel, stride, padding)
    assert ours <= theirs <= ours + 1


def test_a_definition_says_all_but_the_weights() -> None:
    layer = message("LayerParameter")
    pool = layer(name=b"p", type=b"Pooling", pooling_param={"pool": "AVE", "kernel_size": 3, "global_pooling": False})
    norm = layer(name=b"n", type=b"BatchNorm", batch_norm_param={"eps": 1e-5}, blobs=[b"abcd"])
    text = caffe.definition('naïve "net"', [pool, norm], "a comment")
    head, *blocks = text.split("layer {\n")
    assert head.startswith("# a comment\n")
    assert text_format.Parse(head, message("NetParameter")()).name.decode() == 'naïve "net"'
    assert "pool: AVE" in text
    assert [text_format.Parse(block.removesuffix("}\n"), layer()) for block in blocks] == [pool, norm]
    assert not norm.blobs


def test_logits_that_differ_are_seen() -> None:
    wanted = np.array([[1.0, 2.0, 4.0], [3.0, 1.0, 0.0]], np.float32)
    (check,) = compare_logits("x", {7: wanted}, wanted)
    assert (check.difference, check.same_top1, check.images) == (0, 2, 2)
    changed = wanted.copy()
    changed[1] = [1.0, 3.0, 0.0]
    (check,) = compare_logits("x", {7: changed}, wanted)
    assert check.difference == pytest.approx(0.5)
    assert check.same_top1 == 1
    changed[0, 0] = np.nan
    (check,) = compare_logits("x", {7: changed}, wanted)
    assert check.difference == float("inf")
    with pytest.raises(RuntimeFailedError, match=r"shape \(2, 2\); expected are \(2, 3\)"):
        compare_logits("x", {7: wanted[:, :2]}, wanted)


def network_with(*layers: Layer) -> Network:
    return Network("tiny", (4, 8, 8), (*layers, Flatten()))


def test_what_a_framework_computes_otherwise_is_an_error(tmp_path: Path) -> None:
    even = network_with(Conv(4), Lrn(4))
    beyond = network_with(Conv(4), Relu(), AvgPool(3, 2, ceil=True))
    graphs = {"onnx", "openvino", "coreml", "ncnn", "tfjs", "tensorrt"}
    for network, refusing, words in (
        (even, {*graphs, "caffe"}, "lrn: Lrn.4. has no centre"),
        (beyond, {*graphs, "keras", "tensorflow", "litert", "paddle"}, "pool: AvgPool.* reach beyond the image"),
    ):
        others = ", ".join(name for name in ANY_NETWORK if name not in refusing)
        for name in ANY_NETWORK:
            target = TARGETS[name]
            assert (target.refusal(network) is not None) == (name in refusing)
            if name in refusing:
                export = export_of("odd", CASES["odd"]())
                export = type(export).of(network, {}, export.input, export.classes)
                with pytest.raises(DeepenoughError, match=f"--to {name}: tiny .*{words}.* --to {others}$"):
                    run_writer([export], target, [tmp_path / name], trained=True, reading_side=[64])
                assert not (tmp_path / name).exists()


@pytest.mark.parametrize("name", REPRESENTATIVES)
@pytest.mark.parametrize("framework", [torch_source, keras_source, paddle_source])
def test_a_source_imports_what_it_uses_once_and_has_no_empty_stack(
    framework: Callable[[Export], str], name: str
) -> None:
    source = framework(export_of(name, CASES[name]()))
    tree = ast.parse(source)
    imported = [
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    ]
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert len(set(imported)) == len(imported)
    assert set(imported) <= used
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    assert all(call.args or call.keywords for call in calls if call.func.id == "stack")  # type: ignore[attr-defined]


def test_a_layer_that_nobody_has_written_is_named() -> None:
    class Newest(Layer, base=True):
        """A kind that no framework's file knows."""

    export = export_of("odd", CASES["odd"]())
    export = type(export).of(network_with(Conv(4, bias=False), Newest()), {}, export.input, export.classes)
    for source in (torch_source, keras_source, paddle_source):
        with pytest.raises(DeepenoughError, match="newest: a layer Newest can't be written for"):
            source(export)


def test_a_name_that_is_a_word_of_python_is_refused() -> None:
    with pytest.raises(DeepenoughError, match="layer name 'class'"):
        Relu(name="class")
    assert MaxPool(2, name="classes").name == "classes"


@pytest.mark.parametrize("framework", [torch_source, keras_source, paddle_source])
def test_a_stranger_s_name_runs_no_code(framework: Callable[[Export], str], tmp_path: Path) -> None:
    export = export_of("odd", CASES["odd"]())
    evil = 'x"""\nraise SystemExit("code ran")\n"""\\")\n'
    network = Network(evil, export.network.input, export.network.stack, evil, evil)
    export = type(export).of(network, export.state, export.input, export.classes)
    source = framework(export)
    assert [type(node).__name__ for node in ast.parse(source).body].count("Raise") == 0
    write_folder(export, TARGETS["caffe"], tmp_path, trained=True, reading_side=64)
    assert [type(node).__name__ for node in ast.parse((tmp_path / "predict.py").read_text()).body].count("Raise") == 0


def test_a_misspelt_target_is_matched() -> None:
    with pytest.raises(DeepenoughError, match="target 'tensorflw' is not known; nearest are tensorflow, tensorrt"):
        target_named("tensorflw")


@pytest.mark.parametrize("name", list(TARGETS))
def test_a_framework_that_is_missing_is_named_with_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = TARGETS[name].packages
    monkeypatch.setattr("deepenough.frameworks.target.find_spec", lambda package: None)
    if not packages:
        TARGETS[name].check("float32")  # Caffe's files need nothing to be written
        return
    with pytest.raises(
        DeepenoughError, match=rf"--to {name} needs .*pip install 'deepenough\[{TARGETS[name].extra}\]'"
    ):
        TARGETS[name].check("float32")


def test_every_refused_precision_has_a_reason() -> None:
    refused = {(name, precision) for name, each in TARGETS.items() for precision in each.refused}
    assert refused == {
        ("keras", "int8"), ("tensorflow", "int8"), ("paddle", "float16"), ("paddle", "int8"),
        ("caffe", "float16"), ("caffe", "int8"), ("executorch", "float16"), ("executorch", "int8"),
        ("coreml", "float16"), ("coreml", "int8"), ("ncnn", "int8"), ("tfjs", "int8"), ("timm", "int8"),
    }  # fmt: skip
    for name, precision in refused:
        with pytest.raises(DeepenoughError, match=rf"--(half|int8) --to {name}: .{{20}}"):
            TARGETS[name].check(precision)


def test_each_representative_has_something_that_no_other_has() -> None:
    has = {name: features(name) for name in CASES}
    assert set().union(*(has[name] for name in REPRESENTATIVES)) == set().union(*has.values())
    for name in REPRESENTATIVES:
        assert has[name] - set().union(*(has[other] for other in REPRESENTATIVES if other != name)), name


def test_importing_deepenough_imports_no_framework() -> None:
    script = "import json, sys, deepenough, deepenough.exporting.export; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    found = set(json.loads(done.stdout))
    assert "torch" in found
    others = {"onnx", "onnxruntime", "openvino", "cv2", "ai_edge_litert", "executorch", "coremltools", "ncnn"}
    assert not found & {"keras", "tensorflow", "jax", "paddle", *others}
    assert importlib.util.find_spec("deepenough.frameworks.torch") is not None
