"""Networks as data: layers, a walk for each question, JSON, the zoo and the families. Torch comes in with `build`."""

from deepenough.nets import activation, combinators, layers, tokens

# Every kind of layer, so that one is added in its own file alone.
from deepenough.nets.activation import *  # noqa: F403
from deepenough.nets.combinators import *  # noqa: F403
from deepenough.nets.cost import activations, macs, parameters, weight_bytes
from deepenough.nets.families import FAMILIES, Family
from deepenough.nets.layer import LAYER_KINDS, Layer, Shape, ShapeError, Stack
from deepenough.nets.layers import *  # noqa: F403
from deepenough.nets.longest_path import depth
from deepenough.nets.network import Network
from deepenough.nets.receptive_field import receptive_field
from deepenough.nets.serialization import dumps, loads
from deepenough.nets.shapes import output_shape
from deepenough.nets.summary import LayerRow, layer_table
from deepenough.nets.tokens import *  # noqa: F403
from deepenough.nets.zoo import NETWORKS

__all__ = [
    "FAMILIES",
    "LAYER_KINDS",
    "NETWORKS",
    "Family",
    "Layer",
    "LayerRow",
    "Network",
    "Shape",
    "ShapeError",
    "Stack",
    "activations",
    "depth",
    "dumps",
    "layer_table",
    "loads",
    "macs",
    "output_shape",
    "parameters",
    "receptive_field",
    "weight_bytes",
]
__all__ += activation.__all__
__all__ += combinators.__all__
__all__ += layers.__all__
__all__ += tokens.__all__
