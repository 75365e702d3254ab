"""Callbacks of a training: one protocol for everything that watches, ends, draws or saves it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

from deepenough.training.curve import Epoch

if TYPE_CHECKING:
    from deepenough.training.state import State


class Ending(StrEnum):
    """The ways in which a training ends. All but the first three are pauses: it can go on from its checkpoint."""

    FINISHED = "finished"
    EARLY = "early"
    NOT_FINITE = "not finite"
    PRUNED = "pruned"
    PAUSED = "paused"
    OUT_OF_TIME = "out of time"

    @property
    def is_final(self) -> bool:
        return self in (Ending.FINISHED, Ending.EARLY, Ending.NOT_FINITE)

    @property
    def is_kept(self) -> bool:
        """True for pauses that a search which is replayed has to see again."""
        return self in (Ending.PRUNED, Ending.PAUSED)

    @classmethod
    def _missing_(cls, value: object) -> Ending | None:
        """The words of version 0.1.0."""
        return {"hopeless": cls.PRUNED, "sure": cls.PAUSED}.get(str(value))


class Action(Enum):
    """The wish of a callback, with how the training ends if that is not to go on."""

    GO_ON = None
    FINISH = Ending.EARLY
    PRUNE = Ending.PRUNED
    PAUSE = Ending.PAUSED
    STOP = Ending.OUT_OF_TIME


@dataclass(frozen=True)
class Moment:
    """The progress of a training: steps done of all, and the curve so far. `state` is None where it runs elsewhere."""

    step: int
    steps: int
    curve: Sequence[Epoch]
    state: State | None = None


class Callback:
    """The events of a training, in the order in which they come. Those that are not of interest do nothing.

    In a group of processes the leader's callbacks decide; others of the group only ask for a stop after a step.
    """

    may_pause = False
    """True if it prunes or pauses trainings: then a pause that was kept is returned, as it was seen."""

    def on_train_begin(self, moment: Moment) -> None:
        """Before the first step, or the first after a resumption."""

    def on_epoch_begin(self, moment: Moment) -> Action:
        """Before every epoch but the first; decide whether it is still worth training."""
        return Action.GO_ON

    def on_step_end(self, moment: Moment) -> Action:
        """After every step; `Action.STOP` saves a checkpoint and raises Interrupted."""
        return Action.GO_ON

    def on_epoch_end(self, moment: Moment) -> None:
        """After every epoch and its evaluation."""

    def on_train_end(self, moment: Moment, ending: Ending | None) -> None:
        """After the last step; `ending` is None where the training was interrupted."""

    def close(self) -> None:
        """Give back what is held; called in the end, also after an error."""


class CallbackList(Callback):
    """Several callbacks as one: all hear of every event, and the first that does not want to go on is heeded."""

    def __init__(self, callbacks: Iterable[Callback] = ()) -> None:
        self.callbacks = tuple(callbacks)
        self.may_pause = any(callback.may_pause for callback in self.callbacks)

    @property
    def is_over(self) -> bool:
        """True if a deadline among them is over."""
        return any(isinstance(each, Deadline) and each.is_over for each in self.callbacks)

    @property
    def wants_stop(self) -> bool:
        """True if the user wants to stop, which is asked while there is no step to ask after."""
        return any(isinstance(each, Interrupt) and each.stop() for each in self.callbacks)

    def on_train_begin(self, moment: Moment) -> None:
        for callback in self.callbacks:
            callback.on_train_begin(moment)

    def on_epoch_begin(self, moment: Moment) -> Action:
        return _first([callback.on_epoch_begin(moment) for callback in self.callbacks])

    def on_step_end(self, moment: Moment) -> Action:
        return _first([callback.on_step_end(moment) for callback in self.callbacks])

    def on_epoch_end(self, moment: Moment) -> None:
        for callback in self.callbacks:
            callback.on_epoch_end(moment)

    def on_train_end(self, moment: Moment, ending: Ending | None) -> None:
        for callback in self.callbacks:
            callback.on_train_end(moment, ending)

    def close(self) -> None:
        for callback in self.callbacks:
            callback.close()


def _first(actions: Sequence[Action]) -> Action:
    return next((action for action in actions if action is not Action.GO_ON), Action.GO_ON)


@dataclass
class Interrupt(Callback):
    """Stop after the step during which `stop()` became true, as a flag that Ctrl-C and SIGTERM set."""

    stop: Callable[[], bool]

    def on_step_end(self, moment: Moment) -> Action:
        return Action.STOP if self.stop() else Action.GO_ON


@dataclass
class Deadline(Callback):
    """Stop before an epoch that begins after `time`, of time.monotonic()."""

    time: float

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self.time

    def on_epoch_begin(self, moment: Moment) -> Action:
        return Action.STOP if self.is_over else Action.GO_ON


@dataclass
class Patience(Callback):
    """Finish once so many epochs have brought no better accuracy."""

    epochs: int

    def on_epoch_begin(self, moment: Moment) -> Action:
        return Action.FINISH if epochs_without_gain(moment.curve) >= self.epochs else Action.GO_ON


@dataclass
class ReportProgress(Callback):
    """Call `report(steps done, all steps, latest epoch)` after every step and epoch."""

    report: Callable[[int, int, Epoch | None], None]

    def on_step_end(self, moment: Moment) -> Action:
        self.on_epoch_end(moment)
        return Action.GO_ON

    def on_epoch_end(self, moment: Moment) -> None:
        self.report(moment.step, moment.steps, moment.curve[-1] if moment.curve else None)


def epochs_without_gain(curve: Sequence[Epoch]) -> int:
    """Epochs since the best held-out accuracy."""
    accuracies = [epoch.top1 for epoch in curve]
    best = max(accuracies, default=0.0)
    return len(accuracies) - 1 - accuracies.index(best) if best in accuracies else 0
