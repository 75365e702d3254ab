"""The optimizer, with weight decay only where it belongs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from deepenough.training.muon import NESTEROV_RATE, Muon, turning_parameters
from deepenough.training.recipe import Recipe
from deepenough.training.without_compiler import without_compiler

FUSED = {"cpu", "cuda", "mps"}  # devices whose fused kernels update all parameters at once


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, AdamW or Muon; biases and norms (all that has one dimension) do not decay.

    Each layer's learning rate is its share of the schedule's, see `Recipe.first_layer`.
    """
    groups: dict[tuple[float, bool], dict[str, Any]] = {}
    for parameter, share in layer_shares(model, recipe.first_layer):
        decays = parameter.ndim > 1
        decay = recipe.weight_decay if decays else 0.0
        group = groups.setdefault((share, not decays), {"params": [], "weight_decay": decay, "share": share})
        group["params"].append(parameter)
    ordered = [group for _, group in sorted(groups.items())]
    if recipe.optimizer == "muon":
        return without_compiler(Muon)(muon_groups(ordered, turning_parameters(model)), momentum=recipe.momentum)
    fused = ordered[0]["params"][0].device.type in FUSED
    lr = recipe.lr or 0.0  # the schedule sets it at every step
    if recipe.optimizer == "adamw":
        return without_compiler(torch.optim.AdamW)(ordered, lr=lr, betas=(recipe.momentum, 0.999), fused=fused)
    return without_compiler(torch.optim.SGD)(
        ordered, lr=lr, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=fused
    )


def muon_groups(groups: list[dict[str, Any]], turning: set[torch.Tensor]) -> list[dict[str, Any]]:
    """Each group in two: what Muon turns, without decay, and the rest, at its own multiple of the learning rate."""
    split = []
    for group in groups:
        turned = [parameter for parameter in group["params"] if parameter in turning]
        others = [parameter for parameter in group["params"] if parameter not in turning]
        split.append({**group, "params": turned, "weight_decay": 0.0, "turns": True})
        split.append({**group, "params": others, "share": NESTEROV_RATE * group["share"]})
    return [group for group in split if group["params"]]


def layer_shares(model: nn.Module, first: float) -> list[tuple[nn.Parameter, float]]:
    """Every trained parameter with its share of the learning rate: `first` in the first weighted layer, 1 in the last,
    growing by the same factor from layer to layer between them; a norm's is that of the layer before it."""
    layers = [part for part in model.modules() if any(True for _ in part.parameters(recurse=False))]
    count = sum(isinstance(layer, (nn.Conv2d, nn.Linear)) for layer in layers)
    shares, place = [], -1
    for layer in layers:
        place += isinstance(layer, (nn.Conv2d, nn.Linear))
        share = first ** (1 - max(place, 0) / (count - 1)) if count > 1 else 1.0
        shares += [(p, share) for p in layer.parameters(recurse=False) if p.requires_grad]
    return shares


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """The learning rate of the next step."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["share"]


def make_clip(model: nn.Module, limit: float) -> Callable[[], object]:
    """A function that scales the gradient of `model` down to the norm `limit`; with 0 it does nothing."""
    if not limit:
        return lambda: None
    return partial(nn.utils.clip_grad_norm_, list(model.parameters()), limit)
