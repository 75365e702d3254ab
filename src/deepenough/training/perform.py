"""One training as every process of a group goes through it, in lockstep: a process alone is a group of one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from deepenough.data.images import Images
from deepenough.nets import Network
from deepenough.nets.build import build
from deepenough.training.checkpoint import Keeper, newest, shorten, shortened
from deepenough.training.curve import Epoch
from deepenough.training.device import place
from deepenough.training.ema import Ema
from deepenough.training.feed import Feed, Index, Loader
from deepenough.training.inplace_activations import reuse
from deepenough.training.loop import Job, NotFiniteError, Progress, Supervisor, Watch, judge, last_good, run
from deepenough.training.loss import Objective, balanced_weights
from deepenough.training.lr_range_test import range_test
from deepenough.training.out_of_memory import fewer, out_of_memory, remembered
from deepenough.training.precision import settings
from deepenough.training.process_group import Group
from deepenough.training.recipe import Recipe
from deepenough.training.result import ENDS
from deepenough.training.rng import own_draws, own_threads
from deepenough.training.schedule import schedule
from deepenough.training.state import State, Tensors
from deepenough.training.step import Step, make_step


@dataclass(frozen=True)
class Task:
    """What every process has to know. `threads` is the number that an earlier part of this training was computed with;
    `begun` says whether there is one."""

    network: Network
    recipe: Recipe
    train: Index
    held_out: Index
    seed: int
    threads: int
    begun: bool


@dataclass(frozen=True)
class Office:
    """What the leader alone has: the folder and what was saved there, the first weights, the caller's wishes."""

    keeper: Keeper
    saved: tuple[Tensors, dict[str, Any]] | None
    start: Mapping[str, torch.Tensor] | None
    watch: Watch
    progress: Progress


def perform(
    task: Task,
    images: Images,
    device: torch.device,
    group: Group,
    office: Office | None,
    stop: Callable[[], bool],
) -> tuple[State, str]:
    """Train, and judge what came out: the last state, and how it ended (see `loop.run`).

    Only the leader has an `office`. `stop` is asked after every step, in a group of every process.
    """
    recipe = task.recipe
    with own_draws(device), own_threads(task.threads), settings(recipe.precision):
        state, step = fresh(task.network, recipe, objective_of(task, images, device), device, task.seed, group)
        feed = Feed(
            Loader(images, device, state.precision.dtype), task.train, recipe.batch, recipe.augment, task.seed, group
        )
        initial = begin(state, group, office)
        keeper = office.keeper if office else None
        with remembered(state, feed, partial(shorten, keeper.folder) if keeper else None):
            if not task.begun:
                set_peak(state, step, feed, recipe)
                if keeper:
                    keeper.save(state)
            job = Job(
                feed=feed,
                held_out=task.held_out,
                epochs=recipe.epochs,
                patience=recipe.patience,
                schedule=schedule(recipe.schedule, lr=state.lr, steps=recipe.epochs * feed.steps, warmup=recipe.warmup),
                step=step,
                freeze_norms=recipe.freeze_norms,
                group=group,
            )
            supervisor = Supervisor(
                keeper=keeper,
                stop=stop,
                progress=office.progress if office else lambda *_: None,
                total=recipe.epochs * feed.steps,
                group=group,
            )

            def watch(curve: Sequence[Epoch]) -> str:
                return str(group.agree(office.watch(curve) if office else None))

            try:
                ended = run_in_memory(state, job, supervisor, watch)
            except NotFiniteError:
                ended = "not finite"
                last_good(state, job, keeper, initial)
            if state.judged is None:
                state.judged = judge(state, job)
        if keeper and ended not in ENDS:
            keeper.save(state)
    return state, ended


def begin(state: State, group: Group, office: Office | None) -> tuple[Tensors, dict[str, Any]]:
    """Bring the state of every process to where the training starts or goes on; what it was initially."""
    if office and office.start is not None:
        load_start(state, office.start)
    initial = copy.deepcopy(state.tensors()), state.facts()
    if office:
        if office.saved:
            state.restore(*office.saved)
        state.micro_batch = min(filter(None, (state.micro_batch, shortened(office.keeper.folder))), default=0)
    state.share(group)
    return initial


def run_in_memory(state: State, job: Job, supervisor: Supervisor, watch: Watch) -> str:
    """`run`; where a process alone runs out of memory, it goes on from the newest checkpoint without recordings, or
    with half as many images at once."""
    while True:
        try:
            return run(state, job, supervisor, watch)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if job.group.size > 1 or not out_of_memory(error):
                raise
        many = fewer(state, job.feed, job.step)
        if supervisor.keeper:
            saved = newest(supervisor.keeper.folder)
            if saved:
                state.restore(*saved)
            state.micro_batch = many
            supervisor.keeper.save(state)


def fresh(
    network: Network, recipe: Recipe, objective: Objective, device: torch.device, seed: int, group: Group
) -> tuple[State, Step]:
    """The state before the first step, and what takes the steps; device and memory format are applied here."""
    model = reuse(build(network, seed))
    if recipe.precision == "float64":
        model = model.double()
    model = place(model, device, recipe.memory_format)
    average = Ema(model, recipe.ema)
    step = make_step(model, recipe, objective, device, group)
    state = State(
        model=model,
        ema=average,
        optimizer=step.optimizer,
        precision=step.precision,
        tally=torch.zeros(3, dtype=torch.float32 if device.type == "mps" else torch.float64, device=device),
        micro_batch=recipe.micro_batch,
    )
    return state, step


def load_start(state: State, start: Mapping[str, torch.Tensor]) -> None:
    """Begin from the weights `start`."""
    state.model.load_state_dict(dict(start))
    if state.ema.model is not state.model:
        state.ema.model.load_state_dict(dict(start))


def objective_of(task: Task, images: Images, device: torch.device) -> Objective:
    """Cross-entropy as the recipe wants it, over this training's classes."""
    weights = balanced_weights(images.labels[task.train], len(images.classes)).to(device)
    return Objective(task.recipe.label_smoothing, weights if task.recipe.class_weights else None)


def set_peak(state: State, step: Step, feed: Feed, recipe: Recipe) -> None:
    """The recipe's learning rate, or the range test's; where that runs out of memory, the training goes on with the
    number of images at once that it came down to.

    The test is never compiled, nor recorded: its few steps on a copy don't pay that back, and a compiler would begin
    anew for the model.
    """
    if recipe.lr is not None:
        state.lr = recipe.lr
        return
    eager = replace(recipe, compiled=False)

    def spoiled() -> Step:
        copied = copy.deepcopy(state.model)
        return replace(make_step(copied, eager, step.objective, feed.loader.device, step.group), recorder=None)

    while True:
        try:
            found = range_test(spoiled, feed, replace(eager, micro_batch=state.micro_batch))
            break
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if feed.group.size > 1 or not out_of_memory(error):
                raise
        state.micro_batch = fewer(state, feed, step)
    state.lr = found.lr
    state.seconds += found.seconds
    state.range_images = found.images
