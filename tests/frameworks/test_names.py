"""Layers called as a graph's own input, output or normalisation: they get others, and it computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from export_cases import export_of, pixels_of, wanted_of

from deepenough.frameworks.names import renamed
from deepenough.frameworks.onnx import OnnxTarget
from deepenough.frameworks.targets import TARGETS
from deepenough.nets import BatchNorm, Conv, Dense, GlobalAvgPool, Group, Network, Relu, Sum
from deepenough.nets.shapes import visits

CASE = "odd"  # whose preprocessing is taken
INNER = Group((Conv(4, name="bgr"), BatchNorm(name="unit"), Relu(name="split")), name="normalise")
NETWORK = Network(
    "taken",
    (3, 9, 8),
    (
        Conv(4, name="images"),
        Relu(name="images_2"),
        INNER,
        Sum(((Conv(4),), ()), name="logits"),
        GlobalAvgPool(),
        Dense(3),
    ),
)


LAST = Network("last", (3, 9, 8), (Conv(4), GlobalAvgPool(), Dense(3, name="logits")))


@pytest.mark.parametrize("network", [NETWORK, LAST], ids=["inside", "last"])
def test_names_are_free_and_tensors_stay(network: Network) -> None:
    export = export_of(CASE, network)
    other, keys = renamed(export)
    paths = [visit.path for visit in visits(other.network)]
    assert not {path.partition(".")[0] for path in paths} & {"images", "normalise", "logits"}
    assert len(set(paths)) == len(paths) == len(export.walk)
    assert sorted(keys.values()) == sorted(export.state)
    assert all(other.state[new] is export.state[key] for new, key in keys.items())


def test_onnx_computes_the_same_and_keeps_the_names_of_weights(tmp_path: Path) -> None:
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    OnnxTarget().write(export_of(CASE, NETWORK), tmp_path)
    names = {each.name for each in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert set(export_of(CASE, NETWORK).state) <= names
    pixels = pixels_of(NETWORK, 3)
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {"images": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))})
    np.testing.assert_allclose(logits, wanted_of(CASE, NETWORK, pixels), rtol=1e-4, atol=1e-5)


def test_ncnn_has_each_blob_once_and_computes_the_same(tmp_path: Path) -> None:
    TARGETS["ncnn"].write(export_of(CASE, NETWORK), tmp_path)
    lines = [line.split() for line in (tmp_path / "model.param").read_text().splitlines()[2:]]
    tops = [top for line in lines for top in line[4 + int(line[2]) :][: int(line[3])]]
    assert len(set(tops)) == len(tops)
    assert len({line[1] for line in lines}) == len(lines)
    ncnn = pytest.importorskip("ncnn")
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    assert not net.load_param(str(tmp_path / "model.param"))
    assert not net.load_model(str(tmp_path / "model.bin"))
    pixels = pixels_of(NETWORK, 2)
    for image, wanted in zip(pixels, wanted_of(CASE, NETWORK, pixels), strict=True):
        run = net.create_extractor()
        run.input("images", ncnn.Mat(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32)).clone())
        status, logits = run.extract("logits")
        assert not status
        np.testing.assert_allclose(np.array(logits), wanted, rtol=1e-4, atol=1e-5)
