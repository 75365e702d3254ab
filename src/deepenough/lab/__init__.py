"""Common claims about depth, tested on your images."""

from deepenough.lab.run import CLAIMS, Scale, run_experiment

__all__ = ["CLAIMS", "Scale", "run_experiment"]
