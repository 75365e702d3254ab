"""Deepenough: how deep does the network need to be?

>>> import deepenough
>>> run = deepenough.fit("photos/", target=0.95)      # doctest: +SKIP
>>> deepenough.load(run.folder).predict("photo.jpg")  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepenough.errors import DeepenoughError

if TYPE_CHECKING:
    from deepenough.evaluation.evaluate import evaluate
    from deepenough.experiment.fit import Run, fit, plan, resume
    from deepenough.exporting.export import Exported, export
    from deepenough.model import Model, Prediction, load
    from deepenough.record import Record

__all__ = [
    "DeepenoughError",
    "Exported",
    "Model",
    "Prediction",
    "Record",
    "Run",
    "evaluate",
    "export",
    "fit",
    "load",
    "plan",
    "resume",
]

# Loaded at first use: `deepenough --help` shall not wait for torch.
_PLACES = {
    "Model": "deepenough.model",
    "Prediction": "deepenough.model",
    "load": "deepenough.model",
    "Record": "deepenough.record",
    "Run": "deepenough.experiment.fit",
    "fit": "deepenough.experiment.fit",
    "plan": "deepenough.experiment.fit",
    "resume": "deepenough.experiment.fit",
    "evaluate": "deepenough.evaluation.evaluate",
    "Exported": "deepenough.exporting.export",
    "export": "deepenough.exporting.export",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'deepenough' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
