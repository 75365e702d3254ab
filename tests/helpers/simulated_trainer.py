"""A trainer whose candidates have known true accuracies, and predictions drawn from them: what a search answers can be
held against the truth, in milliseconds.

The model of the truth. The error of an architecture is given for every rung of a ladder. Every training (seed and fold)
has a true error of its own, normally distributed around it. An image's difficulty is normal, too; a network is wrong
where a mix of difficulty and noise of its own lies above the quantile of its error (a Gaussian copula). The mix is such
that two networks with the error `e` disagree on `DISAGREEMENT * e` of the images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from deepenough.progress import Reporter
from deepenough.search.architectures import Architecture, search_space
from deepenough.search.candidates import Attempt, Candidate
from deepenough.search.folds import FOLDS, DecisionFolds, Fold
from deepenough.search.question import DecisionBasis, Metric, Role
from deepenough.search.statistics import Strata
from deepenough.training.callbacks import Action, Callback, Ending, Moment
from deepenough.training.recipe import Recipe
from deepenough.training.resizing import epoch_macs

DISAGREEMENT = 0.8  # of the error: share of images on which two networks with the same error disagree
VALIDATION_FROM = 9_000  # decision images from which on they are a validation split; fewer are judged out of fold
EPOCHS = 8
FIRST_GAP = 0.3  # of accuracy: what is missing before the first epoch; it halves in every epoch
GAPS = 0.5 ** np.arange(1, 101)  # that of each epoch, as a share of the one before the first
LADDER = search_space(["residual"], [1.0], (1, 28, 28), 10)
"""Depths 3, 7, 11, 19, 35 and 67; from 7 on the cost doubles."""
COSTS: dict[tuple[int, float], tuple[int, ...]] = {}
"""What `costs_of_epochs` has counted, by blocks and scale; hashing a network would take longer."""


@dataclass(frozen=True)
class Truth:
    """The true accuracies along the ladder, and what trainings add to them; all in 0..1.

    A training with fewer epochs than the recipe ends `understates` lower, differently for each architecture by the
    standard deviation `understates_sd`.
    """

    accuracies: tuple[float, ...]
    seed_sd: float
    understates: float = 0.010
    understates_sd: float = 0.005

    @property
    def best(self) -> float:
        """The accuracy of the best architecture of the ladder."""
        return max(self.accuracies)

    def accuracy(self, architecture: Architecture) -> float:
        """The mean accuracy of an architecture over seeds, interpolated between rungs by the logarithm of the depth."""
        return float(np.interp(place(architecture), range(len(self.accuracies)), self.accuracies))

    @cached_property
    def correlation(self) -> float:
        """The correlation between what two networks make of an image."""
        return correlation(round(1 - self.best, 6))


def place(architecture: Architecture) -> float:
    """The place of an architecture on the ladder: 0 for the shallowest rung, between rungs where it was bisected."""
    depths = [math.log(rung.depth) for rung in LADDER]
    return float(np.interp(math.log(architecture.depth), depths, range(len(depths))))


@cache
def correlation(error: float) -> float:
    """The correlation with which two networks of the same error disagree on `DISAGREEMENT` of it."""
    return float(brentq(lambda r: disagreement(error, r) - DISAGREEMENT * error, 1e-6, 1 - 1e-6))


def disagreement(error: float, correlation: float) -> float:
    """The share of images on which exactly one of two networks with the same error is wrong."""
    line, density = ndtri(1 - error), 1 / math.sqrt(2 * math.pi)

    def one_wrong(difficulty: float) -> float:
        wrong = ndtr((math.sqrt(correlation) * difficulty - line) / math.sqrt(1 - correlation))
        return float(2 * wrong * (1 - wrong) * density * math.exp(-(difficulty**2) / 2))

    return float(quad(one_wrong, -10, 10, points=[line / math.sqrt(correlation)], limit=200)[0])


class CurvePoint(NamedTuple):
    """An epoch of a learning curve."""

    epoch: int
    top1: float


class SimulatedCandidate(Candidate):
    """A candidate that computes its figures once; a search asks for them many times."""

    @cached_property
    def hits(self) -> npt.NDArray[np.float64]:  # type: ignore[override]
        return super().hits

    @cached_property
    def accuracy(self) -> float:  # type: ignore[override]
        return super().accuracy

    @cached_property
    def bounds(self) -> tuple[float, float]:  # type: ignore[override]
        return super().bounds


@dataclass
class SimulatedTrainer:
    """Stands for `CandidateTrainer`: one set of decision images, on which every network is drawn from its truth.

    The same `key` gives the same images and the same networks, in whatever order they are trained. `initial_scale` is
    the recipe's: what smaller images in the first epochs cost, scouts apart, and nothing else.
    """

    truth: Truth
    images: int
    key: Sequence[int]
    metric: Metric = Metric.TOP1
    initial_scale: float = 1.0
    probing_cost: int = 0
    reporter: Reporter = field(default_factory=Reporter)
    networks: dict[tuple[int, ...], npt.NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.recipe = Recipe(epochs=EPOCHS, initial_scale=self.initial_scale)
        self.folds = folds(self.images)
        self.labels = np.zeros(self.images, np.int64)
        self.strata = Strata.of(self.labels, self.metric)
        self.difficulty = self._rng(0).standard_normal(self.images, np.float32)

    def planned(self, architecture: Architecture) -> int:
        return self.planned_until(architecture, self.recipe.epochs)

    def planned_until(self, architecture: Architecture, epoch: int) -> int:
        return cost(self.images, architecture.macs, costs_of_epochs(architecture, self.initial_scale)[:epoch])

    def planned_scout(self, architecture: Architecture, epochs: int) -> int:
        return cost(self.images, architecture.macs, (3 * architecture.macs,) * epochs)

    def alone(self, architecture: Architecture) -> int:
        return self.folds.merged.cost(architecture.macs, costs_of_epochs(architecture, self.initial_scale))

    def retraining(self, architecture: Architecture) -> int:
        return self.alone(architecture) if self.folds.kind is DecisionBasis.OUT_OF_FOLD else 0

    def expect(self, architectures: Sequence[Architecture], seed: int) -> None:
        """Nothing is begun ahead."""

    def in_time(self, *architectures: Architecture, epochs: int | None = None) -> bool:
        return True

    def accuracy(self, attempt: Attempt, fold: int) -> float:
        """The true accuracy of the network that a training of one fold ends with."""
        partial = self._epochs(attempt) < self.recipe.epochs
        mean, blocks = self.truth.accuracy(attempt.architecture), attempt.architecture.blocks
        if partial:
            mean -= self.truth.understates + self.truth.understates_sd * self._rng(3, blocks).standard_normal()
        return self._varied(mean, self._rng(2, blocks, attempt.seed, fold, partial))

    def _varied(self, mean: float, draws: np.random.Generator) -> float:
        """An accuracy that varies around its mean by the deviation between seeds. Near 1, where a normal one would have
        to be cut off and another mean, its mistakes are gamma distributed, and deviate by no more than they are."""
        mistakes = max(1 - mean, 1e-6)
        deviation = min(self.truth.seed_sd, mistakes)
        if mistakes > 3 * deviation:
            return mean + deviation * float(draws.standard_normal())
        return 1 - float(draws.gamma((mistakes / deviation) ** 2, deviation**2 / mistakes))

    def judged_accuracy(self, candidate: Candidate) -> float:
        """The true accuracy of the network that a finished candidate was judged by, with folds the mean of theirs."""
        attempt = Attempt(candidate.architecture, candidate.seed)
        return float(np.mean([self.accuracy(attempt, fold) for fold in range(len(candidate.trainings))]))

    def train_candidate(
        self,
        attempt: Attempt,
        *,
        early_stopping: Callback | None = None,
        give_up: Callable[[Candidate], str] | None = None,
    ) -> Candidate:
        """Draw a candidate's predictions fold by fold."""
        seen, right = np.zeros(self.images, bool), np.zeros(self.images, bool)
        trainings: list[SimpleNamespace] = []
        folds = self.folds.folds
        for number, fold in enumerate(folds):
            where = slice(fold.held_out[0], fold.held_out[-1] + 1)
            training, right[where] = self._train_fold(attempt, number, where, early_stopping)
            seen[where] = True
            trainings.append(training)
            candidate = self._candidate(attempt, trainings, seen.copy(), right)
            if candidate.finished and number + 1 < len(folds) and give_up and (why := give_up(candidate)):
                return replace(candidate, state=Ending.PRUNED, why=why)
            if not candidate.finished:
                break
        return candidate

    def _train_fold(
        self, attempt: Attempt, number: int, where: slice, early_stopping: Callback | None
    ) -> tuple[SimpleNamespace, npt.NDArray[np.bool_]]:
        """The training of one fold, and its hits on the held-out images."""
        total = self._epochs(attempt)
        network, curve, state = self._network(attempt)[where], [], Ending.FINISHED
        accuracies = self.accuracy(attempt, number) - FIRST_GAP * (GAPS[:total] - GAPS[total - 1])
        for epoch, hardest in enumerate(ndtri(np.clip(accuracies, 1e-6, 1 - 1e-6)).astype(np.float32), start=1):
            right = network <= hardest
            curve.append(CurvePoint(epoch, np.count_nonzero(right) / len(right)))
            if early_stopping and epoch < total:
                action = early_stopping.on_epoch_begin(Moment(epoch, total, curve))  # type: ignore[arg-type]
                if action is not Action.GO_ON:
                    state = Ending(action.value)
                    break
        planned = self.planned_scout if attempt.role is Role.SCOUT else self.planned_until
        spent = planned(attempt.architecture, len(curve)) // len(self.folds.folds)
        return SimpleNamespace(curve=tuple(curve), macs=spent, seconds=1.0, ended=state, state={}), right

    def _candidate(
        self,
        attempt: Attempt,
        trainings: Sequence[SimpleNamespace],
        seen: npt.NDArray[np.bool_],
        right: npt.NDArray[np.bool_],
    ) -> Candidate:
        probabilities = np.stack([right, seen & ~right], axis=1).astype(np.float32)
        return SimulatedCandidate(
            attempt.architecture, attempt.role, attempt.seed, trainings[-1].ended, tuple(trainings), seen,
            probabilities, self.labels, self.metric, attempt.parent.name if attempt.parent else None,
        )  # fmt: skip

    def _network(self, attempt: Attempt) -> npt.NDArray[np.float32]:
        """For every image how hard it is for one network: normally distributed, right where it lies under the
        quantile of the accuracy."""
        key = (attempt.architecture.blocks, attempt.seed, self._epochs(attempt))
        if key not in self.networks:
            own = self._rng(1, *key).standard_normal(self.images, np.float32)
            shared = np.float32(self.truth.correlation)
            self.networks[key] = np.sqrt(shared) * self.difficulty + np.sqrt(1 - shared) * own
        return self.networks[key]

    def _epochs(self, attempt: Attempt) -> int:
        return attempt.epochs or self.recipe.epochs

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.default_rng([*self.key, *key])


@cache
def cost(images: int, macs: int, epoch_macs: tuple[int, ...]) -> int:
    """The multiply-accumulates of training a network on every fold."""
    return folds(images).cost(macs, epoch_macs)


def costs_of_epochs(architecture: Architecture, initial_scale: float) -> tuple[int, ...]:
    """The multiply-accumulates of training a network of the ladder's family on one image, in each epoch."""
    key = (architecture.blocks, initial_scale)
    if key not in COSTS:
        COSTS[key] = tuple(epoch_macs(Recipe(epochs=EPOCHS, initial_scale=initial_scale), architecture.network))
    return COSTS[key]


@cache
def folds(images: int) -> DecisionFolds:
    """A validation split beside as many images to train on as Fashion-MNIST has, or folds where images are few."""
    every = np.arange(images)
    if images >= VALIDATION_FROM:
        return DecisionFolds(DecisionBasis.VALIDATION, (Fold(np.arange(51_000), every),), "")
    parts = np.array_split(every, FOLDS)
    pairs = tuple(Fold(np.setdiff1d(every, part), part) for part in parts)
    return DecisionFolds(DecisionBasis.OUT_OF_FOLD, pairs, "")
