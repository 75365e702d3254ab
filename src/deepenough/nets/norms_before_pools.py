"""Norms put before max pools, where they compute the same and can be folded into the layer before them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from deepenough.nets.activation import Relu
from deepenough.nets.layer import Stack, joined_path, named
from deepenough.nets.layers import BatchNorm, MaxPool, Weighted
from deepenough.nets.network import Network
from deepenough.nets.walk import rewritten


def norms_before_pools(network: Network, rises: Callable[[str], bool]) -> Network:
    """The network with each batch norm that stands directly behind a weighted layer and a max pool put between the two,
    and a ReLU behind it, too.

    The largest of some values stays the largest under a function that never falls, so the outputs are the same where no
    scale of the norm is negative: `rises` tells that by the norm's module path. The families have the other order,
    since norm and ReLU then have fewer values to compute in training. Module paths stay as they are.
    """

    def reordered(stack: Stack, path: str) -> Stack:
        names, layers = [name for name, _ in named(stack)], list(stack)
        for third in range(2, len(layers)):
            weighted, pool, norm = layers[third - 2 : third + 1]
            follows = isinstance(weighted, Weighted) and isinstance(pool, MaxPool) and isinstance(norm, BatchNorm)
            if follows and rises(joined_path(path, names[third])):
                relu = [layer for layer in layers[third + 1 : third + 2] if isinstance(layer, Relu)]
                layers[third - 1 : third + 1 + len(relu)] = norm, *relu, pool
        return tuple(layers)

    return replace(network, stack=rewritten(network.stack, reordered))
