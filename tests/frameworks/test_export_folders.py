"""The folder that an export fills: a new one, an earlier export, and the one that the shell is in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from deepenough.exporting.folder import DRAFT

Command = Callable[..., tuple[int, str, str]]

pytest.importorskip("cv2", reason="what is written for Caffe is run by OpenCV")


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_an_earlier_export_is_replaced_and_nothing_else(run: Path, command: Command, tmp_path: Path) -> None:
    out = tmp_path / "there"
    assert command("export", run, "--to", "caffe", "--out", out, "--no-verify")[0] == 0
    (out / "old").write_text("")
    assert command("export", run, "--to", "caffe", "--out", out)[0] == 0
    assert not (out / "old").exists()
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    status, _, errors = command("export", run, "--to", "caffe", "--out", mine)
    assert status == 2
    assert "holds something else" in errors
    assert (mine / "thesis.txt").is_file()
    assert "this is a file" in command("export", run, "--to", "caffe", "--out", mine / "thesis.txt")[2]
    status, _, errors = command("export", run, "--to", "caffe", "--out", tmp_path / "model.caffemodel")
    assert status == 2
    assert "an export is a folder" in errors


@pytest.mark.parametrize("given", [".", "./", "../here", "inner/.."])
def test_the_current_folder_is_filled_and_stays_itself(
    given: str, run: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    itself = here.stat().st_ino
    inner = here / "inner"
    if "inner" in given:
        assert command("export", run, "--to", "caffe", "--out", here, "--no-verify")[0] == 0
        inner.mkdir()
    for _ in range(2):
        assert command("export", run, "--to", "caffe", "--out", given, "--no-verify")[0] == 0
        assert Path("model.caffemodel").is_file()
        assert not inner.exists()
        assert not list(here.glob(".*"))
        assert [here.stat().st_ino, *here.parent.glob(".*")] == [itself]
        given = given.replace("inner/..", ".")


def test_a_folder_above_the_current_one_is_not_emptied(
    run: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, inner = tmp_path / "there", tmp_path / "there" / "inner"
    assert command("export", run, "--to", "caffe", "--out", out, "--no-verify")[0] == 0
    inner.mkdir()
    monkeypatch.chdir(inner)
    status, _, errors = command("export", run, "--to", "caffe", "--out", "..", "--no-verify")
    assert status == 2
    assert f"go to {out} first" in errors
    assert inner.is_dir()


def test_a_killed_export_is_no_obstacle(
    run: Path, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it left: a draft in an empty folder, or half of its files beside the proof."""
    words = ("export", run, "--to", "caffe", "--out", tmp_path / "there", "--no-verify")
    (tmp_path / "there" / DRAFT / "model").mkdir(parents=True)
    assert command(*words)[0] == 0
    whole = {path.name for path in (tmp_path / "there").iterdir()}
    (tmp_path / "there" / DRAFT).mkdir()
    (tmp_path / "there" / "model.caffemodel").unlink()
    assert command(*words)[0] == 0
    assert {path.name for path in (tmp_path / "there").iterdir()} == whole


def test_a_run_in_the_current_folder_has_its_name_in_the_proof(
    run: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(run)
    assert command("export", ".", "--to", "caffe")[0] == 0
    assert "validation images of run" in (run / "exports" / "caffe" / "parity.json").read_text()
