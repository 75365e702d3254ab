"""A learning rate for one network on one data set, from a few dozen steps (Smith 2017)."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from deepenough.training.device import training_mode
from deepenough.training.feed import Batch, Feed
from deepenough.training.optimizer import set_lr
from deepenough.training.recipe import Recipe
from deepenough.training.rng import seed_step
from deepenough.training.step import Step

STEPS = 48
EPOCH = 1 << 20  # numbers of epochs and steps that no training reaches, so that draws differ from its own
STEP = 1 << 40
LIMITS = {"sgd": (1e-3, 3.0), "adamw": (1e-5, 0.3)}
SMOOTH = 0.8  # of the running mean of the loss
# How far below the rate of the smallest loss. SGD at depth 7 for 4 epochs, held-out accuracy at fixed rates: on 20,000
# CIFAR-10 images (smallest loss at 0.33) 64.6% at 0.15, 67.8% at 0.3, 69.9% at 0.8; on Fashion-MNIST (at 0.77) 91.4%
# at 0.3, 91.5% at 0.8.
DIVISORS = {"sgd": 1.0, "adamw": 10.0}
EXPLODED = 2.0  # times the smallest loss, where the test ends


@dataclass(frozen=True)
class Range:
    """The result of a range test: the rates tried, the smoothed loss at each, and the rate it chose."""

    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    lr: float
    images: int
    seconds: float


def choose_lr(lrs: Sequence[float], losses: Sequence[float], divisor: float) -> float:
    """The rate of the smallest smoothed loss, divided by `divisor`; the smallest tried where all losses are infinite.

    The minimum of a smoothed curve moves little from seed to seed, unlike its steepest point.
    """
    best = min(range(len(losses)), key=lambda i: losses[i])
    return max(lrs[best] / divisor, lrs[0]) if math.isfinite(losses[best]) else lrs[0]


def range_images(recipe: Recipe) -> int:
    """The images that a range test takes at most: none where the rate is known."""
    return 0 if recipe.known_lr is not None else STEPS * recipe.batch


def range_test(make: Callable[[], Step], feed: Feed, recipe: Recipe) -> Range:
    """Train the model of a step for 48 steps at exponentially growing rates; `make` gives it a copy to spoil.

    A pure function of the model's weights, the feed (with its seed), and the recipe.
    """
    clock = time.perf_counter()
    learn = make()
    training_mode(learn.model, recipe.freeze_norms, learn.frozen)
    low, high = LIMITS[recipe.optimizer]
    lrs: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    images = 0
    for step, batch in enumerate(itertools.islice(_endless(feed), STEPS)):
        lrs.append(low * (high / low) ** (step / (STEPS - 1)))
        set_lr(learn.optimizer, lrs[-1])
        seed_step(feed.seed, STEP + step, feed.loader.device)
        loss, _, count, _ = learn(batch, recipe.micro_batch).tolist()
        images += batch.total
        mean = SMOOTH * mean + (1 - SMOOTH) * loss / count
        smoothed.append(mean / (1 - SMOOTH ** (step + 1)))
        if not smoothed[-1] <= EXPLODED * min(smoothed):
            smoothed[-1] = math.inf
            break
    lr = choose_lr(lrs, smoothed, DIVISORS[recipe.optimizer])
    return Range(tuple(lrs), tuple(smoothed), lr, images, time.perf_counter() - clock)


def _endless(feed: Feed) -> Iterator[Batch]:
    for epoch in itertools.count(EPOCH):
        yield from feed.epoch(epoch)
