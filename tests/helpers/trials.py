"""The trial of a small network's steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from small import make_images, make_network

from deepenough.autotuning.step_timing import StepTrial
from deepenough.nets import Network
from deepenough.training.recipe import Recipe
from deepenough.training.spec import TrainingSpec

TRAIN, HELD_OUT = np.arange(64), np.arange(64, 96)
RECIPE = Recipe(epochs=2, batch=16, lr=0.05, device="cpu")


def make_trial(
    recipe: Recipe = RECIPE,
    *,
    network: Network | None = None,
    images: Any = None,
    train: Any = TRAIN,
    stop: Callable[[], bool] = lambda: False,
) -> StepTrial:
    """The training of a small network on a few images, whose steps are timed."""
    spec = TrainingSpec(network or make_network(), recipe, train, HELD_OUT, seed=0)
    return StepTrial(spec, images or make_images(), stop=stop)
