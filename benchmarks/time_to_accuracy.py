"""Seconds of training from scratch until a test accuracy is reached, against other tools.

    python benchmarks/time_to_accuracy.py fashion-mnist --targets 0.90 0.92 [--seeds 3] [--cap 600]
    python benchmarks/time_to_accuracy.py ../shared/data/cifar10 --targets 0.80
    python benchmarks/time_to_accuracy.py fashion-mnist --targets 0.92 --against --ours residual-7-1-4
        --previous OLD/src --theirs residual-7-1-7

Ours: the networks and epochs given as `--ours FAMILY-DEPTH-WIDTH-EPOCHS`, by the recipe that `fit` would take, with all
that a training does; `--theirs` the same by an earlier version of this package, whose sources `--previous` names.
Against Keras' own MNIST convnet example, a ResNet-9 in plain PyTorch with Adam in one cycle of eight epochs as
notebooks have it, fastai's `xresnet18` in one cycle of five epochs, and Ultralytics' `yolo11n-cls` from scratch, each
where it is installed. The training images are all but the test images; accuracy is that of the test images after each
epoch. Seconds are those of the epochs; what judging takes is left out for other tools, and counted for ours and theirs,
as is the search for the fastest configuration of a step. A contender is stopped at the last target, after `--cap`
seconds of epochs, or where no epoch ends within the cap and two minutes more. The contenders take turns, seed by seed.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from deepenough.data.images import prepare
from deepenough.data.sources import open_source

WORKER = Path(__file__).with_name("time_to_accuracy_worker.py")
AROUND_AN_EPOCH = 120.0  # seconds that starting a contender or judging it once may take
NEEDS = {"keras": "keras", "resnet9": "torch", "fastai": "fastai", "ultralytics": "ultralytics"}


@dataclass(frozen=True)
class Reached:
    """Seconds until each target, infinite where it was not reached, and the best accuracy that was seen."""

    seconds: list[float]
    best: float


def reached(contender: str, arrays: Path, seed: int, given: argparse.Namespace) -> Reached:
    """One training of one contender, in a process of its own."""
    seconds = [float("inf")] * len(given.targets)
    best = 0.0
    words = [sys.executable, str(WORKER), contender, str(arrays), str(seed)]
    surroundings = os.environ | ({"PYTHONPATH": given.previous} if contender.startswith("previous:") else {})
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=surroundings
    ) as process:
        late = kill_later(process, given.cap)
        for line in process.stdout or ():
            if not line.startswith('{"seconds"'):
                continue
            late.cancel()
            late = kill_later(process, given.cap)
            point = json.loads(line)
            if point["seconds"] > given.cap:
                process.kill()
                break
            best = max(best, point["top1"])
            seconds = [
                min(s, point["seconds"]) if point["top1"] >= target else s
                for s, target in zip(seconds, given.targets, strict=True)
            ]
            if max(seconds) < float("inf"):
                process.kill()
        late.cancel()
    if process.returncode not in (0, -signal.SIGKILL):
        again = shlex.join(words)
        sys.exit(f"{contender}, seed {seed}, ended with status {process.returncode}; run this to see why: {again}")
    taken = ", ".join(f"{each:.0f}" for each in seconds)
    print(f"{contender}, seed {seed}: {taken} s, best {best:.2%}", file=sys.stderr, flush=True)
    return Reached(seconds, best)


def kill_later(process: subprocess.Popen[str], cap: float) -> threading.Timer:
    """Kill a contender that takes longer than the cap and what is around an epoch, unless that is cancelled."""

    def give_up() -> None:
        print(f"no epoch ended in {cap + AROUND_AN_EPOCH:.0f} s", file=sys.stderr, flush=True)
        process.kill()

    late = threading.Timer(cap + AROUND_AN_EPOCH, give_up)
    late.daemon = True
    late.start()
    return late


def row(contender: str, runs: list[Reached], targets: int) -> str:
    """A line of the table: the median of the seeds' seconds to each target, with the least and the most."""
    cells = []
    for which in range(targets):
        taken = [run.seconds[which] for run in runs]
        spread = f" ({min(taken):.0f} to {max(taken):.0f})" if len(taken) > 1 else ""
        cells.append(f"{statistics.median(taken):.0f} s{spread}")
    tops = statistics.median(run.best for run in runs)
    return f"| {contender} | {' | '.join(cells)} | {tops:.1%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--targets", type=float, nargs="+", required=True)
    parser.add_argument("--ours", nargs="*", default=[])
    parser.add_argument("--previous", help="the folder `src` of an earlier version")
    parser.add_argument("--theirs", nargs="*", default=[], help="as --ours, trained by --previous")
    parser.add_argument("--against", nargs="*", default=list(NEEDS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--cap", type=float, default=600.0)
    given = parser.parse_args()
    if given.theirs and not given.previous:
        parser.error("--theirs needs --previous FOLDER, the sources that train them")
    contenders = [f"ours:{each}" for each in given.ours] + [f"previous:{each}" for each in given.theirs]
    for kind in given.against:
        if find_spec(NEEDS[kind]):
            contenders.append(kind)
        else:
            print(f"{kind} is left out: it is not installed", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        images = prepare(open_source(given.data))
        train = np.concatenate([images.split.train, images.split.validation])
        test = images.split.test
        arrays = Path(folder) / "arrays.npz"
        np.savez(
            arrays, data=given.data, x=images.pixels[train], y=images.labels[train], tx=images.pixels[test],
            ty=images.labels[test],
        )  # fmt: skip
        runs: dict[str, list[Reached]] = {contender: [] for contender in contenders}
        for seed in range(given.seeds):
            for contender in contenders:
                runs[contender].append(reached(contender, arrays, seed, given))
    heads = " | ".join(f"{target:.0%}" for target in given.targets)
    print(f"| contender | {heads} | best seen |\n|{'---|' * (len(given.targets) + 2)}")
    for contender in contenders:
        print(row(contender, runs[contender], len(given.targets)))


if __name__ == "__main__":
    main()
