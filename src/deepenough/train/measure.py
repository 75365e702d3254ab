"""How long a training will take, from a few of its steps."""

from __future__ import annotations

import statistics
import time

import torch

from deepenough.data import Images
from deepenough.nets import Network
from deepenough.train.device import choose_device, training_mode
from deepenough.train.draws import own_draws
from deepenough.train.feed import Feed, Index, Loader
from deepenough.train.objective import Objective, logits_of
from deepenough.train.optimizer import make_clip, set_lr
from deepenough.train.recipe import Recipe
from deepenough.train.train import fresh_state

WARM_UP, MEASURED = 2, 4


def seconds_per_image(network: Network, recipe: Recipe, images: Images, index: Index) -> float:
    """Seconds that one image of one training step takes: the median of a few real steps, augmentation included.

    Weights are thrown away afterwards, and no draw of a later training is touched.
    """
    device = choose_device(recipe.device)
    few = index[: (WARM_UP + MEASURED) * recipe.batch]
    with own_draws(device):
        state = fresh_state(network, recipe, device, seed=0)
        training_mode(state.model, recipe.freeze_norms)
        set_lr(state.optimizer, 1e-4)
        feed = Feed(Loader(images, device), few, recipe.batch, recipe.augment, seed=0)
        objective, clip = Objective(recipe.label_smoothing), make_clip(state.model, recipe.clip)
        paces = []
        started = time.perf_counter()
        for pixels, targets in feed.epoch(0):
            with state.precision.autocast():
                outputs = state.model(pixels)
            loss = objective(outputs, targets)
            state.precision.step(loss, state.optimizer, clip)
            state.advance(loss, logits_of(outputs), targets)
            if device.type == "cuda":
                torch.cuda.synchronize()
            paces.append((time.perf_counter() - started) / len(targets))
            started = time.perf_counter()
    return statistics.median(paces[WARM_UP:] or paces)
