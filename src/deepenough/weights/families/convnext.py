"""ConvNeXt's published weights."""

from __future__ import annotations

import re

from deepenough.nets.network import Network
from deepenough.nets.zoo.convnext import CONVNEXTS
from deepenough.preprocessing import Preprocessing
from deepenough.weights.families.family import FamilyWeights, TimmFile, TorchvisionFile, TransformersKind, timm_input
from deepenough.weights.patterns import name_by_patterns


def name_torchvision(network: Network) -> dict[str, str]:
    """`features.N`: the stem, then by turns the blocks of a level and the halving before the next."""
    inside = {"depthwise": "block.0", "norm": "block.2", "expand": "block.3", "project": "block.5"}
    parts = {**inside, "scale.weight": "layer_scale"}
    patterns = {"stem.conv": "features.0.0", "stem.norm": "features.0.1"}
    for level in range(1, 5):
        blocks, halving = f"features.{2 * level - 1}", f"features.{2 * level - 2}"
        patterns |= {f"level{level}.block#.main.{ours}": f"{blocks}.{{}}.{theirs}" for ours, theirs in parts.items()}
        patterns |= {f"level{level}.norm": f"{halving}.0", f"level{level}.halve": f"{halving}.1"}
    return name_by_patterns(network, patterns | {"norm": "classifier.0", "classifier": "classifier.2"})


def name_timm(network: Network) -> dict[str, str]:
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


def name_authors(network: Network) -> dict[str, str]:
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


def name_transformers(network: Network) -> dict[str, str]:
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


def name_keras(network: Network) -> dict[str, str]:
    """`convnext_tiny_stage_L_block_N_depthwise_conv` and so on; all count from 0."""
    theirs = {
        "depthwise": "depthwise_conv", "norm": "layernorm", "expand": "pointwise_conv_1",
        "project": "pointwise_conv_2", "scale": "layer_scale",
    }  # fmt: skip
    patterns = {f"level#.block#.main.{ours}": f"stage_{{}}_block_{{}}_{name}" for ours, name in theirs.items()}
    for level in range(2, 5):
        patterns[f"level{level}.norm"] = f"downsampling_layernorm_{level - 2}"
        patterns[f"level{level}.halve"] = f"downsampling_conv_{level - 2}"
    patterns |= {"stem.conv": "stem_conv", "stem.norm": "stem_layernorm"}
    patterns |= {"norm": "head_layernorm", "classifier": "head_dense"}
    return {path: f"{network.name}_{name}" for path, name in name_by_patterns(network, patterns).items()}


KERAS_RENAMED = (
    (re.compile(r"(convnext_\w+_layer_scale)\.(?:[Vv]ariable(?:_\d+)?|gamma)$"), r"\1.kernel"),
    (re.compile(r"(convnext_\w+_layernorm(?:_\d)?)\.gamma$"), r"\1.kernel"),
    (re.compile(r"(convnext_\w+_layernorm(?:_\d)?)\.beta$"), r"\1.bias"),
    (re.compile(r"[^.]+\.(convnext_\w+_(?:stem|downsampling)_(?:conv|layernorm)\w*\.)"), r"\1"),
)
"""Names of which Keras has several, and its models inside a model that hold a norm and a convolution each."""

_ALL = tuple(f"convnext_{size}" for size in CONVNEXTS)
_LARGER = ("convnext_tiny", "convnext_small")  # atto is timm's own

CONVNEXT = FamilyWeights(
    torchvision=dict.fromkeys(_LARGER, name_torchvision),
    timm=dict.fromkeys(_ALL, name_timm),
    authors=dict.fromkeys(_LARGER, name_authors),
    transformers=dict.fromkeys(_ALL, name_transformers),
    keras=dict.fromkeys(_LARGER, name_keras),
    keras_renamed=KERAS_RENAMED,
    dense_or_convolutions=_ALL,
    dense_in_timm=_LARGER,
    inputs={
        "torchvision": {
            "convnext_tiny": Preprocessing((224, 224), 236),
            "convnext_small": Preprocessing((224, 224), 230),
        },
        "timm": dict.fromkeys(_ALL, timm_input(224, 0.875)),
    },
    transformers_kinds={
        "convnext": TransformersKind(
            {"depths": (3, 3, 9, 3), "hidden_sizes": (96, 192, 384, 768)},
            {(counts, widths): f"convnext_{size}" for size, (counts, widths, _) in CONVNEXTS.items()},
            {"hidden_act": "gelu", "patch_size": 4},
            crops=True,
        )
    },
    torchvision_files=(
        TorchvisionFile("ConvNeXt_Tiny", 1, "convnext_tiny-983f1562.pth", 114, (82.520, 96.146)),
        TorchvisionFile("ConvNeXt_Small", 1, "convnext_small-0c510722.pth", 201, (83.616, 96.650)),
    ),
    timm_files=(
        TimmFile("convnext_atto.d2_in1k", "v0.1-rsb-weights/convnext_atto_d2-01bb0f51.pth", 14.9, (24.328, 7.086)),
    ),
)
