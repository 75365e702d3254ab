"""Folders that can only be read: of images, where everything works, and for output, where a line says so at once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from permissions import read_only

from deepenough.data.sources import open_source
from deepenough.user_folders import RUNS, cache_root, runs_root

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def images(tmp_path: Path, shapes_in: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of images that can only be read, which is also the working folder and the home."""
    folder = shapes_in(tmp_path / "photos", 20)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    for name in ("XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with read_only(folder):
        with pytest.raises(PermissionError):
            (folder / "new").touch()
        yield folder


def test_images_that_can_only_be_read_are_trained_on_and_used(
    command: Command, images: Path, quick_arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("DEEPENOUGH_CACHE")
    before = sorted(images.rglob("*"))
    status, out, err = command("fit", ".", *quick_arguments)
    assert status == 0, err
    assert f"nothing can be written in {images}: the run goes to {tmp_path}" in out + err
    run = next(tmp_path.glob("deepenough-*/runs/*"))
    assert f"report: {run / 'report.html'}" in out
    for words in (
        ("evaluate", run, "."),
        ("predict", run, "circle", "cross/cross001.png"),
        ("explain", run, "square/square001.png", "--out", tmp_path / "explained.png"),
        ("augment", ".", "--out", tmp_path / "augmented.png"),
        ("plan", ".", *quick_arguments),
    ):
        status, out, err = command(*words)
        assert status == 0, (words, err)
    assert sorted(images.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fit . --out run", "--out run: nothing can be written there (no permission)"),
        ("fit . --out {images}/run", "nothing can be written there (no permission)"),
        ("lab precision --quick --out here", "--out here: nothing can be written there (no permission)"),
        ("augment .", "nothing can be written in .; name another folder"),
        ("augment . --times 2 --out more", "--out more: nothing can be written there (no permission)"),
        ("explain {run} {images}/circle/circle001.png", ". can't be written to; name another folder"),
    ],
)
def test_a_place_that_can_only_be_read_is_refused_in_a_line_before_anything_is_read(
    command: Command, finished: Path, images: Path, monkeypatch: pytest.MonkeyPatch, words: str, expected: str
) -> None:
    monkeypatch.setattr("deepenough.data.images.prepare", None)  # whoever reads images ends in a traceback
    monkeypatch.setattr("deepenough.experiment.fit.perform_run", None)
    status, out, err = command(*words.format(images=images, run=finished).split())
    assert (status, out) == (2, "")
    assert expected in err
    assert err.count("\n") == 1


def test_a_run_that_can_only_be_read_is_not_resumed(
    command: Command, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "model" / "weights.safetensors").unlink()
    with read_only(run):
        status, _, err = command("fit", "--resume", run)
    assert status == 2
    assert "nothing can be written in it; copy it to a place of your own first" in err


def test_folders_of_ones_own_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEEPENOUGH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert runs_root() == RUNS
    assert cache_root() == tmp_path / "cache" / "deepenough"
    (tmp_path / "closed").mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path / "closed")
    with read_only(tmp_path / "closed"):
        assert runs_root() == tmp_path / "data" / "deepenough" / "runs"
        assert open_source("digits").name == "digits"
