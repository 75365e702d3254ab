"""AlexNet (Krizhevsky, Sutskever & Hinton 2012), BVLC's release of it, and the later one that torchvision calls so."""

from __future__ import annotations

from deepenough.nets.activation import Relu
from deepenough.nets.layer import Stack
from deepenough.nets.layers import Conv, Dense, Dropout, Flatten, Lrn, MaxPool
from deepenough.nets.network import Network
from deepenough.nets.zoo.family import ZooFamily

# Section 3.3: n 5, k 2, alpha 1e-4 on the sum (here divided by n), beta 0.75.
PAPER_LRN = Lrn(5, alpha=5e-4, beta=0.75, k=2.0)
BVLC_LRN = Lrn(5, alpha=1e-4, beta=0.75, k=1.0)  # Caffe divides alpha by n


def _grouped(lrn: Lrn) -> Stack:
    return (
        *(Conv(96, 11, 4, 0), Relu(), lrn, MaxPool(3, 2)),
        *(Conv(256, 5, groups=2), Relu(), lrn, MaxPool(3, 2)),
        *(Conv(384), Relu()),
        *(Conv(384, groups=2), Relu()),
        *(Conv(256, groups=2), Relu(), MaxPool(3, 2)),
        Flatten(),
        *(Dense(4096), Relu(), Dropout()),
        *(Dense(4096), Relu(), Dropout()),
        Dense(1000),
    )


def alexnet() -> Network:
    """The net of 2012: two groups in the second, fourth and fifth convolution, LRN after the first two, 227x227."""
    source = "Krizhevsky et al. 2012, section 3.5, fig. 2"
    return Network("alexnet", (3, 227, 227), _grouped(PAPER_LRN), source, "2012: two groups, LRN")


def alexnet_bvlc() -> Network:
    """BVLC's `bvlc_alexnet`: the net of 2012 with another response normalisation, k 1 and alpha 1e-4 / n."""
    source = "BVLC Caffe, bvlc_alexnet, after Krizhevsky et al. 2012"
    return Network(
        "alexnet_bvlc", (3, 227, 227), _grouped(BVLC_LRN), source, "BVLC: two groups, LRN with k 1, alpha / n"
    )


def alexnet_torchvision() -> Network:
    """torchvision's `alexnet`: one group, no LRN, 64 to 256 channels, dropout before the dense layers, 224x224."""
    convolutions: Stack = (
        *(Conv(64, 11, 4, 2), Relu(), MaxPool(3, 2)),
        *(Conv(192, 5), Relu(), MaxPool(3, 2)),
        *(Conv(384), Relu()),
        *(Conv(256), Relu()),
        *(Conv(256), Relu(), MaxPool(3, 2)),
    )
    dense = (*(Dropout(), Dense(4096), Relu()), *(Dropout(), Dense(4096), Relu()), Dense(1000))
    return Network(
        "alexnet_torchvision",
        (3, 224, 224),
        (*convolutions, Flatten(), *dense),
        "Krizhevsky 2014, arXiv 1404.5997; torchvision alexnet",
        "torchvision: no groups, no LRN",
    )


ALEXNET = ZooFamily("AlexNet", 2012, {"alexnet": alexnet, "alexnet_bvlc": alexnet_bvlc})

ALEXNET_2014 = ZooFamily(
    "AlexNet",
    2014,
    {"alexnet_torchvision": alexnet_torchvision},
    {"alexnet_torchvision": (43.478, 20.934, 224)},
    torchvision={"alexnet": "alexnet_torchvision"},
)
