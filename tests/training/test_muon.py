"""Muon: against the singular value decomposition, torch's SGD, and what a step on a sphere has to keep."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import train
from torch import nn

from deepenough.nets import FAMILIES
from deepenough.nets.build import build
from deepenough.training.muon import (
    COEFFICIENTS,
    ITERATIONS,
    NESTEROV_RATE,
    Muon,
    orthogonalize,
    turn,
    turning_parameters,
)
from deepenough.training.optimizer import make_optimizer, set_lr
from deepenough.training.recipe import KNOWN_RATES, Recipe

SIDES = st.integers(1, 24)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def curve(values: torch.Tensor) -> torch.Tensor:
    """The singular values after all iterations, each by the polynomial of one number."""
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        values = a * values + b * values**3 + c * values**5
    return values


@settings(max_examples=30)
@given(rows=SIDES, columns=SIDES, scale=st.floats(1e-6, 1e6), seed=st.integers(0, 1000))
def test_it_changes_the_singular_values_alone(rows: int, columns: int, scale: float, seed: int) -> None:
    matrices = scale * random(2, rows, columns, seed=seed)
    u, s, vh = torch.linalg.svd(matrices, full_matrices=False)
    share = s / s.square().sum(1, keepdim=True).sqrt()
    expected = u @ torch.diag_embed(curve(share)) @ vh
    torch.testing.assert_close(orthogonalize(matrices), expected, rtol=1e-9, atol=1e-9)


def test_singular_values_come_near_to_one() -> None:
    ends = curve(torch.linspace(0.01, 1, 10_000, dtype=torch.float64))
    assert ends.min() > 0.68
    assert ends.max() < 1.14
    assert curve(torch.linspace(0, 0.01, 10_000, dtype=torch.float64)).max() < 1.21


def test_directions_that_hardly_count_move_like_those_that_do() -> None:
    u, _, vh = torch.linalg.svd(random(1, 16, 40), full_matrices=False)
    skewed = u @ torch.diag_embed(torch.logspace(-1.5, 0, 16, dtype=torch.float64)[None]) @ vh
    found = orthogonalize(skewed)
    cosine = (found * (u @ vh)).sum() / found.norm() / (u @ vh).norm()
    assert cosine > 0.97
    assert (skewed * (u @ vh)).sum() / skewed.norm() / (u @ vh).norm() < 0.8


@settings(max_examples=20)
@given(angle=st.floats(0, 0.5), of_weights=st.floats(1e-3, 1e3), of_directions=st.floats(1e-3, 1e3))
def test_a_turn_keeps_the_norm_and_knows_no_scale(angle: float, of_weights: float, of_directions: float) -> None:
    start, direction = random(6, 3, 3, 3), random(6, 3, 3, 3, seed=1)
    plain, scaled = start.clone(), of_weights * start
    turn([plain], [direction.clone()], angle)
    turn([scaled], [of_directions * direction], angle)
    torch.testing.assert_close(scaled, of_weights * plain)
    torch.testing.assert_close(plain.norm(), start.norm())
    cosine = (plain * start).sum() / start.norm() ** 2
    assert cosine >= np.cos(np.arcsin(angle)) - 1e-9  # as far as a step of that length can turn it


def test_weights_of_one_shape_do_not_touch_each_other() -> None:
    starts, directions = random(3, 4, 2, 3, 3), random(3, 4, 2, 3, 3, seed=1)
    together, alone = starts.clone(), starts.clone()
    turn(list(together), list(directions.clone()), 0.1)
    for weight, direction in zip(alone, directions, strict=True):
        turn([weight], [direction.clone()], 0.1)
    torch.testing.assert_close(together, alone)


def test_no_gradient_and_a_gradient_of_zeros_move_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3))
    before = copy.deepcopy(model.state_dict())
    optimizer = make_optimizer(model, Recipe(optimizer="muon"))
    set_lr(optimizer, 0.1)
    model[0].weight.grad = torch.zeros_like(model[0].weight)
    optimizer.step()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, before[name])


def test_what_does_not_turn_follows_torchs_sgd() -> None:
    network = FAMILIES["residual"].network(input=(1, 8, 8), classes=4, depth=5, width=0.25)
    model, other = build(network), build(network)
    recipe = Recipe(optimizer="muon", weight_decay=0.1, momentum=0.8)
    optimizer = make_optimizer(model, recipe)
    turning = {name for name, parameter in model.named_parameters() if parameter in turning_parameters(model)}
    assert turning == {name for name, parameter in model.named_parameters() if parameter.ndim == 4}
    rest = {name: parameter for name, parameter in other.named_parameters() if name not in turning}
    groups = [
        {"params": [p for p in rest.values() if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in rest.values() if p.ndim == 1]},
    ]
    theirs = torch.optim.SGD(groups, NESTEROV_RATE * 0.05, momentum=0.8, nesterov=True)
    for step in range(4):
        set_lr(optimizer, 0.05)
        for name, parameter in model.named_parameters():
            parameter.grad = random(*parameter.shape, seed=step).float()
            if name in rest:
                rest[name].grad = parameter.grad.clone()
        optimizer.step()
        theirs.step()
    found = dict(model.named_parameters())
    for name, parameter in rest.items():
        torch.testing.assert_close(found[name], parameter, rtol=1e-5, atol=1e-7)


def test_every_parameter_is_in_one_group() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 8, 1), nn.BatchNorm2d(8), nn.Linear(8, 4))
    optimizer = make_optimizer(model, Recipe(optimizer="muon", first_layer=0.5))
    assert isinstance(optimizer, Muon)
    found = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert len(found) == len(set(found)) == len(list(model.parameters()))
    turned = [parameter for group in optimizer.param_groups if group["turns"] for parameter in group["params"]]
    assert turned == [model[1].weight]


def test_the_memory_format_changes_nothing() -> None:
    ends = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        model = nn.Conv2d(3, 8, 3).to(memory_format=memory_format)  # type: ignore[call-overload]
        with torch.no_grad():
            model.weight.copy_(random(8, 3, 3, 3))
        optimizer = make_optimizer(model, Recipe(optimizer="muon"))
        for step in range(3):
            set_lr(optimizer, 0.1)
            model.weight.grad = random(8, 3, 3, 3, seed=step).float().contiguous(memory_format=memory_format)
            optimizer.step()
        assert model.weight.is_contiguous(memory_format=memory_format)
        ends.append(model.weight.detach())
    torch.testing.assert_close(*ends)


@pytest.mark.parametrize("lr", [None, 0.2])
def test_it_learns_at_its_own_rate_without_a_range_test(
    images: Any, network: Any, tmp_path: Path, lr: float | None
) -> None:
    recipe = Recipe(epochs=30, batch=16, optimizer="muon", lr=lr, ema=0.9)
    trained = train(network, recipe, images, np.arange(64), np.arange(64, 96), tmp_path, seed=0)
    assert trained.lr == (lr or KNOWN_RATES["muon"])
    assert trained.curve[-1].top1 > 0.9
