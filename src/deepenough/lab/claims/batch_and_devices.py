"""Two processes on half batches train the same network as one on the whole batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepenough.data.images import Images
from deepenough.distribution.follower import follow
from deepenough.distribution.ray_workers import RayWorkers, free_port, set_torchrun_environment
from deepenough.distribution.torchrun import join_group
from deepenough.errors import DeepenoughError
from deepenough.lab.record import Effect, Line, Point, Result
from deepenough.lab.text import said
from deepenough.lab.trials import Rows, Trials
from deepenough.lab.workers import call_in_parallel
from deepenough.nets import Network
from deepenough.training.recipe import Recipe
from deepenough.training.result import load_result
from deepenough.training.spec import TrainingSpec
from deepenough.training.train import train

CLOSE = 1e-9  # of the largest weight: what the order of additions in float64 may do in so few steps
STEPS = (5, 20)


def measure(trials: Trials) -> Result:
    """Difference of the weights after an epoch by one process and by two, in float64."""
    network = trials.residual(1, width=0.25)
    recipe = replace(trials.recipe, batch=32, epochs=1, precision="float64", device="cpu")
    points = []
    for steps in STEPS:
        values = []
        for seed in trials.seeds:
            rows = trials.subset(recipe.batch * steps, seed)
            one = trials.train(network, seed, recipe=recipe, rows=rows).state
            values.append(largest_difference(train_on_two(network, recipe, trials, rows, seed), one))
        points.append(Point(x=steps, values=values))
    return Result(
        x=said("steps"),
        y=said("largest relative difference of weights"),
        log_y=True,
        lines=[Line(name=said("two processes against one"), points=points)],
        on=said(
            "%(source)s, %(count)s images to train", source=trials.images.source, count=f"{recipe.batch * STEPS[-1]:,}"
        ),
        effects=[
            Effect(
                what=said("room under a difference of %(most)s", most=f"{CLOSE:g}"),
                values=[CLOSE - v for v in points[-1].values],
            )
        ],
    )


def largest_difference(one: Any, other: Any) -> float:
    """The largest difference of weights, relative to the largest weight of that tensor."""
    return max(
        float((one[name] - tensor).abs().max() / tensor.abs().max().clamp(min=1e-30)) for name, tensor in other.items()
    )


def train_on_two(network: Network, recipe: Recipe, trials: Trials, rows: Rows, seed: int) -> Any:
    """Train in two processes, each with a half of every batch; the weights."""
    one = trials.training_folder(network, recipe, rows, seed)
    folder = one.with_name(f"{one.name}-two")
    found = load_result(folder, network)
    if found is None:
        rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        spec = TrainingSpec(network, recipe, rows, np.empty(0, np.int64), seed)
        arguments = [(rank, rendezvous, spec, trials.images, folder) for rank in range(2)]
        call_in_parallel(work, arguments, trials.check_stop)
        found = load_result(folder, network)
    if found is None:
        raise DeepenoughError(f"{folder}: the two processes left no result")
    return found.state


def work(rank: int, rendezvous: dict[str, str], spec: TrainingSpec, images: Images, folder: Path) -> None:
    """Train as one of the two processes."""
    torch.set_num_threads(1)
    set_torchrun_environment(RayWorkers(1, processes=2), rank, rendezvous)
    with join_group(torch.device("cpu")) as group:
        if rank:
            follow(group, lambda: False, images)
        else:
            train(spec, images, folder, group=group)
            group.broadcast_task(None)
