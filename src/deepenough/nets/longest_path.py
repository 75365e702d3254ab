"""The walk for depth."""

from __future__ import annotations

from collections.abc import Sequence

from deepenough.nets.combinators import Branches
from deepenough.nets.layer import Layer
from deepenough.nets.network import Network
from deepenough.nets.walk import Walk


def depth(network: Network) -> int:
    """Weighted layers (convolutions and dense layers) on the longest path from input to output.

    Batch norms have weights but do not count. A projection shortcut lies on a shorter path; an inception module
    counts by its longest branch; auxiliary branches are on no path to the output.
    Worked cases: AlexNet 5 + 3 = 8; VGG-16 13 + 3; GoogLeNet 3 + 9 * 2 + 1 = 22; ResNet-50 1 + 16 * 3 + 1.

    The gates of a `Product` (squeeze-and-excitation) are on no path either: they scale what a path carries, so that
    SE-ResNet-50 is as deep as ResNet-50, and MobileNetV3-Large 1 + 15 * 3 - 1 + 3 = 48. An attention block counts its
    sequential weighted layers: queries, keys and values are one, since they stand side by side, and the projection
    behind the attention another; with the two of its MLP a transformer's block is 4 deep, and ViT-B/16
    1 + 12 * 4 + 1 = 50. Layer scale and position embedding have weights and do not count, as norms don't.
    """
    return _Depth().through(network.stack, 0)


class _Depth(Walk[int]):
    def single(self, layer: Layer, value: int, path: str) -> int:
        return value + layer.depth

    def joined(self, layer: Branches, value: int, ends: Sequence[int], path: str) -> int:
        return max(layer.leading(ends))
