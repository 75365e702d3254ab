"""Names of tensors in files of `keras.applications`, of which Keras has several."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from deepenough.weights.families import FAMILIES

DENSENET_EPS = 1e-8
"""The part of 1.001e-5, the eps of Keras' DenseNet, by which it exceeds our 1e-5."""

NORMALIZATION = re.compile(r"(?:.+\.)?normalization(?:_\d+)?\.(mean|variance|count|[012])")
"""The tensors of the layer that normalises images, in the order of an unnamed layer: mean, variance, count."""

_RENAMED = (
    (re.compile(r"\bdepthwise_kernel$"), "kernel"),
    *(renamed for family in FAMILIES for renamed in family.keras_renamed),
)
"""Names of which Keras has several."""

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
