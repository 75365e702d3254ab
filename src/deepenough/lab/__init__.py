"""What everyone says about depth, as experiments on your images."""

from deepenough.lab.run import CLAIMS, run

__all__ = ["CLAIMS", "run"]
