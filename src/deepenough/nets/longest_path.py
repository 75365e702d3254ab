"""The walk for depth."""

from __future__ import annotations

from deepenough.nets.layers import Concat, Conv, Dense, Group, Layer, Stack, Sum
from deepenough.nets.network import Network


def depth(network: Network) -> int:
    """Weighted layers (convolutions and dense layers) on the longest path from input to output.

    Batch norms have weights but do not count. A projection shortcut lies on a shorter path; an inception module
    counts by its longest branch; auxiliary branches are on no path to the output.
    Worked cases: AlexNet 5 + 3 = 8; VGG-16 13 + 3; GoogLeNet 3 + 9 * 2 + 1 = 22; ResNet-50 1 + 16 * 3 + 1.
    """
    return _stack(network.stack)


def _stack(stack: Stack) -> int:
    return sum(_layer(layer) for layer in stack)


def _layer(layer: Layer) -> int:
    match layer:
        case Conv() | Dense():
            return 1
        case Group(stack=stack):
            return _stack(stack)
        case Sum(branches=branches) | Concat(branches=branches):
            return max(_stack(branch) for branch in branches)
    return 0
