"""A trainer whose candidates have accuracies that the test chooses, so that searches run in milliseconds."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from deepenough.autotuning.configuration import StepConfiguration
from deepenough.progress import Reporter
from deepenough.search.architectures import Architecture, search_space
from deepenough.search.candidates import Candidate
from deepenough.search.folds import DecisionFolds, Fold
from deepenough.search.question import Question, Role
from deepenough.search.statistics import Strata
from deepenough.training.callbacks import Action, Ending, Moment
from deepenough.training.recipe import Recipe

EPOCHS = 8
COUNT = 4000


class PaperTrainer:
    """`accuracy(blocks, epochs, seed)` is the truth; predictions are paired through each image's difficulty. `gains` is
    what learning from a teacher adds, by the student's blocks."""

    def __init__(self, accuracy, images=6000, train=30000, folds=1, noise=0.02, gains=None):
        self.truth = accuracy
        self.gains = gains or {}
        index = np.array_split(np.arange(images), folds)
        pairs = tuple(Fold(np.arange(train), held_out) for held_out in index)
        self.folds = DecisionFolds("validation" if folds == 1 else "out-of-fold", pairs, "")
        self.recipe = Recipe(epochs=EPOCHS)
        self.labels = np.zeros(images, np.int64)
        self.metric = "top1"
        self.strata = Strata.of(self.labels, "top1")
        self.reporter = Reporter()
        self.difficulty = np.random.default_rng(0).random(images)
        self.noise = noise
        self.trained = []
        self.time = True
        self.probing_cost = 0
        self.time_left = math.inf
        self.begun = []

    def step_macs(self, architecture):
        return 3 * architecture.macs

    def planned(self, architecture, epochs=None):
        teacher = architecture.teacher.macs if architecture.teacher else 0
        step = self.step_macs(architecture) + teacher
        return self.folds.cost(architecture.macs, [step] * (epochs or self.recipe.epochs))

    def planned_until(self, architecture, epoch):
        return self.planned(architecture, epoch)

    def planned_scout(self, architecture, epochs):
        return self.planned(architecture, epochs)

    def expect(self, architectures, seed):
        pass

    def train_first_folds(self, architectures, seed):
        self.begun += architectures

    def retraining(self, architecture):
        before = self.retraining(architecture.teacher) if architecture.teacher else 0
        own = 0 if self.folds.kind == "validation" else self.planned(architecture) // (len(self.folds.folds) - 1)
        return before + own

    def retraining_images(self, architecture):
        return self.retraining(architecture) / self.step_macs(architecture)

    def in_time(self, *architectures, epochs=None):
        return self.time

    def hits(self, architecture, epochs, seed):
        """Image i is right where its difficulty, a little shaken for each network, lies under the accuracy."""
        blocks, distilled = architecture.blocks, architecture.teacher is not None
        draws = np.random.default_rng([blocks, seed, *([1] if distilled else [])])
        shaken = (self.difficulty + self.noise * draws.standard_normal(len(self.difficulty))) % 1.0
        return shaken < self.truth(blocks, epochs, seed) + (self.gains.get(blocks, 0.0) if distilled else 0.0)

    def train_candidate(self, attempt, *, early_stopping=None, give_up=None):
        architecture, role, seed, epochs, parent = (
            getattr(attempt, name) for name in ("architecture", "role", "seed", "epochs", "parent")
        )
        total = epochs or self.recipe.epochs
        curve, state = [], Ending.FINISHED
        for epoch in range(1, total + 1):
            hits = self.hits(architecture, epoch if parent is None else self.recipe.epochs, seed)
            curve.append(SimpleNamespace(epoch=epoch, top1=float(hits.mean())))
            if early_stopping and epoch < total:
                action = early_stopping.on_epoch_begin(Moment(epoch, total, curve))
                if action is not Action.GO_ON:
                    state = action.value
                    break
        probabilities = np.stack([hits, ~hits], axis=1).astype(np.float32)
        count = len(self.folds.folds)
        training = SimpleNamespace(
            curve=tuple(curve),
            macs=self.planned(architecture, len(curve)) // count,
            seconds=1.0 / count,
            ended=state,
            state={},
        )
        seen = np.ones(len(self.labels), bool)
        made = Candidate(
            architecture,
            role,
            seed,
            state,
            (training,) * count,
            seen,
            probabilities,
            self.labels,
            "top1",
            parent and parent.name,
            teacher=attempt.teacher,
        )
        for number, fold in enumerate(self.folds.folds[:-1] if give_up and state is Ending.FINISHED else ()):
            seen = np.arange(len(self.labels)) <= fold.held_out[-1]
            trainings = (training,) * (number + 1)
            so_far = replace(made, seen=seen, probabilities=probabilities * seen[:, None], trainings=trainings)
            if why := give_up(so_far):
                made = replace(so_far, state=Ending.PRUNED, why=why)
                break
        self.trained.append((architecture.name, role, made.state))
        return made


@pytest.fixture
def architectures():
    """Depths 7, 11, 19, 35 and 67: 1, 2, 4, 8 and 16 blocks a level."""
    return search_space(["residual"], [1.0], (1, 28, 28), 10)[1:]


@pytest.fixture
def question():
    return Question()


@pytest.fixture
def trainer():
    return PaperTrainer


def approaching(final):
    """Learning curves towards `final`, accuracies by block count: the distance halves each epoch."""

    def truth(blocks, epochs, seed):
        end = np.interp(blocks, list(final), list(final.values()))
        return end - 0.3 * 0.5**epochs + 0.3 * 0.5**EPOCHS

    return truth


@pytest.fixture(name="approaching")
def approaching_fixture():
    return approaching


@pytest.fixture
def tried(architectures: tuple[Architecture, ...]) -> Any:
    """A candidate of one architecture that gets the images `wrong` wrong and all others right."""

    def make(number: int, wrong: range, **changes: Any) -> Candidate:
        hits = np.ones(COUNT, bool)
        hits[wrong.start : wrong.stop] = False
        probabilities = np.stack([hits, ~hits], axis=1).astype(np.float32)
        training = SimpleNamespace(curve=(), macs=1, seconds=1.0, ended=Ending.FINISHED, state={})
        candidate = Candidate(
            architectures[number], Role.SEARCH_SPACE, 0, Ending.FINISHED, (training,), np.ones(COUNT, bool),  # type: ignore[arg-type]
            probabilities,
            np.zeros(COUNT, np.int64), "top1",
        )  # fmt: skip
        return replace(candidate, **changes)

    return make


@pytest.fixture
def strata() -> Strata:
    return Strata.of(np.zeros(COUNT, np.int64), "top1")


@pytest.fixture
def timed(trainer):
    """A paper trainer whose steps take a nanosecond a multiply-accumulate: seconds can be held against costs."""

    class TimedTrainer(trainer):
        jobs = 1

        def configuration(self, architecture):
            return StepConfiguration(seconds=3e-9 * architecture.macs)

        def steps_images(self, architecture):
            return self.planned(architecture) / (3 * architecture.macs)

    def make(*given, **more):
        paper = TimedTrainer(*given, **more)
        paper.recipe = Recipe(epochs=paper.recipe.epochs, batch=64, device="cpu")
        return paper

    return make


@pytest.fixture
def diverging():
    """Let those trainings of a paper trainer diverge of whose attempts something is true."""

    def make(paper, where):
        fresh = paper.train_candidate

        def train_candidate(attempt, **how):
            made = fresh(attempt, **how)
            return replace(made, state=Ending.NOT_FINITE) if where(attempt) else made

        paper.train_candidate = train_candidate
        return paper

    return make
