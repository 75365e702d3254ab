"""The cache folder of the user who runs this, also where the system knows neither a name nor a home for them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from platformdirs import user_cache_dir


def cache_root() -> Path:
    """The environment's DEEPENOUGH_CACHE, the user's cache folder, or without a home one among the temporary files.

    A container with an arbitrary user number has no home.
    """
    given = os.environ.get("DEEPENOUGH_CACHE")
    if given:
        return Path(given)
    try:
        return Path(user_cache_dir("deepenough"))
    except (RuntimeError, KeyError, OSError):
        return _temporary()


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
