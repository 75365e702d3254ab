"""What fine-tuning adds to training: a rate for each layer, norms that stay, a gentle recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import train

from deepenough.nets import FAMILIES, Network
from deepenough.nets.build import build
from deepenough.training.optimizer import layer_shares, make_optimizer, set_lr
from deepenough.training.recipe import Recipe, finetune_recipe

SHAPE = (3, 16, 16)
NETWORK = FAMILIES["residual"].network(input=SHAPE, classes=3, depth=7, width=0.25)


def test_shares_grow_by_equal_factors_from_the_first_layer_to_the_last() -> None:
    """Seven weighted layers and a projection: the first has the share given, the head has all."""
    model = build(NETWORK)
    owner = {id(p): name.rpartition(".")[0] for name, p in model.named_parameters()}
    shares: dict[str, float] = {}
    for parameter, share in layer_shares(model, 0.01):
        shares.setdefault(owner[id(parameter)], share)
    weighted = [
        share
        for name, share in shares.items()
        if isinstance(model.get_submodule(name), (torch.nn.Conv2d, torch.nn.Linear))
    ]
    assert weighted[0] == pytest.approx(0.01)
    assert weighted[-1] == 1.0
    steps = np.diff(np.log(weighted))
    np.testing.assert_allclose(steps, steps[0])
    norm = next(name for name in shares if isinstance(model.get_submodule(name), torch.nn.BatchNorm2d))
    assert shares[norm] == weighted[0]


def test_every_parameter_is_in_one_group_and_gets_its_share_of_the_rate() -> None:
    model = build(NETWORK)
    optimizer = make_optimizer(model, Recipe(optimizer="adamw", lr=1.0, first_layer=0.1, weight_decay=0.05))
    set_lr(optimizer, 0.5)
    found = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(found) == len({id(p) for p in found}) == len(list(model.parameters()))
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for parameter, share in layer_shares(model, 0.1):
        assert rates[id(parameter)] == pytest.approx(0.5 * share)
        assert decays[id(parameter)] == (0.05 if parameter.ndim > 1 else 0.0)


def test_with_equal_shares_there_are_two_groups_as_before() -> None:
    groups = make_optimizer(build(NETWORK), Recipe()).param_groups
    assert [group["weight_decay"] for group in groups] == [5e-4, 0.0]


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_norms_keep_their_statistics_and_learn_their_scales(
    frozen: bool, images: Any, network: Network, tmp_path: Path
) -> None:
    start = build(network, seed=1).state_dict()
    recipe = Recipe(epochs=1, batch=16, lr=0.05, ema=0.0, freeze_norms=frozen)
    trained = train(network, recipe, images, np.arange(64), np.arange(64, 96), tmp_path, seed=0, start=start)
    for statistic in ("running_mean", "running_var"):
        assert torch.equal(trained.state[f"norm1.{statistic}"], start[f"norm1.{statistic}"]) == frozen
    assert not torch.equal(trained.state["norm1.weight"], start["norm1.weight"])


def test_the_recipe_takes_fewer_epochs_for_more_images() -> None:
    epochs = [finetune_recipe(count, SHAPE, True).epochs for count in (30, 100, 1_000, 3_000, 20_000, 1_000_000)]
    assert epochs == [30, 18, 7, 4, 3, 3]
    assert not finetune_recipe(100, SHAPE, mirror=False).augment.flip
    assert Recipe.from_json(finetune_recipe(100, SHAPE, True).to_json()) == finetune_recipe(100, SHAPE, True)


def test_the_recipe_begins_with_smaller_images_where_they_are_large() -> None:
    scales = [finetune_recipe(100, (3, *size), True).initial_scale for size in ((224, 224), (128, 300), (300, 127))]
    assert scales == [0.7, 0.7, 1.0]


@pytest.mark.parametrize(
    ("optimizer", "lr", "decay"), [("adamw", 1.5e-3, 0.05), ("sgd", 5e-3, 5e-4), ("muon", 0.01, 5e-4)]
)
def test_every_optimizer_has_its_own_rate_and_decay(optimizer: str, lr: float, decay: float) -> None:
    """AdamW's decay and rate mean something else to the others; Muon's rate from scratch would lose what was learnt."""
    recipe = finetune_recipe(1_000, SHAPE, True, optimizer=optimizer)
    assert (recipe.optimizer, recipe.lr, recipe.weight_decay) == (optimizer, lr, decay)
