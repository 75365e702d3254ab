"""Vision transformers with patches of 16x16 (Dosovitskiy et al. 2020, arXiv 2010.11929; Touvron et al. 2020, DeiT)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from deepenough.nets.activation import Gelu
from deepenough.nets.combinators import Group, Sum
from deepenough.nets.layer import Layer
from deepenough.nets.layers import Conv, Dense, LayerNorm
from deepenough.nets.network import Network
from deepenough.nets.tokens import FirstToken, SelfAttention, Tokens
from deepenough.nets.zoo.family import ZooFamily

VITS = {"tiny": (192, 3), "small": (384, 6), "base": (768, 12)}
"""Channels and heads (Touvron et al. 2020, arXiv 2012.12877, table 1)."""

BLOCKS, PATCH, SIDE = 12, 16, 224


def transformer_block(width: int, heads: int, number: int) -> Layer:
    """Attention and an MLP, each behind a norm and with a shortcut around it (Dosovitskiy et al. 2020, fig. 1)."""
    attention = (
        *(LayerNorm(), Dense(3 * width, name="qkv")),
        *(SelfAttention(heads), Dense(width, name="projection")),
    )
    mlp = (LayerNorm(), Dense(4 * width), Gelu(), Dense(width))
    return Group(
        (Sum((attention, ()), name="attention"), Sum((mlp, ()), name="mlp")), block=True, name=f"block{number}"
    )


def vit(size: str) -> Network:
    """Patches as tokens, twelve blocks, and a dense layer on the class token."""
    width, heads = VITS[size]
    grid = SIDE // PATCH
    return Network(
        f"vit_{size}_patch16_224",
        (3, SIDE, SIDE),
        (
            *(Conv(width, PATCH, PATCH, 0, name="patches"), Tokens(grid, grid, name="tokens")),
            *(transformer_block(width, heads, number) for number in range(1, BLOCKS + 1)),
            *(FirstToken(name="token"), LayerNorm(name="norm"), Dense(1000, name="classifier")),
        ),
        "Dosovitskiy et al. 2020, arXiv 2010.11929; Touvron et al. 2020, arXiv 2012.12877, table 1; timm "
        f"vit_{size}_patch16_224 and deit_{size}_patch16_224" + (", torchvision vit_b_16" if size == "base" else ""),
        "class token, norms before attention and MLP",
    )


def with_positions(network: Network, size: tuple[int, int]) -> Network:
    """A vision transformer with positions for images of this size (height, width) instead of 224 x 224."""
    rows, columns = (side // PATCH for side in size)
    stack = (
        replace(layer, rows=rows, columns=columns) if isinstance(layer, Tokens) else layer for layer in network.stack
    )
    return replace(network, input=(network.input[0], *size), stack=tuple(stack))


VIT = ZooFamily(
    "ViT",
    2020,
    {f"vit_{size}_patch16_224": partial(vit, size) for size in VITS},
    {
        "vit_tiny_patch16_224": (27.81, 8.9, 224),
        "vit_small_patch16_224": (20.144, 4.944, 224),
        "vit_base_patch16_224": (18.928, 4.682, 224),
    },
    {
        "vit_tiny_patch16_224": "deit_tiny_patch16_224.fb_in1k",
        "vit_small_patch16_224": "deit_small_patch16_224.fb_in1k",
    },
    torchvision={"vit_b_16": "vit_base_patch16_224"},
    timm={f"{name}_{size}_patch16_224": f"vit_{size}_patch16_224" for name in ("deit", "vit") for size in VITS},
)
