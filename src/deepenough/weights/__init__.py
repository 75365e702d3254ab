"""Pretrained weights: by name from their publishers, or from a file, into the networks of the zoo."""

from deepenough.weights.load import load_weights
from deepenough.weights.presets import PRESETS, preset
from deepenough.weights.weights import Weights

__all__ = ["PRESETS", "Weights", "load_weights", "preset"]
