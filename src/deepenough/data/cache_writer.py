"""Look at every image of a source once, on all cores, into memory-mapped files."""

from __future__ import annotations

import errno
import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.typing import NDArray
from PIL import Image

from deepenough.data.decode import SMALLEST_SIDE, Decoded, decode_image, header
from deepenough.data.descriptors import THUMB, is_flat
from deepenough.data.duplicates import SMALLEST_REGISTERED, thumbnail
from deepenough.data.finding import Finding, ImageError
from deepenough.data.sixteen_bits import FULL_RANGE, Histogram, Levels, common_levels
from deepenough.data.sources.base import Raw, Source
from deepenough.data.split import TEST
from deepenough.data.unusable import none_usable
from deepenough.full_disk import FULL
from deepenough.machine import cores
from deepenough.preprocessing import Preprocessing

Progress = Callable[[float, float, str], None]

ROW = np.dtype(
    [
        ("usable", "?"),
        ("height", "<u4"),
        ("width", "<u4"),
        ("content", "<u8", 4),  # SHA-256 of the bytes
        ("picture", "<u8", 2),  # half a SHA-256 of the decoded pixels of small and of flat pictures; else zeros
        ("sums", "<i8", (2, 3)),  # of the pixels and their squares, per channel
    ]
)

NATIVE_SIDE = 64
"""Pictures that all have one size, with no side above this (pixels), are not resampled."""

PHOTO_SIDE = 64
"""The side (pixels) that other pictures are brought to, unless another is asked for."""

_CHUNK = 32
_COUNTING = Lock()  # of values of 16 bits, by threads
_NO_PICTURE = Image.new("L", (1, 1))
_MOMENTS = np.stack([np.arange(256), np.arange(256) ** 2])


@dataclass
class Filled:
    """Everything seen of the images: `table` (n,) of ROW, `pixels` uint8 (n, H, W, C) or None where they are not kept,
    `thumbs` uint8 (n, 32, 32, 3), all in files; `problems` by row. Rows with a problem hold zeros and are not usable.

    `levels`: the values that became 0 and 255 in the images of 16 bits; None where there is none. Their smallest and
    largest values are `extremes`, by row; `histogram` counts all values but those of test images. `remarks` of decoders
    by row.
    """

    table: NDArray[Any]
    pixels: NDArray[np.uint8] | None
    thumbs: NDArray[np.uint8]
    problems: dict[int, ImageError] = field(default_factory=dict)
    extremes: dict[int, Levels] = field(default_factory=dict)
    remarks: dict[int, tuple[str, ...]] = field(default_factory=dict)
    levels: Levels | None = None
    histogram: Histogram = field(default_factory=Histogram)

    def findings(self, source: Source) -> list[Finding]:
        """Findings about images that are used."""
        found = [
            Finding("imperfect", source.names[row], "; ".join(remarks), "kept")
            for row, remarks in sorted(self.remarks.items())
        ]
        if self.levels is not None:
            smallest, largest = zip(*self.extremes.values(), strict=True)
            count = "1 image has" if len(self.extremes) == 1 else f"{len(self.extremes):,} images have"
            detail = f"{count} values of 16 bits, from {min(smallest):,} to {max(largest):,}"
            action = f"{self.levels[0]:,} to {self.levels[1]:,} became 0 to 255"
            if clipped := self.histogram.beyond(self.levels) if self.histogram else 0:
                values = f"{clipped:,} values" if clipped > 1 else "1 value"
                action += (
                    f", and {values} beyond ({clipped / self.histogram.counts.sum():.2g} of all) the same as these"
                )
            found.append(Finding("more-than-8-bits", source.names[min(self.extremes)], detail, action))
        return found


def threads() -> int:
    """Count the threads that decode: one for each core that this process may use."""
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

    for done, _, results in _in_order(source, look, range(len(source))):
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
        raise none_usable(source)
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
                if error.errno in (*FULL, errno.EFBIG):  # else this file system takes no room beforehand
                    raise
    return array


def fill(
    source: Source, framing: Preprocessing, channels: int, folder: Path, progress: Progress | None, keep: bool = True
) -> Filled:
    """Decode all images of `source` into files in `folder`; with `keep` their pixels too.

    Where `framing` has no levels, those of the images of 16 bits are found, test images aside, and these images are
    decoded once more if need be.
    """
    count = len(source)
    filled = Filled(
        new_array(folder / "table.npy", ROW, (count,)),
        new_array(folder / "decoded.npy", np.uint8, (count, *framing.size, channels)) if keep else None,
        new_array(folder / "thumbs.npy", np.uint8, (count, THUMB, THUMB, 3)),
    )
    _look_at(source, framing, channels, filled, range(count), progress)
    if filled.extremes:
        filled.levels = framing.levels or common_levels(filled.histogram)
        if filled.levels != (framing.levels or FULL_RANGE):
            _look_at(
                source, replace(framing, levels=filled.levels), channels, filled, sorted(filled.extremes), progress
            )
    return filled


def _look_at(
    source: Source,
    framing: Preprocessing,
    channels: int,
    filled: Filled,
    rows: Sequence[int],
    progress: Progress | None,
) -> None:
    """Decode the images of these rows, in ascending order, and write down what is seen."""

    def examine(raw: Raw | Exception, row: int) -> Decoded | ImageError:
        try:
            if isinstance(raw, ImageError):
                raise raw
            if isinstance(raw, FileNotFoundError):
                raise ImageError("missing", "there is no such file")
            if isinstance(raw, Exception):
                raise ImageError("damaged", f"it cannot be read ({getattr(raw, 'strerror', None) or raw})")
            found = _examine(raw, row, filled, framing, channels)
            if found.histogram and filled.levels is None:  # they have not been counted yet
                filled.extremes[row] = found.histogram.extremes
                if source.splits[row] != TEST:
                    with _COUNTING:
                        filled.histogram.add(found.histogram.counts)
            return found._replace(picture=_NO_PICTURE, histogram=Histogram())
        except ImageError as problem:
            filled.table["usable"][row] = False
            return problem

    for done, part, results in _in_order(source, examine, rows):
        for row, seen in zip(part, results, strict=True):
            if isinstance(seen, ImageError):
                filled.problems[row] = seen
                continue
            if seen.remarks:
                filled.remarks[row] = seen.remarks
        if progress is not None:
            progress(done, len(rows), "reading images")


def _examine(raw: Raw, row: int, filled: Filled, framing: Preprocessing, channels: int) -> Decoded:
    """Decode one image and write what is seen to its row; what was seen."""
    entry: Any = filled.table[row]
    entry["content"] = np.frombuffer(hashlib.sha256(raw).digest() if isinstance(raw, bytes) else _digest(raw), "<u8")
    decoded = decode_image(raw, framing.reading_side, framing.levels)
    picture = decoded.picture
    entry["height"], entry["width"] = picture.height, picture.width
    framed = framing.frame_picture(picture, channels)
    if filled.pixels is not None:
        filled.pixels[row] = np.asarray(framed).reshape(*framing.size, channels)
    # By how often each value occurs, which Pillow counts ten times as fast as numpy adds.
    entry["sums"][:, :channels] = _MOMENTS @ np.fromiter(framed.histogram(), np.int64).reshape(channels, 256).T
    thumb = thumbnail(picture)
    filled.thumbs[row] = thumb
    entry["picture"] = 0
    if min(picture.size) < SMALLEST_REGISTERED or is_flat(thumb):  # hashing photos would take a tenth of the time
        entry["picture"] = np.frombuffer(_digest(_one_channel_if_grey(np.asarray(picture)))[:16], "<u8")
    entry["usable"] = True
    return decoded


def _one_channel_if_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same for a grey picture, (H, W) or (H, W, 3): (H, W)."""
    if pixels.ndim == 3 and (pixels == pixels[:, :, :1]).all():
        return pixels[:, :, 0]
    return pixels


def _digest(pixels: NDArray[np.uint8]) -> bytes:
    """SHA-256 of shape and pixels."""
    seen = hashlib.sha256(str(pixels.shape).encode())
    seen.update(np.ascontiguousarray(pixels).data)
    return seen.digest()


def _in_order(
    source: Source, work: Callable[[Raw | Exception, int], Any], rows: Sequence[int]
) -> Iterator[tuple[int, Sequence[int], list[Any]]]:
    """Apply `work` to (image, row) on threads; yields (number done, rows, results), a bounded number at once."""

    def read(row: int) -> Raw | Exception:
        try:
            return source.read(row)
        except (OSError, ImageError) as error:
            return error

    def run(part: Sequence[int], raws: list[Raw | Exception] | None) -> list[Any]:
        return [work(read(row) if raws is None else raws[place], row) for place, row in enumerate(part)]

    workers, done = threads(), 0
    waiting: deque[tuple[Sequence[int], Future[list[Any]]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for start in range(0, len(rows), _CHUNK):
                part = rows[start : start + _CHUNK]
                raws = [read(row) for row in part] if source.sequential else None
                waiting.append((part, pool.submit(run, part, raws)))
                if len(waiting) > 2 * workers:
                    part, future = waiting.popleft()
                    done += len(part)
                    yield done, part, future.result()
            while waiting:
                part, future = waiting.popleft()
                done += len(part)
                yield done, part, future.result()
        finally:
            pool.shutdown(cancel_futures=True)
