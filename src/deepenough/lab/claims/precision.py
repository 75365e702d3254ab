"""Half precision (and double) trains to the same accuracy; speed and memory on this machine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from deepenough.lab.bench import Bench
from deepenough.lab.record import Effect, Hits, Line, Point, Seen, judged
from deepenough.nets import FAMILIES, Network
from deepenough.training.device import choose_device
from deepenough.training.perform import prepare
from deepenough.training.precision import settings
from deepenough.training.process_group import ALONE
from deepenough.training.recipe import Recipe
from deepenough.training.rng import own_draws
from deepenough.training.spec import TrainingSpec

MARGIN = 0.01  # how much less is still the same
MIB = 2**20


def remembered(bench: Bench, network: Network, recipe: Recipe) -> int:
    """Bytes that a training step keeps for its backward pass, weights among them: most of what a step needs.

    Counted, and not the process' peak, which on small networks is torch's own.
    """
    device, kept = choose_device(recipe.device), {}
    with own_draws(device), settings(recipe.precision):
        rows, none = bench.images.split.train[: recipe.batch], np.empty(0, np.int64)
        _, loop = prepare(TrainingSpec(network, recipe, rows, none, seed=0), bench.images, device, ALONE)

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
            return tensor.detach()

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            for batch in loop.feed.epoch(0):
                loop.step(batch)
    return sum(kept.values())


def measure(bench: Bench) -> Seen:
    """The same training in every precision of this device."""
    family = FAMILIES["residual"]
    network = family.network(bench.input, bench.classes, depth=family.depth_of(1, bench.input), width=0.5)
    halves = ("bfloat16", "float16") if choose_device(bench.recipe.device).type == "cuda" else ("bfloat16",)
    hits: dict[str, Hits] = {}
    times, sizes = {}, {}
    for precision in ("float64", "float32", *halves):
        recipe = replace(bench.recipe, precision=precision)
        hits[precision] = bench.hits(network, recipe=recipe)
        times[precision] = sum(bench.train(network, seed, recipe=recipe).seconds for seed in bench.seeds)
        sizes[precision] = remembered(bench, network, recipe)
    others = ("float64", *halves)
    return Seen(
        x="precision",
        y="accuracy",
        lines=[Line(name="accuracy", points=[Point(x=name, **judged(found)) for name, found in hits.items()])],
        effects=[
            Effect(
                what=f"accuracy in {name} less that in float32",
                bound=-MARGIN,
                **judged(hits[name] - hits["float32"]),
            )
            for name in others
        ],
        notes=[
            f"In {name} training took {times[name] / times['float32']:.2f} times as long as in float32, and a step "
            f"keeps {sizes[name] / MIB:.1f} MiB for its backward pass, "
            f"{sizes[name] / sizes['float32']:.2f} times as much."
            for name in others
        ],
    )
