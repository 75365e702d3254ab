"""Pretrained weights: by name from their publishers, or from a file, into the networks of the zoo."""

from deepenough.nets.weights.inputs import PRESETS, Input, preset
from deepenough.nets.weights.load import load_weights
from deepenough.nets.weights.weights import Weights

__all__ = ["PRESETS", "Input", "Weights", "load_weights", "preset"]
