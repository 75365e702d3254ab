"""One process against two on the same batch, each with one thread: how much of the second one's work is gained?

    python benchmarks/scaling.py [DATA] [--depth 19] [--width 1] [--batch 128] [--epochs 1] [--limit 4000]
                                 [--rounds 5]

Trains the same residual network to the same weights with one process and with two (gloo, as torchrun starts them), in
turns, and prints the median images a second of its training steps and the efficiency: the rate of two over twice the
rate of one. Where the system can, each process is kept on a core of its own, or one alone would prepare its batches
on the core that two have to share.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

WORK = """
import json, os, sys
import numpy as np, torch
from deepenough.data.images import prepare
from deepenough.data.sources import open_source
from deepenough.nets import FAMILIES
from deepenough.training.memory import keep_freed_memory
from deepenough.training.process_group import ALONE
from deepenough.training.recipe import Recipe
from deepenough.training.spec import TrainingSpec
from deepenough.training.train import train
from deepenough.training.perform import perform
from deepenough.distribution.torchrun import join_group, launched

keep_freed_memory()
torch.set_num_threads(1)
if hasattr(os, "sched_setaffinity"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(os.environ.get("RANK", "0")) % len(cores)]})
data, depth, width, batch, epochs, limit, folder = json.loads(sys.argv[1])
images = prepare(open_source(data))
rule = FAMILIES["residual"]
shape = images.preprocess.shape
network = rule.network(input=shape, classes=len(images.classes), depth=depth, width=width)
recipe = Recipe(epochs=epochs, batch=batch, lr=0.1, device="cpu")
rows = images.split.train[:limit]

def lead(group):
    made = train(TrainingSpec(network, recipe, rows, np.empty(0, np.int64), seed=0), images, folder, group=group)
    print(json.dumps(made.epochs * len(rows) / made.seconds))

from pathlib import Path
folder = Path(folder)
if launched():
    with join_group(torch.device("cpu")) as group:
        if group.is_leader:
            lead(group)
        else:
            perform(group.broadcast_task(None), images, group)
else:
    lead(ALONE)
"""


def rate(size: int, given: list[object]) -> float:
    """Training images a second with so many processes."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        common = {**os.environ, "OMP_NUM_THREADS": "1"}
        if size > 1:
            common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(size)}
        command = [sys.executable, "-c", WORK, json.dumps([*given, str(Path(folder) / "run")])]
        processes = [
            subprocess.Popen(command, env={**common, "RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
            for rank in range(size)
        ]
        answers = [process.communicate()[0] for process in processes]
    return float(json.loads(answers[0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", default="digits")
    parser.add_argument("--depth", type=int, default=19)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--limit", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    asked = [given.data, given.depth, given.width, given.batch, given.epochs, given.limit]
    seen: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(given.rounds):
        for size, rates in seen.items():
            rates.append(rate(size, asked))
            print(f"{size} processes: {rates[-1]:,.0f} images/s", flush=True)
    one, two = (statistics.median(rates) for rates in seen.values())
    print(f"efficiency {100 * two / (2 * one):.0f}%: {one:,.0f} and {two:,.0f} images/s")


if __name__ == "__main__":
    main()
