"""A deadline that is over needs no measurement to be told."""

from __future__ import annotations

import time
from typing import cast

import numpy as np
import pytest

from deepenough.autotuning.configuration import StepConfiguration
from deepenough.nets import Conv, Dense, Flatten, GlobalAvgPool, Network, macs
from deepenough.search.architectures import Architecture
from deepenough.search.cost_model import CostModel
from deepenough.search.folds import DecisionBasis, DecisionFolds, Fold
from deepenough.training.gradient_statistics import statistics_images
from deepenough.training.recipe import Recipe


class Measuring(CostModel):
    """Trainings whose steps can't be measured without an error."""

    def configuration(self, architecture: Architecture) -> StepConfiguration:
        raise AssertionError(f"{architecture.name} is measured")

    def steps_images(self, architecture: Architecture, epochs: int | None = None) -> float:
        return 1


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_training_is_planned_by_its_epochs(scale: float) -> None:
    """Smaller images in the first of three epochs take as much less; a scout has none."""
    layers = (Conv(8), GlobalAvgPool(), Dense(2))
    architecture = Architecture("residual", 1, 1, Network("one", (1, 16, 16), layers))
    full = architecture.macs
    small = macs(architecture.network.with_input((1, 8, 8))) if scale < 1 else full
    fold = Fold(np.arange(10), np.arange(10, 14))
    folds = DecisionFolds(DecisionBasis.OUT_OF_FOLD, (fold, fold), "")
    model = Measuring(folds=folds, recipe=Recipe(epochs=3, lr=0.1, initial_scale=scale))
    looks = full * (4 + statistics_images(10))
    assert model.planned(architecture) == 2 * (10 * 3 * (small + 2 * full) + 3 * looks)
    assert model.planned_until(architecture, 1) == 2 * (10 * 3 * small + looks)
    assert model.planned_until(architecture, 3) == model.planned(architecture)
    assert model.planned_scout(architecture, 2) == 2 * (10 * 3 * 2 * full + 2 * looks)
    assert model.step_macs(architecture) == 3 * full
    assert model.alone(architecture) == 8 * 3 * (small + 2 * full) + 3 * full * statistics_images(8)


def test_nothing_is_measured_once_the_deadline_is_over() -> None:
    now = time.monotonic()
    architecture = Architecture("one layer", 1, 1, Network("one layer", (1, 8, 8), (Flatten(), Dense(2))))
    folds = cast(DecisionFolds, None)
    assert CostModel.in_time(Measuring(folds=folds, recipe=Recipe(), deadline=None), architecture)
    assert not Measuring(folds=folds, recipe=Recipe(), deadline=now - 1).in_time(architecture)
    with pytest.raises(AssertionError, match="is measured"):
        Measuring(folds=folds, recipe=Recipe(), deadline=now + 1e6).in_time(architecture)
