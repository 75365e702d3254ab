"""ConvNeXt (Liu et al. 2022, arXiv 2201.03545)."""

from __future__ import annotations

from functools import partial

from deepenough.nets.activation import Gelu
from deepenough.nets.combinators import Group, Sum
from deepenough.nets.layer import Layer
from deepenough.nets.layers import Conv, Dense, GlobalAvgPool, LayerNorm, LayerScale, StochasticDepth
from deepenough.nets.network import Network
from deepenough.nets.zoo.family import ZooFamily

CONVNEXTS = {
    "atto": ((2, 2, 6, 2), (40, 80, 160, 320), 0.0),
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768), 0.1),
    "small": ((3, 3, 27, 3), (96, 192, 384, 768), 0.4),
}
"""Each level's blocks and channels (section 3; timm for atto), and stochastic depth at the end (table 5)."""


def convnext_block(width: int, drop: float, number: int) -> Layer:
    """A depthwise 7x7, a norm, and two 1x1 convolutions, wide in between (fig. 4).

    Where publishers have dense layers for each position, these are 1x1 convolutions.
    """
    main = (
        *(Conv(width, 7, groups=width, name="depthwise"), LayerNorm()),
        *(Conv(4 * width, 1, name="expand"), Gelu(), Conv(width, 1, name="project"), LayerScale()),
    )
    return Sum(((*main, StochasticDepth(drop)) if drop else main, ()), name=f"block{number}")


def convnext(size: str) -> Network:
    """Patches of 4x4, four levels of blocks, between which a norm and a 2x2 convolution halve the map."""
    counts, widths, drop = CONVNEXTS[size]
    stack: list[Layer] = [Group((Conv(widths[0], 4, 4, 0), LayerNorm()), name="stem")]
    before, blocks = 0, sum(counts)
    for number, (count, width) in enumerate(zip(counts, widths, strict=True), 1):
        layers: list[Layer] = [] if number == 1 else [LayerNorm(), Conv(width, 2, 2, 0, name="halve")]
        for place in range(1, count + 1):
            layers.append(convnext_block(width, drop * before / (blocks - 1), place))
            before += 1
        stack.append(Group(tuple(layers), name=f"level{number}"))
    head = (GlobalAvgPool(name="pool"), LayerNorm(name="norm"), Dense(1000, name="classifier"))
    source = "timm convnext_atto" if size == "atto" else f"torchvision and timm convnext_{size}"
    return Network(
        f"convnext_{size}",
        (3, 224, 224),
        (*stack, *head),
        f"Liu et al. 2022, arXiv 2201.03545, section 3; {source}",
        "norms over channels, layer scale",
    )


CONVNEXT = ZooFamily(
    "ConvNeXt",
    2022,
    {f"convnext_{size}": partial(convnext, size) for size in CONVNEXTS},
    {
        "convnext_atto": (24.328, 7.086, 224),
        "convnext_tiny": (17.48, 3.854, 224),
        "convnext_small": (16.384, 3.35, 224),
    },
    {"convnext_atto": "convnext_atto.d2_in1k"},
    timm={f"convnext_{size}": f"convnext_{size}" for size in CONVNEXTS},
)
