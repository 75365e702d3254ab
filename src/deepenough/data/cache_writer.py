"""Look at every image of a source once, on all cores, into memory-mapped files."""

from __future__ import annotations

import errno
import hashlib
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from PIL import Image

from deepenough.data.decode import SMALLEST_SIDE, header, upright
from deepenough.data.duplicates import SMALLEST_COMPARED, THUMB, perceptual_hash, thumbnail
from deepenough.data.finding import ImageError
from deepenough.data.sources.base import Raw, Source
from deepenough.errors import DeepenoughError
from deepenough.machine import cores
from deepenough.preprocessing import Preprocessing

Progress = Callable[[float, float, str], None]

ROW = np.dtype(
    [
        ("usable", "?"),
        ("height", "<u4"),
        ("width", "<u4"),
        ("content", "<u8", 4),  # SHA-256 of the bytes
        ("hash", "<u8"),  # perceptual; 0 for none
        ("picture", "<u8", 2),  # half a SHA-256 of the decoded pixels, where there is no perceptual one; else zeros
        ("sums", "<i8", (2, 3)),  # of the pixels and their squares, per channel
    ]
)

FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}  # what a disk without room says

NATIVE_SIDE = 64
"""Pictures that all have one size, with no side above this (pixels), are not resampled."""

PHOTO_SIDE = 64
"""The side (pixels) that other pictures are brought to, unless another is asked for."""

_CHUNK = 32
_VALUES = np.arange(256)


@dataclass
class Filled:
    """What was seen: `table` (n,) of ROW, `pixels` uint8 (n, H, W, C) or None where they are not kept, `thumbs` uint8
    (n, 32, 32, 3), all in files; `problems` by row. Rows with a problem hold zeros and are not usable."""

    table: NDArray[Any]
    pixels: NDArray[np.uint8] | None
    thumbs: NDArray[np.uint8]
    problems: dict[int, ImageError]


def threads() -> int:
    """How many threads decode: one for each core that this process may use."""
    return min(cores(), 16)


def survey(source: Source, progress: Progress | None = None) -> tuple[tuple[int, int], int]:
    """(H, W) and channels by the headers of the images; stops as soon as both are settled."""
    sizes: set[tuple[int, int]] = set()
    grey, readable = True, 0

    def look(raw: Raw | Exception, row: int) -> tuple[int, int, bool] | None:
        try:
            if isinstance(raw, Exception):
                return None
            found = header(raw)
        except ImageError:
            return None
        return found if min(found[:2]) >= SMALLEST_SIDE else None

    for done, _, results in _in_order(source, look):
        for result in results:
            if result is not None:
                readable += 1
                sizes.add(result[:2])
                grey &= result[2]
        if progress is not None:
            progress(done, len(source), "looking at sizes")
        if not grey and (len(sizes) > 1 or max(max(size, default=0) for size in sizes) > NATIVE_SIDE):
            break
    if not readable:
        raise DeepenoughError(f"{source.name}: none of its {len(source):,} files is an image that can be read")
    return default_size(sizes), 1 if grey else 3


def default_size(sizes: set[tuple[int, int]]) -> tuple[int, int]:
    """(H, W) for pictures of these sizes: their own when they share one small size, else 64 x 64."""
    if len(sizes) == 1:
        (size,) = sizes
        if max(size) <= NATIVE_SIDE:
            return size
    return PHOTO_SIDE, PHOTO_SIDE


def new_array(path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """A memory-mapped array in a new file, whose room on the disk is taken at once.

    A full disk is an OSError here; writing to a map without room behind it would end the process with a signal.
    """
    array: NDArray[Any] = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            try:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
            except OSError as error:
                if error.errno in FULL:  # else this file system takes no room beforehand
                    raise
    return array


def fill(
    source: Source, framing: Preprocessing, channels: int, folder: Path, progress: Progress | None, keep: bool = True
) -> Filled:
    """Decode all images of `source` into files in `folder`; with `keep` their pixels too."""
    count = len(source)
    filled = Filled(
        new_array(folder / "table.npy", ROW, (count,)),
        new_array(folder / "decoded.npy", np.uint8, (count, *framing.size, channels)) if keep else None,
        new_array(folder / "thumbs.npy", np.uint8, (count, THUMB, THUMB, 3)),
        {},
    )

    def examine(raw: Raw | Exception, row: int) -> ImageError | None:
        try:
            if isinstance(raw, ImageError):
                raise raw
            if isinstance(raw, FileNotFoundError):
                raise ImageError("missing", "there is no such file")
            if isinstance(raw, Exception):
                raise ImageError("damaged", f"it cannot be read ({getattr(raw, 'strerror', None) or raw})")
            _examine(raw, row, filled, framing, channels)
        except ImageError as problem:
            filled.table["usable"][row] = False
            return problem
        return None

    for done, rows, results in _in_order(source, examine):
        for row, problem in zip(rows, results, strict=True):
            if problem is not None:
                filled.problems[row] = problem
        if progress is not None:
            progress(done, count, "reading images")
    return filled


def _examine(raw: Raw, row: int, filled: Filled, framing: Preprocessing, channels: int) -> None:
    entry: Any = filled.table[row]
    entry["content"] = np.frombuffer(hashlib.sha256(raw).digest() if isinstance(raw, bytes) else _digest(raw), "<u8")
    picture = upright(raw, framing.reading_side)
    entry["height"], entry["width"] = picture.height, picture.width
    pixels = framing.frame(picture, channels)
    if filled.pixels is not None:
        filled.pixels[row] = pixels
    # By how often each value occurs, which Pillow counts ten times as fast as numpy adds.
    counts = np.reshape(Image.fromarray(pixels.squeeze()).histogram(), (channels, 256))
    entry["sums"][:, :channels] = (counts @ _VALUES, counts @ _VALUES**2)
    if min(picture.size) >= SMALLEST_COMPARED:
        thumb = thumbnail(picture)
        filled.thumbs[row] = thumb
        entry["hash"] = perceptual_hash(thumb)
    if not entry["hash"]:  # small or flat: all pixels decide; hashing those of photos would take a tenth of the time
        entry["picture"] = np.frombuffer(_digest(np.asarray(picture))[:16], "<u8")
    entry["usable"] = True


def _digest(pixels: NDArray[np.uint8]) -> bytes:
    """SHA-256 of shape and pixels."""
    seen = hashlib.sha256(str(pixels.shape).encode())
    seen.update(np.ascontiguousarray(pixels).data)
    return seen.digest()


def _in_order(source: Source, work: Callable[[Raw | Exception, int], Any]) -> Iterator[tuple[int, range, list[Any]]]:
    """Apply `work` to (image, row) on threads; yields (rows done, rows, results), a bounded number being under way."""

    def read(row: int) -> Raw | Exception:
        try:
            return source.read(row)
        except (OSError, ImageError) as error:
            return error

    def run(rows: range, raws: list[Raw | Exception] | None) -> list[Any]:
        return [work(read(row) if raws is None else raws[row - rows.start], row) for row in rows]

    workers = threads()
    waiting: deque[tuple[range, Future[list[Any]]]] = deque()
    with _bombs_are_quiet(), ThreadPoolExecutor(workers) as pool:
        try:
            for start in range(0, len(source), _CHUNK):
                rows = range(start, min(start + _CHUNK, len(source)))
                raws = [read(row) for row in rows] if source.sequential else None
                waiting.append((rows, pool.submit(run, rows, raws)))
                if len(waiting) > 2 * workers:
                    rows, future = waiting.popleft()
                    yield rows.stop, rows, future.result()
            while waiting:
                rows, future = waiting.popleft()
                yield rows.stop, rows, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def _bombs_are_quiet() -> Iterator[None]:
    """Pillow's warning about bombs is a finding here, and need not be printed as well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield
