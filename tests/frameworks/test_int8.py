"""Int8 exports: what is folded, integer ends, and a loss that is counted anew here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from export_cases import CASES, export_of, pixels_of, skip_where_absent, wanted_of

from deepenough.cli.export import cost_sentence, loss_warning
from deepenough.exporting import export as exporting
from deepenough.exporting.cost import PrecisionCost, logit_scale, will_do
from deepenough.exporting.export import Exported
from deepenough.frameworks.export import Export
from deepenough.frameworks.litert import INTEGER_ENDS
from deepenough.frameworks.parity import run_exports
from deepenough.frameworks.targets import TARGETS
from deepenough.frameworks.writer import run_writer
from deepenough.nets import BatchNorm, Conv, Dense, GlobalAvgPool, Network

NAMES = ("mobilenet_v3_small", "mobile-1x28")


def int8_of(name: str, **more: Any) -> tuple[Export, npt.NDArray[np.uint8]]:
    export = export_of(name, CASES[name]())
    pixels = pixels_of(export.network, 21)
    return replace(export, precision="int8", calibration=pixels, **more), pixels


def logits(count: int = 200, seed: int = 0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    draw = np.random.default_rng(seed)
    return draw.normal(3, 2, (count, 5)).astype(np.float32), draw.integers(0, 5, count)


def test_the_loss_is_an_independent_count() -> None:
    before, labels = logits()
    after = before.copy()
    after[:30] = np.roll(after[:30], 1, axis=1)
    cost = PrecisionCost.of("somewhere", before, after, labels)
    right = [0, 0]
    others = 0
    for first, second, label in zip(before, after, labels, strict=True):
        answers = [max(range(5), key=list(row).__getitem__) for row in (first, second)]
        right = [count + (answer == label) for count, answer in zip(right, answers, strict=True)]
        others += answers[0] != answers[1]
    assert others == 30
    assert (cost.before, cost.after, cost.disagreement) == (right[0] / 200, right[1] / 200, others / 200)
    assert cost.difference == pytest.approx((right[0] - right[1]) / 200, abs=1e-3)
    assert cost.before_bounds[0] < cost.before < cost.before_bounds[1]
    assert cost.large == (cost.difference > 0.01)
    said = cost_sentence(cost, "int8")
    for share in (cost.before, cost.after, *cost.before_bounds, *cost.after_bounds, cost.disagreement):
        assert f"{share:.1%}" in said


@pytest.mark.parametrize("factor", [0.5, 2.0, -1.0])
def test_a_wrong_scale_of_the_logits_is_noticed(factor: float) -> None:
    before, labels = logits()
    noise = np.random.default_rng(1).normal(0, 0.3, before.shape).astype(np.float32)
    honest = before + noise
    assert will_do(before, honest, PrecisionCost.of("", before, honest, labels))
    assert logit_scale(before, honest) == pytest.approx(1, abs=0.05)
    moved = logit_scale(before, honest + 40)
    assert moved == pytest.approx(logit_scale(before, honest), abs=1e-5), "a shift of all logits means nothing"
    assert not will_do(before, factor * honest, None)
    assert not will_do(before, np.full_like(before, np.nan), None)


def test_a_large_loss_fails_and_is_warned_of() -> None:
    before, _ = logits(1000)
    labels = before.argmax(1)
    after = before.copy()
    after[:30] = np.roll(after[:30], 1, axis=1)
    cost = PrecisionCost.of("", before, after, labels)
    assert cost.large
    assert will_do(before, after, cost)
    after[:120] = np.roll(before[:120], 1, axis=1)
    assert not will_do(before, after, PrecisionCost.of("", before, after, labels))
    done = Exported(Path(), Path(), "onnx", "int8", "", (), (), (cost,), True)
    assert "--half loses less" in loss_warning(done)
    assert "leave out --half" in loss_warning(replace(done, precision="float16"))


@pytest.mark.parametrize("name", [*NAMES, "odd", "residual-1x28"])
def test_folded_norms_change_no_logit(name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    from deepenough.frameworks.onnx import onnx_model
    from deepenough.frameworks.onnx_int8 import fold_batch_norms

    export, pixels = int8_of(name)
    made = onnx_model(export)
    kinds = [node.op_type for node in made.graph.node]
    fold_batch_norms(made)
    left = [node.op_type for node in made.graph.node]
    assert kinds.count("BatchNormalization") > left.count("BatchNormalization")
    if name in NAMES:
        assert "BatchNormalization" not in left
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"images": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))})
    wanted = wanted_of(name, export.network, pixels)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())


def test_a_norm_with_a_negative_scale_stays_behind_its_pool() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    from deepenough.frameworks.onnx import onnx_model
    from deepenough.frameworks.onnx_int8 import fold_batch_norms

    def first_layers(export: Export) -> list[str]:
        return [visit.layer.kind for visit in export.walk][:4]

    def logits_of(model: Any) -> npt.NDArray[np.float32]:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return session.run(None, {"images": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))})[0]

    moved, pixels = int8_of("residual-1x28")
    assert first_layers(moved) == ["Conv", "BatchNorm", "Relu", "MaxPool"]
    state = dict(moved.state)
    state["stem.norm.weight"] = state["stem.norm.weight"] * np.where(np.arange(len(state["stem.norm.weight"])), 1, -1)
    kept = replace(moved, network=CASES["residual-1x28"](), state=state)
    assert first_layers(kept) == ["Conv", "MaxPool", "BatchNorm", "Relu"]
    made = onnx_model(kept)
    before = logits_of(made)
    fold_batch_norms(made)
    assert [node.op_type for node in made.graph.node].count("BatchNormalization") == 1
    np.testing.assert_allclose(logits_of(made), before, rtol=0, atol=1e-4 * np.abs(before).max())


@pytest.mark.parametrize("bias", [False, True])
def test_norms_in_a_row_are_folded_one_into_another(bias: bool) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    from deepenough.frameworks.onnx import onnx_model
    from deepenough.frameworks.onnx_int8 import fold_batch_norms

    stack = (Conv(4, bias=bias), BatchNorm(), BatchNorm(eps=1e-3), GlobalAvgPool(), Dense(3))
    network = Network("rows", (3, 9, 8), stack)
    made = onnx_model(export_of("odd", network))
    fold_batch_norms(made)
    assert "BatchNormalization" not in [node.op_type for node in made.graph.node]
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = pixels_of(network, 3)
    (found,) = session.run(None, {"images": np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))})
    np.testing.assert_allclose(found, wanted_of("odd", network, pixels), rtol=1e-4, atol=1e-5)


@pytest.mark.frameworks
@pytest.mark.parametrize("name", NAMES)
def test_litert_with_integer_ends(name: str, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    export, pixels = int8_of(name)
    target, folder = TARGETS["litert"], tmp_path / "export"
    run_writer([export], target, [folder], trained=True, reading_side=[64])
    interpreter = Interpreter(str(folder / INTEGER_ENDS))
    (images,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert [end["dtype"] for end in (images, answer)] == [np.uint8, np.uint8]
    assert images["quantization"] == (1.0, 0), "an integer is a pixel's level"
    kinds = {tensor["dtype"] for tensor in interpreter.get_tensor_details()}
    assert np.float32 not in kinds, "nothing in between is a float"
    floats, integers = target.runtimes_for("int8")
    ((_, by_floats),), ((_, by_integers),) = (
        run_exports([folder], [pixels], runtime) for runtime in (floats, integers)
    )
    wanted = wanted_of(name, export.network, pixels)
    for found in (by_floats[7], by_integers[7]):
        assert 0.9 < logit_scale(wanted, found) < 1.1
        assert np.abs(found - wanted).max() < 0.25 * np.abs(wanted).max()
    scale, zero = answer["quantization"]
    interpreter.allocate_tensors()
    interpreter.set_tensor(images["index"], pixels[:1])
    interpreter.invoke()
    raw = interpreter.get_tensor(answer["index"]).astype(np.float64)
    np.testing.assert_allclose(by_integers[1][:1], scale * (raw - zero), rtol=1e-5)

    broken(folder / INTEGER_ENDS)
    ((_, found),) = run_exports([folder], [pixels], integers)
    assert not will_do(wanted, found[7], None)


def broken(file: Path) -> None:
    """Halve the scales of the last layer's weights and biases in a file. An output's would be rescaled on the way."""
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    content = file.read_bytes()
    made = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    (graph,) = made.subgraphs
    *_, last = (each for each in graph.operators if len(each.inputs) == 3)
    for place in last.inputs[1:]:
        quantization = graph.tensors[place].quantization
        quantization.scale = [each / 2 for each in quantization.scale]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(made.Pack(builder), b"TFL3")
    archive = content[content.index(b"PK\x03\x04") :]
    file.write_bytes(bytes(builder.Output()) + archive)


@pytest.mark.frameworks
@pytest.mark.parametrize("batch", exporting.parity.BATCHES)
def test_an_answer_that_is_no_number_fails_at_every_batch(
    batch: int, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip_where_absent("onnx")
    honest = exporting.parity.run_exports

    def spoiled(*given: Any) -> Any:
        ((version, logits),) = honest(*given)
        logits[batch][0] = np.nan
        return [(version, logits)]

    monkeypatch.setattr(exporting.parity, "run_exports", spoiled)
    assert exporting.export(finished, "onnx", out=tmp_path / "onnx", int8=True).passed is False
