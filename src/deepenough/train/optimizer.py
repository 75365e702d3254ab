"""The optimizer, with weight decay only where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from deepenough.train.recipe import Recipe

FUSED = {"cpu", "cuda", "mps"}  # devices whose fused kernels update all parameters at once


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum or AdamW; biases and norms (all that has one dimension) do not decay."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = parameters[0].device.type in FUSED
    lr = recipe.lr or 0.0  # the schedule sets it at every step
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=lr, betas=(recipe.momentum, 0.999), fused=fused)
    return torch.optim.SGD(groups, lr=lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=fused)


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """The learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def make_clip(model: nn.Module, limit: float) -> Callable[[], object]:
    """A function that scales the gradient of `model` down to the norm `limit`; with 0 it does nothing."""
    if not limit:
        return lambda: None
    return partial(nn.utils.clip_grad_norm_, list(model.parameters()), limit)
