"""A run whose folds are trained side by side answers as one that trains them one after the other."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from forkserver import DEVNULL, PIPE, ForkServer

from deepenough import Run, fit, resume
from deepenough.distribution import process_executor
from deepenough.distribution.process_executor import ProcessExecutor, Running
from deepenough.search import candidates

pytestmark = pytest.mark.seconds(30)

WEIGHTS = "model/weights.safetensors"
PROGRAM = """
from deepenough.__main__ import main
from deepenough.distribution import process_executor

process_executor.WORTH_STARTING = 0.0
main()
"""


@pytest.fixture(scope="module")
def options(quick: dict[str, Any]) -> dict[str, Any]:
    return {**quick, "folds": 3, "epochs": 2, "augment": "standard"}


@pytest.fixture(scope="module")
def alone(shapes: Path, cache: Path, options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(shapes, out=tmp_path_factory.mktemp("alone") / "run", **options)


@pytest.fixture(autouse=True)
def last_with_a_fold_s_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them, which a few steps may show to be faster, would give other last bits."""
    monkeypatch.setattr(candidates, "tune_threads", lambda trial, shared, *others: shared)


def test_two_threads_train_two_folds_at_once_to_the_same_answer(
    shapes: Path, alone: Run, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_executor, "WORTH_STARTING", 0.0)
    begun = []
    begin = ProcessExecutor._begin

    def count(executor: ProcessExecutor, running: Running) -> None:
        begun.append(running.task.folder)
        begin(executor, running)

    monkeypatch.setattr(ProcessExecutor, "_begin", count)
    run = fit(shapes, out=tmp_path / "run", **{**options, "threads": 2})
    assert len(begun) >= 2 * options["folds"]
    assert (run.record.environment["threads"], run.record.environment["jobs"]) == ("1", "2")
    assert (run.folder / WEIGHTS).read_bytes() == (alone.folder / WEIGHTS).read_bytes()
    assert run.record.decision == alone.record.decision
    assert [each.decision for each in run.record.candidates] == [each.decision for each in alone.record.candidates]


def test_ctrl_c_stops_both_and_they_go_on_to_the_same_weights(
    forks: ForkServer, shapes: Path, alone: Run, options: dict[str, Any], tmp_path: Path
) -> None:
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    words[words.index("--threads") + 1] = "2"
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    process = forks.popen(
        [program, "fit", shapes, "--out", tmp_path / "run", *words],
        stdout=DEVNULL,
        stderr=PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    folds = tmp_path / "run" / "candidates" / "residual-3"
    end = time.monotonic() + 60
    while not list(folds.glob("fold*/step-*")) and time.monotonic() < end and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, "nothing is lost" in errors) == (130, True), errors
    run = resume(tmp_path / "run")
    assert (run.folder / WEIGHTS).read_bytes() == (alone.folder / WEIGHTS).read_bytes()
