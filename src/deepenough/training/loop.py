"""The training loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from deepenough.training.callbacks import Action, CallbackList, Ending, Moment
from deepenough.training.curve import HELD_OUT, Epoch
from deepenough.training.device import training_mode
from deepenough.training.evaluate import predict_probabilities
from deepenough.training.feed import Feed
from deepenough.training.gradient_statistics import PASSES, STATISTICS_IMAGES, GradientStatistics, gradient_statistics
from deepenough.training.interrupt import Interrupted
from deepenough.training.metrics import Scores
from deepenough.training.optimizer import set_lr
from deepenough.training.process_group import ALONE, ProcessGroup
from deepenough.training.rng import seed_step
from deepenough.training.schedule import schedule
from deepenough.training.spec import TrainingSpec
from deepenough.training.state import NotFiniteError, State
from deepenough.training.step import Step

CHECK_STEPS = 10  # steps between looks at the loss and at wishes to stop: each makes a GPU wait


@dataclass
class TrainingLoop:
    """The steps and epochs of one training, as every process of a group goes through them in lockstep.

    `look` is the number of steps between looks at the wishes to stop of others of the group, each of which makes a GPU
    wait.
    """

    spec: TrainingSpec
    feed: Feed
    step: Step
    callbacks: CallbackList = field(default_factory=CallbackList)
    group: ProcessGroup = ALONE
    look: int = CHECK_STEPS
    _wants_stop: bool = False

    @property
    def steps(self) -> int:
        """All steps of the training."""
        return self.spec.recipe.epochs * self.feed.steps

    def moment(self, state: State) -> Moment:
        return Moment(state.step, self.steps, state.curve, state)

    def run(self, state: State) -> Ending:
        """Train until the end, or until a callback ends or pauses it. Raises NotFiniteError and Interrupted."""
        while len(state.curve) < self.spec.recipe.epochs:
            if state.curve:
                action = self.group.broadcast_object(self.callbacks.on_epoch_begin(self.moment(state)))
                if action is not Action.GO_ON:
                    return Ending(action.value)
            self.train_epoch(state)
            self.close_epoch(state)
            check_finite(state)
            self.callbacks.on_epoch_end(self.moment(state))
        return Ending.FINISHED

    def train_epoch(self, state: State) -> None:
        """Take the steps that the running epoch still lacks."""
        epoch = len(state.curve)
        training_mode(state.model, self.spec.recipe.freeze_norms, self.step.frozen)
        rate = self.rate(state)
        clock = time.perf_counter()
        for batch in self.feed.epoch(epoch, skip=state.step - epoch * self.feed.steps):
            set_lr(state.optimizer, rate(state.step))
            seed_step(self.feed.seed, state.step, self.feed.loader.device)
            tally = self.step(batch, state.micro_batch, stop=self._wants_stop)
            state.advance(tally[:3], batch.total)
            clock = state.tick(clock)
            state.waited += self.feed.waited.take()
            self.end_step(state, tally[3])

    def end_step(self, state: State, wishes: torch.Tensor) -> None:
        """Tell the callbacks of a step; `wishes` is the number of processes that wanted to stop before it."""
        action = self.callbacks.on_step_end(self.moment(state))
        if self._stops(state, action, wishes):
            check_finite(state)
            raise Interrupted(
                f"stopped at step {state.step:,} of {self.steps:,}; it is saved in the training's folder. "
                "Run the same again to go on (`deepenough fit --resume RUN`)"
            )
        if state.step % CHECK_STEPS == 0 and not state.finite_loss():
            raise NotFiniteError

    def _stops(self, state: State, action: Action, wishes: torch.Tensor) -> bool:
        """True if all processes stop now: in a group together, after a step that has told the others of the wish."""
        if self.group.size == 1:
            return action is Action.STOP
        self._wants_stop = self._wants_stop or action is Action.STOP
        looks = wishes.device.type == "cpu" or state.step % self.look == 0
        return looks and bool(wishes > 0)

    def rate(self, state: State) -> Callable[[int], float]:
        """The learning rate of each step."""
        recipe = self.spec.recipe
        return schedule(recipe.schedule, lr=state.lr, steps=self.steps, warmup=recipe.warmup)

    def close_epoch(self, state: State) -> None:
        """Judge the epoch's weights on the held-out images and add a point to the curve."""
        clock = time.perf_counter()
        state.judged = probabilities = self.judge(state)
        if not np.isfinite(probabilities).all():
            raise NotFiniteError
        labels = self.feed.loader.images.labels[self.spec.evaluation]
        state.evaluated_images += len(labels)
        scores = Scores.of(probabilities, labels, probabilities.shape[1]) if len(labels) else None
        measured: dict[str, Any] = {name: getattr(scores, name, float("nan")) for name in HELD_OUT}
        gradients, activations = self.gradient_statistics(state) if self.group.is_leader else ((), ())
        loss_sum, hits, count = state.tally.tolist()
        state.tally.zero_()
        state.tick(clock)
        state.curve.append(
            Epoch(
                epoch=len(state.curve) + 1,
                train_loss=loss_sum / count,
                train_top1=hits / count,
                **measured,
                lr=self.rate(state)(state.step - 1),
                seconds=state.epoch_seconds,
                gradients=gradients,
                activations=activations,
            )
        )
        state.epoch_seconds = 0.0

    def gradient_statistics(self, state: State) -> GradientStatistics:
        """Those of the weights that are being trained, on some of the training images as they are."""
        loader, index = self.feed.loader, self.feed.index
        count = min(STATISTICS_IMAGES, len(index), state.micro_batch or STATISTICS_IMAGES)
        rows = index[np.linspace(0, len(index) - 1, count).astype(int)]
        images = loader.normalise(loader.raw(rows)).contiguous(memory_format=torch.channels_last)
        labels = loader.labels(rows)
        state.evaluated_images += PASSES * len(rows)
        return gradient_statistics(state.model, images, labels, state.precision.autocast)

    def judge(self, state: State) -> npt.NDArray[np.float32]:
        """Probabilities of the held-out images, (held_out, classes), from the weights that count; each process judges
        its share."""
        loader, rows = self.feed.loader, self.spec.evaluation
        mine = rows[self.group.shard(len(rows))]
        found = predict_probabilities(
            state.ema.model, loader.images, mine, loader.images.preprocess, loader.device, waited=self.feed.waited
        )
        state.waited += self.feed.waited.take()
        return self.group.gather_rows(found, len(rows))


def check_finite(state: State) -> None:
    """Raise NotFiniteError where the loss or a weight became NaN or infinite."""
    if not state.finite():
        raise NotFiniteError
