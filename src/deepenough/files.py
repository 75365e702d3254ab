"""Files that are written whole or not at all, and that tell when they are no longer what was written."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from deepenough.errors import DamagedError, DeepenoughError

CHECKSUM = "content_sha256"
"""The last field of a JSON file: the SHA-256 of all other fields, whatever their order and spacing."""

SUMS = "SHA256SUMS"
"""The file with the SHA-256s of the others in its folder, as `sha256sum --check` reads it."""


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
    flush(path.parent)


def flush(path: Path) -> None:
    """Have what a file holds, or the names in a folder, written to the disk, where the system can be asked to."""
    if os.name != "posix":  # elsewhere no folder can be opened, and no file flushed that is open for reading
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_checked_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object whole or not at all. Its checksum is in it, since a kill may fall between any two files."""
    plain: dict[str, Any] = json.loads(json.dumps(content))
    text = json.dumps({**plain, CHECKSUM: _checksum(plain)}, indent=1, ensure_ascii=False)
    write_whole(path, text.encode("utf-8", "backslashreplace"))  # a lone surrogate becomes its JSON escape


def read_checked_json(path: Path) -> dict[str, Any]:
    """The JSON object that was written. Raises DamagedError where it is another, FileNotFoundError where none is.

    One without a checksum is taken as it is: earlier versions wrote none.
    """
    return verified(path, read_json(path))


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file, whether it is what was written or not."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{path}: not JSON ({error}); the file is damaged") from None
    if not isinstance(content, dict):
        raise DamagedError(f"{path}: expected a JSON object; the file is damaged")
    return content


def verified(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of the file at `path` without its checksum, which has to be that of the rest."""
    rest = {key: value for key, value in content.items() if key != CHECKSUM}
    given = content.get(CHECKSUM)
    last = list(rest)[-1:]
    if given is None and last and rest[last[0]] == _checksum({key: rest[key] for key in rest if key != last[0]}):
        raise DamagedError(f"{path}: the name of its checksum is {last[0]!r:.40}; the file is damaged")
    if given is not None and given != _checksum(rest):
        raise DamagedError(f"{path}: it is not what deepenough wrote; the file is damaged or was edited")
    return rest


def _checksum(content: Mapping[str, Any]) -> str:
    return digest_of(json.dumps(content, sort_keys=True, separators=(",", ":")).encode())


def write_sums(folder: Path, names: Iterable[str]) -> None:
    """Write the SHA-256s of files of a folder into its SHA256SUMS."""
    write_whole(folder / SUMS, "".join(f"{sha256(folder / name)}  {name}\n" for name in names))


def check_sums(folder: Path, names: Iterable[str] | None = None) -> None:
    """Raise DamagedError for a file that is not the one in SHA256SUMS; by default, for all that are named there."""
    lines = [line.partition("  ") for line in (folder / SUMS).read_text(errors="replace").splitlines()]
    digests = {name: digest for digest, _, name in lines}
    for name in digests if names is None else names:
        path = folder / name
        if not path.is_file():
            raise DamagedError(f"{path}: there is no such file, although {SUMS} names it")
        if sha256(path) != digests.get(name):
            raise DamagedError(f"{path}: its SHA-256 is not the one in {SUMS}; the file is damaged or changed")


def leftovers(folder: Path, pattern: str) -> list[Path]:
    """The temporary files that killed processes left of files of a name like `pattern`."""
    return list(folder.glob(f".{pattern}.*.tmp"))


def can_be_written(folder: Path) -> bool:
    """True if files can be made in a folder, or the folder itself where there is none yet."""
    place = _there(folder)
    effective = os.access in os.supports_effective_ids
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK, effective_ids=effective)


def _there(path: Path) -> Path:
    """The path itself, or the next above it that there is. What can't be looked at counts as not there."""
    return next(place for place in (path.absolute(), *path.absolute().parents) if os.path.lexists(place))


def check_new(folder: Path) -> None:
    """Raise the error for an `--out` that is a file, a folder with something in it, or one that can't be made."""
    above = _there(folder.absolute().parent)
    if not above.is_dir():
        raise DeepenoughError(f"--out {folder}: {above} is a file, and no folder can be made in it; name another place")
    if folder.exists() and not folder.is_dir():
        raise DeepenoughError(f"--out {folder}: this is a file; name a folder that is new or empty")
    if not can_be_written(folder):
        raise DeepenoughError(f"--out {folder}: nothing can be written there (no permission); name another folder")
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
