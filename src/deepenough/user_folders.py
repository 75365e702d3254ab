"""The folders of the user who runs this, also where the system knows neither a name nor a home for them."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_dir, user_data_dir

from deepenough.files import can_be_written

RUNS = Path("runs")
_ABANDONED = 24 * 3600.0  # seconds


def cache_root() -> Path:
    """The environment's DEEPENOUGH_CACHE, the user's cache folder, or one among the temporary files where that can't be
    written: a container with an arbitrary user number has no home, others a read-only one.
    """
    given = os.environ.get("DEEPENOUGH_CACHE")
    return Path(given) if given else _writable(user_cache_dir) or _temporary()


def tidy_cache(folder: Path, most_bytes: float, current: Path) -> None:
    """Remove what was abandoned half-way in a folder of entries and, where all take more than `most_bytes`, the entries
    used longest ago, but never those of the last day nor the `current` one."""
    kept = []
    for path in folder.iterdir():
        try:
            age = time.time() - path.stat().st_mtime
            if path.name.startswith(".") and age > _ABANDONED:
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            elif path.is_dir() and not path.name.startswith("."):
                kept.append((age, path, sum(file.stat().st_size for file in path.iterdir())))
        except OSError:  # another process was faster
            continue
    total = sum(size for _, _, size in kept)
    for age, path, size in sorted(kept, reverse=True):
        if total <= most_bytes or path == current or age < _ABANDONED:
            break
        shutil.rmtree(path, ignore_errors=True)
        total -= size


def runs_root() -> Path:
    """The folder of runs without a name: `runs` in the working folder, or where nothing can be written there, as in a
    read-only folder of images, that among the user's own data or the temporary files."""
    if can_be_written(RUNS):
        return RUNS
    return (_writable(user_data_dir) or _temporary()) / RUNS


def _writable(named: Callable[[str], str]) -> Path | None:
    """Our folder of one kind, if there is one that can be written."""
    try:
        folder = Path(named("deepenough"))
    except (RuntimeError, KeyError, OSError):
        return None
    return folder if can_be_written(folder) else None


def _temporary() -> Path:
    """A folder of this user alone among the temporary files; never one that another user has put there."""
    folder = Path(tempfile.gettempdir()) / f"deepenough-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if not folder.is_symlink() and (os.name != "posix" or folder.stat().st_uid == os.getuid()):
            return folder
    except OSError:
        pass
    return Path(tempfile.mkdtemp(prefix="deepenough-"))
