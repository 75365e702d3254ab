"""Gradients and activations at every layer, against the chain rule written out, and that looking changes nothing."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import make_network, train
from torch import nn

from deepenough.data.augment import Augment
from deepenough.nets import Conv, Dense, Network, zoo
from deepenough.nets.build import build
from deepenough.nets.shapes import visits
from deepenough.training.curve import Epoch
from deepenough.training.gradient_statistics import gradient_statistics, weighted_layers
from deepenough.training.inplace_activations import use_inplace_activations
from deepenough.training.recipe import Recipe

RECIPE = Recipe(epochs=2, batch=16, augment=Augment(), lr=0.05)


def test_they_are_those_of_the_chain_rule() -> None:
    torch.manual_seed(0)
    first, last = nn.Linear(5, 4), nn.Linear(4, 3)
    model = nn.Sequential(first, nn.ReLU(), last)
    x, labels = torch.randn(7, 5), torch.randint(0, 3, (7,))
    gradients, activations = gradient_statistics(model, x, labels, nullcontext)
    with torch.no_grad():
        before = x @ first.weight.T + first.bias
        hidden = before.clamp(min=0)
        logits = hidden @ last.weight.T + last.bias
        error = (logits.softmax(1) - nn.functional.one_hot(labels, 3)) / 7
        to_last = error.T @ hidden
        to_first = ((error @ last.weight) * (before > 0)).T @ x
    assert gradients == pytest.approx([float(to_first.norm()), float(to_last.norm())], rel=1e-3)
    assert activations == pytest.approx([math.sqrt(float((v**2).mean())) for v in (before, logits)], rel=1e-3)


def test_looking_leaves_the_model_as_it_was() -> None:
    model = use_inplace_activations(build(make_network(), 0))
    model.train()
    next(iter(model.children())).eval()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    images, labels = torch.randn(6, 1, 8, 8), torch.arange(6) % 4
    one = gradient_statistics(model, images, labels, nullcontext)
    assert gradient_statistics(model, images, labels, nullcontext) == one
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(bool((p.grad == 1).all()) for p in model.parameters() if p.grad is not None)
    assert [module.training for module in model.modules()] == modes
    assert not any(module._forward_hooks for module in model.modules())


def test_a_training_is_the_same_without_it(
    images: Any, network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def go(folder: Path) -> Any:
        return train(network, RECIPE, images, np.arange(64), np.arange(64, 96), folder, seed=0)

    looked = go(tmp_path / "looked")
    monkeypatch.setattr("deepenough.training.loop.gradient_statistics", lambda *_: ((), ()))
    blind = go(tmp_path / "blind")
    assert all(torch.equal(looked.state[name], blind.state[name]) for name in blind.state)
    assert all(epoch.gradients and not other.gradients for epoch, other in zip(looked.curve, blind.curve, strict=True))


@pytest.mark.parametrize("precision", ["bfloat16", "float64"])
def test_in_other_precisions(images: Any, network: Network, tmp_path: Path, precision: str) -> None:
    recipe = replace(RECIPE, precision=precision)
    trained = train(network, recipe, images, np.arange(64), np.arange(64, 96), tmp_path, seed=0)
    assert all(value > 0 for epoch in trained.curve for value in (*epoch.gradients, *epoch.activations))


@pytest.mark.parametrize("name", ["googlenet", "resnet34"])
def test_layers_are_named_as_in_the_network(name: str) -> None:
    network = zoo.network(name)
    assert list(weighted_layers(build(network))) == [
        v.path for v in visits(network) if isinstance(v.layer, (Conv, Dense))
    ]


def test_what_is_no_number_becomes_null_and_comes_back() -> None:
    whole = Epoch(1, 0.1, 0.9, *[0.5] * 5, lr=0.1, seconds=1.0, gradients=(1.0, math.inf), activations=(math.nan, 2.0))
    content = whole.to_json()
    assert (content["gradients"], content["activations"]) == ([1.0, None], [None, 2.0])
    back = Epoch.from_json(content)
    assert back.gradients[0] == 1.0
    assert math.isnan(back.gradients[1])
    assert Epoch.from_json({k: v for k, v in content.items() if k not in ("gradients", "activations")}).gradients == ()
