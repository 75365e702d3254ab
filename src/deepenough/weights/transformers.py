"""Tensors of Hugging Face's transformers, whose networks compute what torchvision's and timm's do."""

from __future__ import annotations

import re
from dataclasses import replace

import torch

from deepenough.nets.layer import Stack
from deepenough.nets.layers import LayerNorm
from deepenough.nets.network import Network
from deepenough.nets.walk import rewritten
from deepenough.weights.checkpoint import SavedState
from deepenough.weights.torch_file import AnyTensor, loaded

EPSILON = 1e-12
"""`layer_norm_eps` of its published configurations: of all norms of a vision transformer, of the last one of others."""

PARTS = ("query", "key", "value")
PART = re.compile(rf"(.*attention\.attention)\.({'|'.join(PARTS)})\.(weight|bias)")
"""The names of a ViT's three projections, which are one layer here."""


def with_joined_projections(found: SavedState) -> SavedState:
    """The same tensors with queries, keys and values of a ViT side by side, where a file has them apart."""
    apart: dict[tuple[str, str], dict[str, AnyTensor]] = {}
    for name, tensor in found.tensors.items():
        if part := PART.fullmatch(name):
            apart.setdefault((part[1], part[3]), {})[part[2]] = tensor
    tensors = dict(found.tensors)
    for (place, kind), parts in apart.items():
        several = [parts[part] for part in PARTS if part in parts]
        if len(several) < len(PARTS) or len({tuple(each.shape) for each in several}) > 1:
            continue
        tensors[f"{place}.qkv.{kind}"] = torch.cat([loaded(each) for each in several])
        for own in PARTS:
            del tensors[f"{place}.{own}.{kind}"]
    return replace(found, tensors=tensors)


def as_in_transformers(network: Network, eps: float = EPSILON) -> Network:
    """The network of the zoo with the constants in its norms that transformers has there."""

    def with_eps(stack: Stack, path: str) -> Stack:
        return tuple(replace(layer, eps=eps) if isinstance(layer, LayerNorm) else layer for layer in stack)

    everywhere = network.name.startswith("vit")  # inside the blocks of others it is 1e-6
    return replace(network, stack=rewritten(network.stack, with_eps) if everywhere else with_eps(network.stack, ""))
