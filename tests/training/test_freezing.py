"""Frozen first layers: which they are, that they stay as they are bit for bit, and what that saves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import Killed, kill_at, train

from deepenough.data.augment import Augment
from deepenough.errors import DeepenoughError
from deepenough.nets import NETWORKS, BatchNorm, Conv, Dense, GlobalAvgPool, Network, Relu, StochasticDepth, Sum, macs
from deepenough.nets.build import build
from deepenough.nets.cut import cut_at, cuts
from deepenough.nets.modules import DropPath
from deepenough.nets.prefix import Prefix, prefix
from deepenough.training import optimizer as optimizers
from deepenough.training import perform as performing
from deepenough.training.device import training_mode
from deepenough.training.freezing import frozen_layers, frozen_text
from deepenough.training.gradient_statistics import STATISTICS_IMAGES, weighted_layers
from deepenough.training.loss import Objective
from deepenough.training.process_group import ALONE
from deepenough.training.recipe import Recipe
from deepenough.training.spec import TrainingSpec

RECIPE = Recipe(
    epochs=2, batch=16, optimizer="adamw", lr=0.01, first_layer=0.1, freeze_norms=True, augment=Augment(flip=True)
)
SHARE = 0.7  # of the small network's multiply-accumulates: its first convolution has 4,608 of 13,856
TRAIN, HELD_OUT = np.arange(64), np.arange(64, 96)
FROZEN = ("conv1", "norm1", "relu1")


@pytest.fixture(scope="module")
def start(network: Network) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in build(network, 7).state_dict().items()}


def test_the_prefix_ends_with_the_last_block_within_the_share() -> None:
    network = cut_at(NETWORKS["squeezenet1_1"](), "fire9", 10)
    found = prefix(network, 0.4)
    body = replace(network, stack=_stack(network, "fire3"))
    assert found.macs == macs(body)
    assert macs(body) <= 0.4 * macs(network) < macs(replace(network, stack=_stack(network, "fire4")))
    assert {path.partition(".")[0] for path in found.paths} == {"conv1", "relu1", "pool1", "fire2", "fire3"}
    assert prefix(network, 0) == Prefix()
    assert prefix(network, 0.01) == Prefix()  # the first convolution alone has 8%


def test_a_line_says_what_is_frozen_and_why_nothing_is() -> None:
    network = cut_at(NETWORKS["squeezenet1_1"](), "fire9", 10)
    first, until = (macs(replace(network, stack=_stack(network, place))) for place in ("conv1", "fire3"))
    whole = macs(network)
    assert frozen_layers(network, 0.4) == 1 + 2 * 3  # conv1, and three convolutions in each of fire2 and fire3
    assert frozen_layers(network, 0.05) == frozen_layers(network, 0) == 0
    assert frozen_text(network, 0.4) == f"frozen: up to fire3, {until / whole:.1%} of the multiply-accumulates"
    assert frozen_text(network, 0.05) == (
        f"nothing is frozen: the first block, conv1, has {first / whole:.1%} of the multiply-accumulates, and "
        "--freeze is 5.0%"
    )
    classifier = Network("linear", (1, 8, 8), (GlobalAvgPool(), Dense(4)))
    assert frozen_text(classifier, 0.9) == "nothing is frozen: there is no block before the classifier"


def _stack(network: Network, place: str) -> Any:
    return next(cut.stack for cut in cuts(network) if cut.place == place)


@pytest.mark.parametrize(
    "name", ["resnet18", "efficientnet_lite0", "mobilenet_v3_small", "densenet121", "vit_tiny_patch16_224"]
)
def test_the_prefix_of_every_kind_of_network_is_that_of_one_of_its_cuts(name: str) -> None:
    network = NETWORKS[name]()
    found = prefix(network, 0.4)
    assert 0 < found.macs <= 0.4 * macs(network)
    assert found.macs in {macs(replace(network, stack=cut.stack)) for cut in cuts(network)}
    assert set(found.paths) <= dict(build(network).named_modules()).keys()


def test_frozen_layers_stay_as_they_are_and_the_others_learn(
    images: Any, network: Network, start: Any, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, freeze=SHARE, freeze_norms=False)
    trained = train(network, recipe, images, TRAIN, HELD_OUT, tmp_path, seed=0, start=start)
    frozen = {name for name in start if name.partition(".")[0] in FROZEN}
    assert "norm1.running_mean" in frozen
    for name, tensor in trained.state.items():
        assert torch.equal(tensor, start[name]) == (name in frozen), name


def test_gradients_behind_them_are_those_of_the_whole_network(images: Any, network: Network, start: Any) -> None:
    """And nothing of them is kept for a backward pass."""
    found = {}
    for share in (0.0, SHARE):
        recipe = replace(RECIPE, freeze=share)
        spec = TrainingSpec(network, recipe, TRAIN, HELD_OUT, 0, start)
        state, loop = performing.prepare_training(spec, images, torch.device("cpu"), ALONE, Objective())
        state.model.load_state_dict(start)
        training_mode(state.model, True, loop.step.frozen)
        kept = []
        state.model.get_submodule("relu1").register_forward_hook(
            lambda _, __, output, kept=kept: kept.append(output.requires_grad)
        )
        torch.manual_seed(0)
        loop.step.gradient(next(iter(loop.feed.epoch(0))), 1)
        found[share] = {name: each.grad for name, each in state.model.named_parameters()}
        assert kept == [not share]
    for name, gradient in found[SHARE].items():
        if name.partition(".")[0] in FROZEN:
            assert gradient is None
        else:
            assert torch.equal(gradient, found[0.0][name]), name


def test_it_is_a_training_with_a_rate_of_0_in_the_first_layers(
    images: Any, network: Network, start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = (images, TRAIN, HELD_OUT)
    trained = train(network, replace(RECIPE, freeze=SHARE), *given, tmp_path / "frozen", seed=0, start=start)
    shares = optimizers.layer_shares

    def still(model: torch.nn.Module, first: float) -> list[tuple[torch.nn.Parameter, float]]:
        names = {id(each): name.partition(".")[0] for name, each in model.named_parameters()}
        return [(each, 0.0 if names[id(each)] in FROZEN else share) for each, share in shares(model, first)]

    monkeypatch.setattr(optimizers, "layer_shares", still)
    reference = train(network, RECIPE, *given, tmp_path / "whole", seed=0, start=start)
    for name, tensor in reference.state.items():
        assert torch.equal(trained.state[name], tensor), name
    assert (trained.probabilities == reference.probabilities).all()


def test_a_killed_training_goes_on_to_the_same_weights(
    images: Any, network: Network, start: Any, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, freeze=SHARE)
    given = (network, recipe, images, TRAIN, HELD_OUT)
    unbroken = train(*given, tmp_path / "unbroken", seed=0, start=start)
    with pytest.raises(Killed):
        train(*given, tmp_path / "killed", seed=0, start=start, progress=kill_at(6), checkpoint_steps=1)
    resumed = train(*given, tmp_path / "killed", seed=0, start=start)
    assert all(torch.equal(resumed.state[name], tensor) for name, tensor in unbroken.state.items())
    assert (resumed.macs, resumed.steps) == (unbroken.macs, unbroken.steps)
    with pytest.raises(DeepenoughError, match="it holds another training"):
        train(network, RECIPE, images, TRAIN, HELD_OUT, tmp_path / "killed", seed=0, start=start)


def test_a_training_of_all_layers_is_the_one_that_it_was_before_there_was_freezing(
    images: Any, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fingerprint(share: float) -> str:
        return TrainingSpec(network, replace(RECIPE, freeze=share), TRAIN, HELD_OUT, 0).fingerprint(images)

    now, frozen = fingerprint(0.0), fingerprint(SHARE)
    before = {name: value for name, value in RECIPE.to_json().items() if name != "freeze"}
    assert Recipe.from_json(before) == RECIPE
    monkeypatch.setattr(Recipe, "to_json", lambda self: dict(before))
    assert fingerprint(0.0) == now != frozen


def test_frozen_layers_cost_a_forward_pass(images: Any, network: Network, start: Any, tmp_path: Path) -> None:
    recipe = replace(RECIPE, freeze=SHARE)
    trained = train(network, recipe, images, TRAIN, HELD_OUT, tmp_path, seed=0, start=start)
    forward, frozen = macs(network), prefix(network, SHARE).macs
    assert 0 < frozen < SHARE * forward
    looks = forward * 2 * (32 + 3 * STATISTICS_IMAGES)
    assert trained.overhead_macs == looks
    assert trained.macs == 2 * 64 * (3 * forward - 2 * frozen) + looks
    assert all(len(epoch.gradients) == len(weighted_layers(build(network))) for epoch in trained.curve)
    assert min(trained.curve[-1].gradients) > 0  # the curve shows those of frozen layers, too


def test_the_rest_takes_the_rates_of_the_whole_network(network: Network) -> None:
    recipe = replace(RECIPE, freeze=SHARE)
    spec = TrainingSpec(network, recipe, TRAIN, HELD_OUT, 0)
    state, step = performing.new_state(spec, Objective(), torch.device("cpu"), ALONE)
    assert step.frozen[:1] == ("conv1",)
    rates = {id(each): share for each, share in optimizers.layer_shares(build(network), 0.1)}
    assert len(rates) == len(list(state.model.parameters()))
    shares = {id(each): share for each, share in optimizers.layer_shares(state.model, 0.1)}
    of = {id(each): name for name, each in state.model.named_parameters()}
    found = {of[key]: share for key, share in shares.items()}
    wanted = {
        name: share
        for (name, _), share in zip(build(network).named_parameters(), rates.values(), strict=True)
        if name.partition(".")[0] not in FROZEN
    }
    assert found == pytest.approx(wanted)


def test_frozen_layers_work_as_in_prediction_and_the_others_as_in_training() -> None:
    """A block that is left out at random, or a norm of the batch, would be another prefix at every step."""
    block = Sum(((Conv(8, bias=False), BatchNorm(), StochasticDepth(0.5)), ()))
    network = Network("deep", (1, 8, 8), (Conv(8), Relu(), block, Relu(), block, GlobalAvgPool(), Dense(4)))
    spec = TrainingSpec(network, replace(RECIPE, freeze=0.6, freeze_norms=False), TRAIN, HELD_OUT, 0)
    state, step = performing.new_state(spec, Objective(), torch.device("cpu"), ALONE)
    training_mode(state.model, spec.recipe.freeze_norms, step.frozen)
    frozen = tuple(f"{path}." for path in step.frozen)
    modes = {name: each.training for name, each in state.model.named_modules() if name}
    random = [name for name, each in state.model.named_modules() if isinstance(each, DropPath)]
    assert [modes[name] for name in random] == [False, True]
    assert modes == {name: not f"{name}.".startswith(frozen) for name in modes}
