"""The bench that experiments work at: images, seeds, a recipe, and trainings that are kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.data import Images
from deepenough.nets import Network
from deepenough.progress import Reporter
from deepenough.train import Recipe, Trained, default_recipe, train

Index = npt.NDArray[np.int64]


@dataclass
class Bench:
    """What an experiment is given.

    `few` images train in a quick run; all but the test images otherwise. Values are judged on the validation images.
    """

    images: Images
    seeds: tuple[int, ...]
    quick: bool
    folder: Path
    reporter: Reporter = field(default_factory=Reporter)
    stop: Callable[[], bool] | None = None

    @property
    def input(self) -> tuple[int, int, int]:
        """(C, H, W) of the images."""
        height, width = self.images.preprocess.size
        return self.images.preprocess.channels, height, width

    @property
    def classes(self) -> int:
        return len(self.images.classes)

    @property
    def recipe(self) -> Recipe:
        """That of `fit` for this many images, shortened in a quick run; a fixed rate, so that one thing changes."""
        epochs = self.whole_recipe.epochs
        return replace(self.whole_recipe, epochs=max(epochs // 3, 3) if self.quick else epochs)

    @property
    def whole_recipe(self) -> Recipe:
        """The same with all its epochs, also in a quick run."""
        whole = default_recipe(len(self.images.split.train), self.input, self.images.mirror)
        return replace(whole, lr=0.1, device="cpu" if self.quick else whole.device)

    def some(self, count: int, seed: int) -> Index:
        """So many training images, the same share of every class, and always the first of the larger ones' images."""
        order = np.random.default_rng(seed).permutation(self.images.split.train)
        labels = self.images.labels[order]
        rank = np.empty(len(order), np.int64)
        for label in np.unique(labels):
            rank[labels == label] = np.arange((labels == label).sum())
        return np.sort(order[np.argsort(rank, kind="stable")[:count]])

    def as_long(self, recipe: Recipe, count: int) -> Recipe:
        """The recipe with as many steps on `count` images as it has on all: what is missing then is images."""
        return replace(recipe, epochs=max(round(recipe.epochs * len(self.images.split.train) / count), 1))

    def train(self, network: Network, seed: int, *, recipe: Recipe | None = None, rows: Index | None = None) -> Trained:
        """Train a network and judge it on the validation images; a training that was done before is read back."""
        recipe = recipe or self.recipe
        rows = self.images.split.train if rows is None else rows
        words = repr((network, recipe.to_json(), rows.tolist(), seed)).encode()
        folder = self.folder / "trainings" / hashlib.sha256(words).hexdigest()[:16]
        with self.reporter.task(f"{network.name}, seed {seed}") as advance:
            return train(
                network,
                recipe,
                self.images,
                rows,
                self.images.split.validation,
                folder,
                seed=seed,
                stop=self.stop,
                progress=lambda done, total, epoch: advance(done, total),
            )

    def top1(self, network: Network, **more: Any) -> list[float]:
        """Validation accuracy for each seed."""
        return [self.train(network, seed, **more).curve[-1].top1 for seed in self.seeds]


def less(one: Sequence[float], other: Sequence[float]) -> list[float]:
    """The differences, seed by seed."""
    return [a - b for a, b in zip(one, other, strict=True)]
