"""Unpacking archives of data sets, within bounds and nowhere else than where they are meant to go."""

from __future__ import annotations

import gzip
import shutil
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from deepenough.errors import DamagedError, DeepenoughError
from deepenough.progress import Advance

_BLOCK = 1 << 20


@dataclass(frozen=True)
class Bounds:
    """The most that may come out of an archive."""

    megabytes: float
    files: int


def unpack(archive: Path, folder: Path, bounds: Bounds, advance: Advance) -> None:
    """Unpack the files of a gzipped tar archive into a folder.

    Raises `DeepenoughError` for a path that leads out of the folder, for links and devices, for more than the `bounds`
    and for a damaged archive. What was unpacked before stays in the folder, which the caller removes.
    """
    size = archive.stat().st_size
    left, files = bounds.megabytes * 1e6, 0
    try:
        with archive.open("rb") as packed, tarfile.open(fileobj=packed, mode="r|gz") as tar:
            for member in tar:
                if member.isdir():
                    continue
                files, left = files + 1, left - member.size
                if files > bounds.files or left < 0:
                    raise _refused(archive, f"more than {bounds.files:,} files or {bounds.megabytes:,.0f} MB")
                _write(tar, member, folder, archive)
                advance(packed.tell(), size, f"{files:,} files")
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamagedError(f"{archive}: it cannot be unpacked ({error}); remove it, and try again") from None


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, archive: Path) -> None:
    place = PurePosixPath(member.name)
    unsafe = place.is_absolute() or ".." in place.parts or "\\" in member.name or ":" in member.name
    if unsafe or "\0" in member.name or not place.parts:
        raise _refused(archive, f"the path {member.name!r:.80}, which leads out of its folder")
    content = tar.extractfile(member) if member.isreg() else None
    if content is None:
        raise _refused(archive, f"{member.name!r:.80}, which is a link or a device")
    target = folder.joinpath(*place.parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        shutil.copyfileobj(content, file, _BLOCK)


def _refused(archive: Path, what: str) -> DeepenoughError:
    return DeepenoughError(f"{archive}: it holds {what}; it was not unpacked")
