"""Runs that version 0.1.0 left behind: they load, predict and report, and the stopped one comes to its answer.

Both were made by version 0.1.0 on the pictures beside them, with
`--folds 1 --batch 16 --lr 0.1 --max-depth 7 --width 0.25 --threads 1 --precision float32 --no-compile --augment none`:
`run-0.1.0` with `--epochs 10`, and `run-0.1.0-stopped` with `--epochs 40`, of which it trained eight epochs of its
second candidate. What is read of them here is read as version 0.1.0 wrote it. Never make them anew.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepenough import DeepenoughError, load, record, resume

FIXTURES = Path(__file__).with_name("fixtures")
SHAPES = FIXTURES / "shapes"
Command = Callable[..., tuple[int, str, str]]


def copied(name: str, to: Path) -> Path:
    """A run's copy, whose images are where this checkout has them."""
    run = shutil.copytree(FIXTURES / name, to / name)
    content = as_written(run)
    content["options"]["data"] = str(SHAPES)
    (run / "record.json").write_text(json.dumps(content), encoding="utf-8")
    return run


def as_written(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((run / "record.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture
def ended(tmp_path: Path) -> Path:
    return copied("run-0.1.0", tmp_path)


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    return copied("run-0.1.0-stopped", tmp_path)


def test_a_model_predicts_what_it_did(ended: Path) -> None:
    """With the confidence that the record has of mistakes and of right answers."""
    old, model = as_written(ended), load(ended)
    assert list(model.classes) == ["circle", "cross", "square"]
    for seen in old["mistakes"] + old["examples"]:
        (found,) = model.predict(SHAPES / seen["name"])
        assert found.label == seen.get("predicted", seen["truth"])
        assert found.confidence == pytest.approx(seen["confidence"], abs=1e-4)


def test_the_command_predicts_and_evaluates(ended: Path, command: Command) -> None:
    old = as_written(ended)
    mistake = old["mistakes"][0]
    status, out, err = command("predict", ended, SHAPES / mistake["name"], "--json")
    assert (status, json.loads(out)["label"]) == (0, mistake["predicted"]), err
    status, out, err = command("evaluate", ended, SHAPES, "--json")
    assert status == 0, err
    assert json.loads(out)["top1"] == old["test"]["top1"]  # the same images are test images


def test_a_record_is_read(ended: Path, stopped: Path) -> None:
    old, found = as_written(ended), record.load(ended)
    assert (found.status, found.version) == ("finished", "0.1.0")
    assert found.decision is not None
    assert (found.decision.depth, found.decision.text) == (3, old["decision"]["text"])
    assert found.test is not None
    assert found.test.top1.value == old["test"]["top1"]["value"]
    assert record.load(stopped).status == "interrupted"


@pytest.mark.parametrize("name", ["run-0.1.0", "run-0.1.0-stopped"])
def test_a_report_is_written(name: str, tmp_path: Path, command: Command) -> None:
    run = copied(name, tmp_path)
    status, out, err = command("report", run)
    assert status == 0, err
    assert str(run / "report.html") in out
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "shapes" in page
    assert "residual-3-w0.25" in page


def test_what_is_finished_stays_so(ended: Path) -> None:
    before = {path: path.read_bytes() for path in ended.rglob("*.safetensors")}
    assert resume(ended).record.status == "finished"
    assert {path: path.read_bytes() for path in ended.rglob("*.safetensors")} == before


def test_what_was_stopped_comes_to_its_answer(stopped: Path, command: Command) -> None:
    """From its checkpoint: the time of its first epochs is that of the machine which made it."""
    with pytest.raises(DeepenoughError, match="go on with `deepenough fit --resume"):
        load(stopped)
    (result,) = stopped.rglob("part0/result.json")
    before = result.stat().st_mtime_ns
    (step,) = stopped.rglob("step-*.safetensors")
    header = step.read_bytes()
    header = header[8 : 8 + int.from_bytes(header[:8], "little")]
    facts = json.loads(json.loads(header)["__metadata__"]["deepenough"])
    status, out, err = command("fit", "--resume", stopped)
    assert status == 0, err
    assert "Test images, looked at once" in out
    assert result.stat().st_mtime_ns == before
    assert not step.exists()
    found = record.load(stopped)
    assert (found.status, [c.depth for c in found.candidates]) == ("finished", [3, 7])
    curve = found.candidates[1].trainings[0].curve
    begun = [row["seconds"] for row in facts["curve"]]
    assert len(curve) == 40
    assert len(begun) == 8
    assert [row.seconds for row in curve[:8]] == pytest.approx(begun)
    assert found.decision is not None
    assert found.decision.depth in (3, 7)
    assert load(stopped).predict(SHAPES / "cross" / "cross003.png")[0].label in ("circle", "cross", "square")
