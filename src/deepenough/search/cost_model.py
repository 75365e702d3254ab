"""The cost of training candidates, in multiply-accumulates and in seconds, before any is trained."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from deepenough.autotuning.configuration import StepConfiguration
from deepenough.search.architectures import Architecture
from deepenough.search.folds import DecisionFolds, share_of_rounds
from deepenough.training.freezing import training_macs
from deepenough.training.lr_range_test import range_images
from deepenough.training.recipe import Recipe
from deepenough.training.resizing import epoch_macs


@dataclass(kw_only=True)
class CostModel(ABC):
    """Multiply-accumulates and seconds of trainings by one recipe on the same folds; a subclass measures the steps."""

    folds: DecisionFolds
    recipe: Recipe
    deadline: float | None = None  # of trainings, by time.monotonic()
    jobs: int = 1  # folds that are trained side by side
    _costs: dict[str, list[int]] = field(default_factory=dict, init=False, repr=False)

    @abstractmethod
    def configuration(self, architecture: Architecture) -> StepConfiguration:
        """The configuration in which a step of an architecture is computed, and its speed."""

    def planned(self, architecture: Architecture) -> int:
        """The multiply-accumulates of training an architecture in full, with the passes of its teacher, if any."""
        return self._cost(self.folds, architecture)

    def planned_until(self, architecture: Architecture, epoch: int) -> int:
        """The multiply-accumulates of training an architecture up to the end of an epoch, counted from 1."""
        costs = self._epoch_macs(architecture)[:epoch]
        return self.folds.cost(architecture.macs, costs, range_images(self.recipe))

    def planned_scout(self, architecture: Architecture, epochs: int) -> int:
        """The multiply-accumulates of a scout of so many epochs, which takes its learning rate from its parent's and
        has images of full size."""
        return self.folds.cost(architecture.macs, [self.step_macs(architecture)] * epochs)

    def alone(self, architecture: Architecture) -> int:
        """The multiply-accumulates of training it once, without folds, and before that its teacher, if any."""
        before = self.alone(architecture.teacher) if architecture.teacher else 0
        return before + self._cost(self.folds.merged, architecture)

    def _cost(self, folds: DecisionFolds, architecture: Architecture) -> int:
        return folds.cost(architecture.macs, self._epoch_macs(architecture), range_images(self.recipe))

    def _epoch_macs(self, architecture: Architecture) -> list[int]:
        """The multiply-accumulates of training on one image, in each epoch."""
        if architecture.name not in self._costs:
            teacher = architecture.teacher.network if architecture.teacher else None
            self._costs[architecture.name] = epoch_macs(self.recipe, architecture.network, teacher)
        return self._costs[architecture.name]

    def step_macs(self, architecture: Architecture) -> int:
        """The multiply-accumulates of a training step for each image of full size, but those of a teacher."""
        return training_macs(architecture.network, self.recipe.freeze)

    def retraining(self, architecture: Architecture) -> int:
        """The multiply-accumulates of training it once more on all images but test, which folds make necessary."""
        return self.alone(architecture) if self.folds.kind == "out-of-fold" else 0

    @property
    def is_late(self) -> bool:
        """True if the deadline is over."""
        return self.time_left < 0

    def in_time(self, *architectures: Architecture, epochs: int | None = None) -> bool:
        """True if these are expected to be trained before the deadline, by the pace of a few steps of each; with
        folds, also the retraining that follows."""
        if self.deadline is None:
            return True
        if self.is_late:  # nothing is measured any more
            return False
        trainings = sum(self.seconds(architecture, epochs) for architecture in architectures)
        last = max((self.retraining_seconds(architecture) for architecture in architectures), default=0.0)
        return trainings + last <= self.time_left

    @property
    def time_left(self) -> float:
        """Seconds until the deadline."""
        return math.inf if self.deadline is None else self.deadline - time.monotonic()

    def retraining_seconds(self, architecture: Architecture) -> float:
        """Seconds that training it once more on all images but test is expected to take, where folds decide."""
        images = self.retraining_images(architecture)
        return self.configuration(architecture).total(images) if images else 0.0

    def retraining_images(self, architecture: Architecture) -> float:
        """Images of training steps that cost as much as training it once more, all included; 0 without folds."""
        return self.retraining(architecture) / self.step_macs(architecture)

    def seconds(self, architecture: Architecture, epochs: int | None = None) -> float:
        """Seconds that training an architecture on every fold is expected to take, by the pace of a few steps; judging
        an image takes a third of a training step."""
        images = self.steps_images(architecture, epochs)
        return self.configuration(architecture).total(images) * share_of_rounds(len(self.folds.folds), self.jobs)

    def steps_images(self, architecture: Architecture, epochs: int | None = None) -> float:
        """Images of training steps that cost as much as training an architecture on every fold, all included; with
        `epochs` as a scout of so many."""
        cost = self.planned_scout(architecture, epochs) if epochs else self.planned(architecture)
        return cost / self.step_macs(architecture)
