"""Smaller images in the first epochs: which networks take them, what they are made of, and what they save."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from small import Killed, kill_at, make_images, make_network, train

from deepenough.data.augment import Augment
from deepenough.nets import NETWORKS, Conv, Dense, Flatten, Network, macs
from deepenough.nets.build import build
from deepenough.nets.prefix import prefix
from deepenough.search.folds import DecisionFolds, Fold
from deepenough.training.feed import Feed, Loader
from deepenough.training.gradient_statistics import STATISTICS_IMAGES
from deepenough.training.process_group import ProcessGroup
from deepenough.training.recipe import Recipe
from deepenough.training.resizing import epoch_macs, first_sizes, resized, scaled_side, takes
from deepenough.training.spec import TrainingSpec

CPU = torch.device("cpu")
SIDE, SMALL = 16, (8, 8)
NETWORK = make_network(size=SIDE)
RECIPE = Recipe(epochs=3, batch=16, lr=0.05, device="cpu", initial_scale=0.5, augment=Augment(flip=True))
TRAIN, HELD_OUT = np.arange(64), np.arange(64, 96)
COMPILED = [pytest.mark.seconds(60), pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")]
FIXED = Network("fixed", (1, SIDE, SIDE), (Conv(4), Flatten(), Dense(4)))  # as many weights as its images have pixels


@pytest.fixture(scope="module")
def images() -> Any:
    return make_images(size=SIDE)


@pytest.mark.parametrize(
    "name",
    [
        "squeezenet1_1", "resnet18", "googlenet_bn", "mobilenet_v3_small", "efficientnet_lite0_tf", "convnext_atto",
        "vit_tiny_patch16_224",
    ],
)  # fmt: skip
def test_a_network_that_takes_smaller_images_computes_what_one_built_for_them_does(name: str) -> None:
    network = NETWORKS[name]()
    assert takes(network, (96, 64))
    smaller = build(network.with_input((3, 96, 64)))
    module = build(network, seed=1)
    smaller.load_state_dict(module.state_dict())
    pixels = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        torch.testing.assert_close(module.eval()(pixels), smaller.eval()(pixels))


def test_one_whose_weights_are_for_one_size_does_not() -> None:
    assert not takes(FIXED, SMALL)
    for name in ("alexnet", "vgg16", "googlenet"):
        assert not takes(NETWORKS[name](), (160, 160))
    assert first_sizes(RECIPE, FIXED) == ()


def test_a_teacher_has_to_take_them_too() -> None:
    assert first_sizes(RECIPE, NETWORK, make_network(size=SIDE)) == (SMALL,)
    assert first_sizes(RECIPE, NETWORK, FIXED) == ()


@settings(max_examples=60)
@example(height=1, width=21, scale=1.0, epochs=2)
@example(height=227, width=227, scale=1.0, epochs=4)
@given(height=st.integers(1, 400), width=st.integers(1, 400), scale=st.floats(0.01, 1.0), epochs=st.integers(1, 9))
def test_the_first_half_of_the_epochs_has_the_scale(height: int, width: int, scale: float, epochs: int) -> None:
    recipe = replace(RECIPE, epochs=epochs, initial_scale=scale)
    sizes = first_sizes(recipe, NETWORK.with_input((1, height, width)))
    assert len(sizes) in (0, epochs // 2)
    for found in sizes:
        for side, full in zip(found, (height, width), strict=True):
            assert 0 < side <= full
            assert abs(side - scale * full) <= max(full / 16, full / 8 - scale * full, 1)
    if scale == 1:
        assert sizes == ()


def test_sides_hold_whole_patches_and_poolings() -> None:
    found = {side: scaled_side(side, 0.7) for side in (24, 28, 32, 64, 96, 224, 227, 240, 288, 384, 518)}
    small = {24: 16, 28: 20, 32: 24, 64: 48, 96: 64}
    assert found == small | {224: 160, 227: 160, 240: 160, 288: 192, 384: 256, 518: 384}
    assert scaled_side(224, 0.01) == 16
    assert [scaled_side(side, 1.0) for side in (21, 28, 227)] == [21, 28, 227]


def test_they_are_what_pillow_makes_of_them() -> None:
    pixels = torch.rand(1, 1, 40, 24, generator=torch.Generator().manual_seed(0))
    expected = Image.fromarray(pixels[0, 0].numpy()).resize((16, 24), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(resized(pixels, (24, 16))[0, 0].numpy(), np.asarray(expected), atol=1e-5)


def test_the_feed_shrinks_the_augmented_images_of_the_first_epochs_alone(images: Any) -> None:
    whole = Feed(Loader(images, CPU), TRAIN, 16, RECIPE.augment, seed=0)
    feed = replace(whole, first_sizes=[SMALL])
    for plain, small in zip(whole.epoch(0), feed.epoch(0), strict=True):
        assert small.images.shape[2:] == SMALL
        # Of a linear scaling of the pixels it makes no difference whether they are normalised before or after.
        torch.testing.assert_close(small.images, resized(plain.images, SMALL), atol=1e-5, rtol=1e-5)
        assert torch.equal(plain.targets, small.targets)
    for plain, late in zip(whole.epoch(1), feed.epoch(1), strict=True):
        assert torch.equal(plain.images, late.images)


class Second(ProcessGroup):
    """The second of two processes, as far as a feed asks."""

    rank, size = 1, 2


def test_a_process_shrinks_its_share(images: Any) -> None:
    alone = Feed(Loader(images, CPU), TRAIN, 16, Augment(flip=True, mixup=0.2), seed=0, first_sizes=[SMALL])
    for whole, share in zip(alone.epoch(0), replace(alone, group=Second()).epoch(0), strict=True):
        torch.testing.assert_close(share.images, whole.images[share.first :])


def test_a_training_costs_what_was_planned(images: Any, tmp_path: Path) -> None:
    recipe = replace(RECIPE, freeze=0.5)
    trained = train(NETWORK, recipe, images, TRAIN, HELD_OUT, tmp_path, seed=0)
    whole, small = macs(NETWORK), macs(NETWORK.with_input((1, *SMALL)))
    frozen = prefix(NETWORK, 0.5).macs
    assert small < 0.3 * whole
    step = 3 * whole - 2 * frozen
    looks = whole * 3 * (32 + 3 * STATISTICS_IMAGES)
    assert trained.macs == 64 * (step * small // whole + 2 * step) + looks
    folds = DecisionFolds("", (Fold(TRAIN, HELD_OUT),), "")
    assert folds.cost(whole, epoch_macs(recipe, NETWORK)) == trained.macs


def test_a_part_of_a_training_costs_what_its_epochs_do() -> None:
    spec = TrainingSpec(NETWORK, RECIPE, TRAIN, HELD_OUT, 0)
    first, second, third = spec.epoch_macs
    assert first < second == third == 3 * macs(NETWORK)
    assert spec.macs(0) == 0
    assert spec.macs(10) == 10 * first
    assert spec.macs(64 + 10) == 64 * first + 10 * second
    assert spec.macs(3 * 64) == 64 * (first + second + third)
    assert spec.macs(4 * 64 + 1) == 64 * (first + second + third) + 65 * third  # some were repeated


def test_a_teacher_costs_as_much_less_as_it_does_itself() -> None:
    """Its share is not the student's: attention grows with the square of the tokens."""
    network, teacher = NETWORKS["resnet18"]().with_classes(4), NETWORKS["vit_tiny_patch16_224"]().with_classes(4)
    recipe = replace(RECIPE, initial_scale=0.7)
    added = np.subtract(epoch_macs(recipe, network, teacher), epoch_macs(recipe, network))
    assert added.tolist() == [macs(teacher.with_input((3, 160, 160))), macs(teacher), macs(teacher)]
    assert added[0] / added[1] < 0.99 * macs(network.with_input((3, 160, 160))) / macs(network)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=COMPILED)])
def test_a_killed_training_goes_on_to_the_same_weights(images: Any, compiled: bool, tmp_path: Path) -> None:
    """Also a compiled one, which meets the shapes of its batches in another order."""
    rows = np.arange(63)  # batches of 16 and of 15
    given = (NETWORK, replace(RECIPE, compiled=compiled), images, rows, HELD_OUT)
    torch.compiler.reset()
    unbroken = train(*given, tmp_path / "unbroken", seed=0)
    for step in (2, 6):  # in the small epoch, and after it
        torch.compiler.reset()
        with pytest.raises(Killed):
            train(*given, tmp_path / f"{step}", seed=0, progress=kill_at(step), checkpoint_steps=1)
        torch.compiler.reset()
        resumed = train(*given, tmp_path / f"{step}", seed=0)
        assert all(torch.equal(resumed.state[name], tensor) for name, tensor in unbroken.state.items())
        assert resumed.macs == unbroken.macs


def test_a_training_at_full_size_is_the_one_that_it_was_before_there_was_resizing(
    images: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fingerprint(scale: float) -> str:
        recipe = replace(RECIPE, initial_scale=scale)
        return TrainingSpec(NETWORK, recipe, TRAIN, HELD_OUT, 0).fingerprint(images)

    now, smaller = fingerprint(1.0), fingerprint(0.5)
    before = {name: value for name, value in RECIPE.to_json().items() if name != "initial_scale"}
    assert Recipe.from_json(before) == replace(RECIPE, initial_scale=1.0)
    monkeypatch.setattr(Recipe, "to_json", lambda self: {**before, "initial_scale": self.initial_scale})
    assert fingerprint(1.0) == now != smaller
