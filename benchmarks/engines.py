"""Milliseconds an image of the engines that compute a model: torch, ONNX Runtime, OpenVINO.

    OMP_NUM_THREADS=1 python benchmarks/engines.py digits|RUN... [--batches 1 16] [--rounds 7]

`digits` stands for a network of depth 7 for 8x8 digits, untrained. The engines take turns; what is printed are the
least and the median of the rounds on the clock, the least of processor time, how many times torch's speed that is, and
how far the logits are from torch's, relative to the largest.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deepenough import load
from deepenough.engines import GRAPH_ENGINES, TORCH
from deepenough.engines.choose import PACKAGES
from deepenough.engines.engine import Engine, thread_count
from deepenough.engines.proof import proof_pixels
from deepenough.frameworks.target import absent
from deepenough.model import save_model
from deepenough.nets.build import build
from deepenough.nets.families import FAMILIES
from deepenough.preprocessing import Preprocessing

ROUND = 0.1  # seconds, at least, of an engine


def write_digits(folder: Path) -> Path:
    """A model folder with a network for digits."""
    network = FAMILIES["residual"].network((1, 8, 8), 10, depth=7)
    save_model(folder, network, build(network).state_dict(), Preprocessing.untrained((1, 8, 8)), list("0123456789"))
    return folder


def timed(engine: Engine, pixels: npt.NDArray[np.uint8]) -> tuple[float, float]:
    """Milliseconds an image: on the clock, and of processor time."""
    began, used, images = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < ROUND:
        engine.logits(pixels)
        images += len(pixels)
    return 1000 * (time.perf_counter() - began) / images, 1000 * (time.process_time() - used) / images


def measure(name: str, folder: Path, batches: list[int], rounds: int) -> None:
    """Print a row for each engine and batch."""
    there = [each for each in GRAPH_ENGINES if not absent(PACKAGES[each])]
    models = [load(folder, engine=each) for each in (TORCH, *there)]
    engines = [model.engine for model in models]
    preprocess = models[0].preprocess
    for batch in batches:
        pixels = np.resize(proof_pixels(preprocess), (batch, *preprocess.size, preprocess.channels))
        wanted = engines[0].logits(pixels)
        times: list[list[tuple[float, float]]] = [[] for _ in engines]
        for _ in range(rounds):
            for kept, engine in zip(times, engines, strict=True):
                kept.append(timed(engine, pixels))
        best = min(used for _, used in times[0])
        for kept, engine in zip(times, engines, strict=True):
            passed, used = zip(*kept, strict=True)
            away = np.abs(engine.logits(pixels) - wanted).max() / np.abs(wanted).max()
            print(
                f"| {name} | {batch} | {engine.title} | {min(passed):.3g} | {statistics.median(passed):.3g} "
                f"| {min(used):.3g} | {best / min(used):.1f} | {away:.0e} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    print(f"{thread_count()} threads, load {os.getloadavg()[0]:.1f}")
    print("| network | batch | engine | ms an image, least | median | processor | times torch | difference |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        for name in given.models:
            digits = name == "digits" and not Path(name).exists()
            folder = write_digits(Path(temporary) / "digits") if digits else Path(name)
            measure(folder.name, folder, given.batches, given.rounds)
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
