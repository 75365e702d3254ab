"""The files of a folder, for every command: none is opened, none is judged by its name's ending, none is lost.

What is an image among them `deepenough.data.decode` decides, by the content.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator, Set
from pathlib import Path

from deepenough.data.finding import PassedOver
from deepenough.data.links import LinkedFolders, kind_of

SYSTEM = frozenset(
    {
        "$recycle.bin",
        "recycler",
        "#recycle",
        "@recycle",
        "@eadir",
        "@tmp",
        "#snapshot",
        "@recently-snapshot",
        "system volume information",
        "lost+found",
        "recycled",
        "$winreagent",
        "$sysreset",
        "$extend",
        "wpsystem",
        "_gsdata_",
        "@synoresource",
        "msocache",
        "__macosx",
        "network trash folder",
        "temporary items",
        "thumbs.db",
        "ehthumbs.db",
        "ehthumbs_vista.db",
        "picasa.ini",
        "zbthumbnail.info",
        "desktop.ini",
        "icon\r",
        "thumbnails",
        "thumbnail",
        "_thumbs",
        "__pycache__",
    }
)
"""Files and folders, in lower case, that systems and viewers put beside people's own."""

_RESCUED = re.compile(r"found\.[0-9]{3}", re.IGNORECASE)  # the folders of what Windows' CHKDSK found

COUNTED = 100_000
"""Files of a folder that is passed over, beyond which they are not counted."""


FolderFiles = tuple[str, list[tuple[str, str]]]


def files_below(
    root: str | Path, folder: str, passed: PassedOver, others: Set[Path] = frozenset()
) -> Iterator[FolderFiles]:
    """Batches of (folder, [(name, stamp)]) of the regular files in `folder` of `root`, and in all folders below.

    Stamps change when the files do. Folders are relative to `root`; the files of a folder
    come before its folders, both in the order of their spelling.
    Links to files are files. Linked folders are followed as `LinkedFolders` decides, none of them into this folder or
    into `others` that are walked through beside it (their real paths, one set for all of them: there may be thousands).
    Whatever else is there goes into `passed`, by name.
    """
    links = LinkedFolders(Path(root, folder), others)
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        files, folders = _entries(root, here, passed, links)
        if files:
            yield here, files
        waiting += [below(here, name) for name in reversed(folders)]


def subfolders(root: str | Path, folder: str, passed: PassedOver) -> list[str]:
    """The names of the folders in `folder` of `root` that could be classes or splits, in order of spelling."""
    return _entries(root, folder, passed, LinkedFolders(Path(root, folder)))[1]


def files_in(root: str | Path, folder: str) -> list[str]:
    """The names of the regular files in `folder` of `root`, in the order of their spelling; nothing is passed on."""
    return [name for name, _ in _entries(root, folder, PassedOver(), None)[0]]


def count_files(folder: Path) -> str:
    """The number of files in a folder and below, in words, counted no further than `COUNTED`."""
    total = 0
    for _, _, files in os.walk(folder):
        total += len(files)
        if total > COUNTED:
            return f"more than {COUNTED:,} files"
    return "1 file" if total == 1 else f"{total:,} files"


def is_system(name: str) -> bool:
    """True for an entry of a folder that is hidden, or one of those that systems leave behind."""
    return name[0] == "." or name.lower() in SYSTEM or _RESCUED.fullmatch(name) is not None


def _entries(
    root: str | Path, folder: str, passed: PassedOver, links: LinkedFolders | None
) -> tuple[list[tuple[str, str]], list[str]]:
    """The regular files of a folder with their stamps, and its folders, in order. Without `links` none is followed."""
    files: list[tuple[str, str]] = []
    folders: list[str] = []
    system: list[str] = []
    others: list[tuple[str, os.stat_result | OSError]] = []
    path = Path(root, folder)
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if is_system(name):
                    system.append(name)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                else:
                    try:
                        status = entry.stat()
                    except OSError as error:
                        others.append((name, error))
                        continue
                    if stat.S_ISREG(status.st_mode):
                        files.append((name, status_stamp(status)))
                    else:
                        others.append((name, status))
    except OSError as error:
        passed.add("unreadable", folder or str(root), f"the folder can't be listed ({error.strerror or error})")
    for name in sorted(system):
        why = "hidden, by the dot its name begins with" if name[0] == "." else f"{name} is a system's own and no class"
        passed.count("ignored", below(folder, name), why)
    for name, found in sorted(others, key=lambda other: other[0]):
        if isinstance(found, os.stat_result) and stat.S_ISDIR(found.st_mode):
            refusal = links.refusal(path / name, found) if links else None
            if refusal is None:
                folders.append(name)
            else:
                passed.add("linked-folder", below(folder, name), refusal)
        else:
            passed.add(*_odd(below(folder, name), found))
    files.sort()
    folders.sort()
    return files, folders


def _odd(place: str, found: os.stat_result | OSError) -> tuple[str, str, str]:
    """Kind, name and detail of a finding on what is neither a file nor a folder, or can't be looked at."""
    if isinstance(found, FileNotFoundError):
        return "missing", place, "a link to nothing"
    if isinstance(found, OSError):
        circle = found.errno == errno.ELOOP
        return (
            "missing" if circle else "unreadable",
            place,
            "a link that leads back to itself" if circle else f"it can't be looked at ({found.strerror or found})",
        )
    return "not-a-file", place, f"it is {kind_of(found)}, which is not opened"


def below(folder: str, name: str) -> str:
    """The path of a name in a folder, both relative to a root."""
    return f"{folder}/{name}" if folder else name


def status_stamp(status: os.stat_result) -> str:
    """Size (bytes) and times of change (ns). The second time also tells of a file unpacked over one just as old."""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
