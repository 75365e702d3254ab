"""One process against two on the same batch, each with one thread: how much of the second one's work is gained?

    python benchmarks/scaling.py [DATA] [--depth 19] [--width 1] [--batch 128] [--epochs 1] [--limit 4000]
                                 [--rounds 5] [--ddp]

Trains the same residual network to the same weights with one process and with two (gloo, as torchrun starts them), in
turns, and prints the median images a second of its training steps and the efficiency: the rate of two over twice the
rate of one. Where the system can, each process is kept on a core of its own, or one alone would prepare its batches
on the core that two have to share. `--ddp`: the same network in torch's DistributedDataParallel and a plain loop beside
it, in the same turns.
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

WORKER = Path(__file__).with_name("scaling_worker.py")


def rate(kind: str, size: int, given: dict[str, object]) -> float:
    """Training images a second with so many processes of the worker's kind, `ours` or `ddp`."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        common = {**os.environ, "OMP_NUM_THREADS": "1"}
        if size > 1:
            common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(size)}
        command = [sys.executable, str(WORKER), kind, json.dumps(given), str(Path(folder) / "run")]
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
    parser.add_argument("--ddp", action="store_true")
    asked = vars(parser.parse_args())
    rounds, kinds = asked.pop("rounds"), ("ours", "ddp") if asked.pop("ddp") else ("ours",)
    seen: dict[tuple[str, int], list[float]] = {(kind, size): [] for kind in kinds for size in (1, 2)}
    for _ in range(rounds):
        for (kind, size), rates in seen.items():
            rates.append(rate(kind, size, asked))
            print(f"{kind}, {size} processes: {rates[-1]:,.0f} images/s", flush=True)
    for kind in kinds:
        one, two = (statistics.median(seen[kind, size]) for size in (1, 2))
        print(f"{kind}: efficiency {100 * two / (2 * one):.0f}%, {one:,.0f} and {two:,.0f} images/s")


if __name__ == "__main__":
    main()
