"""The first layers of a network as files have them: for grey images, for small ones, or with other positions."""

from __future__ import annotations

import math
from dataclasses import replace

from deepenough.nets.combinators import Group
from deepenough.nets.cut import name_of_whole
from deepenough.nets.layers import Conv, MaxPool
from deepenough.nets.network import Network
from deepenough.nets.shapes import visits
from deepenough.nets.zoo import NETWORKS
from deepenough.nets.zoo.vit import PATCH, with_positions

SMALL_IMAGE = 32
"""Side (pixels) of the images that a stem of 3x3 without pooling is for, those of CIFAR-10."""

SMALL_STEM = "3x3 stem without pooling, for small images"

POSITIONS = "tokens.position"
"""The key of the position embedding of the zoo's vision transformers."""


def with_stem(network: Network, kernel: tuple[int, ...]) -> Network:
    """The network with a first convolution of this shape (out, in, height, width), as far as it is a known change.

    One channel makes it a network of grey images. 3x3 in the place of a ResNet's 7x7 goes without the pooling behind
    it and without a stride, as everybody has it for CIFAR-10; no tensor shows either.
    """
    if len(kernel) != 4:
        return network
    if kernel[1] == 1:
        network = network.with_input((1, *network.input[1:]))
    stem = network.stack[0]
    if kernel[2:] != (3, 3) or not isinstance(stem, Group):
        return network
    first, *rest = stem.stack
    pooled = any(isinstance(layer, MaxPool) for layer in rest)
    if not (isinstance(first, Conv) and first.kernel == 7 and pooled):
        return network
    kept = (layer for layer in rest if not isinstance(layer, MaxPool))
    small = replace(stem, stack=(replace(first, kernel=3, stride=1), *kept))
    return replace(
        network,
        input=(network.input[0], SMALL_IMAGE, SMALL_IMAGE),
        stack=(small, *network.stack[1:]),
        variant=f"{network.variant}; {SMALL_STEM}",
    )


def with_positions_of(network: Network, shape: tuple[int, ...]) -> Network:
    """The vision transformer for images of the size that as many positions, (1, 1 + rows * columns, C), are for.

    That is a square; other numbers of positions leave the network as it is.
    """
    side = math.isqrt(shape[1] - 1) if len(shape) == 3 and shape[1] > 1 else 0
    size = (side * PATCH, side * PATCH)
    return (
        with_positions(network, size) if side and 1 + side * side == shape[1] and size != network.input[1:] else network
    )


def has_small_stem(network: Network) -> bool:
    """Tell whether `with_stem` made this one, or the one that it was cut from, for small images."""
    known = NETWORKS.get(name_of_whole(network))
    if known is None:
        return False
    own, usual = (_first_convolution(each) for each in (network, known()))
    return own is not None and usual is not None and (own.kernel, own.stride, usual.kernel) == (3, 1, 7)


def _first_convolution(network: Network) -> Conv | None:
    return next((visit.layer for visit in visits(network) if isinstance(visit.layer, Conv)), None)
