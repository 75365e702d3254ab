"""Linked folders: which of them a listing follows."""

from __future__ import annotations

import os
import stat
from collections.abc import Set
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

MOST_FOLDERS = 5_000
"""Folders below a link, above which it is not followed: it leads to a disk or a system rather than to a class."""

MOST_FILES = 2_000_000

_NO_DISK = frozenset(map(Path, ("/proc", "/sys", "/dev")))

_Identity = tuple[int, int]


class LinkedFolders:
    """Decides for the walk through one folder or several which linked folders in it are followed."""

    def __init__(self, folder: Path, others: Set[Path] = frozenset()) -> None:
        """Take the folder that is walked through, and the real paths of `others` that are in any case."""
        self._folder, self._others = folder.resolve(), others
        self._seen: set[_Identity] = set()

    def refusal(self, link: Path, status: os.stat_result) -> str | None:
        """The reason why `link`, a path whose target has this status, is not followed; None where it is.

        A link is followed once, unless it leads to a folder above itself, into one that is walked through anyway, to
        what is no disk, or to more than `MOST_FOLDERS` folders or `MOST_FILES` files.
        """
        real, identity = link.resolve(), (status.st_dev, status.st_ino)
        if identity in _above(link.parent.absolute()) | _above(link.parent.resolve()):
            return f"the link leads back to {real}, which holds it"
        if self._folder in (real, *real.parents) or not self._others.isdisjoint((real, *real.parents)):
            return f"the link leads to {real}, which is looked through anyway"
        if identity in self._seen:
            return f"a second link to {real}"
        if not _NO_DISK.isdisjoint((real, *real.parents)):
            return f"the link leads to {real}, which is no folder on a disk"
        if _is_enormous(real):
            return f"the link leads to {real}, which holds more than {MOST_FOLDERS:,} folders or {MOST_FILES:,} files"
        self._seen.add(identity)
        return None


def _above(folder: Path) -> set[_Identity]:
    """The identities of a folder and of all that its absolute path leads through."""
    found = set()
    for place in (folder, *folder.parents):
        with suppress(OSError):
            status = place.stat()
            found.add((status.st_dev, status.st_ino))
    return found


@lru_cache
def _is_enormous(folder: Path) -> bool:
    """True if there are more folders or files below than a link is followed for; counts no further than that."""
    waiting, folders, files = [str(folder)], 0, 0
    while waiting and folders <= MOST_FOLDERS and files <= MOST_FILES:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                    folders += 1
                else:
                    files += 1
    return folders > MOST_FOLDERS or files > MOST_FILES


def kind_of(status: os.stat_result) -> str:
    """Name the kind of a file that is not a regular one."""
    mode = status.st_mode
    for test, word in (
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISDIR, "a folder"),
    ):
        if test(mode):
            return word
    return "no regular file"
