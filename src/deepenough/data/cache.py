"""Decoded images on disk: written once, whole or not at all, and memory-mapped ever after."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepenough.user_folders import cache_root

VERSION = 6
"""Raised whenever decoding, auditing or the files below change, so that older caches are left alone."""

MOST_BYTES = 20 * 2**30
"""Caches that were not used for longest go when all together are larger (bytes)."""

_SAMPLE = 1 << 20
_ABANDONED = 24 * 3600.0


def cache_folder(given: str | Path | None = None) -> Path:
    """`given`, or the environment's DEEPENOUGH_CACHE, or the user's cache folder."""
    return (Path(given) if given else cache_root()) / "images"


class Cache:
    """The entries of one cache folder: arrays by name, and a JSON `meta` with their sizes and hashes.

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
            _flush(file)
            files[file.name] = [file.stat().st_size, _print_of(file)]
        _write_json(draft / "meta.json", {"version": VERSION, "files": files, **meta})
        entry = self.folder / content[:32]
        if entry.exists() and self._open(entry) is None:
            broken = self.folder / f".broken-{uuid.uuid4().hex[:8]}"
            entry.rename(broken)
            shutil.rmtree(broken, ignore_errors=True)
        try:
            draft.rename(entry)
        except OSError:  # another process was first, with the same content
            shutil.rmtree(draft, ignore_errors=True)
        _flush(self.folder)
        _write_json(self.folder / f"{quick}.json", {"entry": entry.name})
        self._tidy(entry)

    def find(self, quick: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
        """Meta and read-only memory-mapped arrays, or None where there is none or it is damaged."""
        pointer = _read_json(self.folder / f"{quick}.json")
        return None if pointer is None else self._open(self.folder / str(pointer.get("entry")))

    def _open(self, entry: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]] | None:
        meta = _read_json(entry / "meta.json")
        if meta is None or meta.get("version") != VERSION:
            return None
        arrays = {}
        try:
            for name, (size, expected) in meta["files"].items():
                file = entry / name
                if file.stat().st_size != size or _print_of(file) != expected:
                    return None
                arrays[file.stem] = np.load(file, mmap_mode="r" if size > 0 else None)
        except (OSError, ValueError, KeyError):
            return None
        with suppress(OSError):  # a cache that may only be read still serves
            os.utime(entry)
        return meta, arrays

    def _tidy(self, current: Path) -> None:
        """Remove what was abandoned half-way and, above `MOST_BYTES`, the entries used longest ago."""
        kept = []
        for path in self.folder.iterdir():
            try:
                age = time.time() - path.stat().st_mtime
                if path.name.startswith(".") and age > _ABANDONED:
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
                elif path.is_dir() and not path.name.startswith("."):
                    kept.append((age, path, sum(file.stat().st_size for file in path.iterdir())))
            except OSError:  # another process was faster
                continue
        total = sum(size for _, _, size in kept)
        for age, path, size in sorted(kept, reverse=True):
            if total <= MOST_BYTES or path == current or age < _ABANDONED:
                break
            shutil.rmtree(path, ignore_errors=True)
            total -= size


def _print_of(file: Path) -> str:
    """SHA-256 of the first and last MiB of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        digest.update(opened.read(_SAMPLE))
        opened.seek(max(file.stat().st_size - _SAMPLE, 0))
        digest.update(opened.read(_SAMPLE))
    return digest.hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content)
    sealed = json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "content": text})
    new = path.with_name(f".{path.name}-{os.getpid()}-{uuid.uuid4().hex[:8]}")
    with new.open("w", encoding="utf-8") as file:
        file.write(sealed)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _read_json(path: Path) -> dict[str, Any] | None:
    """The content that `_write_json` wrote, or None where it is missing or not as written."""
    try:
        sealed = json.loads(path.read_text(encoding="utf-8"))
        if hashlib.sha256(sealed["content"].encode()).hexdigest() != sealed["sha256"]:
            return None
        content: dict[str, Any] = json.loads(sealed["content"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return content
