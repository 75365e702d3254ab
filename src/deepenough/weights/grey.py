"""Pretrained weights of colour images for grey ones, and of grey images for those in colour."""

from __future__ import annotations

from dataclasses import replace
from statistics import fmean

from deepenough.errors import DeepenoughError
from deepenough.nets.layers import BatchNorm, Conv
from deepenough.nets.shapes import visits
from deepenough.weights.weights import Weights

GREY_PARTS = (0.299, 0.587, 0.114)
"""The parts of red, green and blue in the grey of an image (ITU-R 601, as Pillow converts)."""


def grey(weights: Weights) -> Weights:
    """The same function of a grey image as `weights` are of that image in all three channels.

    A grey image has one mean and one standard deviation; what the channels' own differ by goes into the bias of the
    first convolution, or into the running mean of the batch norm behind it. At the border, where zeros are padded,
    that is an approximation.
    """
    if len(weights.input.mean) == 1:
        return weights
    first, second, *_ = visits(weights.network)
    if not isinstance(first.layer, Conv):
        raise DeepenoughError(
            f"{weights.name}: its first layer is a {first.layer.kind}; grey images need a convolution"
        )
    mean, std = fmean(weights.input.mean), fmean(weights.input.std)
    state = dict(weights.state)
    kernel = state[f"{first.path}.weight"]
    scale = kernel.new_tensor([std / s for s in weights.input.std]).view(1, -1, 1, 1)
    offset = kernel.new_tensor([(mean - m) / s for m, s in zip(weights.input.mean, weights.input.std, strict=True)])
    shift = (kernel.sum((2, 3)) * offset).sum(1)
    state[f"{first.path}.weight"] = (kernel * scale).sum(1, keepdim=True)
    if first.layer.bias:
        state[f"{first.path}.bias"] = state[f"{first.path}.bias"] + shift
    elif isinstance(second.layer, BatchNorm):
        state[f"{second.path}.running_mean"] = state[f"{second.path}.running_mean"] - shift
    _, height, width = weights.network.input
    return replace(
        weights,
        network=weights.network.with_input((1, height, width)),
        state=state,
        input=replace(weights.input, order="RGB", mean=(mean,), std=(std,)),
        sha256=f"{weights.sha256} grey",
    )


def colour(weights: Weights) -> Weights:
    """The same function of a colour image as `weights`, which take one channel, are of the image made grey.

    Grey is a weighted mean of the channels, which the first convolution takes in exactly.
    """
    first = next(iter(visits(weights.network)))
    if not isinstance(first.layer, Conv):
        raise DeepenoughError(
            f"{weights.name}: its first layer is a {first.layer.kind}; colour images need a convolution"
        )
    kernel = weights.state[f"{first.path}.weight"]
    state = {**weights.state, f"{first.path}.weight": kernel * kernel.new_tensor(GREY_PARTS).view(1, -1, 1, 1)}
    _, height, width = weights.network.input
    return replace(
        weights,
        network=weights.network.with_input((len(GREY_PARTS), height, width)),
        state=state,
        input=replace(
            weights.input, mean=weights.input.mean * len(GREY_PARTS), std=weights.input.std * len(GREY_PARTS)
        ),
        sha256=f"{weights.sha256} colour",
    )
