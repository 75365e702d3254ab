"""Seconds of training from scratch until a test accuracy is reached, against other tools.

    python benchmarks/time_to_accuracy.py fashion-mnist --targets 0.90 0.92 [--seeds 3] [--cap 600]
    python benchmarks/time_to_accuracy.py ../shared/data/cifar10 --targets 0.80

Ours: the networks and epochs given as `--ours FAMILY-DEPTH-WIDTH-EPOCHS`, by the recipe that `fit` would take, with all
that a training does. Against Keras' own MNIST convnet example, fastai's `xresnet18` in one cycle of five epochs, and
Ultralytics' `yolo11n-cls` from scratch, each where it is installed. The training images are all but the test images;
accuracy is that of the test images after each epoch. Seconds are those of the epochs; what judging takes is left out
for the others, and counted for ours. A contender is stopped at the last target, or after `--cap` seconds of epochs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from deepenough.data.images import prepare
from deepenough.data.sources import open_source

WORKER = Path(__file__).with_name("time_to_accuracy_worker.py")
NEEDS = {"keras": "keras", "fastai": "fastai", "ultralytics": "ultralytics"}


def reached(contender: str, arrays: Path, seed: int, targets: list[float], cap: float) -> tuple[list[float], float]:
    """Seconds until each target, infinite where it was not reached, and the best accuracy seen."""
    seconds = [float("inf")] * len(targets)
    best = 0.0
    words = [sys.executable, str(WORKER), contender, str(arrays), str(seed)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        for line in process.stdout or ():
            if not line.startswith('{"seconds"'):
                continue
            point = json.loads(line)
            best = max(best, point["top1"])
            seconds = [
                min(s, point["seconds"]) if point["top1"] >= target else s
                for s, target in zip(seconds, targets, strict=True)
            ]
            if max(seconds) < float("inf") or point["seconds"] > cap:
                process.kill()
    return seconds, best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--targets", type=float, nargs="+", required=True)
    parser.add_argument("--ours", nargs="*", default=[])
    parser.add_argument("--against", nargs="*", default=list(NEEDS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cap", type=float, default=600.0)
    given = parser.parse_args()
    others = [kind for kind in given.against if find_spec(NEEDS[kind])]
    heads = " | ".join(f"{target:.0%}" for target in given.targets)
    print(f"| contender | {heads} | best seen |\n|{'---|' * (len(given.targets) + 2)}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        images = prepare(open_source(given.data))
        train = np.concatenate([images.split.train, images.split.validation])
        test = images.split.test
        arrays = Path(folder) / "arrays.npz"
        np.savez(
            arrays, data=given.data, x=images.pixels[train], y=images.labels[train], tx=images.pixels[test],
            ty=images.labels[test], train=train, test=test,
        )  # fmt: skip
        for contender in [*(f"ours:{each}" for each in given.ours), *others]:
            runs = [reached(contender, arrays, seed, given.targets, given.cap) for seed in range(given.seeds)]
            cells = []
            for which in range(len(given.targets)):
                taken = [seconds[which] for seconds, _ in runs]
                spread = f" ({min(taken):.0f} to {max(taken):.0f})" if len(taken) > 1 else ""
                cells.append(f"{statistics.median(taken):.0f} s{spread}")
            tops = statistics.median(best for _, best in runs)
            print(f"| {contender} | {' | '.join(cells)} | {tops:.1%} |", flush=True)


if __name__ == "__main__":
    main()
