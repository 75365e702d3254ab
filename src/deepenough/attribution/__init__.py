"""Where in an image the evidence for a class lies."""

from deepenough.attribution.methods import COMPLETE, METHODS, available, heat, map_layer, shortfall
from deepenough.attribution.overlay import overlay

__all__ = ["COMPLETE", "METHODS", "available", "heat", "map_layer", "overlay", "shortfall"]
