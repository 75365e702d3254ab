"""Every file of a run carries its check: what can be made anew is made anew, and what can't is refused by name."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from forkserver import ForkServer
from unfinished_run import make_unfinished

from deepenough import DeepenoughError, load, record, resume
from deepenough.files import read_checked_json, write_checked_json

pytestmark = pytest.mark.seconds(20)

WEIGHTS = "model/weights.safetensors"
WAY = "candidates/residual-7.way.json"
RESULT = "candidates/residual-7/fold0/result.json"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ended(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "run")


@pytest.fixture
def stopped(ended: Path) -> Path:
    """A run as it is after a kill between its last training and its end."""
    return make_unfinished(ended)


def flip(file: Path, place: float = 0.5) -> None:
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= 1
    file.write_bytes(content)


def edit(file: Path, **changes: object) -> None:
    """Change a JSON file as somebody with an editor would."""
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(content | changes, indent=1), encoding="utf-8")


def same(run: Path, other: Path) -> bool:
    return (run / WEIGHTS).read_bytes() == (other / WEIGHTS).read_bytes()


def test_an_edited_question_is_not_answered(stopped: Path, command: Command) -> None:
    options = record.load(stopped).options
    edit(stopped / "record.json", options=options | {"margin": 0.05})
    status, _, err = command("fit", "--resume", stopped)
    assert status == 2
    assert f"{stopped / 'record.json'}: it is not what deepenough wrote" in err
    assert "Put back the file as it was; to ask another question, begin a new run" in err
    assert not (stopped / "model").exists()


def test_a_run_goes_on_with_the_budget_that_it_began_with(stopped: Path) -> None:
    """Also one of a version with another default."""
    content = read_checked_json(stopped / "record.json")
    assert content["options"]["budget"] is None
    content["question"]["budget"] = 0.123
    write_checked_json(stopped / "record.json", content)
    assert resume(stopped).record.question.budget == 0.123


@pytest.mark.parametrize("harm", ["edit", "cut", "no curve"])
def test_a_damaged_result_is_trained_again(finished: Path, stopped: Path, harm: str) -> None:
    file = stopped / RESULT
    if harm == "edit":
        edit(file, macs=0)
    elif harm == "cut":
        file.write_bytes(file.read_bytes()[:500])
    else:  # without a checksum, as earlier versions wrote it, and not whole
        file.write_text(json.dumps({k: v for k, v in read_checked_json(file).items() if k != "curve"}))
    with pytest.warns(RuntimeWarning, match=r"residual-7/fold0/result\.json: .*training it again"):
        resume(stopped)
    assert same(stopped, finished)


def test_what_is_made_anew_is_a_line(forks: ForkServer, stopped: Path) -> None:
    (stopped / RESULT).write_text("{")
    done = forks.run(
        ["-m", "deepenough", "fit", "--resume", stopped], env={**os.environ, "COLUMNS": "500"}, timeout=120
    )
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "training it again" in line]
    assert line.startswith(f"deepenough: {stopped / RESULT}: not JSON")
    assert "Warning" not in done.stderr


@pytest.mark.parametrize("where", [WAY, "candidates/residual-3.way.json"])
def test_a_damaged_way_is_taken_from_the_record(finished: Path, stopped: Path, where: str) -> None:
    before = (stopped / where).read_bytes()
    (stopped / where).write_bytes(before[: len(before) // 2])
    with pytest.warns(RuntimeWarning, match=r"way\.json: not JSON .*taking it from the record"):
        resume(stopped)
    assert same(stopped, finished)
    assert (stopped / where).read_bytes() == before


def test_a_damaged_way_that_no_record_has_is_measured_again(finished: Path, stopped: Path) -> None:
    """Killed in the training of its second network."""
    content = read_checked_json(stopped / "record.json")
    content["candidates"] = content["candidates"][:1]
    write_checked_json(stopped / "record.json", content)
    flip(stopped / WAY)
    with pytest.warns(RuntimeWarning, match="measuring and training residual-7 again"):
        assert resume(stopped).record.status == "finished"
    assert json.loads((stopped / RESULT).read_text())["content_sha256"]


@pytest.mark.parametrize(
    "file",
    [WEIGHTS, "model/preprocess.json", "model/SHA256SUMS", "pictures/mistake-00.png", "pictures/SHA256SUMS", RESULT],
)
def test_a_finished_run_makes_anew_what_was_damaged(finished: Path, ended: Path, file: str, command: Command) -> None:
    if not (ended / file).is_file():
        pytest.skip(f"this run has no {file}")
    flip(ended / file, 0.3)
    if file.startswith("model"):
        with pytest.raises(DeepenoughError, match=r"`deepenough fit --resume .*` makes it anew"):
            load(ended)
    elif file.startswith("pictures"):
        status, _, err = command("report", ended)
        assert (status, "makes it anew" in err) == (2, True)
    status, _, err = command("fit", "--resume", ended)
    assert status == 0, err
    assert "making it anew from the trainings" in err
    assert same(ended, finished)
    assert record.load(ended).decision == record.load(finished).decision
    assert command("report", ended)[0] == 0
    load(ended)
    status, _, err = command("fit", "--resume", ended)
    assert (status, "anew" in err) == (0, False)
