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
    """
    return _Depth().through(network.stack, 0)


class _Depth(Walk[int]):
    def single(self, layer: Layer, value: int, path: str) -> int:
        return value + layer.depth

    def joined(self, layer: Branches, value: int, ends: Sequence[int], path: str) -> int:
        return max(ends)
