"""A GPU's figures: CIFAR-10 to the accuracy of `airbench`, and ResNet-50 training steps against timm's.

    python benchmarks/gpu.py cifar DATA [--ours residual-9-2-10,optimizer=sgd,lr=0.4 ...] [--airbench 94|96] [--seeds 5]
    python benchmarks/gpu.py resnet50 [--batch 256] [--rounds 5] [--device cuda|cpu] [--side 224]

`cifar`: `airbench` (github.com/KellerJordan/cifar10-airbench, from PyPI; it needs torchvision) and ours,
`FAMILY-DEPTH-WIDTH-EPOCHS` and fields of `Recipe` and `Augment`, train on the same training images and are judged on
the same test images, airbench with its mirrored and moved copies of each; seconds of the whole call that trains, after
one that compiles and warms up. `resnet50`: bfloat16, channels-last, on a batch that lies on the device; medians of
turns. Without a GPU `resnet50` runs on the CPU, which only shows that it runs.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from deepenough.data.augment import Augment
from deepenough.data.images import Images, prepare
from deepenough.data.sources import open_source
from deepenough.model import Model
from deepenough.nets import FAMILIES, NETWORKS
from deepenough.training.cuda_graphs import EAGER_BATCHES
from deepenough.training.device import choose_device
from deepenough.training.evaluate import predict_probabilities
from deepenough.training.feed import Batch
from deepenough.training.loss import Objective
from deepenough.training.optimizer import set_lr
from deepenough.training.perform import new_state
from deepenough.training.process_group import ALONE
from deepenough.training.recipe import Recipe, default_recipe
from deepenough.training.spec import TrainingSpec
from deepenough.training.train import train

WARM_UP = EAGER_BATCHES + 2  # steps; ours are recorded in the one but last
NOTHING = np.empty(0, np.int64)


def cifar(given: argparse.Namespace) -> None:
    images = prepare(open_source(given.data))
    rows = np.concatenate([images.split.train, images.split.validation])
    with tempfile.TemporaryDirectory() as folder:
        contenders = {f"airbench{given.airbench}": airbench(given.airbench, images, rows, Path(folder))}
        contenders |= {each: own(each, images, rows, Path(folder)) for each in given.ours}
        for contender in contenders.values():
            contender(-1)  # compiles, and fills caches
        seen: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
        for seed in range(given.seeds):
            for name, contender in contenders.items():
                seen[name].append(contender(seed))
    print("| contender | seconds | test accuracy |\n|---|---|---|")
    for name, runs in seen.items():
        seconds, top1 = (statistics.median(column) for column in zip(*runs, strict=True))
        print(f"| {name} | {seconds:.2f} | {top1:.2%} |")


def airbench(which: str, images: Images, rows: Any, folder: Path) -> Callable[[int], tuple[float, float]]:
    """airbench's own training on our images, which it takes from files of its own kind."""
    library = importlib.import_module("airbench")
    own = folder / "cifar10"  # where its training looks for the test images, in the working folder
    own.mkdir()
    for name, chosen in (("train", rows), ("test", images.split.test)):
        pixels, labels = torch.from_numpy(images.pixels[chosen]), torch.from_numpy(images.labels[chosen])
        torch.save({"images": pixels, "labels": labels, "classes": list(images.classes)}, own / f"{name}.pt")
    part = importlib.import_module(f"airbench.lib_airbench{which}")
    test = library.CifarLoader(str(own), train=False, batch_size=2000)

    def run(seed: int) -> tuple[float, float]:
        torch.manual_seed(seed + 1)
        loader = library.CifarLoader(
            str(own), train=True, batch_size=part.hyp["opt"]["batch_size"], aug=part.hyp["aug"], altflip=True
        )
        with contextlib.chdir(folder):
            began = now()
            model = getattr(part, f"train{which}")(loader, run=seed, verbose=False)
            seconds = now() - began
        model = model if isinstance(model, nn.Module) else model[0]
        return seconds, library.evaluate(model, test, tta_level=part.hyp["net"]["tta_level"])

    return run


def literal(text: str) -> Any:
    """A number or a truth value, or else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def own(what: str, images: Images, rows: Any, folder: Path) -> Callable[[int], tuple[float, float]]:
    name, *changes = what.split(",")
    family, depth, width, epochs = name.split("-")
    given = {key: literal(value) for key, value in (change.split("=") for change in changes)}
    policy = {each.name: given.pop(each.name) for each in fields(Augment) if each.name in given}
    shape = images.preprocess.shape
    network = FAMILIES[family].network(input=shape, classes=len(images.classes), depth=int(depth), width=float(width))
    recipe = default_recipe(len(rows), shape, images.mirror, optimizer=given.pop("optimizer", "muon"))
    recipe = replace(
        recipe,
        augment=replace(recipe.augment, **policy),
        **{"epochs": int(epochs), "batch": 512, "precision": "bfloat16", "compiled": torch.cuda.is_available()} | given,
    )
    nothing = images.split.test[:0]

    def run(seed: int) -> tuple[float, float]:
        began = now()
        spec = TrainingSpec(network, recipe, rows, nothing, seed=seed if seed >= 0 else 1000)
        trained = train(spec, images, folder / f"{what}-{seed}")
        seconds = now() - began
        model = Model(network, trained.state, images.preprocess, images.classes, choose_device(recipe.device))
        probabilities = predict_probabilities(model.module, images, images.split.test, images.preprocess, model.device)
        return seconds, float((probabilities.argmax(1) == images.labels[images.split.test]).mean())

    return run


def resnet50(given: argparse.Namespace) -> None:
    device = torch.device(given.device)
    pixels = torch.randn(given.batch, 3, given.side, given.side, device=device)
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(given.batch, device=device) % 1000
    steps = {
        "deepenough, compiled": our_step(device, pixels, labels, compiled=True),
        "deepenough, eager": our_step(device, pixels, labels, compiled=False),
        "timm, compiled": their_step(device, pixels, labels),
    }
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        for _ in range(WARM_UP):
            step()
    for _ in range(given.rounds):
        for name, step in steps.items():
            began = now()
            for _ in range(given.steps):
                step()
            taken[name].append((now() - began) / given.steps)
    for name, times in taken.items():
        print(f"{name}: {given.batch / statistics.median(times):,.1f} images/s")


def our_step(
    device: torch.device, pixels: torch.Tensor, labels: torch.Tensor, *, compiled: bool
) -> Callable[[], object]:
    network = NETWORKS["resnet50"]().with_input((3, *pixels.shape[2:]))
    recipe = Recipe(batch=len(pixels), lr=0.1, device=device.type, precision="bfloat16", compiled=compiled)
    state, step = new_state(TrainingSpec(network, recipe, NOTHING, NOTHING, seed=0), Objective(), device, ALONE)
    set_lr(state.optimizer, 0.01)
    batch = Batch(pixels, nn.functional.one_hot(labels, 1000).float(), 0, len(pixels))

    def once() -> None:
        state.advance(step(batch)[:3], len(pixels))

    return once


def their_step(device: torch.device, pixels: torch.Tensor, labels: torch.Tensor) -> Callable[[], object]:
    timm = importlib.import_module("timm")
    model = timm.create_model("resnet50").to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)
    compiled = torch.compile(model)

    def once() -> None:
        with torch.autocast(device.type, torch.bfloat16):
            loss = nn.functional.cross_entropy(compiled(pixels), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return once


def now() -> float:
    """The time when the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    each = commands.add_parser("cifar")
    each.add_argument("data")
    each.add_argument("--ours", nargs="+", default=["residual-9-2-10"])
    each.add_argument("--airbench", choices=("94", "96"), default="94")
    each.add_argument("--seeds", type=int, default=5)
    each.set_defaults(run=cifar)
    each = commands.add_parser("resnet50")
    each.add_argument("--batch", type=int, default=256)
    each.add_argument("--side", type=int, default=224)
    each.add_argument("--rounds", type=int, default=5)
    each.add_argument("--steps", type=int, default=20)
    each.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    each.set_defaults(run=resnet50)
    given = parser.parse_args()
    given.run(given)


if __name__ == "__main__":
    main()
