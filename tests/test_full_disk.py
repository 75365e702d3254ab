"""A full disk is named, with what to do, and a run goes on once there is room."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepenough import DeepenoughError, fit, full_disk, resume
from deepenough.full_disk import written_on_command_line

Command = Callable[..., tuple[int, str, str]]
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class DiskThatFills:
    """Stands for `os.fsync`, which fails from its `left`-th call on."""

    def __init__(self, left: int) -> None:
        self.left, self.real = left, os.fsync

    def __call__(self, handle: int) -> None:
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.real(handle)


@pytest.mark.parametrize("left", [2, 12, 30])
def test_a_run_names_the_disk_and_goes_on(
    left: int, finished: Path, shapes: Path, tmp_path: Path, quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    with monkeypatch.context() as broken:
        broken.setattr("deepenough.files.os.fsync", DiskThatFills(left))
        with pytest.raises(DeepenoughError, match="no space left on this disk") as error:
            fit(shapes, out=folder, **quick)
    assert str(error.value).startswith(str(folder))
    assert str(error.value).endswith(f"go on with: deepenough fit --resume {folder}")
    resume(folder)
    weights = [(run / "model" / "weights.safetensors").read_bytes() for run in (folder, finished)]
    assert weights[0] == weights[1]


def test_an_error_without_a_file_is_of_the_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = tmp_path / "full"
    full.mkdir()
    monkeypatch.setattr(full_disk, "_free", lambda folder: 0.0 if folder == full else 1e9)
    found = full_disk.full_disk(FULL, tmp_path, full / "new" / "folder")
    assert found is not None
    assert found.startswith(f"{full}: no space left")
    wrapped = full_disk.full_disk(RuntimeError(f"cannot write: {os.strerror(errno.ENOSPC)} (os error 28)"), full)
    assert wrapped == found


def test_other_errors_are_left_alone(tmp_path: Path) -> None:
    for error in (OSError(errno.EACCES, "Permission denied"), ValueError("full"), DeepenoughError(str(FULL))):
        assert full_disk.full_disk(error, tmp_path) is None


def test_the_disk_of_the_output_is_not_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(full_disk, "_free", lambda folder: 1e9)
    assert full_disk.full_disk(FULL, tmp_path) == "no space left on the disk that was written to"


def test_words_of_a_command_that_may_be_written(tmp_path: Path) -> None:
    words = ["augment", "digits", "--times", "3", "--out", str(tmp_path / "new"), f"--cache={tmp_path}"]
    assert list(written_on_command_line(words)) == [tmp_path / "new", tmp_path]


@pytest.mark.skipif(not Path("/dev/full").exists() or sys.platform != "linux", reason="needs a device that is full")
def test_a_picture_on_a_full_disk(tmp_path: Path, command: Command) -> None:
    (tmp_path / "sheet.png").symlink_to("/dev/full")
    status, _, err = command("augment", "digits", "--out", tmp_path / "sheet.png")
    assert (status, "no space left on the disk" in err) == (2, True)
    assert "Traceback" not in err
