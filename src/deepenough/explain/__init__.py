"""What a model looked at, and what its layers see."""

from deepenough.attribution import METHODS
from deepenough.attribution.methods import heat
from deepenough.explain.explanation import Explanation, explain

__all__ = ["METHODS", "Explanation", "explain", "heat"]
