"""The names of Hugging Face's transformers, whose networks compute what torchvision's and timm's do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import torch

from deepenough.nets.layer import Layer
from deepenough.nets.layers import LayerNorm
from deepenough.nets.network import Network
from deepenough.nets.walk import with_each
from deepenough.weights.checkpoint import SavedState
from deepenough.weights.match import NameLayers, block_layers
from deepenough.weights.patterns import name_by_patterns
from deepenough.weights.torch_file import AnyTensor, loaded

EPSILON = 1e-12
"""`layer_norm_eps` of its published configurations: of all norms of a ViT, of the last one of a ConvNeXt."""

PARTS = ("query", "key", "value")
PART = re.compile(rf"(.*attention\.attention)\.({'|'.join(PARTS)})\.(weight|bias)")
"""The names of a ViT's three projections, which are one layer here."""


def name_transformers_resnet(network: Network) -> dict[str, str]:
    """`encoder.stages.S.layers.B.layer.N.convolution`, `.shortcut`; all count from 0. `resnet.` comes before them."""
    places = {"stem.conv": "embedder.embedder.convolution", "stem.norm": "embedder.embedder.normalization"}
    for path, level, block, kind, number in block_layers(network):
        part = f"layer.{number - 1}" if number else "shortcut"
        kinds = {"conv": "convolution", "norm": "normalization"}
        places[path] = f"encoder.stages.{level - 1}.layers.{block - 1}.{part}.{kinds[kind]}"
    return places | {"classifier": "classifier.1"}


def name_transformers_convnext(network: Network) -> dict[str, str]:
    """`encoder.stages.S.layers.B` with `dwconv`, `layernorm`, `pwconvN` and `layer_scale_parameter`, from 0."""
    inside = {
        "depthwise": "dwconv",
        "norm": "layernorm",
        "expand": "pwconv1",
        "project": "pwconv2",
        "scale.weight": "layer_scale_parameter",
    }
    stages = "encoder.stages.{}"
    return name_by_patterns(
        network,
        {
            "stem.conv": "embeddings.patch_embeddings",
            "stem.norm": "embeddings.layernorm",
            "norm": "layernorm",
            "classifier": "classifier",
            "level#.norm": f"{stages}.downsampling_layer.0",
            "level#.halve": f"{stages}.downsampling_layer.1",
            **{f"level#.block#.main.{ours}": f"{stages}.layers.{{}}.{theirs}" for ours, theirs in inside.items()},
        },
    )


def name_transformers_vit(network: Network) -> dict[str, str]:
    """`embeddings`, `encoder.layer.B` with `attention`, `intermediate` and `output`, which count from 0; DeiT's too.

    Its three projections before attention are one, `qkv`, as `with_joined_projections` makes them.
    """
    inside = {
        "attention.main.norm": "layernorm_before",
        "attention.main.qkv": "attention.attention.qkv",
        "attention.main.projection": "attention.output.dense",
        "mlp.main.norm": "layernorm_after",
        "mlp.main.dense1": "intermediate.dense",
        "mlp.main.dense2": "output.dense",
    }
    return name_by_patterns(
        network,
        {
            "patches": "embeddings.patch_embeddings.projection",
            "tokens.class_token": "embeddings.cls_token",
            "tokens.position": "embeddings.position_embeddings",
            "norm": "layernorm",
            "classifier": "classifier",
            **{f"block#.{ours}": f"encoder.layer.{{}}.{theirs}" for ours, theirs in inside.items()},
        },
    )


TRANSFORMERS_NAMES: Mapping[str, NameLayers] = {
    **{f"resnet{depth}_torchvision": name_transformers_resnet for depth in (18, 34)},
    **{f"resnet{depth}_v1_5": name_transformers_resnet for depth in (50, 101, 152)},
    **{f"convnext_{size}": name_transformers_convnext for size in ("atto", "tiny", "small")},
    **{f"vit_{size}_patch16_224": name_transformers_vit for size in ("tiny", "small", "base")},
}
"""The layers' names in transformers, by network of the zoo."""


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

    def change(layer: Layer) -> Layer:
        return replace(layer, eps=eps) if isinstance(layer, LayerNorm) else layer

    if network.name.startswith("vit"):
        return replace(network, stack=with_each(network.stack, change))
    return replace(network, stack=tuple(change(layer) for layer in network.stack))  # inside ConvNeXt it is 1e-6
