"""Pretrained weights: by name from their publishers, or from a file, into the networks of the zoo."""

from deepenough.weights.inputs import PRESETS, Input, preset
from deepenough.weights.load import load_weights
from deepenough.weights.weights import Weights

__all__ = ["PRESETS", "Input", "Weights", "load_weights", "preset"]
