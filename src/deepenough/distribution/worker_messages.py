"""The messages between a run and its worker processes: pickles on the standard input and output of each worker.

A run sends its images (and again, where another network wants them otherwise), a `TrainingTask` at a time, an `Action`
for every epoch that begins, and `STOP`. A worker whose input ends, since its run is no more, ends at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from deepenough.training.callbacks import Ending, Moment
from deepenough.training.result import Trained
from deepenough.training.spec import TrainingSpec

STOP = "stop"


@dataclass(frozen=True)
class TrainingTask:
    """The order to train; `may_pause` says whether something that accompanies the training may prune or pause it."""

    spec: TrainingSpec
    folder: Path
    threads: int
    may_pause: bool


class TrainingEvent(StrEnum):
    """The events of a training, by the methods of `Callback` that hear of them."""

    TRAIN_BEGIN = "on_train_begin"
    EPOCH_BEGIN = "on_epoch_begin"
    STEP_END = "on_step_end"
    EPOCH_END = "on_epoch_end"
    TRAIN_END = "on_train_end"


@dataclass(frozen=True)
class Happened:
    """An event of a training. The worker waits for an `Action` where an epoch begins.

    `ending` is that of a training that has ended, None where it was interrupted.
    """

    event: TrainingEvent
    moment: Moment
    ending: Ending | None = None


@dataclass(frozen=True)
class Warned:
    """A warning for the user."""

    warning: Warning


@dataclass(frozen=True)
class Failed:
    """A training raised an error, an `Interrupted` among them."""

    error: Exception


Message = Happened | Warned | Failed | Trained
"""From a worker; `Trained` is a training's result."""
