"""The loggers by the names that `--log` has for them, and what else accompanies every training of a run."""

from __future__ import annotations

import inspect
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

GivenCallbacks = CallbackMaker | Callable[[str], Callback] | Sequence[Callback]
"""Callbacks as a user gives them: one list for all trainings, or one or several made for each."""

_EXPECTED = "expected a list of `deepenough.Callback`, or a function that gives one for the name of a training"


def no_callbacks(training: str) -> list[Callback]:
    """Give a training nothing more."""
    return []


def callback_maker(run: Path, log: Iterable[str], given: GivenCallbacks = ()) -> CallbackMaker:
    """A function that makes the loggers and the user's own callbacks for each training of the run in folder `run`."""

    def callbacks(training: str) -> list[Callback]:
        return [*(LOGGERS[name](run, training) for name in log), *callbacks_of(given, training)]

    return callbacks


def callbacks_of(given: GivenCallbacks, training: str) -> list[Callback]:
    """The user's own callbacks of a training, by its name. Anything else that a function gives is an error."""
    if not callable(given):
        return list(given)
    made = given(training)
    if isinstance(made, Callback):
        return [made]
    found = list(made) if isinstance(made, Iterable) else [made]
    if wrong := [one for one in found if not isinstance(one, Callback)]:
        raise DeepenoughError(f"callbacks: for {training!r} the function gave {wrong[0]!r:.60}; {_EXPECTED}")
    return found


def check_callbacks(given: Any) -> None:
    """Raise the error for what is neither a list of callbacks nor a function that takes the name of a training."""
    if isinstance(given, type):
        raise DeepenoughError(f"callbacks: {given.__name__} is a class; {_EXPECTED}, as [{given.__name__}(...)]")
    if callable(given):
        try:
            inspect.signature(given).bind("residual-7/fold0")
        except TypeError:
            raise DeepenoughError(f"callbacks: {given!r:.60} can't be called with one argument; {_EXPECTED}") from None
        except ValueError:  # a function without a signature, as some that are written in C
            pass
        return
    each = list(given) if isinstance(given, Iterable) else [given]
    wrong = [one for one in each if not isinstance(one, Callback)]
    if wrong or not isinstance(given, Sequence):
        raise DeepenoughError(f"callbacks: {(wrong or [given])[0]!r:.60}; {_EXPECTED}")
