"""The published weights of EfficientNet and EfficientNet-Lite."""

from __future__ import annotations

from deepenough.nets.network import Network
from deepenough.nets.zoo.efficientnet import SCALES
from deepenough.preprocessing import Preprocessing
from deepenough.weights.families.family import FamilyWeights, TimmFile, TorchvisionFile, timm_input
from deepenough.weights.families.inverted_blocks import (
    InvertedBlock,
    inverted_blocks,
    name_inverted_blocks,
    name_timm_efficientnet,
    name_torchvision_ends,
    name_torchvision_gated_blocks,
)


def name_torchvision(network: Network) -> dict[str, str]:
    """`features.L.B.block.I.0` and `.1`, where B counts a level's blocks from 0."""
    places = name_torchvision_gated_blocks(network, lambda block: f"features.{block.level}.{block.block - 1}.block")
    levels = inverted_blocks(network)[-1].level
    return places | name_torchvision_ends(levels + 1) | {"classifier": "classifier.1"}


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


def name_keras(network: Network) -> dict[str, str]:
    """`blockLx_expand_conv`, `_dwconv` and `_project_conv`, where x is a letter for the place in the level."""
    names = {"expand": ("expand_conv", "expand_bn"), "depthwise": ("dwconv", "bn"),
             "project": ("project_conv", "project_bn")}  # fmt: skip

    def inside(block: InvertedBlock) -> str:
        return f"block{block.level}{chr(ord('a') + block.block - 1)}_"

    def convolution(block: InvertedBlock, place: int) -> tuple[str, str]:
        conv, norm = names[block.convolutions[place]]
        return inside(block) + conv, inside(block) + norm

    def gate(block: InvertedBlock) -> tuple[str, str]:
        return f"{inside(block)}se_reduce", f"{inside(block)}se_expand"

    ends = {"stem.conv": "stem_conv", "stem.norm": "stem_bn", "last.conv": "top_conv", "last.norm": "top_bn"}
    return name_inverted_blocks(network, convolution, gate) | ends | {"classifier": "predictions"}


_TORCH = tuple(f"efficientnet_{scale}" for scale in SCALES)
_B = tuple(name for name in _TORCH if "lite" not in name)
_TF = tuple(f"{name}_tf" for name in _TORCH)

EFFICIENTNET = FamilyWeights(
    torchvision=dict.fromkeys(_B, name_torchvision),
    timm=dict.fromkeys((*_TORCH, *_TF), name_timm_efficientnet),
    efficientnet_pytorch=dict.fromkeys(_TF, name_efficientnet_pytorch),
    keras={f"{name}_tf": name_keras for name in _B},
    inputs={
        "torchvision": {
            "efficientnet_b0": Preprocessing((224, 224), 256, "bicubic"),
            "efficientnet_b1": Preprocessing((240, 240), 256, "bicubic"),
            "efficientnet_b2": Preprocessing((288, 288), 288, "bicubic"),
            "efficientnet_b3": Preprocessing((300, 300), 320, "bicubic"),
            "efficientnet_b4": Preprocessing((380, 380), 384, "bicubic"),
        },
        "torchvision-v2": {"efficientnet_b1": Preprocessing((240, 240), 255)},
        "timm": {
            "efficientnet_b0": timm_input(224, 0.875),
            "efficientnet_b1": timm_input(224, 0.875),
            "efficientnet_b2": timm_input(256, 0.875),
            "efficientnet_b3": timm_input(288, 0.875),
            "efficientnet_b4": timm_input(320, 0.875),
            "efficientnet_b0_tf": timm_input(224, 0.875),
            "efficientnet_b1_tf": timm_input(240, 0.882),
            "efficientnet_b2_tf": timm_input(260, 0.89),
            "efficientnet_b3_tf": timm_input(300, 0.904),
            "efficientnet_b4_tf": timm_input(380, 0.922),
            "efficientnet_lite0": timm_input(224, 0.875),
            "efficientnet_lite1": timm_input(240, 0.882),
            "efficientnet_lite2": timm_input(260, 0.89),
            "efficientnet_lite0_tf": timm_input(224, 0.875, halves=True),
            "efficientnet_lite1_tf": timm_input(240, 0.882, halves=True),
            "efficientnet_lite2_tf": timm_input(260, 0.89, halves=True),
        },
    },
    torchvision_files=(
        TorchvisionFile("EfficientNet_B0", 1, "efficientnet_b0_rwightman-7f5810bc.pth", 21, (77.692, 93.532)),
        TorchvisionFile("EfficientNet_B1", 1, "efficientnet_b1_rwightman-bac287d4.pth", 32, (78.642, 94.186)),
        TorchvisionFile("EfficientNet_B1", 2, "efficientnet_b1-c27df63c.pth", 32, (79.838, 94.934)),
        TorchvisionFile("EfficientNet_B2", 1, "efficientnet_b2_rwightman-c35c1473.pth", 37, (80.608, 95.310)),
        TorchvisionFile("EfficientNet_B3", 1, "efficientnet_b3_rwightman-b3899882.pth", 49, (82.008, 96.054)),
        TorchvisionFile("EfficientNet_B4", 1, "efficientnet_b4_rwightman-23ab8bcd.pth", 78, (83.384, 96.594)),
    ),
    timm_files=(
        TimmFile("efficientnet_b0.ra_in1k", "v0.1-weights/efficientnet_b0_ra-3dd342df.pth", 21.3, (22.302, 6.462)),
        TimmFile("efficientnet_b1.ft_in1k", "v0.1-weights/efficientnet_b1-533bc792.pth", 31.4, (22.408, 6.364)),
        TimmFile("efficientnet_b2.ra_in1k", "v0.1-weights/efficientnet_b2_ra-bcdf34b7.pth", 36.7, (20.676, 5.418)),
        TimmFile(
            "efficientnet_b3.ra2_in1k", "v0.1-weights/efficientnet_b3_ra2-cf984f9c.pth",
            49.3, (18.528, 4.304),
        ),
        TimmFile(
            "efficientnet_b4.ra2_in1k", "v0.1-weights/efficientnet_b4_ra2_320-7eb33cd5.pth",
            77.9, (17.342, 3.866),
        ),
        TimmFile(
            "efficientnet_lite0.ra_in1k", "v0.1-weights/efficientnet_lite0_ra-37913777.pth",
            18.7, (24.512, 7.492),
        ),
        TimmFile(
            "tf_efficientnet_b0.ns_jft_in1k", "v0.1-weights/tf_efficientnet_b0_ns-c0e6a31c.pth",
            21.3, (21.32, 5.628),
        ),
        TimmFile(
            "tf_efficientnet_b1.ns_jft_in1k", "v0.1-weights/tf_efficientnet_b1_ns-99dd0c41.pth",
            31.4, (18.612, 4.244),
        ),
        TimmFile(
            "tf_efficientnet_b2.ns_jft_in1k", "v0.1-weights/tf_efficientnet_b2_ns-00306e48.pth",
            36.7, (17.588, 3.762),
        ),
        TimmFile(
            "tf_efficientnet_b3.ns_jft_in1k", "v0.1-weights/tf_efficientnet_b3_ns-9d44bf68.pth",
            49.3, (15.946, 3.074),
        ),
        TimmFile(
            "tf_efficientnet_b4.ns_jft_in1k", "v0.1-weights/tf_efficientnet_b4_ns-d6313a46.pth",
            77.9, (14.844, 2.518),
        ),
        TimmFile(
            "tf_efficientnet_lite0.in1k", "v0.1-weights/tf_efficientnet_lite0-0aa007d2.pth",
            18.7, (25.154, 7.82),
        ),
        TimmFile(
            "tf_efficientnet_lite1.in1k", "v0.1-weights/tf_efficientnet_lite1-bde8b488.pth",
            21.8, (23.326, 6.768),
        ),
        TimmFile(
            "tf_efficientnet_lite2.in1k", "v0.1-weights/tf_efficientnet_lite2-dcccb7df.pth",
            24.6, (22.53, 6.244),
        ),
    ),
)  # fmt: skip
