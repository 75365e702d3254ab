"""Names of layers in `keras.applications`, by network of the zoo."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from deepenough.nets.layers import Conv
from deepenough.nets.network import Network
from deepenough.weights.match import NameLayers, block_layers, tensor_layers
from deepenough.weights.patterns import InvertedBlock, name_by_patterns, name_inverted_blocks

TOP = ("fc1", "fc2", "predictions")
"""The dense layers of VGG and ResNet, which come last."""

DENSENET_EPS = 1e-8
"""The part of 1.001e-5, the eps of Keras' DenseNet, by which it exceeds our 1e-5."""

NORMALIZATION = re.compile(r"(?:.+\.)?normalization(?:_\d+)?\.(mean|variance|count|[012])")
"""The tensors of the layer that normalises images, in the order of an unnamed layer: mean, variance, count."""

_RENAMED = (
    (re.compile(r"\bdepthwise_kernel$"), "kernel"),
    (re.compile(r"(convnext_\w+_layer_scale)\.(?:[Vv]ariable(?:_\d+)?|gamma)$"), r"\1.kernel"),
    (re.compile(r"(convnext_\w+_layernorm(?:_\d)?)\.gamma$"), r"\1.kernel"),
    (re.compile(r"(convnext_\w+_layernorm(?:_\d)?)\.beta$"), r"\1.bias"),
    (re.compile(r"[^.]+\.(convnext_\w+_(?:stem|downsampling)_(?:conv|layernorm)\w*\.)"), r"\1"),
)
"""Names of which Keras has several, and models in ConvNeXt that hold a norm and a convolution each."""

_INSIDE = r"(?:(?:expand|depthwise|project)(?:/BatchNorm)?|squeeze_excite/Conv(?:_1)?)"
_SLASHED = rf"(?:expanded_conv(?:_\d+)?/{_INSIDE}|Conv(?:_1)?/BatchNorm|Conv(?:_[12])?|Logits)"
_SLASHED_LAYER = re.compile(rf"(?:^|(?<=\.)){_SLASHED}(?=\.)")

SLASHED = re.compile(rf"(?:^|(?<=/)){_SLASHED}$")
"""Keras 2's names of layers in MobileNetV3, as `expanded_conv_1/squeeze_excite/Conv` and `Conv/BatchNorm`.

No other ends: a scope of the user's may be called `Conv` or `Logits`, too."""


def in_layouts_names(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one of Keras' models by the names and in the shapes of the layouts here.

    Depthwise filters have their channels first, 1x1 convolutions behind the last pool are dense layers, and
    EfficientNet's normalisation of images, which `keras_images` reads, is left out.
    """
    found = {}
    slashed = any("/BatchNorm." in name for name in tensors)  # MobileNetV2 has a Conv_1, too, and keeps it
    normalises = any("block1a_dwconv." in name for name in tensors)
    for name, tensor in tensors.items():
        if normalises and NORMALIZATION.fullmatch(name):
            continue
        theirs = _SLASHED_LAYER.sub(_in_names_of_keras_3, name) if slashed else name
        for pattern, by in _RENAMED:
            theirs = pattern.sub(by, theirs)
        if tensor.ndim == 4 and tensor.shape[0] == 1 and re.search(r"(?:depthwise|dwconv)\.kernel$", theirs):
            tensor = tensor.transpose(0, 1)
        elif tensor.shape[2:] == (1, 1) and re.search(r"(?:^|\.)(?:conv_2|logits)\.kernel$", theirs):
            tensor = tensor.flatten(1)
        found[theirs] = tensor
    return found


def _in_names_of_keras_3(found: re.Match[str]) -> str:
    return found[0].replace("/BatchNorm", "_bn").replace("/", "_").lower()


def with_eps_of_keras(network: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The state with what Keras adds to variances beyond our eps, so that the network computes the same."""
    if network != "densenet121":
        return dict(state)
    return {key: tensor + DENSENET_EPS if key.endswith(".running_var") else tensor for key, tensor in state.items()}


def name_vgg(network: Network) -> dict[str, str]:
    """`blockL_convN`, and the dense layers."""
    dense = iter(TOP)
    places = {}
    for visit in tensor_layers(network):
        if isinstance(visit.layer, Conv):
            level, name = visit.path.removeprefix("level").split(".")
            places[visit.path] = f"block{level}_conv{name.removeprefix('conv')}"
        else:
            places[visit.path] = next(dense)
    return places


def name_resnet(network: Network) -> dict[str, str]:
    """`conv2_block1_1_conv`; 0 is the shortcut."""
    places = {"stem.conv": "conv1_conv", "stem.norm": "conv1_bn", "classifier": "predictions"}
    for path, level, block, kind, number in block_layers(network):
        places[path] = f"conv{level + 1}_block{block}_{number}_{'bn' if kind == 'norm' else 'conv'}"
    return places


def name_densenet(network: Network) -> dict[str, str]:
    """`convL_blockN_1_conv` with the norm before it, `0_bn`, where L counts from 2, and `poolL` between."""
    patterns = {"stem.conv": "conv1_conv", "stem.norm": "conv1_bn", "level4.norm": "bn", "classifier": "predictions"}
    for level in range(1, 5):
        for number in (1, 2):
            block = f"conv{level + 1}_block{{}}_"
            patterns[f"level{level}.layer#.new.norm{number}"] = f"{block}{number - 1}_bn"
            patterns[f"level{level}.layer#.new.conv{number}"] = f"{block}{number}_conv"
        patterns |= {f"transition{level}.{kind}": f"pool{level + 1}_{theirs}" for kind, theirs in _KINDS.items()}
    return name_by_patterns(network, patterns, first=1)


_KINDS = {"norm": "bn", "conv": "conv"}


def name_mobilenet_v2(network: Network) -> dict[str, str]:
    """`block_N_expand`, `_depthwise` and `_project`, where N counts from 0; block 0 is `expanded_conv`."""

    def convolution(block: InvertedBlock, place: int) -> tuple[str, str]:
        inside = f"block_{block.number - 1}" if block.number > 1 else "expanded_conv"
        name = f"{inside}_{block.convolutions[place]}"
        return name, f"{name}_BN"

    ends = {"stem.conv": "Conv1", "stem.norm": "bn_Conv1", "last.conv": "Conv_1", "last.norm": "Conv_1_bn"}
    return name_inverted_blocks(network, convolution) | ends | {"classifier": "predictions"}


def name_mobilenet_v3(network: Network) -> dict[str, str]:
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


def name_efficientnet(network: Network) -> dict[str, str]:
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


def name_convnext(network: Network) -> dict[str, str]:
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


NAMES_SINCE_2016: Mapping[str, NameLayers] = {
    "densenet121": name_densenet,
    "mobilenet_v2_keras": name_mobilenet_v2,
    **{f"mobilenetv3_{size}_100_tf": name_mobilenet_v3 for size in ("small", "large")},
    **{f"efficientnet_b{scale}_tf": name_efficientnet for scale in range(5)},
    **{f"convnext_{size}": name_convnext for size in ("tiny", "small")},
}
"""The functions that name the layers of networks since 2016."""
