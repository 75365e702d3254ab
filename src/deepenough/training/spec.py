"""One training, defined once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from deepenough.data.images import Images
from deepenough.data.split import Index
from deepenough.nets import Network
from deepenough.preprocessing import Preprocessing
from deepenough.training.recipe import DISTILLATION, Recipe
from deepenough.training.resizing import Size, epoch_macs, first_sizes

StateDict = Mapping[str, torch.Tensor]

LATER_CHOICES = {"freeze": 0.0, "initial_scale": 1.0}
"""Fields that earlier recipes did not have, with the value that stands for what they did: what they began goes on."""


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained network whose logits another one learns from; `train` are the rows of the images it has seen."""

    network: Network
    weights: StateDict
    train: Index


@dataclass(frozen=True, eq=False)
class TrainingSpec:
    """Everything that decides what a training comes to, but the images.

    `train` are the rows of the images that it learns from, `evaluation` those that it is judged on after every epoch.
    `initial_weights` are those to start from, by name; without them it starts from `build(network, seed)`'s. With a
    `teacher` it learns from that one's logits, too (knowledge distillation). `preprocess` is the one of
    the ways that the images are read in which this network takes; None for their own.
    """

    network: Network
    recipe: Recipe
    train: Index
    evaluation: Index
    seed: int
    initial_weights: StateDict | None = None
    teacher: Teacher | None = None
    preprocess: Preprocessing | None = None

    def __post_init__(self) -> None:
        if self.teacher is not None and np.intersect1d(self.teacher.train, self.evaluation).size:
            raise ValueError("a teacher must not have seen images that its student is judged on")

    @property
    def first_sizes(self) -> tuple[Size, ...]:
        """The sizes (H, W) of the images in the first epochs, where those are smaller."""
        return first_sizes(self.recipe, self.network, self._teaching)

    @cached_property
    def epoch_macs(self) -> list[int]:
        """Multiply-accumulates of training on one image, in each epoch."""
        return epoch_macs(self.recipe, self.network, self._teaching)

    @property
    def _teaching(self) -> Network | None:
        return self.teacher.network if self.teacher else None

    def macs(self, images: int) -> int:
        """Multiply-accumulates of training on so many images, from the first epoch on; more than the epochs have were
        trained on twice, where memory ran out."""
        count, costs = len(self.train), self.epoch_macs
        beyond = max(images - count * len(costs), 0)
        return beyond * costs[-1] + sum(
            cost * min(max(images - number * count, 0), count) for number, cost in enumerate(costs)
        )

    def fingerprint(self, images: Images) -> str:
        """A SHA-256 of all that decides the result on these images."""
        start, recipe = self.initial_weights, self.recipe.to_json()
        if self.teacher is None:
            recipe = {name: value for name, value in recipe.items() if name not in DISTILLATION}
        for name, without in LATER_CHOICES.items():
            if recipe.get(name) == without:
                recipe.pop(name)
        words: list[Any] = [repr(self.network), recipe, images.fingerprint, self.seed]
        words += [sorted(start) if start else None]
        words += ["in blocks"] if images.in_blocks else []  # which is another order
        words += [["teacher", repr(self.teacher.network)]] if self.teacher else []
        other_way = self.preprocess is not None and self.preprocess != images.preprocess
        words += [["preprocess", repr(self.preprocess)]] if other_way else []
        digest = hashlib.sha256(json.dumps(words, sort_keys=True).encode())
        for rows in (self.train, self.evaluation):
            digest.update(np.ascontiguousarray(rows, np.int64).tobytes() + b"|")
        for weights in (start or {}, self.teacher.weights if self.teacher else {}):
            for _, tensor in sorted(weights.items()):
                digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()
