"""Norms put before max pools, where they compute the same and can be folded into the layer before them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from deepenough.nets.combinators import Branches, Group
from deepenough.nets.layer import Layer, Stack, named
from deepenough.nets.layers import BatchNorm, MaxPool, Weighted
from deepenough.nets.network import Network


def norms_before_pools(network: Network, rising: Callable[[str], bool]) -> Network:
    """The network with each batch norm that follows a weighted layer and a max pool put between the two.

    The largest of some values stays the largest under a function that rises, so the outputs are the same where no
    factor of the norm is negative: `rising` tells by its module path if that is so. Training goes the other way, since
    a norm after the pool has a quarter of the work. Module paths stay as they are.
    """
    return replace(network, stack=_reordered(network.stack, rising, ""))


def _reordered(stack: Stack, rising: Callable[[str], bool], prefix: str) -> Stack:
    names = [f"{prefix}{name}" for name, _ in named(stack)]
    layers = [_inside(layer, rising, name) for name, layer in zip(names, stack, strict=True)]
    for third in range(2, len(layers)):
        weighted, pool, norm = layers[third - 2 : third + 1]
        follows = isinstance(weighted, Weighted) and isinstance(pool, MaxPool) and isinstance(norm, BatchNorm)
        if follows and rising(names[third]):
            layers[third - 1 : third + 1] = norm, pool
    return tuple(layers)


def _inside(layer: Layer, rising: Callable[[str], bool], path: str) -> Layer:
    if isinstance(layer, Group):
        return replace(layer, stack=_reordered(layer.stack, rising, f"{path}."))
    if isinstance(layer, Branches):
        inside = (_reordered(stack, rising, f"{path}.{label}.") for label, stack in layer.labelled())
        return replace(layer, branches=tuple(inside))
    return layer
