"""timm's names of layers, and those of the older port of EfficientNet, `efficientnet_pytorch`."""

from __future__ import annotations

from collections.abc import Mapping

from deepenough.nets.network import Network
from deepenough.nets.zoo.efficientnet import EFFICIENTNET, EFFICIENTNET_LITE
from deepenough.weights.match import NameLayers
from deepenough.weights.patterns import InvertedBlock, name_by_patterns, name_inverted_blocks


def _name_inverted(network: Network) -> dict[str, str]:
    """`blocks.L.B.conv_pw`, `conv_dw`, `conv_pwl`, `bnN`, `se.conv_reduce`; a block of two has `conv_dw`, `conv_pw`."""

    def convolution(block: InvertedBlock, place: int) -> tuple[str, str]:
        kinds = ("conv_dw", "conv_pw") if len(block.convolutions) == 2 else ("conv_pw", "conv_dw", "conv_pwl")
        inside = f"blocks.{block.level - 1}.{block.block - 1}"
        return f"{inside}.{kinds[place]}", f"{inside}.bn{place + 1}"

    def gate(block: InvertedBlock) -> tuple[str, str]:
        inside = f"blocks.{block.level - 1}.{block.block - 1}.se"
        return f"{inside}.conv_reduce", f"{inside}.conv_expand"

    places = name_inverted_blocks(network, convolution, gate)
    return places | {"stem.conv": "conv_stem", "stem.norm": "bn1", "classifier": "classifier"}


def name_timm_efficientnet(network: Network) -> dict[str, str]:
    """EfficientNet's and MobileNetV2's: `conv_head` and `bn2` come last."""
    return _name_inverted(network) | {"last.conv": "conv_head", "last.norm": "bn2"}


def name_timm_mobilenet_v3(network: Network) -> dict[str, str]:
    """The last convolution is a level of its own, and `conv_head` a 1x1 convolution of what was pooled."""
    levels = sum(layer.name.startswith("level") for layer in network.stack)
    last = {"last.conv": f"blocks.{levels}.0.conv", "last.norm": f"blocks.{levels}.0.bn1"}
    return _name_inverted(network) | last | {"hidden": "conv_head"}


def name_timm_regnet(network: Network) -> dict[str, str]:
    """`sL.bB.convN.conv` and `.bn`, `se.fcN`, `downsample`; all count from 1."""
    inside = {
        **{f"main.conv{number}": f"conv{number}.conv" for number in (1, 2, 3)},
        **{f"main.norm{number}": f"conv{number}.bn" for number in (1, 2, 3)},
        "main.se.gate.reduce": "se.fc1",
        "main.se.gate.expand": "se.fc2",
        "shortcut.conv": "downsample.conv",
        "shortcut.norm": "downsample.bn",
    }
    blocks = {f"level#.block#.{ours}": f"s{{}}.b{{}}.{theirs}" for ours, theirs in inside.items()}
    patterns = {"stem.conv": "stem.conv", "stem.norm": "stem.bn", "classifier": "head.fc", **blocks}
    return name_by_patterns(network, patterns, first=1)


def name_timm_convnext(network: Network) -> dict[str, str]:
    """`stages.L.blocks.B` with `conv_dw`, `norm`, `mlp.fc1`, `mlp.fc2` and `gamma`, the layer scale."""
    inside = {
        "depthwise": "conv_dw",
        "norm": "norm",
        "expand": "mlp.fc1",
        "project": "mlp.fc2",
        "scale.weight": "gamma",
    }
    return name_by_patterns(
        network,
        {
            "stem.conv": "stem.0",
            "stem.norm": "stem.1",
            "norm": "head.norm",
            "classifier": "head.fc",
            "level#.norm": "stages.{}.downsample.0",
            "level#.halve": "stages.{}.downsample.1",
            **{f"level#.block#.main.{ours}": f"stages.{{}}.blocks.{{}}.{theirs}" for ours, theirs in inside.items()},
        },
    )


def name_authors_convnext(network: Network) -> dict[str, str]:
    """Those of the authors' own code: `downsample_layers.L`, `stages.L.B` with `dwconv`, `pwconv1` and `gamma`."""
    inside = {"depthwise": "dwconv", "norm": "norm", "expand": "pwconv1", "project": "pwconv2", "scale.weight": "gamma"}
    return name_by_patterns(
        network,
        {
            "stem.conv": "downsample_layers.0.0",
            "stem.norm": "downsample_layers.0.1",
            "norm": "norm",
            "classifier": "head",
            "level#.norm": "downsample_layers.{}.0",
            "level#.halve": "downsample_layers.{}.1",
            **{f"level#.block#.main.{ours}": f"stages.{{}}.{{}}.{theirs}" for ours, theirs in inside.items()},
        },
    )


def name_timm_vit(network: Network) -> dict[str, str]:
    """`patch_embed.proj`, `cls_token`, `pos_embed`, `blocks.B` with `norm1`, `attn`, `norm2` and `mlp`; DeiT's too."""
    inside = {
        "attention.main.norm": "norm1",
        "attention.main.qkv": "attn.qkv",
        "attention.main.projection": "attn.proj",
        "mlp.main.norm": "norm2",
        "mlp.main.dense1": "mlp.fc1",
        "mlp.main.dense2": "mlp.fc2",
    }
    return name_by_patterns(
        network,
        {
            "patches": "patch_embed.proj",
            "tokens.class_token": "cls_token",
            "tokens.position": "pos_embed",
            "norm": "norm",
            "classifier": "head",
            **{f"block#.{ours}": f"blocks.{{}}.{theirs}" for ours, theirs in inside.items()},
        },
    )


def name_efficientnet_pytorch(network: Network) -> dict[str, str]:
    """`_blocks.N._expand_conv`, `_depthwise_conv`, `_project_conv` with `_bn0` to `_bn2`; blocks count from 0."""
    norms = {"expand": "_bn0", "depthwise": "_bn1", "project": "_bn2"}

    def convolution(block: InvertedBlock, place: int) -> tuple[str, str]:
        ours, inside = block.convolutions[place], f"_blocks.{block.number - 1}"
        return f"{inside}._{ours}_conv", f"{inside}.{norms[ours]}"

    def gate(block: InvertedBlock) -> tuple[str, str]:
        return f"_blocks.{block.number - 1}._se_reduce", f"_blocks.{block.number - 1}._se_expand"

    places = name_inverted_blocks(network, convolution, gate)
    ends = {"stem.conv": "_conv_stem", "stem.norm": "_bn0", "last.conv": "_conv_head", "last.norm": "_bn1"}
    return places | ends | {"classifier": "_fc"}


TIMM_NAMES: Mapping[str, NameLayers] = {
    "mobilenet_v2": name_timm_efficientnet,
    **{
        f"mobilenetv3_{size}_100{whose}": name_timm_mobilenet_v3 for size in ("small", "large") for whose in ("", "_tf")
    },
    **dict.fromkeys((*EFFICIENTNET.networks, *EFFICIENTNET_LITE.networks), name_timm_efficientnet),
    **{f"regnet_y_{size}": name_timm_regnet for size in ("400mf", "1_6gf")},
    **{f"convnext_{size}": name_timm_convnext for size in ("atto", "tiny", "small")},
    **{f"vit_{size}_patch16_224": name_timm_vit for size in ("tiny", "small", "base")},
}
"""The layers' names in timm, by network of the zoo, where they are not torchvision's."""

AUTHORS_NAMES: Mapping[str, NameLayers] = {f"convnext_{size}": name_authors_convnext for size in ("tiny", "small")}
"""The layers' names in the authors' own files, which timm takes too."""

EFFICIENTNET_PYTORCH_NAMES: Mapping[str, NameLayers] = {
    name: name_efficientnet_pytorch
    for name in (*EFFICIENTNET.networks, *EFFICIENTNET_LITE.networks)
    if name.endswith("_tf")
}
"""The layers' names in `efficientnet_pytorch` and `efficientnet_lite_pytorch`, which have TensorFlow's padding."""
