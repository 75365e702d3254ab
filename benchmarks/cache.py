"""The time that checking the cache adds to the first epoch: all images in batches at random, with and without it.

    python benchmarks/cache.py [--gigabytes 1] [--rounds 5]

Images of 64x64 as a file of the cache has them, read as a training reads them (`Feed`'s order, batches of 128) and
scaled, but not trained on: what is added is the same, what it is added to is the least that there can be. Both are
timed in turn, in seconds of processor time, since other programs must not count; first with the file in memory, then
with the file out of it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from deepenough.data.cached_pixels import CachedPixels, checksums
from deepenough.training.feed import batches

SHAPE = (64, 64, 3)
BATCH = 128


def written(folder: Path, count: int) -> Path:
    """A .npy file of `count` images of noise."""
    file = folder / "pixels.npy"
    pixels = np.lib.format.open_memmap(file, "w+", np.uint8, (count, *SHAPE))
    draw = np.random.default_rng(0)
    for start in range(0, count, 1000):
        pixels[start : start + 1000] = draw.integers(0, 256, (min(1000, count - start), *SHAPE), dtype=np.uint8)
    pixels.flush()
    return file


def epoch(pixels: object, count: int, number: int) -> float:
    """Seconds of processor time of reading all images once, as float32 in 0..1."""
    start = time.process_time()
    for index in batches(np.arange(count), BATCH, seed=0, epoch=number):
        torch.from_numpy(np.ascontiguousarray(pixels[index])).to(torch.float32).div_(255.0)  # type: ignore[index]
    return time.process_time() - start


def dropped(file: Path) -> None:
    """Have the system forget what it holds of a file."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    count = int(asked.gigabytes * 1e9) // int(np.prod(SHAPE))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        file = written(Path(folder), count)
        shape = (count, *SHAPE)
        clock = time.process_time()
        sums = checksums(np.load(file, mmap_mode="r"))
        print(f"{count:,} images, {count * int(np.prod(SHAPE)) / 1e9:.2f} GB, {os.cpu_count()} processors")
        print(f"checksums as the cache is filled: {time.process_time() - clock:.2f} s")
        for where in ("in memory", "on disk"):
            times: dict[str, list[float]] = {"unchecked": [], "checked": [], "checked, next epoch": []}
            for number in range(asked.rounds):
                if where == "on disk":
                    dropped(file)
                times["unchecked"].append(epoch(np.asarray(np.load(file, mmap_mode="r")), count, number))
                if where == "on disk":
                    dropped(file)
                pixels = CachedPixels(file, shape, sums, lambda rows: np.empty(0, np.uint8))
                times["checked"].append(epoch(pixels, count, number))
                if where == "in memory":
                    times["checked, next epoch"].append(epoch(pixels, count, number))
            for what, seconds in times.items():
                if seconds:
                    print(f"{where}, {what}: median {statistics.median(seconds):.2f} s ({min(seconds):.2f} best)")


if __name__ == "__main__":
    main()
