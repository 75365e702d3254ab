"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from deepenough.training.checkpoint import Keeper, whole
from deepenough.training.curve import HELD_OUT, Epoch
from deepenough.training.device import training_mode
from deepenough.training.evaluate import evaluate
from deepenough.training.feed import Feed, Index
from deepenough.training.gradient_statistics import IMAGES, PASSES, Signals, signals
from deepenough.training.interrupt import Interrupted
from deepenough.training.metrics import Scores
from deepenough.training.optimizer import set_lr
from deepenough.training.process_group import ALONE, Group
from deepenough.training.rng import seed_step
from deepenough.training.schedule import Schedule
from deepenough.training.state import State, Tensors
from deepenough.training.step import Step

Watch = Callable[[Sequence[Epoch]], str]
Progress = Callable[[int, int, Epoch | None], None]

PAID = ("images", "range_images", "evaluated_images", "seconds", "waited", "lr")
LOOK = 10  # steps between looks at the loss and at wishes to stop: each makes a GPU wait


class NotFiniteError(Exception):
    """The loss or a weight is no number any more."""


@dataclass(frozen=True)
class Job:
    """What does not change during a training."""

    feed: Feed
    held_out: Index
    epochs: int
    patience: int
    schedule: Schedule
    step: Step
    freeze_norms: bool = False
    group: Group = ALONE


@dataclass
class Supervisor:
    """Looks after a training between its steps: stops, checkpoints, finite losses, progress.

    Only the leader of a group has a `keeper`; all else comes out the same on every process. `look` is the number
    of steps between looks at the wishes to stop, each of which makes a GPU wait.
    """

    keeper: Keeper | None
    stop: Callable[[], bool]
    progress: Progress
    total: int
    group: Group = ALONE
    look: int = LOOK

    def after_step(self, state: State, wishes: torch.Tensor) -> None:
        if self._stops(state, wishes):
            self._check(state)
            if self.keeper:
                self.keeper.save(state)
            raise Interrupted(
                f"stopped at step {state.step:,} of {self.total:,}; it is saved in the training's folder. "
                "Run the same again to go on (`deepenough fit --resume RUN`)"
            )
        if self.keeper and self.keeper.due(state, epoch_ended=False):
            if state.finite():
                self.keeper.save(state)
            elif self.group.size == 1:  # in a group, all see it together: at the next look, or as the epoch ends
                raise NotFiniteError
        if state.step % LOOK == 0 and not state.finite_loss():
            raise NotFiniteError
        self.progress(state.step, self.total, state.curve[-1] if state.curve else None)

    def after_epoch(self, state: State) -> None:
        self._check(state)
        if self.keeper and self.keeper.due(state, epoch_ended=True):
            self.keeper.save(state)
        self.progress(state.step, self.total, state.curve[-1])

    def wishes_to_stop(self) -> bool:
        """What this process tells the others of its group; alone, nobody has to be told."""
        return self.group.size > 1 and self.stop()

    def _stops(self, state: State, wishes: torch.Tensor) -> bool:
        """Whether to stop now: in a group all at once, after a step that has told the others of the wish."""
        if self.group.size == 1:
            return self.stop()
        looks = wishes.device.type == "cpu" or state.step % self.look == 0
        return looks and bool(wishes > 0)

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
    for batch in job.feed.epoch(epoch, skip=state.step - epoch * job.feed.steps):
        set_lr(state.optimizer, job.schedule(state.step))
        seed_step(job.feed.seed, state.step, job.feed.loader.device)
        tally = job.step(batch, state.micro_batch, stop=supervisor.wishes_to_stop())
        state.advance(tally[:3], batch.total)
        clock = state.tick(clock)
        state.waited += job.feed.waited.take()
        supervisor.after_step(state, tally[3])


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
    gradients, activations = strength(state, job) if job.group.leads else ((), ())
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
            gradients=gradients,
            activations=activations,
        )
    )
    state.epoch_seconds = 0.0


def strength(state: State, job: Job) -> Signals:
    """The signals in the weights that are being trained, on some of the training images as they are."""
    loader, index = job.feed.loader, job.feed.index
    rows = index[np.linspace(0, len(index) - 1, min(IMAGES, len(index), state.micro_batch or IMAGES)).astype(int)]
    images = loader.normalise(loader.raw(rows)).contiguous(memory_format=torch.channels_last)
    labels = loader.labels(rows)
    state.evaluated_images += PASSES * len(rows)
    return signals(state.model, images, labels, state.precision.autocast)


def judge(state: State, job: Job) -> npt.NDArray[np.float32]:
    """Probabilities of the held-out images, (held_out, classes), from the weights that count; each process judges its
    share."""
    loader = job.feed.loader
    mine = job.held_out[job.group.share(len(job.held_out))]
    found = evaluate(
        state.ema.model, loader.images, mine, loader.images.preprocess, loader.device, waited=job.feed.waited
    )
    state.waited += job.feed.waited.take()
    return job.group.rows(found, len(job.held_out))


def last_good(state: State, job: Job, keeper: Keeper | None, initial: tuple[Tensors, dict[str, Any]]) -> None:
    """Go back to the newest checkpoint whose predictions are numbers, or else to the `initial` state.

    What was thrown away was paid for, so images and seconds stay counted.
    """
    paid = {name: getattr(state, name) for name in PAID}
    if keeper:
        keeper.settle()
    saved = iter([*(whole(keeper.folder) if keeper else ()), initial])
    good = False
    while not good:
        if job.group.leads:
            state.restore(*next(saved))
        state.share(job.group)
        state.judged = judge(state, job)
        good = bool(np.isfinite(state.judged).all())
    for name, value in paid.items():
        setattr(state, name, value)


def stale(curve: Sequence[Epoch]) -> int:
    """Epochs since the best held-out accuracy."""
    accuracies = [epoch.top1 for epoch in curve]
    best = max(accuracies, default=0.0)
    return len(accuracies) - 1 - accuracies.index(best) if best in accuracies else 0
