"""The published weights of MobileNetV2 and V3."""

from __future__ import annotations

from deepenough.nets.network import Network
from deepenough.preprocessing import Preprocessing
from deepenough.weights.families.family import FamilyWeights, TimmFile, TorchvisionFile, timm_input
from deepenough.weights.families.inverted_blocks import (
    InvertedBlock,
    inverted_blocks,
    name_inverted_blocks,
    name_timm_efficientnet,
    name_timm_inverted_blocks,
    name_torchvision_ends,
    name_torchvision_gated_blocks,
)


def name_torchvision_v2(network: Network) -> dict[str, str]:
    """`features.N.conv.I.0` and `.1`; the last convolution of a block and its norm are in no module of their own."""

    def convolution(block: InvertedBlock, place: int) -> tuple[str, str]:
        inside = f"features.{block.number}.conv"
        if place == len(block.convolutions) - 1:
            return f"{inside}.{place}", f"{inside}.{place + 1}"
        return f"{inside}.{place}.0", f"{inside}.{place}.1"

    places = name_inverted_blocks(network, convolution)
    return places | name_torchvision_ends(len(inverted_blocks(network)) + 1) | {"classifier": "classifier.1"}


def name_torchvision_v3(network: Network) -> dict[str, str]:
    """`features.N.block.I.0` and `.1`, where N counts the blocks from 1."""
    places = name_torchvision_gated_blocks(network, lambda block: f"features.{block.number}.block")
    dense = {"hidden": "classifier.0", "classifier": "classifier.3"}
    return places | name_torchvision_ends(len(inverted_blocks(network)) + 1) | dense


def name_timm_v3(network: Network) -> dict[str, str]:
    """The last convolution is a level of its own, and `conv_head` a 1x1 convolution of what was pooled."""
    levels = sum(layer.name.startswith("level") for layer in network.stack)
    last = {"last.conv": f"blocks.{levels}.0.conv", "last.norm": f"blocks.{levels}.0.bn1"}
    return name_timm_inverted_blocks(network) | last | {"hidden": "conv_head"}


def name_keras_v2(network: Network) -> dict[str, str]:
    """`block_N_expand`, `_depthwise` and `_project`, where N counts from 0; block 0 is `expanded_conv`."""

    def convolution(block: InvertedBlock, place: int) -> tuple[str, str]:
        inside = f"block_{block.number - 1}" if block.number > 1 else "expanded_conv"
        name = f"{inside}_{block.convolutions[place]}"
        return name, f"{name}_BN"

    ends = {"stem.conv": "Conv1", "stem.norm": "bn_Conv1", "last.conv": "Conv_1", "last.norm": "Conv_1_bn"}
    return name_inverted_blocks(network, convolution) | ends | {"classifier": "predictions"}


def name_keras_v3(network: Network) -> dict[str, str]:
    """`expanded_conv_N_expand` and so on, where N counts from 0; block 0 has no number."""

    def inside(block: InvertedBlock) -> str:
        return f"expanded_conv_{block.number - 1}" if block.number > 1 else "expanded_conv"

    def convolution(block: InvertedBlock, place: int) -> tuple[str, str]:
        name = f"{inside(block)}_{block.convolutions[place]}"
        return name, f"{name}_bn"

    def gate(block: InvertedBlock) -> tuple[str, str]:
        name = f"{inside(block)}_squeeze_excite_conv"
        return name, f"{name}_1"

    ends = {"stem.conv": "conv", "stem.norm": "conv_bn", "last.conv": "conv_1", "last.norm": "conv_1_bn"}
    return name_inverted_blocks(network, convolution, gate) | ends | {"hidden": "conv_2", "classifier": "logits"}


def name_paddle_v3(network: Network) -> dict[str, str]:
    """`blocks.N` with `expand_conv`, `bottleneck_conv`, `mid_se` and `linear_conv`; N counts from 0."""

    def convolution(block: InvertedBlock, place: int) -> tuple[str, str]:
        parts = ("expand_conv", "bottleneck_conv", "linear_conv")[-len(block.convolutions) :]
        inside = f"blocks.{block.number - 1}.{parts[place]}"
        return f"{inside}.0", f"{inside}.1"

    def gate(block: InvertedBlock) -> tuple[str, str]:
        return f"blocks.{block.number - 1}.mid_se.fc1", f"blocks.{block.number - 1}.mid_se.fc2"

    stem = {"stem.conv": "conv.0", "stem.norm": "conv.1"}
    ends = {
        "last.conv": "lastconv.0",
        "last.norm": "lastconv.1",
        "hidden": "classifier.0",
        "classifier": "classifier.3",
    }
    return name_inverted_blocks(network, convolution, gate) | stem | ends


_V3 = ("mobilenet_v3_small", "mobilenet_v3_large")
_V3_TIMM = ("mobilenetv3_small_100", "mobilenetv3_large_100")
_V3_TF = ("mobilenetv3_small_100_tf", "mobilenetv3_large_100_tf")

MOBILENET = FamilyWeights(
    torchvision={"mobilenet_v2": name_torchvision_v2, **dict.fromkeys(_V3, name_torchvision_v3)},
    timm={"mobilenet_v2": name_timm_efficientnet, **dict.fromkeys((*_V3_TIMM, *_V3_TF), name_timm_v3)},
    keras={"mobilenet_v2_keras": name_keras_v2, **dict.fromkeys(_V3_TF, name_keras_v3)},
    paddle={"mobilenet_v2": name_torchvision_v2, **dict.fromkeys(_V3, name_paddle_v3)},
    dense_or_convolutions=(*_V3_TIMM, *_V3_TF),
    inputs={
        "timm": {
            **dict.fromkeys(("mobilenet_v2", *_V3_TIMM), timm_input(224, 0.875)),
            **dict.fromkeys(_V3_TF, timm_input(224, 0.875, halves=True, interpolation="bilinear")),
        }
    },
    torchvision_files=(
        TorchvisionFile("MobileNet_V2", 1, "mobilenet_v2-b0353104.pth", 14, (71.878, 90.286)),
        TorchvisionFile("MobileNet_V2", 2, "mobilenet_v2-7ebf99e0.pth", 14, (72.154, 90.822)),
        TorchvisionFile("MobileNet_V3_Small", 1, "mobilenet_v3_small-047dcff4.pth", 10, (67.668, 87.402)),
        TorchvisionFile("MobileNet_V3_Large", 1, "mobilenet_v3_large-8738ca79.pth", 22, (74.042, 91.340)),
        TorchvisionFile("MobileNet_V3_Large", 2, "mobilenet_v3_large-5c1a4163.pth", 22, (75.274, 92.566)),
    ),
    timm_files=(
        TimmFile("mobilenetv2_100.ra_in1k", "v0.1-weights/mobilenetv2_100_ra-b33bc2c4.pth", 14.1, (27.09, 9)),
        TimmFile(
            "mobilenetv3_small_100.lamb_in1k", "v0.1-weights/mobilenetv3_small_100_lamb-266a294c.pth",
            10.2, (32.364, 12.362),
        ),
        TimmFile(
            "mobilenetv3_large_100.ra_in1k", "v0.1-weights/mobilenetv3_large_100_ra-f55367f5.pth",
            22.1, (24.216, 7.472),
        ),
        TimmFile(  # Alibaba's MIIL took pixels in 0..1
            "mobilenetv3_large_100.miil_in21k_ft_in1k", "v0.1-tresnet/mobilenetv3_large_100_1k_miil_78_0-66471c13.pth",
            22.1, (22.08, 7.106), Preprocessing((224, 224), 256, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        ),
    ),
)  # fmt: skip
