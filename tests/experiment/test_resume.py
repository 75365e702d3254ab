"""A run that was ended in the middle of its search goes on to the same weights, bit for bit."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forkserver import DEVNULL, PIPE, ForkServer
from unfinished_run import make_unfinished

from deepenough import DeepenoughError, Record, fit, record, resume
from deepenough.files import read_checked_json, write_checked_json
from deepenough.search.candidates import CandidateTrainer
from deepenough.training.interrupt import Interrupted

pytestmark = pytest.mark.seconds(25)

WEIGHTS = "model/weights.safetensors"


@pytest.fixture(scope="session")
def longer(quick: dict[str, Any]) -> dict[str, Any]:
    """A search of several seconds with augmentation, so that a kill falls into the middle of its second network."""
    return {**quick, "epochs": 10, "augment": "standard"}


@pytest.fixture(scope="session")
def unbroken(shapes: Path, cache: Path, longer: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(shapes, out=tmp_path_factory.mktemp("unbroken") / "run", **longer).folder


def ended(
    forks: ForkServer, shapes: Path, run: Path, options: dict[str, Any], how: signal.Signals, after: float
) -> tuple[int, str]:
    """Start the search in a process, end it while its second architecture trains: its exit status and errors."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    process = forks.popen(
        ["-m", "deepenough", "fit", shapes, "--out", run, *words],
        stdout=DEVNULL,
        stderr=PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    second = run / "candidates" / "residual-7" / "fold0"
    give_up = time.monotonic() + 60
    while not (second.is_dir() and any(second.iterdir())) and time.monotonic() < give_up and process.poll() is None:
        time.sleep(0.01)
    time.sleep(after)
    process.send_signal(how)
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


@pytest.mark.parametrize("mishap", [KeyboardInterrupt, DeepenoughError])
def test_what_is_stopped_while_it_measures_goes_on_and_what_cannot_be_leaves_nothing(
    shapes: Path, cache: Path, quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mishap: Any
) -> None:
    def measured(trainer: Any, architecture: Any) -> Any:
        if len(list(tmp_path.glob("run/candidates/*.way.json"))) == 1:
            raise mishap("the second measurement")
        return plain(trainer, architecture)

    plain = CandidateTrainer._tune
    monkeypatch.setattr(CandidateTrainer, "_tune", measured)
    with pytest.raises(DeepenoughError) as caught:
        fit(shapes, out=tmp_path / "run", **quick)
    monkeypatch.setattr(CandidateTrainer, "_tune", plain)
    if mishap is DeepenoughError:
        assert not (tmp_path / "run").exists()
        return
    assert isinstance(caught.value, Interrupted)
    assert record.load(tmp_path / "run").status == "interrupted"
    assert resume(tmp_path / "run").record.status == "finished"


TIMES = {"seconds", "waited", "created", "command", "environment", "plan", "ways", "way", "expected"}


def without_times(found: Record) -> dict[str, Any]:
    """What a record says, but for seconds and dates, and how it was called."""
    text = json.loads(found.model_dump_json())

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: strip(v) for k, v in value.items() if k not in TIMES}
        return [strip(each) for each in value] if isinstance(value, list) else value

    result: dict[str, Any] = strip(text)
    return result


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_was_ended_comes_to_the_same_weights(
    forks: ForkServer, shapes: Path, unbroken: Path, longer: dict[str, Any], tmp_path: Path, how: signal.Signals
) -> None:
    run = tmp_path / "run"
    after = float(np.random.default_rng().uniform(0, 0.15))  # anywhere; the answer is the same
    status, errors = ended(forks, shapes, run, longer, how, after)
    if how == signal.SIGTERM:
        assert status == 130, errors
        assert f"go on with: deepenough fit --resume {run}" in errors
        assert "Traceback" not in errors
        assert record.load(run).status == "interrupted"
    else:
        assert status == -signal.SIGKILL
        assert record.load(run).status == "running"
    assert not (run / "model").exists()
    finished_before = (run / "candidates" / "residual-3").stat().st_mtime_ns
    done = resume(run)
    assert (run / WEIGHTS).read_bytes() == (unbroken / WEIGHTS).read_bytes()
    assert without_times(done.record) == without_times(record.load(unbroken))
    assert (run / "candidates" / "residual-3").stat().st_mtime_ns == finished_before
    assert (run / "report.html").is_file()


@pytest.fixture
def stopped(finished: Path, tmp_path: Path) -> Path:
    """A run as it is after a kill between its last training and its end."""
    return make_unfinished(shutil.copytree(finished, tmp_path / "stopped"))


def test_finished_trainings_are_read_back(finished: Path, stopped: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (stopped / "candidates").rglob("*") if path.is_file()}
    assert without_times(resume(stopped).record) == without_times(record.load(finished))
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (stopped / WEIGHTS).read_bytes() == (finished / WEIGHTS).read_bytes()


def test_a_model_that_is_not_there_yet_says_how_to_get_it(stopped: Path) -> None:
    from deepenough import load

    with pytest.raises(DeepenoughError, match="go on with `deepenough fit --resume"):
        load(stopped)


def test_other_images_are_an_error(stopped: Path, shapes: Path, tmp_path: Path, shape: Callable[..., Any]) -> None:
    """The run's folder of images has one more picture than when it began."""
    changed = tmp_path / "shapes"
    shutil.copytree(shapes, changed)
    shape("circle", 999).save(changed / "circle" / "new.png")
    content = read_checked_json(stopped / "record.json")
    content["options"]["data"] = str(changed)
    write_checked_json(stopped / "record.json", content)
    with pytest.raises(DeepenoughError, match="have changed since the run began; restore them"):
        resume(stopped)


def test_a_damaged_training_is_done_again(finished: Path, stopped: Path) -> None:
    """One bit flips in the weights of a finished training: it is noticed, and the end is the same."""
    results = sorted((stopped / "candidates").rglob("*.safetensors"), key=lambda path: path.stat().st_size)
    content = bytearray(results[-1].read_bytes())
    content[len(content) // 2] ^= 1
    results[-1].write_bytes(content)
    with pytest.warns(RuntimeWarning, match="damaged; training it again"):
        resume(stopped)
    assert (stopped / WEIGHTS).read_bytes() == (finished / WEIGHTS).read_bytes()


def test_a_run_is_resumed_from_another_folder(
    shapes: Path, quick: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The images were named by a path relative to where the run began."""
    monkeypatch.chdir(shapes.parent)
    run = fit(shapes.name, out=tmp_path / "run", **{**quick, "epochs": 1, "max_depth": 3})
    shutil.rmtree(run.folder / "model")
    record.save(run.record.model_copy(update={"status": record.schema.RunStatus.INTERRUPTED}), run.folder)
    monkeypatch.chdir(tmp_path)
    assert resume(run.folder).record.test == run.record.test


def test_resuming_with_other_options_is_an_error(
    command: Callable[..., tuple[int, str, str]], stopped: Path, shapes: Path
) -> None:
    before = (stopped / "record.json").read_bytes()
    for words, named in ((["--target", "0.5"], "--target"), (["--no-flip"], "--flip"), ([str(shapes)], "data")):
        status, _, err = command("fit", "--resume", stopped, *words)
        assert status == 2
        assert f"leave out {named}" in err
    assert (stopped / "record.json").read_bytes() == before
