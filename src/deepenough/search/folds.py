"""The decision images, and what each candidate is trained on so that they stay unseen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepenough.data.images import Images
from deepenough.data.split import Index
from deepenough.search.question import DecisionBasis
from deepenough.search.statistics import resolution
from deepenough.training.gradient_statistics import statistics_images

FOLDS = 4  # each candidate then costs three trainings on all of the images


@dataclass(frozen=True)
class Fold:
    """One training: the images it learns from, and those that it is judged on."""

    train: Index
    held_out: Index


@dataclass(frozen=True)
class DecisionFolds:
    """The images that decide, in one fold where they are the validation split; `why` is the reason for the kind."""

    kind: DecisionBasis
    folds: tuple[Fold, ...]
    why: str

    @property
    def images(self) -> Index:
        """The decision images, ascending."""
        return np.sort(np.concatenate([fold.held_out for fold in self.folds]))

    @property
    def merged(self) -> DecisionFolds:
        """One training instead: as it is with a validation split, else on all decision images, with none held out."""
        if self.kind == DecisionBasis.VALIDATION:
            return self
        return replace(self, folds=(Fold(self.images, np.empty(0, np.int64)),))

    def cost(self, macs: int, epoch_macs: Sequence[int], range_images: int = 0) -> int:
        """Multiply-accumulates of training a network on every fold: those of each epoch for an image (`epoch_macs`),
        every epoch ends with an evaluation of the held-out images and gradient statistics, with `macs` for each, and
        the range test trains on `range_images`, as the last epoch does."""
        trained = sum(sum(epoch_macs) * len(fold.train) + epoch_macs[-1] * range_images for fold in self.folds)
        looks = sum(len(fold.held_out) + statistics_images(len(fold.train)) for fold in self.folds)
        return trained + macs * len(epoch_macs) * looks


def share_of_rounds(folds: int, jobs: int) -> float:
    """The time of training so many folds, `jobs` of them side by side, as a share of one after the other."""
    return math.ceil(folds / jobs) / folds


def decision_folds(images: Images, margin: float, seed: int, folds: int | None = None) -> DecisionFolds:
    """The validation split where it can resolve the margin, and folds over all images but test where it can't.

    `folds` overrides: 1 takes the validation split, 2 and more that many folds.
    """
    validation = len(images.split.validation)
    resolved = resolution(validation)
    if folds == 1 or (folds is None and resolved <= margin):
        why = "as asked for" if folds == 1 else f"enough to tell differences of about {100 * resolved:.1f} points"
        return DecisionFolds(
            DecisionBasis.VALIDATION,
            (Fold(images.split.train, images.split.validation),),
            f"the {validation:,} validation images ({why})",
        )
    count = folds or FOLDS
    pairs = tuple(Fold(train, held_out) for train, held_out in images.folds(count, seed))
    total = sum(len(fold.held_out) for fold in pairs)
    why = (
        "as asked for"
        if folds
        else f"the {validation:,} validation images alone can't tell differences below "
        f"{100 * resolved:.1f} points, these from about {100 * resolution(total):.1f}"
    )
    return DecisionFolds(
        DecisionBasis.OUT_OF_FOLD, pairs, f"out-of-fold predictions for {total:,} images in {count} folds ({why})"
    )
