"""Colour: brightness, contrast and saturation, composed into one matrix an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from deepenough.data.device import constant
from deepenough.data.geometry import symmetric
from deepenough.data.policy import Augment

STREAMS = {"brightness": 10, "contrast": 11, "saturation": 12}
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow's "L"


def draws(policy: Augment) -> Iterable[str]:
    """The choices that a policy makes, by their streams."""
    return STREAMS if policy.recolours else ()


def recolour(policy: Augment, images: Tensor, drawn: Mapping[str, Tensor]) -> Tensor:
    """Change `images` (N, C, H, W) in 0..1; saturation means nothing but for three channels."""
    saturation = policy.saturation if images.shape[1] == 3 else 0.0
    if not any((policy.brightness, policy.contrast, saturation)):
        return images
    factors = (
        1 + symmetric(drawn["brightness"]) * policy.brightness,
        1 + symmetric(drawn["contrast"]) * policy.contrast,
        1 + symmetric(drawn["saturation"]) * saturation,
    )
    matrix, offset = colour_matrices(images, *factors)
    batch, channels, height, width = images.shape
    flat = images.reshape(batch, channels, height * width)
    return torch.baddbmm(offset, matrix, flat).clamp_(0, 1).view(batch, channels, height, width)


def colour_matrices(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> tuple[Tensor, Tensor]:
    """Matrices (N, C, C) and offsets (N, C, 1) of the three, one after the other, each as Pillow's `ImageEnhance`.

    Brightness blends with black, contrast with the picture's mean grey, saturation with each pixel's grey.
    """
    channels = images.shape[1]
    luma = constant(LUMA if channels == 3 else (1 / channels,) * channels, images.device, images.dtype)
    grey = (images.mean(dim=(2, 3)) @ luma) * brightness
    eye = torch.eye(channels, device=images.device, dtype=images.dtype)
    mixed = saturation[:, None, None] * eye + (1 - saturation)[:, None, None] * luma.expand(channels, channels)
    matrix = (brightness * contrast)[:, None, None] * mixed
    offset = ((1 - contrast) * grey)[:, None, None].expand(-1, channels, 1)
    return matrix, offset
