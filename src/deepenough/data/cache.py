"""Decoded images on disk: written once, whole or not at all, and memory-mapped ever after."""

from __future__ import annotations

import os
import shutil
import uuid
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepenough.errors import DamagedError, DamageWarning
from deepenough.files import flush, read_checked_json, sha256, write_checked_json
from deepenough.user_folders import cache_root, tidy_cache

VERSION = 9
"""Raised whenever decoding, auditing or the files below change, so that older caches are left alone."""

MOST_BYTES = 20 * 2**30
"""Caches that were not used for longest go when all together are larger (bytes)."""

PIXELS = "pixels.npy"
"""The file that is too large to be checked as a whole whenever an entry is opened, see `CachedPixels`."""

_META = "meta.json"


def cache_folder(given: str | Path | None = None) -> Path:
    """`given`, or the environment's DEEPENOUGH_CACHE, or the user's cache folder."""
    return (Path(given) if given else cache_root()) / "images"


@dataclass(frozen=True)
class Entry:
    """The cached data of one source: its `meta`, its read-only memory-mapped `arrays` by name, checked as a whole, and
    the file of its `pixels`, of which only the size was checked; None where they are not kept."""

    meta: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    pixels: Path | None


class Cache:
    """The entries of one cache folder: arrays by name, and a JSON `meta` with their sizes and SHA-256s.

    An entry is a folder named by its content. A pointer, named by the state of the source's files, says which entry to
    take, so that a source that has not changed is not read again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def room(self) -> float:
        """Bytes that the pixels of one entry may take: a third of what is free on the disk, since they are copied where
        some are left out, beside thumbnails; at most what all entries together may take."""
        folder = self.folder
        while not folder.exists():
            folder = folder.parent
        return min(shutil.disk_usage(folder).free / 3, MOST_BYTES)

    def draft(self) -> Path:
        """A new folder to fill, on the same disk, that no other process knows of."""
        path = self.folder / f".new-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        path.mkdir(parents=True)
        return path

    def keep(self, quick: str, draft: Path, content: str, meta: Mapping[str, Any]) -> None:
        """Make the `.npy` files of `draft` the entry `content`, and let `quick` point to it."""
        files = {}
        for file in sorted(draft.glob("*.npy")):
            flush(file)
            files[file.name] = [file.stat().st_size, "" if file.name == PIXELS else sha256(file)]
        write_checked_json(draft / _META, {"version": VERSION, "files": files, **meta})
        entry = self.folder / content[:32]
        if entry.exists() and not self._is_whole(entry):
            broken = self.folder / f".broken-{uuid.uuid4().hex[:8]}"
            entry.rename(broken)
            shutil.rmtree(broken, ignore_errors=True)
        try:
            draft.rename(entry)
        except OSError:  # another process was first, with the same content
            shutil.rmtree(draft, ignore_errors=True)
        flush(self.folder)
        write_checked_json(self.folder / f"{quick}.json", {"entry": entry.name})
        tidy_cache(self.folder, MOST_BYTES, entry)

    def find(self, quick: str) -> Entry | None:
        """The entry that a pointer names; None where there is none, or with a warning where it is damaged."""
        try:
            pointer = read_checked_json(self.folder / f"{quick}.json")
            return self._open(self.folder / str(pointer.get("entry")))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, DamagedError) as error:
            warnings.warn(f"{error}; making it anew", DamageWarning, stacklevel=3)
            return None

    def _is_whole(self, entry: Path) -> bool:
        try:
            return self._open(entry) is not None
        except (DamagedError, OSError):
            return False

    def _open(self, folder: Path) -> Entry | None:
        """An entry; None where another version made it. Raises FileNotFoundError where it was removed."""
        meta = read_checked_json(folder / _META)
        if meta.get("version") != VERSION:
            return None
        arrays = {}
        for name, (size, digest) in meta["files"].items():
            file = folder / name
            try:
                whole = file.stat().st_size == size and (name == PIXELS or sha256(file) == digest)
                if whole and name != PIXELS:
                    arrays[file.stem] = np.load(file, mmap_mode="r" if size > 0 else None)
            except (OSError, ValueError) as error:
                raise DamagedError(f"{file}: the cache is damaged ({error})") from None
            if not whole:
                raise DamagedError(f"{file}: the cache is damaged")
        with suppress(OSError):  # a cache that may only be read still serves
            os.utime(folder)
        return Entry(meta, arrays, folder / PIXELS if PIXELS in meta["files"] else None)
