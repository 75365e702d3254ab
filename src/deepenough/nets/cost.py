"""The cost of a network: the walks for parameters and for multiply-accumulates."""

from __future__ import annotations

from math import prod

from deepenough.nets.network import Network
from deepenough.nets.shapes import visits


def parameters(network: Network, *, training: bool = False) -> int:
    """Trained numbers: weights, biases, scales and shifts. Auxiliary branches count only with `training`."""
    return sum(visit.layer.parameters(visit.input) for visit in visits(network, training=training))


def weight_bytes(network: Network) -> int:
    """The bytes of its weights and of the statistics of its norms in float32, without auxiliary branches."""
    shapes = (shape for visit in visits(network) for shape in visit.layer.tensors(visit.input).values())
    return 4 * sum(map(prod, shapes))


def macs(network: Network, *, training: bool = False) -> int:
    """Multiply-accumulates of one image's forward pass, in convolutions, dense layers and attention."""
    return sum(visit.layer.macs(visit.input) for visit in visits(network, training=training))


def activations(network: Network) -> int:
    """Numbers that a training step remembers of one image until its backward pass: what every layer gives, and once
    more the masks of dropout."""
    kept = sum(visit.layer.remembered * prod(visit.output) for visit in visits(network, training=True))
    return prod(network.input) + kept
