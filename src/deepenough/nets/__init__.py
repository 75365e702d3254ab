"""What a network is: layers, a walk for each question, JSON, the zoo and the families. Torch comes in with `build`."""

from deepenough.nets.cost import activations, macs, parameters
from deepenough.nets.families import FAMILIES, Family
from deepenough.nets.layers import (
    KINDS,
    Auxiliary,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    Group,
    Layer,
    Lrn,
    MaxPool,
    Relu,
    Shape,
    Sigmoid,
    Stack,
    Sum,
)
from deepenough.nets.longest_path import depth
from deepenough.nets.network import Network
from deepenough.nets.receptive_field import receptive_field
from deepenough.nets.serialization import dumps, loads
from deepenough.nets.shapes import ShapeError, output_shape
from deepenough.nets.summary import Row, layer_table
from deepenough.nets.zoo import NETWORKS

__all__ = [
    "FAMILIES",
    "KINDS",
    "NETWORKS",
    "Auxiliary",
    "AvgPool",
    "BatchNorm",
    "Concat",
    "Conv",
    "Dense",
    "Dropout",
    "Family",
    "Flatten",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "Group",
    "Layer",
    "Lrn",
    "MaxPool",
    "Network",
    "Relu",
    "Row",
    "Shape",
    "ShapeError",
    "Sigmoid",
    "Stack",
    "Sum",
    "activations",
    "depth",
    "dumps",
    "layer_table",
    "loads",
    "macs",
    "output_shape",
    "parameters",
    "receptive_field",
]
