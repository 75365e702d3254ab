"""The cache folder of users whom the system does not know, as in a container with an arbitrary user number."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from deepenough.data.cache import cache_folder
from deepenough.user_folders import cache_root
from deepenough.weights.fetch import weights_folder

pytestmark = pytest.mark.skipif(os.name != "posix", reason="users have numbers on POSIX")


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without HOME and without an entry in passwd; the folder of temporary files."""
    import pwd

    def unknown(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in ("HOME", "XDG_CACHE_HOME", "DEEPENOUGH_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_without_a_home_it_lies_among_the_temporary_files(nobody: Path) -> None:
    found = cache_root()
    assert found.parent == nobody
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    assert cache_root() == found  # the next process finds it again
    assert (cache_folder(), weights_folder()) == (found / "images", found / "weights")


def test_what_someone_else_put_there_is_not_used(nobody: Path) -> None:
    (nobody / "elsewhere").mkdir()
    (nobody / f"deepenough-{os.getuid()}").symlink_to(nobody / "elsewhere")
    found = cache_root()
    assert found != nobody / f"deepenough-{os.getuid()}"
    assert stat.S_IMODE(found.stat().st_mode) == 0o700


def test_the_environment_comes_first(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPENOUGH_CACHE", str(nobody / "named"))
    assert cache_root() == nobody / "named"
