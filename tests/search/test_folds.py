"""What decides: the validation split where it can resolve the margin, else folds over all images but test."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deepenough.data.split import make_folds
from deepenough.search.folds import FOLDS, DecisionFolds, Fold, decision_folds


def images(train: int, validation: int) -> Any:
    """Two classes in turn, with the test images last."""
    rows = np.random.default_rng(0).permutation(train + validation)
    split = SimpleNamespace(train=np.sort(rows[:train]), validation=np.sort(rows[train:]))
    labels = np.arange(train + validation + 50) % 2
    groups = np.arange(len(labels))
    return SimpleNamespace(
        split=split,
        labels=labels,
        folds=lambda k, seed: make_folds(labels, groups, np.sort(rows), k, seed),
    )


def needed(margin: float) -> int:
    """The number of images at which z * sqrt(0.08 / n) is the margin."""
    return math.ceil(0.08 * (1.6448536 / margin) ** 2)


@pytest.mark.parametrize("margin", [0.01, 0.02, 0.1])
def test_the_validation_split_decides_from_the_size_that_resolves_the_margin(margin: float) -> None:
    enough, few = needed(margin), needed(margin) - 1
    assert decision_folds(images(60, enough), margin, 0).kind == "validation"
    chosen = decision_folds(images(60, few), margin, 0)
    assert (chosen.kind, len(chosen.folds)) == ("out-of-fold", FOLDS)
    assert f"{few:,} validation images alone can't tell" in chosen.why


def test_the_validation_part_is_the_split() -> None:
    data = images(100, 40)
    chosen = decision_folds(data, 0.01, 0, folds=1)
    assert chosen.kind == "validation"
    assert "asked for" in chosen.why
    np.testing.assert_array_equal(chosen.folds[0].train, data.split.train)
    np.testing.assert_array_equal(chosen.images, data.split.validation)


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_folds_hold_every_image_out_once_and_never_a_test_image(folds: int) -> None:
    data = images(100, 40)
    chosen = decision_folds(data, 0.01, 0, folds)
    assert len(chosen.folds) == folds
    np.testing.assert_array_equal(chosen.images, np.arange(140))
    for fold in chosen.folds:
        assert not set(fold.train) & set(fold.held_out)
        assert len(fold.train) + len(fold.held_out) == 140
        assert np.bincount(data.labels[fold.held_out]).tolist() == pytest.approx([70 / folds, 70 / folds], abs=1)


def test_folds_are_a_function_of_the_seed() -> None:
    first, again, other = (decision_folds(images(100, 40), 0.01, seed) for seed in (3, 3, 4))
    for one, two in zip(first.folds, again.folds, strict=True):
        np.testing.assert_array_equal(one.held_out, two.held_out)
    assert any(
        not np.array_equal(one.held_out, two.held_out) for one, two in zip(first.folds, other.folds, strict=True)
    )


def test_training_costs_three_passes_and_judging_one() -> None:
    both = DecisionFolds("", (Fold(np.arange(10), np.arange(10, 14)), Fold(np.arange(4, 14), np.arange(4))), "")
    whole = both.cost(macs=1000, epoch_macs=[3000] * 5)
    assert whole == 5 * 1000 * 2 * (3 * 10 + 4 + 3 * 10)  # the last for gradients
    # Of 1,000 in a forward pass 400 are in frozen layers, which have no backward pass.
    frozen = both.cost(macs=1000, epoch_macs=[3 * 1000 - 2 * 400] * 5)
    assert frozen == 5 * 2 * (2200 * 10 + 1000 * (4 + 3 * 10))
    assert both.cost(macs=1000, epoch_macs=[3000] * 5, range_images=7) == whole + 1000 * 2 * 3 * 7
    # On images of half the area in the first two epochs.
    assert whole - both.cost(macs=1000, epoch_macs=[1500] * 2 + [3000] * 3) == 2 * 2 * 1500 * 10
