"""EfficientNet (Tan & Le 2019, arXiv 1905.11946), and EfficientNet-Lite, without gates and with clipped ReLUs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from deepenough.nets.activation import Activation, Relu6, Sigmoid, Silu
from deepenough.nets.combinators import Group
from deepenough.nets.inverted_residual import InvertedResidual, round_to_eight
from deepenough.nets.layer import Layer
from deepenough.nets.layers import BatchNorm, Conv, Dense, Dropout, GlobalAvgPool
from deepenough.nets.network import Network
from deepenough.nets.zoo.family import ZooFamily

B0 = (
    (1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)  # fmt: skip
"""Table 1: expansion, kernel, stride of the first block, channels, blocks."""

SCALES = {
    "b0": (1.0, 1.0, 224, 0.2), "b1": (1.0, 1.1, 240, 0.2), "b2": (1.1, 1.2, 260, 0.3), "b3": (1.2, 1.4, 300, 0.3),
    "b4": (1.4, 1.8, 380, 0.4), "lite0": (1.0, 1.0, 224, 0.2), "lite1": (1.0, 1.1, 240, 0.2),
    "lite2": (1.1, 1.2, 260, 0.3),
}  # fmt: skip
"""Factors for channels and blocks, pixels, dropout (`efficientnet_params` of the authors' code)."""

DROP = 0.2
"""The probability of stochastic depth at a network's end; it grows from 0 at its beginning."""


@dataclass(frozen=True)
class Convention:
    """The conventions of one framework, which its publishers share.

    `names` and `lite_names` have the scale in place of `{}`.
    """

    suffix: str
    names: str
    lite_names: str
    variant: str
    norm: BatchNorm
    same: bool = False


TORCH = Convention(
    "",
    "torchvision and timm efficientnet_{}",
    "timm efficientnet_{}",
    "PyTorch: padded alike on all sides, batch norms with eps 1e-5",
    BatchNorm(),
)
TENSORFLOW = Convention(
    "_tf",
    "the authors' and Keras' EfficientNet, timm tf_efficientnet_{}",
    "the authors' EfficientNet-Lite, timm tf_efficientnet_{}",
    "TensorFlow: padded more at the end where it strides, batch norms with eps 1e-3",
    BatchNorm(eps=1e-3, momentum=0.01),
    same=True,
)


def efficientnet(scale: str, publisher: Convention) -> Network:
    """EfficientNet-B0 to -B4, or -Lite0 to -Lite2. Lite keeps stem, head, and the first and last level's blocks."""
    width, _, side, dropout = SCALES[scale]
    lite = scale.startswith("lite")
    active: Activation = Relu6() if lite else Silu()
    norm, same = publisher.norm, publisher.same
    counts = _blocks(scale)
    first = into = 32 if lite else round_to_eight(32 * width)
    levels: list[Layer] = []
    before = 0
    for number, ((expansion, kernel, stride, wide, _), count) in enumerate(zip(B0, counts, strict=True), 1):
        out, blocks = round_to_eight(wide * width), []
        for place in range(1, count + 1):
            block = InvertedResidual(
                into,
                expansion * into,
                out,
                kernel,
                stride if place == 1 else 1,
                squeezed=0 if lite else max(1, into // 4),
                active=active,
                gate=(active, Sigmoid()),
                norm=norm,
                same=same,
                drop=DROP * before / sum(counts),
            )
            blocks.append(block.layer(f"block{place}"))
            into, before = out, before + 1
        levels.append(Group(tuple(blocks), name=f"level{number}"))
    head = 1280 if lite else round_to_eight(1280 * width)
    names = publisher.lite_names if lite else publisher.names
    return Network(
        f"efficientnet_{scale}{publisher.suffix}",
        (3, side, side),
        (
            Group((Conv(first, 3, 2, bias=False, same=same), norm, active), name="stem"),
            *levels,
            Group((Conv(head, 1, bias=False), norm, active), name="last"),
            *(GlobalAvgPool(name="pool"), Dropout(dropout), Dense(1000, name="classifier")),
        ),
        f"Tan & Le 2019, arXiv 1905.11946, table 1; {names.format(scale)}",
        publisher.variant,
    )


def _blocks(scale: str) -> list[int]:
    """Blocks of each level."""
    ends, factor = (1, len(B0)), SCALES[scale][1]
    return [
        count if scale.startswith("lite") and number in ends else math.ceil(factor * count)
        for number, (*_, count) in enumerate(B0, 1)
    ]


def _networks(scales: Sequence[str]) -> dict[str, Callable[[], Network]]:
    """The functions that give the networks, by name, first those of the convention that PyTorch has."""
    return {
        f"efficientnet_{scale}{publisher.suffix}": partial(efficientnet, scale, publisher)
        for publisher in (TORCH, TENSORFLOW)
        for scale in scales
    }


def _in_timm(scales: Sequence[str]) -> dict[str, str]:
    """The networks by timm's names, `tf_` before those of the convention that TensorFlow has."""
    return {
        **{f"efficientnet_{scale}": f"efficientnet_{scale}" for scale in scales},
        **{f"tf_efficientnet_{scale}": f"efficientnet_{scale}_tf" for scale in scales},
    }


_LITE = tuple(scale for scale in SCALES if scale.startswith("lite"))
_B = tuple(scale for scale in SCALES if scale not in _LITE)

EFFICIENTNET = ZooFamily(
    "EfficientNet",
    2019,
    _networks(_B),
    {
        "efficientnet_b0": (22.308, 6.468, 224), "efficientnet_b1": (21.358, 5.814, 240),
        "efficientnet_b2": (19.392, 4.69, 288), "efficientnet_b3": (17.992, 3.946, 300),
        "efficientnet_b4": (16.616, 3.406, 380),
        "efficientnet_b0_tf": (23.458, 6.992, 224), "efficientnet_b1_tf": (21.454, 5.904, 240),
        "efficientnet_b2_tf": (20.388, 5.286, 260), "efficientnet_b3_tf": (19.122, 4.692, 300),
        "efficientnet_b4_tf": (17.402, 3.868, 380),
    },
    {f"efficientnet_{scale}_tf": f"tf_efficientnet_{scale}.in1k" for scale in _B},
    timm=_in_timm(_B),
)  # fmt: skip

EFFICIENTNET_LITE = ZooFamily(
    "EfficientNet-Lite",
    2020,
    _networks(_LITE),
    {
        "efficientnet_lite0": (24.512, 7.492, 224),
        "efficientnet_lite0_tf": (25.154, 7.82, 224),
        "efficientnet_lite1_tf": (23.326, 6.768, 240),
        "efficientnet_lite2_tf": (22.53, 6.244, 260),
    },
    {
        "efficientnet_lite0": "efficientnet_lite0.ra_in1k",
        **{f"efficientnet_{scale}_tf": f"tf_efficientnet_{scale}.in1k" for scale in _LITE},
    },
    timm=_in_timm(_LITE),
)
