"""The bytes of a network's weights in the precisions that `export` has, by the network's description alone."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from deepenough.nets.combinators import Auxiliary, Branches
from deepenough.nets.layer import Layer
from deepenough.nets.layers import BatchNorm, Dropout, LayerScale, Weighted
from deepenough.nets.network import Network
from deepenough.nets.norms_before_pools import norms_before_pools
from deepenough.nets.shapes import Visit, visits
from deepenough.nets.tokens import Tokens
from deepenough.nets.walk import Walk

BESIDE_A_CHANNEL = 28
"""Of each channel that a weighted layer gives, besides its weights in int8, LiteRT keeps the bias (4 bytes), and of
weights and bias each a scale (4) and a zero point (8). ONNX keeps 17 bytes: its zero points have 1 and 4."""

BESIDE_A_CHANNEL_OF_TOKENS = 13
"""The same where a dense layer works on tokens: the bias is added by an operation of its own, in 8 bits."""


def half_bytes(network: Network) -> int:
    """The bytes of its weights and of the statistics of its norms in float16, as `export --half` writes them."""
    return 2 * sum(map(_numbers, visits(network)))


def int8_bytes(network: Network) -> int:
    """The bytes of its weights as `export --int8` writes them, in the larger of the two ways, which is LiteRT's.

    A byte for each weight of a convolution or dense layer, with the biases, scales and zero points of its channels; a
    byte for each number of position embeddings and layer scales; norms that can't be folded into what they follow in
    float32. A norm behind a max pool counts as folded; one with a negative scale stays there, in float32. The graph,
    the ranges of activations and the metadata are not counted, nor are auxiliary branches. What LiteRT writes is within
    2% of that, but 6% less for DenseNet-121, whose norms stand before convolutions. ONNX writes 11 bytes a channel
    less, which is 6% of MobileNetV3-Small, and 3% of DenseNet-121 and ViT-Tiny.
    """
    network = norms_before_pools(network, lambda path: True)
    walk = _Folding()
    walk.through(network.stack, False)
    return sum(_int8_bytes(visit) for visit in visits(network) if visit.path not in walk.folded)


def _int8_bytes(visit: Visit) -> int:
    """Those of a layer that isn't folded into another."""
    match visit.layer:
        case Weighted(out=channels):
            beside = BESIDE_A_CHANNEL_OF_TOKENS if len(visit.input) == 2 else BESIDE_A_CHANNEL
            return prod(visit.layer.tensors(visit.input)["weight"]) + beside * channels
        case Tokens() | LayerScale():
            return _numbers(visit)
    return 4 * _numbers(visit)


def _numbers(visit: Visit) -> int:
    """Count the numbers that an export keeps of a layer: position embeddings for the size of the network's images."""
    if isinstance(visit.layer, Tokens):
        return prod(visit.output) if visit.layer.tensors(visit.input) else 0
    return sum(map(prod, visit.layer.tensors(visit.input).values()))


class _Folding(Walk[bool]):
    """The norms that are folded into weighted layers. True stands for what a weighted layer gives to one reader."""

    def __init__(self) -> None:
        self.folded: set[str] = set()

    def single(self, layer: Layer, value: bool, path: str) -> bool:
        if value and isinstance(layer, BatchNorm):
            self.folded.add(path)
        return isinstance(layer, Weighted) or (value and isinstance(layer, (Auxiliary, BatchNorm, Dropout)))

    def joined(self, layer: Branches, value: bool, ends: Sequence[bool], path: str) -> bool:
        return False

    def branch(self, label: str, value: bool) -> bool:
        return False  # other branches read the same
