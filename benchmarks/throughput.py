"""Training images a second: deepenough against torchvision, timm, Keras and Paddle, turn by turn.

    python benchmarks/throughput.py [NETWORK ...] [--batch 16] [--rounds 5] [--seconds 3] [--only ours,keras,...]

A NETWORK is one of the zoo, at 224x224, or one of a family as `residual-19`, at 32x32; without any, the eight of
before 2016. Every contender is a process of its own that stays while the others have their turns; figures are medians
over the steps of all rounds. torchvision, timm and the same module as ours (`plain`) in a plain loop, with and without
channels-last and compilation; Keras and Paddle as in `deepenough compare`. Contenders that are not installed are left
out. A last column says what share of the float32 matrix-product rate of the same run a step of ours reaches (6
operations a multiply-accumulate and image).
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from deepenough.compare.comparison import write_exports
from deepenough.compare.frameworks import FRAMEWORKS
from deepenough.compare.results import FrameworkResult
from deepenough.nets import macs
from deepenough.nets.choose import choose_network
from deepenough.nets.serialization import dumps
from deepenough.progress import Reporter
from deepenough.runtimes.worker import Worker, WorkerError, random_batch
from product import product

EIGHT = ("alexnet", "vgg16", "vgg19", "googlenet", "resnet34", "resnet50", "resnet101", "resnet152")
WORKER = str(Path(__file__).with_name("throughput_worker.py").resolve())
SINCE_2016 = ("mobilenetv3_large_100", "efficientnet_b0", "convnext_tiny")
THEIRS = {
    "torchvision": {**{name: name for name in (*EIGHT, *SINCE_2016)}, "mobilenetv3_large_100": "mobilenet_v3_large"},
    "timm": {name: name for name in (*EIGHT[1:3], *EIGHT[4:], *SINCE_2016)},
}
"""Networks by our names, with those of the other libraries."""
ELSEWHERE = ("Keras, TensorFlow", "PaddlePaddle")


def wanted(label: str, only: set[str]) -> bool:
    """Whether a contender is to take part: all, or those whose names begin with a word of `only`."""
    return not only or label.lower().startswith(tuple(only))


def own(name: str) -> list[str]:
    """Contenders of this benchmark's own that are here and have the network."""
    there = {
        "ours": True,
        "plain": True,
        **{library: find_spec(library) is not None and name in names for library, names in THEIRS.items()},
    }
    return [kind for kind, is_there in there.items() if is_there]


def measure(name: str, batch: int, rounds: int, seconds: float, only: set[str], shape: Any) -> None:
    family, _, depth = name.partition("-")
    network = choose_network(family, depth=int(depth)) if depth else choose_network(name, shape=shape)
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        chosen = [kind for kind in own(name) if wanted(kind, only)]
        sides = [side for side in FRAMEWORKS if side.name in ELSEWHERE and not side.missing and wanted(side.name, only)]
        write_exports(network, sides, root, {side.name: FrameworkResult(side.name) for side in sides}, 0, Reporter())
        pixels = random_batch(network, batch, 0, root / "batch.npz")
        (root / "network.json").write_text(dumps(network))
        workers = {}
        for kind in chosen:
            asked = json.dumps([THEIRS.get(kind, {}).get(name, name), str(root / "network.json"), batch])
            workers[kind] = Worker([WORKER, kind, asked], root / kind, root / f"{kind}.log", {})
        workers |= {side.name: side.start(root / side.target, root / f"{side.name}.log") for side in sides}
        taken: dict[tuple[str, str], list[float]] = {}
        products = []
        modes = [(label, mode) for label, worker in workers.items() for task, mode in worker.tasks if task == "train"]
        for turn in range(rounds + 1):
            for label, mode in list(modes):
                try:
                    command = {"task": "train", "mode": mode, "batch": pixels}
                    if turn == 0:
                        workers[label].ask(do="first", **command)
                    else:
                        found = workers[label].ask(do="time", seconds=seconds, **command)
                        taken.setdefault((label, mode), []).extend(found["taken"])
                except WorkerError as error:
                    print(f"{label}, {mode}: {error}", flush=True)
                    modes.remove((label, mode))
            products.append(product())
        for worker in workers.values():
            worker.close()
    rate = {key: batch / statistics.median(times) for key, times in taken.items()}
    best = max(value for (label, _), value in rate.items() if label == "ours")
    print(f"\n{name} {'x'.join(map(str, network.input))}, batch {batch}")
    for (label, mode), value in sorted(rate.items(), key=lambda item: -item[1]):
        print(f"  {value:8.1f} images/s  {label}, {mode}")
    share = 6 * macs(network) * best / statistics.median(products)
    others = [value for (label, _), value in rate.items() if label != "ours"]
    ahead = f"; {best / max(others):.2f} times the best other" if others else ""
    print(f"  ours: {100 * share:.0f}% of the matrix-product rate{ahead}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=EIGHT)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    only = {word.lower() for word in given.only.split(",") if word}
    for name in given.networks:
        shape = None if name.startswith("alexnet") else (3, 224, 224)
        measure(name, given.batch, given.rounds, given.seconds, only, shape)


if __name__ == "__main__":
    main()
