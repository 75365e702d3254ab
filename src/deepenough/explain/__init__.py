"""Explanations of a model's predictions, and of what its layers respond to."""

from deepenough.attribution import METHODS
from deepenough.attribution.methods import heat
from deepenough.explain.explanation import Explanation, explain

__all__ = ["METHODS", "Explanation", "explain", "heat"]
