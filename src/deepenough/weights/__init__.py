"""Pretrained weights: by name from their publishers, or from a file, into the networks of the zoo."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepenough.weights.load import load_weights
    from deepenough.weights.preset_names import PRESETS
    from deepenough.weights.presets import preset
    from deepenough.weights.weights import Weights

__all__ = ["PRESETS", "Weights", "load_weights", "preset"]

# Loaded at first use: `deepenough fit --help` lists the presets, and shall not wait for NumPy.
_PLACES = {"PRESETS": "preset_names", "Weights": "weights", "load_weights": "load", "preset": "presets"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
