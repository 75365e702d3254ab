"""The decision images, and what each candidate is trained on so that they stay unseen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deepenough.data import Images
from deepenough.search.statistics import resolution
from deepenough.training import signal_images

Index = npt.NDArray[np.int64]
FOLDS = 4  # each candidate then costs three trainings on all of the images


@dataclass(frozen=True)
class Part:
    """One training: the images it learns from, and those that it is judged on."""

    train: Index
    held_out: Index


@dataclass(frozen=True)
class Parts:
    """`kind` is "validation" (one part) or "out-of-fold" (one a fold); `why` says what chose it."""

    kind: str
    parts: tuple[Part, ...]
    why: str

    @property
    def images(self) -> Index:
        """The decision images, ascending."""
        return np.sort(np.concatenate([part.held_out for part in self.parts]))

    def cost(self, macs: int, epochs: int, range_images: int = 0) -> int:
        """Multiply-accumulates of training a network on every part: forward and backward are three forward passes,
        every epoch ends with a look at the held-out images and at the signals in the layers, and the range test trains
        on `range_images`."""
        looks = (len(part.held_out) + signal_images(len(part.train)) for part in self.parts)
        per_part = (
            epochs * (3 * len(part.train) + look) + 3 * range_images
            for part, look in zip(self.parts, looks, strict=True)
        )
        return macs * sum(per_part)


def parts(images: Images, margin: float, seed: int, folds: int | None = None) -> Parts:
    """The validation split where it can resolve the margin, and folds over all images but test where it can't.

    `folds` overrides: 1 takes the validation split, 2 and more that many folds.
    """
    validation = len(images.split.validation)
    resolved = resolution(validation)
    if folds == 1 or (folds is None and resolved <= margin):
        asked = "asked for" if folds == 1 else f"they can tell differences of about {100 * resolved:.1f} points"
        return Parts(
            "validation",
            (Part(images.split.train, images.split.validation),),
            f"the {validation:,} validation images: {asked}",
        )
    count = folds or FOLDS
    pairs = tuple(Part(train, held_out) for train, held_out in images.folds(count, seed))
    total = sum(len(part.held_out) for part in pairs)
    why = (
        "asked for"
        if folds
        else f"the {validation:,} validation images alone can't tell differences under "
        f"{100 * resolved:.1f} points, these about {100 * resolution(total):.1f}"
    )
    return Parts("out-of-fold", pairs, f"out-of-fold predictions for {total:,} images in {count} folds: {why}")
