"""A deadline that is over needs no measurement to be told."""

from __future__ import annotations

import time
from typing import cast

import pytest

from deepenough.autotuning.configuration import StepConfiguration
from deepenough.nets import Dense, Flatten, Network
from deepenough.search.architectures import Architecture
from deepenough.search.cost_model import CostModel
from deepenough.search.folds import DecisionFolds
from deepenough.training.recipe import Recipe


class Measuring(CostModel):
    """Trainings whose steps can't be measured without an error."""

    def configuration(self, architecture: Architecture) -> StepConfiguration:
        raise AssertionError(f"{architecture.name} is measured")

    def steps_images(self, architecture: Architecture, epochs: int | None = None) -> float:
        return 1


def test_nothing_is_measured_once_the_deadline_is_over() -> None:
    now = time.monotonic()
    architecture = Architecture("one layer", 1, 1, Network("one layer", (1, 8, 8), (Flatten(), Dense(2))))
    folds = cast(DecisionFolds, None)
    assert CostModel.in_time(Measuring(folds=folds, recipe=Recipe(), deadline=None), architecture)
    assert not Measuring(folds=folds, recipe=Recipe(), deadline=now - 1).in_time(architecture)
    with pytest.raises(AssertionError, match="is measured"):
        Measuring(folds=folds, recipe=Recipe(), deadline=now + 1e6).in_time(architecture)
