"""ResNet (He et al. 2015, arXiv 1512.03385, table 1): the authors' networks, and torchvision's and Keras' variants."""

from __future__ import annotations

from collections.abc import Callable

from deepenough.nets.activation import Relu
from deepenough.nets.combinators import Group, Sum
from deepenough.nets.layer import Layer, Stack
from deepenough.nets.layers import BatchNorm, Conv, Dense, GlobalAvgPool, MaxPool
from deepenough.nets.network import Network

RESNETS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Blocks in conv2_x to conv5_x; bottlenecks from 50 up."""

# The authors' Caffe net pools 112 to 56 without padding, rounded up; torchvision pads by one and rounds down.
AUTHORS_POOL = MaxPool(3, 2, 0, ceil=True)
TORCHVISION_POOL = MaxPool(3, 2, 1)
KERAS_EPS = 1.001e-5

Block = Callable[[int, int, bool], Sum]


def conv_bn(out: int, kernel: int, stride: int = 1, eps: float = 1e-5) -> Stack:
    """A convolution without bias, and batch norm."""
    return Conv(out, kernel, stride, bias=False), BatchNorm(eps)


def basic(width: int, stride: int, project: bool) -> Sum:
    """Two 3x3 convolutions around a shortcut (fig. 5 left)."""
    main = (*conv_bn(width, 3, stride), Relu(), *conv_bn(width, 3))
    return Sum((main, conv_bn(width, 1, stride) if project else ()))


def bottleneck(width: int, stride: int, project: bool) -> Sum:
    """Three convolutions around a shortcut (fig. 5 right). The first 1x1 strides, as in the authors' release."""
    main = (*conv_bn(width, 1, stride), Relu(), *conv_bn(width, 3), Relu(), *conv_bn(4 * width, 1))
    return Sum((main, conv_bn(4 * width, 1, stride) if project else ()))


def bottleneck_v1_5(width: int, stride: int, project: bool) -> Sum:
    """The bottleneck with its stride in the 3x3, as in torchvision."""
    main = (*conv_bn(width, 1), Relu(), *conv_bn(width, 3, stride), Relu(), *conv_bn(4 * width, 1))
    return Sum((main, conv_bn(4 * width, 1, stride) if project else ()))


def bottleneck_keras(width: int, stride: int, project: bool) -> Sum:
    """The bottleneck with its stride in the first 1x1, and Keras' eps."""

    def unit(out: int, kernel: int, stride: int = 1) -> Stack:
        return conv_bn(out, kernel, stride, KERAS_EPS)

    main = (*unit(width, 1, stride), Relu(), *unit(width, 3), Relu(), *unit(4 * width, 1))
    return Sum((main, unit(4 * width, 1, stride) if project else ()))


def level(number: int, count: int, block: Block) -> Group:
    """conv2_x to conv5_x. Option B: a projection where the number of channels changes."""
    width, stride = 64 * 2 ** (number - 1), 1 if number == 1 else 2
    layers: list[Layer] = []
    for place in range(1, count + 1):
        project = place == 1 and (number > 1 or block is not basic)
        labels = ("main", "shortcut")
        made = block(width, stride if place == 1 else 1, project)
        layers += [Sum(made.branches, labels, name=f"block{place}"), Relu(name=f"relu{place}")]
    return Group(tuple(layers), name=f"level{number}")


def resnet(blocks: tuple[int, ...], block: Block, pool: MaxPool, name: str, source: str, variant: str) -> Network:
    """A 7x7 stem, levels of blocks, and one dense layer."""
    eps = KERAS_EPS if block is bottleneck_keras else 1e-5
    stem = Group((*conv_bn(64, 7, 2, eps), Relu(), pool), name="stem")
    levels = tuple(level(number, count, block) for number, count in enumerate(blocks, 1))
    stack = (stem, *levels, GlobalAvgPool(name="pool"), Dense(1000, name="classifier"))
    return Network(name, (3, 224, 224), stack, source, variant)


def paper(depth: int) -> Callable[[], Network]:
    """The function that gives the authors' ResNet-`depth` (v1)."""

    def network() -> Network:
        block = bottleneck if depth >= 50 else basic
        variant = "v1: stem pool without padding, rounded up" + ("; stride in the first 1x1" if depth >= 50 else "")
        source = "He et al. 2015, arXiv 1512.03385, table 1; stem pool as in the authors' release"
        return resnet(RESNETS[depth], block, AUTHORS_POOL, f"resnet{depth}", source, variant)

    return network


def torchvision(depth: int) -> Callable[[], Network]:
    """The function that gives torchvision's ResNet-`depth`."""

    def network() -> Network:
        block = bottleneck_v1_5 if depth >= 50 else basic
        name = f"resnet{depth}_" + ("v1_5" if depth >= 50 else "torchvision")
        variant = "torchvision: stem pool padded" + (", stride in the 3x3 (v1.5)" if depth >= 50 else "")
        source = f"torchvision resnet{depth}, after He et al. 2015, arXiv 1512.03385, table 1"
        return resnet(RESNETS[depth], block, TORCHVISION_POOL, name, source, variant)

    return network


def keras(depth: int) -> Callable[[], Network]:
    """The function that gives Keras' ResNet-`depth`: 50, 101 or 152.

    Keras' convolutions have biases; before a batch norm a bias only moves the mean, so there is none here.
    """

    def network() -> Network:
        name = f"resnet{depth}_keras"
        variant = "Keras: stem pool padded, stride in the first 1x1, eps 1.001e-5"
        source = f"keras.applications ResNet{depth}, after He et al. 2015, arXiv 1512.03385, table 1"
        return resnet(RESNETS[depth], bottleneck_keras, TORCHVISION_POOL, name, source, variant)

    return network
