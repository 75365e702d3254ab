"""Files that are written whole or not at all."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from deepenough.errors import DeepenoughError


def write_whole(path: Path, content: bytes | str) -> None:
    """Write under a temporary name, flush to the disk, rename, and flush the folder.

    A reader never sees half a file, and after a crash of the machine the name stands for all of one of them.
    """
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a failed write does not say of what
        raise
    finally:
        temporary.unlink(missing_ok=True)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def leftovers(folder: Path, pattern: str) -> list[Path]:
    """The temporary files that killed processes left of files of a name like `pattern`."""
    return list(folder.glob(f".{pattern}.*.tmp"))


def check_new(folder: Path) -> None:
    """Raise the error for an `--out` that is a file, or a folder with something in it."""
    if folder.exists() and not folder.is_dir():
        raise DeepenoughError(f"--out {folder}: this is a file; name a folder that is new or empty")
    if folder.is_dir() and any(folder.iterdir()):
        raise DeepenoughError(f"--out {folder}: this folder holds something else; name one that is new or empty")


def printable(name: str) -> str:
    """A file's name as text that can be written: bytes that are not UTF-8 become \\xff."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def digest_of(content: bytes) -> str:
    """The SHA-256 of bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
