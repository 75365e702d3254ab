"""A full disk as the reason of an error: which one it is."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from deepenough.errors import DeepenoughError

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
LITTLE = 1 << 20  # bytes: a disk with less than this is the full one, where an error does not say which file it is of


def full_disk(error: BaseException, *written: Path) -> str | None:
    """Name the disk for lack of whose room an error was raised, or None where that was not the reason.

    `written` are the folders and files that were being written. Libraries wrap the system's error in their own, or lose
    which file it is of; then the first of these whose disk has no room is named. Errors of ours have said it already.
    """
    if isinstance(error, DeepenoughError):
        return None
    number = error.errno if isinstance(error, OSError) else None
    if number not in FULL and os.strerror(errno.ENOSPC) not in str(error):
        return None
    if isinstance(error, OSError) and isinstance(error.filename, str):
        place = _existing(Path(error.filename).parent)
    else:
        places = [_existing(path) for path in (*written, Path(os.environ.get("TMPDIR", "/tmp")))]
        full = next((place for place in places if _free(place) < LITTLE), None)
        if full is None:  # as where the output of a command goes to a file
            return "no space left on the disk that was written to"
        place = full
    reason = (
        "the quota is used up" if number == errno.EDQUOT != errno.ENOSPC else f"{_free(place) / 1e6:.1f} MB are free"
    )
    return f"{place}: no space left on this disk (mounted at {_mount(place)}; {reason})"


def written_on_command_line(words: list[str]) -> Iterator[Path]:
    """The words of a command that can be paths of something written."""
    for word in words:
        with suppress(OSError, ValueError):
            path = Path(word.partition("=")[2] or word)
            if path.exists() or (path.parent != Path() and path.parent.exists()):
                yield path


def _existing(path: Path) -> Path:
    """The folder itself, or the next above it that there is."""
    path = path.absolute()
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


def _free(folder: Path) -> float:
    with suppress(OSError):
        return float(shutil.disk_usage(folder).free)
    return float("inf")


def _mount(folder: Path) -> Path:
    while not os.path.ismount(folder) and folder != folder.parent:
        folder = folder.parent
    return folder
