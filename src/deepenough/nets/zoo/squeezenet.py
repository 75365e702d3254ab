"""SqueezeNet 1.1 (Iandola et al. 2016, arXiv 1602.07360, and the authors' release 1.1)."""

from __future__ import annotations

from deepenough.nets.activation import Relu
from deepenough.nets.combinators import Concat, Group
from deepenough.nets.layer import Layer
from deepenough.nets.layers import Conv, Dropout, GlobalAvgPool, MaxPool
from deepenough.nets.network import Network
from deepenough.nets.zoo.family import ZooFamily

FIRES = (((16, 64), (16, 64)), ((32, 128), (32, 128)), ((48, 192), (48, 192), (64, 256), (64, 256)))
"""Squeeze and expand widths of fire2 to fire9, with a pool before each group."""


def fire(squeeze: int, expand: int, number: int) -> Layer:
    """A 1x1 convolution, then 1x1 and 3x3 side by side (fig. 1)."""
    branches = ((Conv(expand, 1), Relu()), (Conv(expand, 3), Relu()))
    both = Concat(branches, ("one", "three"), name="expand")
    return Group((Conv(squeeze, 1, name="squeeze"), Relu(), both), name=f"fire{number}")


def squeezenet1_1() -> Network:
    """Release 1.1 as torchvision has it: stem without padding, pools rounded up, a convolution as classifier."""
    return _release(
        0, True, "squeezenet1_1", "torchvision squeezenet1_1", "torchvision: stem without padding, pools rounded up"
    )


def squeezenet1_1_paddle() -> Network:
    """Release 1.1 as `paddle.vision` has it: stem padded, pools rounded down."""
    return _release(
        1, False, "squeezenet1_1_paddle", "paddle.vision squeezenet1_1", "Paddle: stem padded, pools rounded down"
    )


def _release(padding: int, ceil: bool, name: str, who: str, variant: str) -> Network:
    stack: list[Layer] = [Conv(64, 3, 2, padding, name="conv1"), Relu(name="relu1")]
    number = 2
    for place, group in enumerate(FIRES, 1):
        stack.append(MaxPool(3, 2, ceil=ceil, name=f"pool{place}"))
        for squeeze, expand in group:
            stack.append(fire(squeeze, expand, number))
            number += 1
    head = (Dropout(), Conv(1000, 1, name="conv10"), Relu(name="relu10"), GlobalAvgPool(name="pool10"))
    return Network(
        name,
        (3, 224, 224),
        (*stack, *head),
        f"Iandola et al. 2016, arXiv 1602.07360, table 1; release 1.1; {who}",
        variant,
    )


SQUEEZENET = ZooFamily(
    "SqueezeNet",
    2016,
    {"squeezenet1_1": squeezenet1_1, "squeezenet1_1_paddle": squeezenet1_1_paddle},
    {"squeezenet1_1": (41.822, 19.376, 224)},
)
