"""Compare recipes on images of a data set: accuracy, log loss, calibration error and processor seconds, over seeds.

    python benchmarks/recipes.py DATA [--network residual-7-0.5] [--train 6000] [--judge 5000] [--seeds 3] RECIPE ...

RECIPE is `default` or fields of `Recipe`, as `optimizer=sgd,epochs=20`; what it does not say is the default for that
optimizer and so many images. All are judged on the same test images, after their last epoch; seconds are of the process
on one thread, range test and judging taken in, and so comparable beside other work.
"""

from __future__ import annotations

import argparse
import ast
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepenough.data.images import prepare
from deepenough.data.sources import open_source
from deepenough.nets import FAMILIES
from deepenough.training.memory import keep_freed_memory
from deepenough.training.metrics import calibration_error, log_loss
from deepenough.training.recipe import Recipe, default_recipe
from deepenough.training.spec import TrainingSpec
from deepenough.training.train import train

HEADINGS = ("top-1 %", "log loss", "calibration error %", "CPU s")


def literal(text: str) -> Any:
    """A number or a truth value, or else the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def given_fields(words: str) -> dict[str, Any]:
    """The fields of a recipe that `words` give: none for `default`."""
    pairs = [] if words == "default" else [each.split("=") for each in words.split(",")]
    return {name: literal(value) for name, value in pairs}


def recipe_of(
    words: str, count: int, shape: tuple[int, ...], mirror: bool, default: Callable[..., Recipe] = default_recipe
) -> Recipe:
    """The default recipe with the fields that `words` give, for training on the processor."""
    given = given_fields(words)
    recipe = default(count, shape, mirror, optimizer=given.get("optimizer"))
    return replace(recipe, **{"device": "cpu"} | given)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("recipes", nargs="+", metavar="RECIPE")
    parser.add_argument("--network", default="residual-7-0.5", help="FAMILY-DEPTH-WIDTH")
    parser.add_argument("--train", type=int, default=6000, help="training images at most")
    parser.add_argument("--judge", type=int, default=5000, help="test images at most")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    images = prepare(open_source(given.data))
    draw = np.random.default_rng(0)
    rows, judged = draw.permutation(images.split.train)[: given.train], draw.permutation(images.split.test)
    judged, shape = judged[: given.judge], images.preprocess.shape
    family, depth, width = given.network.split("-")
    network = FAMILIES[family].network(input=shape, classes=len(images.classes), depth=int(depth), width=float(width))
    print(f"{network.name}, {len(rows)} images to train on, {len(judged)} to judge; mean and deviation of each seed")
    for words in given.recipes:
        recipe = recipe_of(words, len(rows), shape, images.mirror)
        found = []
        for seed in range(given.seeds):
            clock = time.process_time()
            with tempfile.TemporaryDirectory() as folder:
                trained = train(TrainingSpec(network, recipe, rows, judged, seed), images, Path(folder))
            chances, labels = trained.probabilities, images.labels[judged]
            hits = chances.argmax(1) == labels
            error = calibration_error(chances.max(1), hits)
            found.append((100 * hits.mean(), log_loss(chances, labels), 100 * error, time.process_time() - clock))
        means, deviations = np.mean(found, axis=0), np.std(found, axis=0, ddof=min(1, given.seeds - 1))
        each = zip(HEADINGS, means, deviations, strict=True)
        figures = ", ".join(f"{name} {mean:.4g} ± {deviation:.2g}" for name, mean, deviation in each)
        print(f"{words} ({recipe.optimizer}, {recipe.epochs} epochs): {figures}", flush=True)


if __name__ == "__main__":
    main()
