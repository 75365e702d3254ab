"""The questions of the simulated trainer with known answers, and how often a search answers them rightly."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from simulated_trainer import LADDER, SimulatedTrainer, Truth, place

from deepenough.experiment.options import Options
from deepenough.search.enough_search import EnoughSearch
from deepenough.search.question import DecisionKind, Question, Role
from deepenough.search.target_search import TargetSearch
from deepenough.training.recipe import SMALLER

ROUNDING = 1e-9

CURVES = {
    "Fashion-MNIST, 20,000": (0.865, 0.896, 0.896, 0.901, 0.9095, 0.911),  # as measured
    "Fashion-MNIST, 6,000": (0.8503, 0.8800, 0.8885, 0.8992, 0.8965, 0.8938),  # as measured
    "CIFAR-10, 5,000": (0.5094, 0.6178, 0.6118, 0.6088, 0.6146, 0.6034),  # as measured
    "digits": (0.983, 0.9895, 0.9895, 0.9905, 0.9905, 0.9905),
    "flat": (0.90, 0.90, 0.90, 0.90, 0.90, 0.90),
    "saturating": (0.85, 0.90, 0.915, 0.918, 0.919, 0.919),
    "slowly saturating": (0.88, 0.893, 0.900, 0.9045, 0.907, 0.908),
    "slow climb": (0.890, 0.8945, 0.899, 0.9035, 0.908, 0.9125),
    "plateau, then rise": (0.890, 0.892, 0.893, 0.893, 0.915, 0.920),
    "peaked": (0.85, 0.90, 0.91, 0.905, 0.895, 0.88),
    "just below the margin": (0.86, 0.8985, 0.9095, 0.9095, 0.9095, 0.9095),
    "just below, then perfect": (0.97, 0.9894, 0.9998, 0.9998, 0.9998, 0.9998),
    "just below, then nearly perfect": (0.9815, 0.9885, 0.999, 0.999, 0.999, 0.999),
}
"""True accuracies along the ladder, for questions without a target."""

TARGET_CURVES = {
    "all 0.1 points under": ((0.899,) * 6, 0.90),
    "all 0.2 points under": ((0.898,) * 6, 0.90),
    "all 0.5 points under": ((0.895,) * 6, 0.90),
    "a plateau at the target": ((0.87, 0.89, 0.90, 0.90, 0.90, 0.90), 0.90),
    "near, then well above": ((0.88, 0.895, 0.899, 0.93, 0.935, 0.935), 0.90),
    "slow climb": (CURVES["slow climb"], 0.905),
    "all 1 point above": ((0.91,) * 6, 0.90),
}
"""True accuracies along the ladder, and the target."""


class Cell(NamedTuple):
    """The number of decision images, and the standard deviation of the accuracy between seeds, in 0..1."""

    images: int
    seed_sd: float


CELLS = (Cell(200, 0.004), Cell(500, 0.004), Cell(1_500, 0.004), Cell(9_000, 0.002), Cell(9_000, 0.006))


@dataclass(frozen=True)
class Row:
    """A curve of true accuracies, asked with so many images; `target` is None where the margin decides, and the first
    epochs are at the `initial_scale` that pictures of this size have by default."""

    curve: str
    cell: Cell
    truth: Truth
    target: float | None = None
    initial_scale: float = SMALLER

    @property
    def label(self) -> str:
        """The words by which a row is found, as `flat; margin; n 1500; sd 0.4`."""
        question = "margin" if self.target is None else f"target {100 * self.target:g}"
        return f"{self.curve}; {question}; n {self.cell.images}; sd {100 * self.cell.seed_sd:g}"

    def trainer(self, repetition: int) -> SimulatedTrainer:
        """The trainer of one repetition, the same for every search."""
        name = f"{self.curve} {self.target}"
        return SimulatedTrainer(
            self.truth,
            self.cell.images,
            (zlib.crc32(name.encode()), round(1e4 * self.cell.seed_sd), repetition),
            initial_scale=self.initial_scale,
        )


def rows(understates: float = 0.010, understates_sd: float = 0.005, initial_scale: float = SMALLER) -> list[Row]:
    """Every curve with every number of images."""
    without = [(curve, accuracies, None) for curve, accuracies in CURVES.items()]
    with_target = [(curve, accuracies, target) for curve, (accuracies, target) in TARGET_CURVES.items()]
    return [
        Row(curve, cell, Truth(accuracies, cell.seed_sd, understates, understates_sd), target, initial_scale)
        for curve, accuracies, target in [*without, *with_target]
        for cell in CELLS
    ]


class Outcome(NamedTuple):
    """An answer to a question without a target, held against the truth; shares and numbers to be averaged.

    `false`: shown for the whole ladder, and the chosen architecture is more than the margin under the best of it.
    `among_false`: shown among those tried, and more than the margin under the best of those tried. `wrong`: more than
    the margin under the best of the ladder, whatever was said. `near`: right or one rung off, where the right one is
    the shallowest that is enough of the ladder and of what was bisected. `holds` tells if that one is in the set that
    is not ruled out, and `size` is that of the set, nan where none is given. `cost` is a share of the whole ladder's.
    """

    shown: float
    among: float
    false: float
    among_false: float
    wrong: float
    near: float
    holds: float
    size: float
    cost: float


def enough_outcome(row: Row, budget: float, repetition: int, margin: float = 0.01) -> Outcome:
    """Ask for the shallowest architecture within the margin of the best, once."""
    trainer, truth = row.trainer(repetition), row.truth
    search = EnoughSearch(Question(margin=margin, budget=budget), LADDER, trainer, lambda search: None)
    verdict = search.run()
    chosen = truth.accuracy(verdict.chosen.architecture)
    finished = [c.architecture for c in search.tried if c.finished and c.role is not Role.SCOUT]
    enough = (each for each in [*LADDER, *finished] if truth.accuracy(each) >= truth.best - margin - ROUNDING)
    right = min(enough, key=place)
    wrong = chosen < truth.best - margin - ROUNDING
    wrong_among = chosen < max(map(truth.accuracy, finished)) - margin - ROUNDING
    again = trainer.retraining(verdict.chosen.architecture)
    names = verdict.not_ruled_out
    return Outcome(
        shown=verdict.kind is DecisionKind.SHOWN,
        among=verdict.kind is DecisionKind.AMONG,
        false=verdict.kind is DecisionKind.SHOWN and wrong,
        among_false=verdict.kind is DecisionKind.AMONG and wrong_among,
        wrong=wrong,
        near=abs(place(verdict.chosen.architecture) - place(right)) <= 1,
        holds=right.name in names if names else np.nan,
        size=len(names) if names else np.nan,
        cost=(search.spent + again) / (search.whole_space + again),
    )


class TargetOutcome(NamedTuple):
    """An answer to a question with a target, held against the truth; shares and numbers to be averaged.

    `false`: the chosen network is shown to meet the target and does not; with folds, the mean of the networks that
    were judged does not. `false_mean`: shown, and the architecture's mean over seeds does not meet it. `missed`: no
    network is said to reach it, and an architecture of the ladder does. `cost` is in trainings of the chosen network.
    """

    shown: float
    seems: float
    false: float
    false_mean: float
    missed: float
    cost: float


def target_outcome(row: Row, budget: float, repetition: int) -> TargetOutcome:
    """Ask for the shallowest architecture that meets the target, once."""
    trainer, truth, target = row.trainer(repetition), row.truth, row.target or 0.0
    search = TargetSearch(Question(target=target, budget=budget), LADDER, trainer, lambda search: None)
    verdict = search.run()
    shown = verdict.kind in (DecisionKind.SHOWN, DecisionKind.AMONG)
    again = trainer.retraining(verdict.chosen.architecture)
    return TargetOutcome(
        shown=shown,
        seems=verdict.kind is DecisionKind.SEEMS,
        false=shown and trainer.judged_accuracy(verdict.chosen) < target,
        false_mean=shown and truth.accuracy(verdict.chosen.architecture) < target - ROUNDING,
        missed=verdict.kind is DecisionKind.NOT_MET and truth.best >= target,
        cost=(search.spent + again) / trainer.alone(verdict.chosen.architecture),
    )


def outcome(row: Row, budget: float | None, repetition: int) -> Outcome | TargetOutcome:
    """Ask a row's question once; at the default budget where it is None."""
    if budget is None:
        budget = Options.of(target=row.target).search_budget
    return (enough_outcome if row.target is None else target_outcome)(row, budget, repetition)


def average(outcomes: Sequence[Outcome] | Sequence[TargetOutcome]) -> Outcome | TargetOutcome:
    """The mean of every figure over the repetitions that have it, nan where none has."""
    values = np.array(outcomes, np.float64)
    given = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return type(outcomes[0])(*(np.where(given, values, 0).sum(axis=0) / given.sum(axis=0)).tolist())
