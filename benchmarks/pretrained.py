"""One question to several pretrained networks, against fine-tuning each of them whole by a plain loop.

    python benchmarks/pretrained.py --weights squeezenet.pth --weights efficientnet-lite0.pth [DATA ...]
        [--size 96] [--limit 300] [--epochs 3] [--folds 2] [--time-limit 10m] [--target 0.83] [--minimize latency]

DATA are by default clothing and CIFAR-10 of ../shared/data, the latter enlarged to the size. The plain loop is what
people write: AdamW with a cosine schedule, mirrored images, all layers from the first step, a new dense layer on pooled
features, trained on all images but test for as many epochs. Latency is the median of single images through torch, the
networks turn by turn once all are trained, and size that of the parameters in float32.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from deepenough import fit
from deepenough.data.images import Images
from deepenough.data.sources import open_source
from deepenough.experiment.options import Options
from deepenough.nets import parameters
from deepenough.nets.build import build
from deepenough.nets.cut import cut_at
from deepenough.probing.features import body, fitting_cuts
from deepenough.probing.images import images_for_weights
from deepenough.progress import Reporter
from deepenough.training.evaluate import predict_probabilities
from deepenough.training.feed import Loader, normalise
from deepenough.training.memory import keep_freed_memory
from deepenough.weights import load_weights

DATA = ("../shared/data/clothing", "../shared/data/cifar10")
BATCH, LR = 32, 5e-4
TIMED, WARM = 50, 10  # single images
CPU = torch.device("cpu")


class Lines(Reporter):
    def say(self, text: str) -> None:
        print(text, flush=True)


@dataclass(frozen=True)
class Row:
    """One network for the task: its module and the shape (C, H, W) that it takes, its accuracy on the test images
    (0..1), bytes, and the seconds that getting it took."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]
    accuracy: float
    size: int
    seconds: float

    def line(self, latency: float) -> str:
        figures = f"{self.accuracy:>7.1%}{latency:>8.2f} ms{self.size / 1e6:>8.2f} MB{self.seconds:>7.0f} s"
        return f"{self.name:<62}{figures}"


@torch.inference_mode()
def latencies(rows: Sequence[Row]) -> list[float]:
    """Milliseconds of one image through each network, the medians of as many turns."""
    images = [torch.zeros(1, *row.shape).contiguous(memory_format=torch.channels_last) for row in rows]
    times: list[list[float]] = [[] for _ in rows]
    for _ in range(WARM + TIMED):
        for row, image, taken in zip(rows, images, times, strict=True):
            began = time.perf_counter()
            row.module(image)
            taken.append(1000 * (time.perf_counter() - began))
    return [statistics.median(taken[WARM:]) for taken in times]


def plain(given: str, asked: Options, source: Any) -> Row:
    """Fine-tune the whole network by a loop that knows nothing of this package's training."""
    loaded, images = images_for_weights(load_weights(given, needs_head=False), source, asked, Reporter())
    network, places = fitting_cuts(loaded, images)
    whole = cut_at(network, places[-1].place, len(images.classes))
    torch.manual_seed(asked.seed)
    module = build(whole)
    module.load_state_dict(body(loaded, module))
    module = module.to(memory_format=torch.channels_last)
    rows = np.sort(np.concatenate([images.split.train, images.split.validation]))
    began = time.perf_counter()
    train(module, images, rows, int(asked.recipe["epochs"]))
    seconds = time.perf_counter() - began
    module.eval()
    probabilities = predict_probabilities(module, images, images.split.test, images.preprocess, CPU)
    right = float((probabilities.argmax(axis=1) == images.labels[images.split.test]).mean())
    name = f"{loaded.network.name}, whole, plain loop"
    return Row(name, module, images.preprocess.shape, right, 4 * parameters(whole), seconds)


def train(module: nn.Module, images: Images, rows: np.ndarray[Any, Any], epochs: int) -> None:
    """AdamW with a cosine schedule over all steps; each image is mirrored half of the time."""
    loader, steps = Loader(images, CPU), epochs * -(-len(rows) // BATCH)
    optimizer = torch.optim.AdamW(module.parameters(), lr=LR, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    module.train()
    for _ in range(epochs):
        for index in np.array_split(np.random.default_rng(0).permutation(rows), -(-len(rows) // BATCH)):
            pixels = normalise(loader.raw(index), images.preprocess)
            mirrored = torch.rand(len(index)) < 0.5
            pixels[mirrored] = pixels[mirrored].flip(3)
            loss = nn.functional.cross_entropy(module(pixels), torch.from_numpy(images.labels[index]))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def searched(asked: dict[str, Any], data: str) -> Row:
    """Ask all networks at once, and measure the one that comes out."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        run = fit(data, out=Path(folder) / "run", progress=Lines(), **asked)
        seconds, model, test = time.perf_counter() - began, run.model(), run.record.test
        assert run.record.decision is not None
        assert test is not None
        print(f"\n{run.record.decision.text}")
        name = f"fit: {run.record.decision.title or run.record.decision.chosen}"
        size = 4 * parameters(model.network)
        return Row(name, model.module, model.preprocess.shape, test.top1.value, size, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="*", default=DATA)
    parser.add_argument("--weights", action="append", required=True)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--time-limit", help="of the search; the plain loops take what they take")
    parser.add_argument("--target", type=float, help="of the search")
    parser.add_argument("--minimize", default="depth", help="of the search")
    for name in ("limit", "folds", "threads"):
        parser.add_argument(f"--{name}", type=int)
    given = vars(parser.parse_args())
    keep_freed_memory()
    for data in given.pop("data"):
        asked = Options.of(data=data, **given)
        rows = [searched(given, data), *(plain(each, asked, open_source(data)) for each in given["weights"])]
        lines = [row.line(latency) for row, latency in zip(rows, latencies(rows), strict=True)]
        print(f"\n{data}\n{'':<62}{'test':>7}{'latency':>11}{'size':>11}{'time':>9}", *lines, sep="\n", flush=True)


if __name__ == "__main__":
    main()
