"""Half precision (and double) trains to the same accuracy; speed and memory on this machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from deepenough.lab.record import Effect, Line, Point, Result, SeedHits
from deepenough.lab.text import said
from deepenough.lab.trials import Trials
from deepenough.nets import Network
from deepenough.training.device import choose_device
from deepenough.training.perform import prepare_training
from deepenough.training.precision import matmul_precision
from deepenough.training.process_group import ALONE
from deepenough.training.recipe import Recipe
from deepenough.training.rng import forked_rng
from deepenough.training.spec import TrainingSpec

MARGIN = 0.01  # a smaller loss of accuracy counts as none
MIB = 2**20


def saved_bytes(trials: Trials, network: Network, recipe: Recipe) -> int:
    """Bytes that a training step keeps for its backward pass, weights among them: most of what a step needs.

    Counted, and not the process' peak, which on small networks is torch's own.
    """
    device, kept = choose_device(recipe.device), {}
    with forked_rng(device), matmul_precision(recipe.precision):
        rows, none = trials.images.split.train[: recipe.batch], np.empty(0, np.int64)
        _, loop = prepare_training(TrainingSpec(network, recipe, rows, none, seed=0), trials.images, device, ALONE)

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            for batch in loop.feed.epoch(0):
                loop.step(batch)
    return sum(kept.values())


def measure(trials: Trials) -> Result:
    """The same training in every precision of this device."""
    network = trials.residual(1, width=0.5)
    halves = ("bfloat16", "float16") if choose_device(trials.recipe.device).type == "cuda" else ("bfloat16",)
    hits: dict[str, SeedHits] = {}
    times, sizes = {}, {}
    for precision in ("float64", "float32", *halves):
        recipe = replace(trials.recipe, precision=precision)
        hits[precision] = trials.hits(network, recipe=recipe)
        times[precision] = sum(trials.train(network, seed, recipe=recipe).seconds for seed in trials.seeds)
        sizes[precision] = saved_bytes(trials, network, recipe)
    others = ("float64", *halves)
    return Result(
        x=said("precision"),
        y=said("accuracy"),
        lines=[Line(name=said("accuracy"), points=[Point.from_hits(found, x=name) for name, found in hits.items()])],
        effects=[
            Effect.from_hits(
                hits[name] - hits["float32"],
                what=said("accuracy in %(precision)s minus that in float32", precision=name),
                bound=-MARGIN,
            )
            for name in others
        ],
        notes=[
            said(
                "In %(precision)s training took %(time)s times as long as in float32, and a step keeps %(size)s MiB "
                "for its backward pass, %(times)s times as much.",
                precision=name,
                time=f"{times[name] / times['float32']:.2f}",
                size=f"{sizes[name] / MIB:.1f}",
                times=f"{sizes[name] / sizes['float32']:.2f}",
            )
            for name in others
        ],
    )
