"""The messages between a run and its worker processes: pickles on the standard input and output of each worker.

A run sends its images, then a `TrainingTask` at a time, an `Action` for every `EpochBegin`, and `STOP`. A worker whose
input ends, since its run is no more, ends at once.
"""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class TrainBegin:
    """A training begins or goes on."""

    moment: Moment


@dataclass(frozen=True)
class EpochBegin:
    """An epoch is about to begin; the worker waits for an `Action`."""

    moment: Moment


@dataclass(frozen=True)
class StepEnd:
    """Some steps later."""

    moment: Moment


@dataclass(frozen=True)
class EpochEnd:
    """An epoch was judged."""

    moment: Moment


@dataclass(frozen=True)
class TrainEnd:
    """A training ended; `ending` is None where it was interrupted."""

    moment: Moment
    ending: Ending | None


@dataclass(frozen=True)
class Warned:
    """A warning for the user."""

    warning: Warning


@dataclass(frozen=True)
class Failed:
    """A training raised an error, an `Interrupted` among them."""

    error: Exception


Message = TrainBegin | EpochBegin | StepEnd | EpochEnd | TrainEnd | Warned | Failed | Trained
"""From a worker; `Trained` is a training's result."""
