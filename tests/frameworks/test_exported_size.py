"""The bytes that a limit counts, against what exports hold of their weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from export_cases import CASES, pixels_of, state_of, write_case

from deepenough.frameworks.export import Export
from deepenough.nets import (
    FAMILIES,
    NETWORKS,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    GlobalAvgPool,
    LayerScale,
    MaxPool,
    Network,
    Relu,
    Sum,
    weight_bytes,
)
from deepenough.nets.exported_size import half_bytes, int8_bytes
from deepenough.nets.shapes import visits
from deepenough.preprocessing import Preprocessing

pytestmark = pytest.mark.seconds(20)

SMALL = {
    "residual": lambda: FAMILIES["residual"].network(input=(3, 32, 32), classes=10, depth=7),
    "mobilenet_v3_small": CASES["mobilenet_v3_small"],
}


def channels(network: Network) -> int:
    """Those that the weighted layers give."""
    return sum(visit.layer.out for visit in visits(network) if isinstance(visit.layer, (Conv, Dense)))


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_onnx_writes_as_many_bytes_of_weights(name: str, precision: str) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from deepenough.frameworks.onnx import onnx_bytes

    network = SMALL[name]()
    export = Export.of(network, state_of(network), Preprocessing.untrained(network.input), tuple("abcdefghij"))
    calibration = pixels_of(network, 1) if precision == "int8" else None
    made = onnx.load_from_string(onnx_bytes(replace(export, precision=precision, calibration=calibration)))
    tensors = {each.name: onnx.numpy_helper.to_array(each) for each in made.graph.initializer}
    # Without normalisation and, in int8, the ranges of activations, which are of whole tensors.
    kept = [each for key, each in tensors.items() if not key.startswith("normalise.") and each.shape]
    found = sum(each.nbytes for each in kept)
    if precision == "float16":
        assert found == half_bytes(network) == weight_bytes(network) / 2
    else:
        assert found == int8_bytes(network) - 11 * channels(network), "zero points take 5 bytes a channel, not 16"


@pytest.mark.frameworks
@pytest.mark.parametrize("name", ["mobilenet_v3_small", "residual-1x28"])
def test_litert_writes_as_many_bytes_of_weights(name: str, tmp_path: Path) -> None:
    schema = pytest.importorskip("tensorflow.lite.python.schema_py_generated")
    network, _ = write_case("litert", name, tmp_path, "int8")
    content = (tmp_path / "model.tflite").read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    found = 0
    for tensor in model.subgraphs[0].tensors:
        if (values := model.buffers[tensor.buffer].data) is not None:
            ranges = tensor.quantization
            scales = [] if ranges is None or ranges.scale is None else ranges.scale
            found += len(values) + (4 + 8) * len(scales)  # a float32 and the zero point, an int64
    assert found == pytest.approx(int8_bytes(network), rel=0.02)


@pytest.mark.parametrize(
    ("name", "share"), [("mobilenet_v3_small", 0.30), ("resnet50", 0.26), ("vit_tiny_patch16_224", 0.27)]
)
def test_int8_is_about_a_quarter_of_float32(name: str, share: float) -> None:
    network = NETWORKS[name]()
    assert 0.25 < int8_bytes(network) / weight_bytes(network) < share


def test_only_norms_behind_weighted_layers_are_folded() -> None:
    def bytes_of(*stack: object) -> int:
        return int8_bytes(Network("one", (3, 8, 8), (*stack, GlobalAvgPool(), Dense(2))))

    dense, conv = 2 * 4 + 2 * 28, 4 * 3 * 9 + 4 * 28
    assert bytes_of(Conv(4)) == bytes_of(Conv(4, bias=False), BatchNorm()) == conv + dense
    assert bytes_of(Conv(4), Dropout(), BatchNorm(), BatchNorm()) == conv + dense
    norm = 4 * 4 * 4
    assert bytes_of(Conv(4), MaxPool(2), BatchNorm()) == conv + dense
    assert bytes_of(Conv(4), MaxPool(2), MaxPool(2), BatchNorm()) == conv + norm + dense
    assert bytes_of(Conv(4), BatchNorm(), MaxPool(2), BatchNorm()) == conv + norm + dense
    assert bytes_of(Conv(4), Relu(), BatchNorm()) == conv + norm + dense
    assert bytes_of(Conv(4), Sum(((BatchNorm(),), ()))) == conv + norm + dense, "its shortcut reads the convolution too"
    assert bytes_of(Sum(((Conv(4),), (Conv(4),))), BatchNorm()) == 2 * conv + norm + dense
    assert bytes_of(Conv(4), LayerScale()) == conv + 4 + dense


def test_positions_are_those_of_the_size_of_the_images() -> None:
    network = NETWORKS["vit_tiny_patch16_224"]()
    larger = network.with_input((3, 384, 384))
    assert int8_bytes(larger) - int8_bytes(network) == 192 * (24**2 - 14**2)
    assert half_bytes(larger) - half_bytes(network) == 2 * 192 * (24**2 - 14**2)
    assert half_bytes(network) == weight_bytes(network) / 2 - 2 * 192, "the class token is put into the positions"
