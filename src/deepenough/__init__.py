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
    from deepenough import record
    from deepenough.classifier import DeepenoughClassifier
    from deepenough.evaluation.evaluate import evaluate
    from deepenough.experiment.finished_run import Run
    from deepenough.experiment.fit import fit, plan, resume
    from deepenough.experiment.options import Options
    from deepenough.exporting.export import Exported, export
    from deepenough.model import Model, Prediction, load
    from deepenough.preprocessing import Preprocessing
    from deepenough.progress import Reporter
    from deepenough.record import Record
    from deepenough.training.callbacks import Action, Callback, Ending, Moment

    __version__: str

__all__ = [
    "Action",
    "Callback",
    "DeepenoughClassifier",
    "DeepenoughError",
    "Ending",
    "Exported",
    "Model",
    "Moment",
    "Options",
    "Prediction",
    "Preprocessing",
    "Record",
    "Reporter",
    "Run",
    "evaluate",
    "export",
    "fit",
    "load",
    "plan",
    "record",
    "resume",
]

# Loaded at first use: `deepenough --help` shall not wait for torch.
_PLACES = {
    "deepenough.classifier": ("DeepenoughClassifier",),
    "deepenough.model": ("Model", "Prediction", "load"),
    "deepenough.preprocessing": ("Preprocessing",),
    "deepenough.progress": ("Reporter",),
    "deepenough.record": ("Record",),
    "deepenough.experiment.finished_run": ("Run",),
    "deepenough.experiment.fit": ("fit", "plan", "resume"),
    "deepenough.experiment.options": ("Options",),
    "deepenough.training.callbacks": ("Action", "Callback", "Ending", "Moment"),
    "deepenough.evaluation.evaluate": ("evaluate",),
    "deepenough.exporting.export": ("Exported", "export"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("deepenough")
    if name == "record":
        return import_module("deepenough.record")
    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(place), name)
    raise AttributeError(f"module 'deepenough' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*(name for name in globals() if name.startswith("__")), *__all__, "__version__"})
