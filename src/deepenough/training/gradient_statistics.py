"""Statistics of gradients and activations at every layer: where they vanish or explode, it shows here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from deepenough.nets.build import AuxiliaryHead

STATISTICS_IMAGES = 16  # the same ones after every epoch
KEPT_DIGITS = 4

PASSES = 3  # forward, and twice as much for the gradient

GradientStatistics = tuple[tuple[float, ...], tuple[float, ...]]


def statistics_images(train: int) -> int:
    """Forward passes of one image that the statistics cost after an epoch, with so many training images."""
    return PASSES * min(STATISTICS_IMAGES, train)


def weighted_layers(model: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """The convolutions and dense layers on the way to the logits, in the order of computation."""
    aside = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, AuxiliaryHead))
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (nn.Conv2d, nn.Linear)) and not name.startswith(aside)
    }


def gradient_statistics(
    model: nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    autocast: Callable[[], AbstractContextManager[object]],
) -> GradientStatistics:
    """Norms of the cross-entropy's gradient at each layer's weights, and root mean squares of what each layer gives.

    `images` (N, C, H, W), normalised, `labels` int64 (N,). The model works as in prediction, and is left as it was:
    neither its gradients nor the statistics of its norms change.
    """
    layers = list(weighted_layers(model).values())
    scales: dict[int, torch.Tensor] = {}

    def look(module: nn.Module, _: Any, output: torch.Tensor) -> None:
        # Now: the activation that follows may write over it.
        scales[id(module)] = output.detach().float().square().mean().sqrt()

    hooks = [layer.register_forward_hook(look) for layer in layers]
    modes = {module: module.training for module in model.modules()}
    frozen = [layer.weight for layer in layers if not layer.weight.requires_grad]
    model.eval()
    try:
        for weight in frozen:
            weight.requires_grad_(True)
        with torch.enable_grad(), autocast():
            loss = nn.functional.cross_entropy(model(images).float(), labels)
        gradients = torch.autograd.grad(loss, [layer.weight for layer in layers])
    finally:
        for hook in hooks:
            hook.remove()
        for weight in frozen:
            weight.requires_grad_(False)
        for module, mode in modes.items():
            module.training = mode
    norms = torch.stack([gradient.detach().float().norm() for gradient in gradients])
    return _rounded(norms), _rounded(torch.stack([scales[id(layer)] for layer in layers]))


def _rounded(values: torch.Tensor) -> tuple[float, ...]:
    return tuple(float(f"{value:.{KEPT_DIGITS}g}") for value in values.tolist())
