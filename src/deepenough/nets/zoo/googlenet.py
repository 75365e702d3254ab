"""GoogLeNet (Szegedy et al. 2014, arXiv 1409.4842, table 1), and the one with batch norm that torchvision has."""

from __future__ import annotations

from collections.abc import Callable

from deepenough.nets.activation import Relu
from deepenough.nets.combinators import Auxiliary, Concat
from deepenough.nets.layer import Layer, Stack
from deepenough.nets.layers import AvgPool, BatchNorm, Conv, Dense, Dropout, Flatten, GlobalAvgPool, Lrn, MaxPool
from deepenough.nets.network import Network
from deepenough.nets.zoo.family import ZooFamily

MODULES = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Table 1: #1x1, #3x3 reduce, #3x3, #5x5 reduce, #5x5, pool proj."""

ConvUnit = Callable[..., Stack]


def conv_relu(out: int, kernel: int, stride: int = 1) -> Stack:
    """A convolution with bias, and a ReLU."""
    return Conv(out, kernel, stride), Relu()


def conv_bn_relu(out: int, kernel: int, stride: int = 1) -> Stack:
    """A convolution without bias, batch norm (eps 1e-3, as torchvision's), and a ReLU."""
    return Conv(out, kernel, stride, bias=False), BatchNorm(eps=1e-3), Relu()


def inception(module: str, conv: ConvUnit, third: int = 5) -> Concat:
    """Four branches side by side (fig. 2b). `third` is the kernel of the third branch."""
    one, reduce3, three, reduce5, five, pool = MODULES[module]
    branches = (
        conv(one, 1),
        (*conv(reduce3, 1), *conv(three, 3)),
        (*conv(reduce5, 1), *conv(five, third)),
        (MaxPool(3, 1, 1), *conv(pool, 1)),
    )
    return Concat(branches, ("one", "three", "five", "pool"), name=f"inception{module}")


def auxiliary(name: str) -> Auxiliary:
    """A classifier on the side (section 5): it counts 0.3 in the loss."""
    stack = (AvgPool(5, 3), *conv_relu(128, 1), Flatten(), Dense(1024), Relu(), Dropout(0.7), Dense(1000))
    return Auxiliary(stack, weight=0.3, name=name)


def _pool(kernel: int, name: str) -> MaxPool:
    return MaxPool(kernel, 2, ceil=True, name=name)


def googlenet() -> Network:
    """The net of 2014: no batch norm, LRN, a 5x5 third branch, two auxiliary classifiers in training."""
    lrn = Lrn(5, alpha=1e-4, beta=0.75, k=1.0)
    modules: dict[str, Layer] = {name: inception(name, conv_relu) for name in MODULES}
    stack = (
        *(*conv_relu(64, 7, 2), _pool(3, "pool1"), lrn),
        *(*conv_relu(64, 1), *conv_relu(192, 3), lrn, _pool(3, "pool2")),
        *(modules["3a"], modules["3b"], _pool(3, "pool3")),
        *(modules["4a"], auxiliary("auxiliary1"), modules["4b"], modules["4c"], modules["4d"]),
        *(auxiliary("auxiliary2"), modules["4e"], _pool(3, "pool4")),
        *(modules["5a"], modules["5b"]),
        *(GlobalAvgPool(name="pool5"), Dropout(0.4), Dense(1000)),
    )
    return Network(
        "googlenet",
        (3, 224, 224),
        stack,
        "Szegedy et al. 2014, arXiv 1409.4842, table 1; LRN as in BVLC's release",
        "2014: no batch norm, LRN, 5x5 branch, pools rounded up",
    )


def googlenet_bn() -> Network:
    """torchvision's `googlenet`: batch norm, no LRN, a 3x3 third branch; without its auxiliary heads.

    Those heads pool 14x14 to 4x4 in windows of uneven steps, and its weights are released for use without them.
    """
    modules = {name: inception(name, conv_bn_relu, third=3) for name in MODULES}
    stack = (
        *(*conv_bn_relu(64, 7, 2), _pool(3, "pool1")),
        *(*conv_bn_relu(64, 1), *conv_bn_relu(192, 3), _pool(3, "pool2")),
        *(modules["3a"], modules["3b"], _pool(3, "pool3")),
        *(modules["4a"], modules["4b"], modules["4c"], modules["4d"], modules["4e"], _pool(2, "pool4")),
        *(modules["5a"], modules["5b"]),
        *(GlobalAvgPool(name="pool5"), Dropout(0.2), Dense(1000)),
    )
    return Network(
        "googlenet_bn",
        (3, 224, 224),
        stack,
        "torchvision googlenet, after Szegedy et al. 2014, arXiv 1409.4842, table 1",
        "torchvision: batch norm, 3x3 in the third branch, no auxiliary heads",
    )


GOOGLENET = ZooFamily(
    "GoogLeNet",
    2014,
    {"googlenet": googlenet, "googlenet_bn": googlenet_bn},
    {"googlenet_bn": (30.222, 10.47, 224)},
    torchvision={"googlenet": "googlenet_bn"},
)
