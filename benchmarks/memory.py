"""Does memory grow with the data set? Peak anonymous memory of preparing, and then reading, generated images.

    python benchmarks/memory.py [--counts 10000 100000]

Writes that many small JPEG files (72 x 72, so that all duplicate checks run) to a temporary folder, and in fresh
processes checks, decodes and caches them, then reads 200 random batches of 128 into
float tensors, as training does; then once more with the cache filled.
Anonymous memory is `RssAnon` of /proc, sampled every 10 ms from outside; pages of mapped files belong to the system,
which takes them back when it needs them.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

CHILD = """
import sys
import numpy as np
import torch
from deepenough.data.images import prepare
from deepenough.data.sources import open_source
images = prepare(open_source(sys.argv[1]), cache=sys.argv[2])
random, total = np.random.default_rng(0), 0.0
for _ in range(200):
    rows = images.split.train[random.integers(0, len(images.split.train), 128)]
    total += float(torch.from_numpy(images.pixels[rows]).permute(0, 3, 1, 2).float().div(255).mean())
print(len(images), images.pixels.shape[1:], len(images.findings))
"""


def generate(root: Path, count: int) -> None:
    """`count` photos-to-be in ten class folders: coarse noise, each different."""
    random = np.random.default_rng(count)
    for name in range(10):
        (root / f"class{name}").mkdir(parents=True)
    for number in range(count):
        coarse = Image.fromarray(random.integers(0, 256, (9, 9, 3), dtype=np.uint8))
        file = io.BytesIO()
        coarse.resize((72, 72), Image.Resampling.BILINEAR).save(file, "JPEG", quality=70)
        (root / f"class{number % 10}" / f"image-{number:07}.jpg").write_bytes(file.getvalue())


def peak(root: Path, cache: Path) -> tuple[float, float, str]:
    """Peak anonymous memory (MiB), seconds, and what the process printed."""
    start, most = time.perf_counter(), 0
    process = subprocess.Popen([sys.executable, "-c", CHILD, root, cache], stdout=subprocess.PIPE, text=True)
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        for line in status.read_text().splitlines():
            if line.startswith("RssAnon:"):
                most = max(most, int(line.split()[1]))
        time.sleep(0.01)
    if process.returncode:
        raise SystemExit(f"the measured process failed with status {process.returncode}")
    assert process.stdout is not None
    return most / 1024, time.perf_counter() - start, process.stdout.read().strip()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000])
    counts = parser.parse_args().counts
    peaks: dict[str, list[float]] = {"first run": [], "second run": []}
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder) / "images", count)
            for run, seen in peaks.items():
                memory, seconds, printed = peak(Path(folder) / "images", Path(folder) / "cache")
                seen.append(memory)
                print(
                    f"{count:>8,} images, {run}: {memory:6.1f} MiB anonymous, {seconds:5.1f} s ({printed})", flush=True
                )
    for run, seen in peaks.items():
        print(f"{run}: {counts[-1]:,} images take {seen[-1] / seen[0]:.3f} times the memory of {counts[0]:,}")


if __name__ == "__main__":
    main()
