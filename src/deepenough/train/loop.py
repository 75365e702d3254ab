"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.train.checkpoint import Keeper, whole
from deepenough.train.curve import HELD_OUT, Epoch
from deepenough.train.device import training_mode
from deepenough.train.draws import seed_step
from deepenough.train.evaluate import evaluate
from deepenough.train.feed import Feed, Index
from deepenough.train.objective import Objective, logits_of
from deepenough.train.optimizer import set_lr
from deepenough.train.schedule import Schedule
from deepenough.train.scores import Scores
from deepenough.train.state import State, Tensors
from deepenough.train.stop import Interrupted

Watch = Callable[[Sequence[Epoch]], str]
Progress = Callable[[int, int, Epoch | None], None]

PAID = ("images", "range_images", "evaluated_images", "seconds", "lr")
LOOK = 10  # steps between looks at the loss: each makes a GPU wait


class NotFiniteError(Exception):
    """The loss or a weight is no number any more."""


@dataclass(frozen=True)
class Job:
    """What does not change during a training."""

    feed: Feed
    held_out: Index
    folder: Path
    epochs: int
    patience: int
    schedule: Schedule
    objective: Objective
    clip: Callable[[], object]
    freeze_norms: bool = False


@dataclass
class Supervisor:
    """Looks after a training between its steps: stops, checkpoints, finite losses, progress."""

    keeper: Keeper
    stop: Callable[[], bool]
    progress: Progress
    total: int

    def after_step(self, state: State) -> None:
        if self.stop():
            self._check(state)
            self.keeper.save(state)
            raise Interrupted(
                f"stopped at step {state.step:,} of {self.total:,}; it is saved in {self.keeper.folder}. "
                "Run the same again to go on (`deepenough fit --resume RUN`)"
            )
        if self.keeper.due(state, epoch_ended=False):
            self._check(state)
            self.keeper.save(state)
        elif state.step % LOOK == 0 and not state.precision.forgives and not bool(state.tally.isfinite().all()):
            raise NotFiniteError
        self.progress(state.step, self.total, state.curve[-1] if state.curve else None)

    def after_epoch(self, state: State) -> None:
        self._check(state)
        if self.keeper.due(state, epoch_ended=True):
            self.keeper.save(state)
        self.progress(state.step, self.total, state.curve[-1])

    def _check(self, state: State) -> None:
        if not state.finite():
            raise NotFiniteError


def run(state: State, job: Job, supervisor: Supervisor, watch: Watch) -> str:
    """Train until the end, or until `watch` says something other than "go on"; how it ended.

    The answer is "finished", "early" (patience), or the watch's word. Raises NotFiniteError and Interrupted.
    """
    while len(state.curve) < job.epochs:
        verdict = watch(state.curve) if state.curve else "go on"
        if verdict != "go on":
            return verdict
        if job.patience and len(job.held_out) and stale(state.curve) >= job.patience:
            return "early"
        one_epoch(state, job, supervisor)
        close_epoch(state, job)
        supervisor.after_epoch(state)
    return "finished"


def one_epoch(state: State, job: Job, supervisor: Supervisor) -> None:
    """The steps that the running epoch still lacks."""
    epoch = len(state.curve)
    training_mode(state.model, job.freeze_norms)
    clock = time.perf_counter()
    for images, targets in job.feed.epoch(epoch, skip=state.step - epoch * job.feed.steps):
        set_lr(state.optimizer, job.schedule(state.step))
        seed_step(job.feed.seed, state.step)
        with state.precision.autocast():
            outputs = state.model(images)
        loss = job.objective(outputs, targets)
        state.precision.step(loss, state.optimizer, job.clip)
        state.advance(loss, logits_of(outputs), targets)
        clock = state.tick(clock)
        supervisor.after_step(state)


def close_epoch(state: State, job: Job) -> None:
    """Judge the epoch's weights on the held-out images and add a point to the curve."""
    clock = time.perf_counter()
    state.judged = probabilities = judge(state, job)
    if not np.isfinite(probabilities).all():
        raise NotFiniteError
    labels = job.feed.loader.images.labels[job.held_out]
    state.evaluated_images += len(labels)
    scores = Scores.of(probabilities, labels, probabilities.shape[1]) if len(labels) else None
    measured: dict[str, Any] = {name: getattr(scores, name, float("nan")) for name in HELD_OUT}
    loss_sum, hits, count = state.tally.tolist()
    state.tally.zero_()
    state.tick(clock)
    state.curve.append(
        Epoch(
            epoch=len(state.curve) + 1,
            train_loss=loss_sum / count,
            train_top1=hits / count,
            **measured,
            lr=job.schedule(state.step - 1),
            seconds=state.epoch_seconds,
        )
    )
    state.epoch_seconds = 0.0


def judge(state: State, job: Job) -> npt.NDArray[np.float32]:
    """Probabilities of the held-out images, (held_out, classes), from the weights that count."""
    loader = job.feed.loader
    return evaluate(state.ema.model, loader.images, job.held_out, loader.images.preprocess, loader.device)


def last_good(state: State, job: Job, initial: tuple[Tensors, dict[str, Any]]) -> None:
    """Go back to the newest checkpoint whose predictions are numbers, or else to the `initial` state.

    What was thrown away was paid for, so images and seconds stay counted.
    """
    paid = {name: getattr(state, name) for name in PAID}
    for tensors, facts in [*whole(job.folder), initial]:
        state.restore(tensors, facts)
        if np.isfinite(judge(state, job)).all():
            break
    for name, value in paid.items():
        setattr(state, name, value)


def stale(curve: Sequence[Epoch]) -> int:
    """Epochs since the best held-out accuracy."""
    accuracies = [epoch.top1 for epoch in curve]
    best = max(accuracies, default=0.0)
    return len(accuracies) - 1 - accuracies.index(best) if best in accuracies else 0
