"""The folders of the user who runs this, also where the system knows neither a name nor a home for them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_dir, user_data_dir

from deepenough.files import can_be_written

RUNS = Path("runs")


def cache_root() -> Path:
    """The environment's DEEPENOUGH_CACHE, the user's cache folder, or one among the temporary files where that can't be
    written: a container with an arbitrary user number has no home, others a read-only one.
    """
    given = os.environ.get("DEEPENOUGH_CACHE")
    return Path(given) if given else _writable(user_cache_dir) or _temporary()


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
