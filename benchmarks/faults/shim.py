# ruff: noqa: PTH100, PTH115, PTH118
"""Run `deepenough` with a fault at the K-th file operation below some folders: `shim.py`, started by the fork server.

The environment says which: FAULT_ROOTS (folders, with `os.pathsep` between), FAULT_AT (1 is the first operation, 0 for
none), FAULT_HOW ("kill", or the name of an errno), FAULT_COUNT (a file that gets the number of operations).

Counted are opening, writing, flushing to the disk, renaming, removing, making folders and taking room, as Python's
functions do them. A kill within a write leaves half of it. A disk that is full stays full: from then on every operation
that wants room fails.
"""

from __future__ import annotations

import atexit
import builtins
import errno
import io
import os
import signal
import sys
from pathlib import Path
from typing import Any

WANTS_ROOM = {"write", "fsync", "mkdir", "posix_fallocate", "create"}


class Fault:
    """The fault, and the count of the operations so far."""

    def __init__(self) -> None:
        self.roots = tuple(os.path.realpath(root) for root in os.environ["FAULT_ROOTS"].split(os.pathsep))
        self.at, self.how = int(os.environ["FAULT_AT"]), os.environ["FAULT_HOW"]
        self.count = 0

    def meets(self, place: Any, folder: int | None = None) -> bool:
        """True if a path, or the file of a descriptor, is below one of the folders."""
        try:
            if isinstance(place, int):
                path = os.readlink(f"/proc/self/fd/{place}")
            else:
                path = os.path.join("" if folder is None else os.readlink(f"/proc/self/fd/{folder}"), os.fspath(place))
        except (OSError, TypeError):
            return False
        text = os.path.abspath(os.fsdecode(path))
        return any(text == root or text.startswith(root + os.sep) for root in self.roots)

    def pass_by(self, what: str, place: Any, half: Any = None) -> None:
        """Count an operation; where it is the one, do `half` of it and kill the process, or raise the error."""
        self.count += 1
        full = self.how == "ENOSPC" and what in WANTS_ROOM and 0 < self.at <= self.count
        if self.count != self.at and not full:
            return
        if self.how == "kill":
            if half is not None:
                half()
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "ENOSPC" and not full:
            self.at += 1  # what needs no room goes on; the next that does, fails
            return
        number = getattr(errno, self.how)
        raise OSError(number, os.strerror(number), None if isinstance(place, int) else str(place))


class Writer:
    """A file that is written to, whose writes are counted."""

    def __init__(self, file: Any, fault: Fault) -> None:
        self.__dict__.update(_file=file, _fault=fault)

    def write(self, data: Any) -> Any:
        def half() -> None:
            self._file.write(data[: len(data) // 2])
            self._file.flush()

        self._fault.pass_by("write", self._file.name, half)
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Any:
        return iter(self._file)


def install(fault: Fault) -> None:
    """Have all file operations of this process pass by the fault."""
    plain_open = io.open

    def opened(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:
        if isinstance(file, int) or not fault.meets(file):
            return plain_open(file, mode, *more, **named)
        fault.pass_by("create" if set(mode) & set("wxa") else "open", file)
        found = plain_open(file, mode, *more, **named)
        return Writer(found, fault) if set(mode) & set("wxa+") else found

    builtins.open = io.open = opened  # type: ignore[assignment]
    for name in ("fsync", "replace", "rename", "unlink", "remove", "mkdir", "rmdir", "posix_fallocate"):
        setattr(os, name, counted(fault, name, getattr(os, name)))


def counted(fault: Fault, name: str, plain: Any) -> Any:
    def operation(place: Any, *more: Any, **named: Any) -> Any:
        if fault.meets(place, named.get("dir_fd")):
            fault.pass_by(name, place)
        return plain(place, *more, **named)

    return operation


def main() -> None:
    fault = Fault()
    if report := os.environ.get("FAULT_COUNT"):
        atexit.register(lambda: Path(report).write_text(str(fault.count)))
    install(fault)
    from deepenough.__main__ import main

    sys.argv[0] = "deepenough"
    main()


if __name__ == "__main__":
    main()
