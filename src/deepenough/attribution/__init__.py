"""Where in an image the evidence for a class lies."""

from deepenough.attribution.methods import METHODS, available, heat, map_layer
from deepenough.attribution.overlay import overlay

__all__ = ["METHODS", "available", "heat", "map_layer", "overlay"]
