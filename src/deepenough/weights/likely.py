"""Likely architectures of foreign files, by names of tensors that are characteristic of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from deepenough.weights.misfit import MisfitError
from deepenough.weights.torch_file import AnyTensors

CHARACTERISTIC = (
    ("a Swin Transformer", r"relative_position_bias_table"),
    ("a BERT or another network for text", r"word_embeddings|embed_tokens|wte\.weight"),
    ("CLIP", r"visual\.(transformer|conv1|trunk)|vision_model\.|text_model\."),
    ("a detector", r"(^|\.)(rpn|roi_heads|fpn)\.|anchor|\.cv[123]\."),
    ("a U-Net or another network for segmentation", r"(^|\.)(decoder|up\d?|up_blocks|upconv\d)\."),
    (
        "a Vision Transformer",
        r"blocks\.\d+\.attn\.qkv|encoder_layer_\d+|(^|\.)(cls_token|class_token)|attention\.query",
    ),
    ("DenseNet", r"dense_?(block|layer)\d+|conv\d_block\d+_\d_bn"),
    ("ConvNeXt", r"layer_scale|conv_dw\.weight$.*stages|stages\.\d+\.(blocks\.)?\d+\.(gamma|dwconv|conv_dw|norm)"),
    ("RegNet", r"trunk_output|(^|\.)s\d\.b\d+\.conv\d"),
    ("EfficientNet", r"_blocks\.\d+\._|_depthwise_conv|features\.\d+\.\d+\.block\.\d+|block\d[a-z]_(expand|se)_"),
    (
        "MobileNet",
        r"features\.\d+\.(block|conv)\.\d+|expanded_conv|(^|\.)conv_(dw|pw)_\d+|blocks\.\d+\.\d+\.(conv_dw|conv_pwl?)\.",
    ),
    ("Inception", r"Mixed_\d[a-z]|mixed\d+"),
    ("ShuffleNet", r"stage\d\.\d+\.branch[12]"),
    ("MNASNet", r"layers\.\d+\.\d+\.layers\.\d+"),
    ("Xception", r"sepconv\d|separable_conv"),
    ("a squeeze-and-excitation ResNet", r"layer\d\.\d+\.(se|se_module|attn)\."),
    ("a ResNet of another kind", r"layer\d\.\d+\.conv\d|conv\d_block\d+_\d_conv|res\d[a-z]_branch"),
)
"""Architectures, and what names of their tensors contain; the first that fits is meant."""


def likely(names: Iterable[str]) -> str | None:
    """The architecture that tensors with these names are likely of, if a name tells."""
    everything = list(names)
    return next(
        (known for known, pattern in CHARACTERISTIC if any(re.search(pattern, name) for name in everything)), None
    )


def no_network(file: str, found: AnyTensors, asked: str | None) -> MisfitError:
    """The error for a file with the tensors of no network, or not of the one that was asked for."""
    known = likely(found)
    name, tensor = next(iter(found.items()))
    shape = " x ".join(map(str, tensor.shape)) or "one number"
    looks = f"by its names it is {known}" if known else f"its {len(found)} tensors begin with {name} ({shape})"
    start = "fits no network known here" if asked is None else f"does not fit {asked}"
    return MisfitError(
        f"{file} {start}; {looks}. Give weights of a network that `deepenough weights list` shows, say in a "
        "network.json beside it what its layers are called, or train one with `deepenough fit DATA --scratch`"
    )
