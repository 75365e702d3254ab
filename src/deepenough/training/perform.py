"""One training from its first step to its last, as every process of a group performs it; a process alone is a group."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from deepenough.data.images import Images
from deepenough.nets.build import build
from deepenough.nets.prefix import prefix
from deepenough.training.callbacks import Callback, CallbackList, Ending
from deepenough.training.checkpoint import (
    Checkpoints,
    batch_limit,
    newest_checkpoint,
    save_batch_limit,
    whole_checkpoints,
)
from deepenough.training.device import choose_device, place
from deepenough.training.distillation import teacher_of
from deepenough.training.ema import Ema
from deepenough.training.feed import Feed, Loader
from deepenough.training.freezing import freeze_layers
from deepenough.training.inplace_activations import use_inplace_activations
from deepenough.training.interrupt import Interrupted
from deepenough.training.loop import TrainingLoop
from deepenough.training.loss import Objective, make_objective
from deepenough.training.lr_range_test import range_test
from deepenough.training.out_of_memory import free_memory, out_of_memory, reporting_out_of_memory
from deepenough.training.precision import matmul_precision
from deepenough.training.process_group import ProcessGroup
from deepenough.training.rng import forked_rng, using_threads
from deepenough.training.spec import TrainingSpec
from deepenough.training.state import NotFiniteError, State, Tensors
from deepenough.training.step import Step, make_step

ALREADY_SPENT = ("images", "range_images", "evaluated_images", "seconds", "waited", "lr")
Saved = tuple[Tensors, dict[str, Any]]


@dataclass(frozen=True)
class Assignment:
    """The facts about a training that every process of a group needs.

    `threads` is the number that an earlier part of it was computed with; `resumed` says whether there is one.
    """

    spec: TrainingSpec
    threads: int
    resumed: bool


@dataclass(frozen=True)
class Leader:
    """The things that process 0 alone has: the checkpoints, the one to go on from, and the other callbacks."""

    checkpoints: Checkpoints
    saved: Saved | None
    callbacks: Sequence[Callback]


def perform(
    job: Assignment,
    images: Images,
    group: ProcessGroup,
    *,
    leader: Leader | None = None,
    callbacks: Sequence[Callback] = (),
) -> tuple[State, Ending]:
    """Train, and judge what came out: the last state, and how it ended.

    The `callbacks` of processes that do not lead are only asked for a stop after every step.
    """
    spec, recipe = job.spec, job.spec.recipe
    device = choose_device(recipe.device)
    accompanying = CallbackList((leader.checkpoints, *leader.callbacks) if leader else callbacks)
    with forked_rng(device), using_threads(job.threads), matmul_precision(recipe.precision):
        state, loop = prepare_training(spec, images, device, group)
        loop.callbacks = accompanying
        initial = initialize(state, loop, leader)
        note_limit = partial(save_batch_limit, leader.checkpoints.folder) if leader else None
        with reporting_out_of_memory(state, loop.feed, note_limit):
            if not job.resumed:
                set_peak(state, loop)
            accompanying.on_train_begin(loop.moment(state))
            try:
                ending = run_within_memory(state, loop, leader)
            except NotFiniteError:
                ending = Ending.NOT_FINITE
                restore_last_finite(state, loop, leader, initial)
            except Interrupted:
                accompanying.on_train_end(loop.moment(state), None)
                raise
            if state.judged is None:
                state.judged = loop.judge(state)
        accompanying.on_train_end(loop.moment(state), ending)
    return state, ending


def prepare_training(
    spec: TrainingSpec, images: Images, device: torch.device, group: ProcessGroup, objective: Objective | None = None
) -> tuple[State, TrainingLoop]:
    """The state before the first step and the loop of a training; device and memory format are applied here."""
    recipe, images = spec.recipe, images.read_as(spec.preprocess)
    state, step = new_state(spec, objective or make_objective(spec, images, device), device, group)
    step.teacher = teacher_of(spec.teacher, recipe, device) if spec.teacher else None
    loader = Loader(images, device, state.precision.dtype)
    feed = Feed(loader, spec.train, recipe.batch, recipe.augment, spec.seed, group, spec.first_sizes)
    return state, TrainingLoop(spec, feed, step, group=group)


def new_state(
    spec: TrainingSpec, objective: Objective, device: torch.device, group: ProcessGroup
) -> tuple[State, Step]:
    """The state before the first step, and what takes the steps."""
    recipe = spec.recipe
    model = use_inplace_activations(build(spec.network, spec.seed))
    if recipe.precision == "float64":
        model = model.double()
    model = place(model, device, recipe.memory_format)
    frozen = prefix(spec.network, recipe.freeze).paths
    freeze_layers(model, frozen)
    average = Ema(model, recipe.ema)
    step = replace(make_step(model, recipe, objective, device, group), frozen=frozen)
    state = State(
        model=model,
        ema=average,
        optimizer=step.optimizer,
        precision=step.precision,
        tally=torch.zeros(3, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device),
        micro_batch=recipe.micro_batch,
    )
    return state, step


def initialize(state: State, loop: TrainingLoop, leader: Leader | None) -> Saved:
    """Bring the state of every process to where the training starts or goes on; what it was initially."""
    start = loop.spec.initial_weights
    if leader and start is not None:
        state.model.load_state_dict(dict(start))
        if state.ema.model is not state.model:
            state.ema.model.load_state_dict(dict(start))
    initial = copy.deepcopy(state.tensors()), state.facts()
    if leader:
        if leader.saved:
            state.restore(*leader.saved)
        state.micro_batch = min(filter(None, (state.micro_batch, batch_limit(leader.checkpoints.folder))), default=0)
    state.share(loop.group)
    return initial


def run_within_memory(state: State, loop: TrainingLoop, leader: Leader | None) -> Ending:
    """Run the loop; where a process alone runs out of memory, go on from the newest checkpoint without CUDA graphs, or
    with half as many images at once."""
    while True:
        try:
            return loop.run(state)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if loop.group.size > 1 or not out_of_memory(error):
                raise
        many = free_memory(state, loop.feed, loop.step)
        if leader:
            saved = newest_checkpoint(leader.checkpoints.folder)
            if saved:
                state.restore(*saved)
            state.micro_batch = many
            leader.checkpoints.save(state)


def set_peak(state: State, loop: TrainingLoop) -> None:
    """The recipe's learning rate, or the range test's; where that runs out of memory, the training goes on with the
    number of images at once that it came down to.

    The test is never compiled, nor captured: its few steps on a copy don't pay that back, and a compiler would begin
    anew for the model.
    """
    recipe, feed, step = loop.spec.recipe, loop.feed, loop.step
    if recipe.known_lr is not None:
        state.lr = recipe.known_lr
        return
    eager = replace(recipe, compiled=False)

    def spoiled() -> Step:
        copied = copy.deepcopy(state.model)
        made = make_step(copied, eager, step.objective, feed.loader.device, step.group)
        return replace(made, teacher=step.teacher, frozen=step.frozen, cuda_graphs=None)

    while True:
        try:
            found = range_test(spoiled, feed, replace(eager, micro_batch=state.micro_batch))
            break
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if feed.group.size > 1 or not out_of_memory(error):
                raise
        state.micro_batch = free_memory(state, feed, step)
    state.lr = found.lr
    state.seconds += found.seconds
    state.range_images = found.images


def restore_last_finite(state: State, loop: TrainingLoop, leader: Leader | None, initial: Saved) -> None:
    """Go back to the newest checkpoint whose predictions are finite, or else to the `initial` state.

    What was thrown away was paid for, so images and seconds stay counted.
    """
    paid = {name: getattr(state, name) for name in ALREADY_SPENT}
    if leader:
        leader.checkpoints.settle()
    saved = iter([*(whole_checkpoints(leader.checkpoints.folder) if leader else ()), initial])
    good = False
    while not good:
        if loop.group.is_leader:
            state.restore(*next(saved))
        state.share(loop.group)
        state.judged = loop.judge(state)
        good = bool(np.isfinite(state.judged).all())
    for name, value in paid.items():
        setattr(state, name, value)
