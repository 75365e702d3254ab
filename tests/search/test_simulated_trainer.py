"""The simulated trainer keeps to the model of the truth that it states."""

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm
from simulated_trainer import DISAGREEMENT, EPOCHS, LADDER, SimulatedTrainer, Truth, correlation, disagreement, place

from deepenough.autotuning.configuration import StepConfiguration
from deepenough.search.architectures import Architecture, between
from deepenough.search.candidates import Attempt
from deepenough.search.cost_model import CostModel
from deepenough.search.question import Role
from deepenough.training.callbacks import Action, Callback
from deepenough.training.recipe import SMALLER

IMAGES = 40_000


@pytest.mark.parametrize("error", [0.01, 0.1, 0.4])
def test_the_copula_gives_the_stated_disagreement(error):
    """Against the bivariate normal distribution of SciPy."""
    shared = correlation(error)
    both = multivariate_normal([0, 0], [[1, shared], [shared, 1]]).cdf([norm.ppf(error)] * 2)
    assert 2 * (error - both) == pytest.approx(DISAGREEMENT * error, rel=1e-3)
    assert disagreement(error, 1e-9) == pytest.approx(2 * error * (1 - error))  # independent networks


def test_networks_disagree_as_stated_and_are_as_accurate_as_their_truth():
    trainer = SimulatedTrainer(Truth((0.9,) * 6, seed_sd=0.0), IMAGES, (1,))
    tried = [trainer.train_candidate(Attempt(LADDER[rung], seed)) for rung, seed in [(0, 0), (0, 1), (2, 0), (5, 0)]]
    for candidate in tried:
        assert candidate.accuracy == pytest.approx(0.9, abs=4 * math.sqrt(0.09 / IMAGES))
    for one, other in combinations(tried, 2):
        assert np.mean(one.hits != other.hits) == pytest.approx(0.08, abs=4 * math.sqrt(0.08 / IMAGES))


def test_seeds_differ_by_their_standard_deviation():
    trainer = SimulatedTrainer(Truth((0.9,) * 6, seed_sd=0.004), 1_500, (1,))
    ends = [trainer.accuracy(Attempt(LADDER[1], seed), fold) for seed in range(250) for fold in range(4)]
    assert np.std(ends) == pytest.approx(0.004, rel=0.1)
    assert np.mean(ends) == pytest.approx(0.9, abs=4 * 0.004 / math.sqrt(1_000))


def test_a_training_of_fewer_epochs_ends_lower():
    truth = Truth((0.9,) * 6, seed_sd=0.0, understates=0.02, understates_sd=0.0)
    trainer = SimulatedTrainer(truth, IMAGES, (1,))
    brief = Attempt(LADDER[5], 0, Role.SCOUT, epochs=2)
    assert trainer.accuracy(brief, 0) == pytest.approx(0.88)
    assert len(trainer.train_candidate(brief).curves[0]) == 2
    assert trainer.accuracy(Attempt(LADDER[5], 0), 0) == pytest.approx(0.9)


def test_the_same_key_draws_the_same_in_any_order():
    truth = Truth((0.8, 0.85, 0.9, 0.9, 0.9, 0.9), seed_sd=0.004)
    one, other = (SimulatedTrainer(truth, 1_500, (1,)) for _ in range(2))
    forwards = [one.train_candidate(Attempt(rung, 0)).hits for rung in LADDER]
    backwards = [other.train_candidate(Attempt(rung, 0)).hits for rung in reversed(LADDER)]
    np.testing.assert_array_equal(forwards, backwards[::-1])


def test_a_pruned_training_costs_what_it_ran():
    class Prune(Callback):
        def on_epoch_begin(self, moment):
            return Action.PRUNE if len(moment.curve) == 3 else Action.GO_ON

    trainer = SimulatedTrainer(Truth((0.9,) * 6, seed_sd=0.0), 9_000, (1,))
    candidate = trainer.train_candidate(Attempt(LADDER[2], 0), early_stopping=Prune())
    assert not candidate.finished
    assert candidate.cost == pytest.approx(trainer.planned(LADDER[2]) * 3 / EPOCHS, rel=1e-3)
    assert trainer.train_candidate(Attempt(LADDER[2], 0)).finished


def test_folds_are_given_up_between():
    trainer = SimulatedTrainer(Truth((0.9,) * 6, seed_sd=0.0), 1_500, (1,))
    candidate = trainer.train_candidate(Attempt(LADDER[2], 0), give_up=lambda so_far: len(so_far.trainings) == 2)
    assert candidate.seen.sum() == 750
    assert not candidate.finished
    assert candidate.cost == pytest.approx(trainer.planned(LADDER[2]) / 2, rel=1e-3)
    assert candidate.accuracy == pytest.approx(0.9, abs=0.05)


def test_bisected_architectures_lie_between_rungs():
    middle = between(LADDER[3], LADDER[4])
    assert 3 < place(middle) < 4
    truth = Truth((0.5, 0.5, 0.5, 0.5, 0.7, 0.7), seed_sd=0.0)
    assert 0.5 < truth.accuracy(middle) < 0.7
    assert [place(rung) for rung in LADDER] == pytest.approx(range(6))


class Unmeasured(CostModel):
    def configuration(self, architecture: Architecture) -> StepConfiguration:
        raise AssertionError(f"{architecture.name} is measured")


@pytest.mark.parametrize("images", [500, 9_000])
@pytest.mark.parametrize("scale", [1.0, SMALLER])
def test_costs_are_those_of_a_search(images, scale):
    trainer = SimulatedTrainer(Truth((0.9,) * 6, seed_sd=0.0), images, (1,), initial_scale=scale)
    real = Unmeasured(folds=trainer.folds, recipe=replace(trainer.recipe, lr=0.02))  # a known rate needs no range test
    for rung in LADDER:
        assert trainer.planned(rung) == real.planned(rung)
        assert trainer.planned_until(rung, 3) == real.planned_until(rung, 3)
        assert trainer.planned_scout(rung, 2) == real.planned_scout(rung, 2)
        assert trainer.alone(rung) == real.alone(rung)
        assert trainer.retraining(rung) == real.retraining(rung)
    scout = trainer.train_candidate(Attempt(LADDER[1], 0, Role.SCOUT, epochs=2))
    assert scout.cost == pytest.approx(real.planned_scout(LADDER[1], 2), rel=1e-3)
