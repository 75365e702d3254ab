"""How long commands take to start: `deepenough --help` on the clock, and the processor time of what needs torch.

    python benchmarks/startup.py [--rounds 5]

The aim for the help is under 0.3 s; for what needs torch, little more than `import torch` takes. `first step` imports
what every process of `fit` does, a worker's too, and trains one step of a small network; `predict` classifies an image,
by each engine that is installed. The commands take turns, and what is printed are medians with the least and the most.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from deepenough.engines import GRAPH_ENGINES, TORCH
from deepenough.engines.choose import PACKAGES
from deepenough.frameworks.target import absent

RUNS = 10
AIM = 0.3  # seconds, of the help

FIRST_STEP = """
import numpy as np
import torch
import deepenough.experiment.fit
from deepenough.nets.build import build
from deepenough.nets.families import FAMILIES
from deepenough.training.optimizer import make_optimizer, set_lr
from deepenough.training.recipe import Recipe

model = build(FAMILIES["residual"].network((3, 32, 32), 10, depth=5))
optimizer = make_optimizer(model, Recipe())
set_lr(optimizer, 0.1)
torch.nn.functional.cross_entropy(model(torch.zeros(8, 3, 32, 32)), torch.zeros(8, dtype=torch.int64)).backward()
optimizer.step()
"""
MODEL = """
import sys
from pathlib import Path
from PIL import Image
from deepenough.model import save_model
from deepenough.nets.build import build
from deepenough.nets.families import FAMILIES
from deepenough.preprocessing import Preprocessing

network = FAMILIES["residual"].network((3, 32, 32), 10, depth=5)
folder = Path(sys.argv[1])
save_model(folder / "model", network, build(network).state_dict(), Preprocessing((32, 32)), list("0123456789"))
Image.new("RGB", (64, 64), "grey").save(folder / "image.png")
"""


def help_command() -> list[str]:
    """The command line as it is installed, else as a module."""
    installed = Path(sys.executable).with_name("deepenough")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "deepenough"]


def seconds(command: list[str]) -> tuple[float, float]:
    """The seconds that a command takes: on the clock, and of processor time."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    passed, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return passed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def told(times: Sequence[float]) -> str:
    return f"median {statistics.median(times):.2f} s of {len(times)} runs ({min(times):.2f} to {max(times):.2f})"


def main() -> int:
    """Print the times; the exit status says whether the help meets its aim."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="turns of the commands that need torch")
    rounds = parser.parse_args().rounds
    words = [*help_command(), "--help"]
    seconds(words)  # compiles what is not compiled yet
    helps = [seconds(words)[0] for _ in range(RUNS)]
    print(f"deepenough --help: {told(helps)} on the clock; aim {AIM} s")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", MODEL, folder], check=True)
        python, here = [sys.executable, "-c"], Path(folder)
        commands = {
            "import torch": [*python, "import torch"],
            "import deepenough": [*python, "import deepenough"],
            "first step": [*python, FIRST_STEP],
        }
        predict = [sys.executable, "-m", "deepenough", "predict", str(here / "model"), str(here / "image.png")]
        for name in (TORCH, *GRAPH_ENGINES):
            if name == TORCH or not absent(PACKAGES[name]):
                commands[f"predict --engine {name}"] = [*predict, "--engine", name]
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for turn in range(rounds + 1):
            for name, command in commands.items():
                spent = seconds(command)
                if turn:  # the first compiles and reads from disk, and has an engine proven
                    times[name].append(spent)
    for name, spent_by in times.items():
        passed, used = zip(*spent_by, strict=True)
        print(f"{name}: {told(used)} of processor time, {told(passed)} on the clock")
    return 0 if statistics.median(helps) < AIM else 1


if __name__ == "__main__":
    sys.exit(main())
