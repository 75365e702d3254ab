"""What a network costs: the walks for parameters and for multiply-accumulates."""

from __future__ import annotations

from math import prod

from deepenough.nets.layers import BatchNorm, Conv, Dense, Dropout, Flatten, Layer, Shape
from deepenough.nets.network import Network
from deepenough.nets.shapes import Visit, visits


def parameters(network: Network, *, training: bool = False) -> int:
    """Trained numbers: weights, biases, scales and shifts. Auxiliary branches count only with `training`."""
    return sum(parameters_of(visit) for visit in visits(network, training=training))


def macs(network: Network, *, training: bool = False) -> int:
    """Multiply-accumulates of one image's forward pass, in convolutions and dense layers."""
    return sum(macs_of(visit) for visit in visits(network, training=training))


def activations(network: Network) -> int:
    """Numbers that a training step remembers of one image until its backward pass: what every layer gives, and once
    more the masks of dropout."""
    total: int = prod(network.input)
    for visit in visits(network, training=True):
        if not isinstance(visit.layer, Flatten):
            total += prod(visit.output) * (1 + isinstance(visit.layer, Dropout))
    return total


def parameters_of(visit: Visit) -> int:
    """Trained numbers of one layer."""
    match visit.layer:
        case Conv(out=out, bias=bias) | Dense(out=out, bias=bias) as layer:
            return out * (_inputs(layer, visit.input) + bias)
        case BatchNorm():
            return 2 * visit.input[0]
    return 0


def macs_of(visit: Visit) -> int:
    """Multiply-accumulates of one layer: each output is a sum over its inputs."""
    match visit.layer:
        case Conv() | Dense() as layer:
            return prod(visit.output) * _inputs(layer, visit.input)
    return 0


def _inputs(layer: Layer, shape: Shape) -> int:
    """How many values each output is a weighted sum of."""
    if isinstance(layer, Conv):
        return layer.kernel**2 * (shape[0] // layer.groups)
    return shape[0]
