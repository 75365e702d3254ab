"""The loggers by the names that `--log` has for them, and what else accompanies every training of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from deepenough.errors import DeepenoughError
from deepenough.training.callbacks import Callback
from deepenough.training.mlflow_logger import MLflow
from deepenough.training.tensorboard import TensorBoard
from deepenough.training.wandb_logger import WeightsAndBiases

LOGGERS: Mapping[str, Callable[[Path, str], Callback]] = MappingProxyType(
    {
        "tensorboard": lambda run, training: TensorBoard(run / "tensorboard" / training),
        "mlflow": MLflow,
        "wandb": WeightsAndBiases,
    }
)
"""Each takes the folder of the run and the name of a training."""

CallbackMaker = Callable[[str], Iterable[Callback]]
"""Gives the callbacks of a training by its name, as `residual-7/fold0`."""

GivenCallbacks = CallbackMaker | Sequence[Callback]
"""Callbacks as a user gives them: one list for all trainings, or made for each."""


def no_callbacks(training: str) -> list[Callback]:
    """Give a training nothing more."""
    return []


def callback_maker(run: Path, log: Iterable[str], given: GivenCallbacks = ()) -> CallbackMaker:
    """A function that makes the loggers and the user's own callbacks for each training of the run in folder `run`."""

    def callbacks(training: str) -> list[Callback]:
        made = [LOGGERS[name](run, training) for name in log]
        mine: Iterable[Callback] = given if isinstance(given, Sequence) else given(training)
        return [*made, *mine]

    return callbacks


def check_callbacks(given: Any) -> None:
    """Raise the error for what is neither a list of callbacks nor a function."""
    if callable(given):
        return
    each = list(given) if isinstance(given, Iterable) else [given]
    wrong = [one for one in each if not isinstance(one, Callback)]
    if wrong or not isinstance(given, Sequence):
        raise DeepenoughError(
            f"callbacks: {(wrong or [given])[0]!r:.60}; expected a list of `deepenough.Callback`, or a function that "
            "gives one for the name of a training"
        )
