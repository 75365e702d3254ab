"""The curve of accuracy along a search space against integrals done otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.stats import norm

from deepenough.search.accuracy_curve import (
    STEPS,
    draw_accuracies,
    draw_curves,
    probability_enough,
    probability_near,
)


def test_one_architecture_is_the_best() -> None:
    assert probability_enough(draw_accuracies(np.array([0.9]), np.array([1e-4]), ["a"]), 0.01) == pytest.approx([1.0])


@pytest.mark.parametrize("gain", [0.0, 0.008, 0.02])
def test_two_architectures_agree_with_the_double_integral(gain: float) -> None:
    deviation, margin = 0.006, 0.01

    def density(second: float, first: float) -> float:
        step = sum(share * norm.pdf(second - first, scale=size) for size, share in STEPS)
        return float(step * norm.pdf(first, 0, deviation) * norm.pdf(second, gain, deviation))

    low, high = -5 * deviation, gain + 5 * deviation
    whole, _ = dblquad(density, low, high, low, high, epsabs=1e-3)
    within, _ = dblquad(density, low, high, low, lambda first: first + margin, epsabs=1e-3)
    found = probability_enough(draw_accuracies(np.array([0.0, gain]), np.full(2, deviation**2), ["a", "a"]), margin)
    assert found[0] == pytest.approx(within / whole, abs=0.04)
    assert found[1] >= found[0]


def test_many_level_measurements_hold_one_another_down() -> None:
    """One of six that looks a point better by chance is taken for little better; on its own curve it is not."""
    values, variances = np.array([0.9, 0.9, 0.9, 0.9, 0.91, 0.9]), np.full(6, 0.005**2)
    together = probability_enough(draw_accuracies(values, variances, ["a"] * 6), 0.01)
    apart = probability_enough(draw_accuracies(values, variances, list("abcdef")), 0.01)
    assert together[0] > 0.85 > apart[0]


def test_curves_follow_a_large_step() -> None:
    values = np.array([0.5, 0.6, 0.61])
    drawn = draw_curves(values, np.full(3, 0.004**2), np.random.default_rng(0))
    assert drawn.mean(axis=0) == pytest.approx(values, abs=0.006)


def test_right_or_one_off_counts_the_first_that_is_enough() -> None:
    """By hand: of four draws the first is enough in one, the second in two more, the fourth in the last."""
    draws = np.array([[0.9, 0.9, 0.9, 0.9], [0.8, 0.9, 0.9, 0.8], [0.8, 0.9, 0.7, 0.7], [0.7, 0.7, 0.7, 0.9]])
    assert probability_near(draws, 0.01) == pytest.approx([0.75, 0.75, 0.75, 0.25])
    assert probability_enough(draws, 0.01) == pytest.approx([0.25, 0.75, 0.5, 0.5])


def test_the_same_measurements_give_the_same_draws() -> None:
    values, variances = np.array([0.5, 0.6, 0.61, 0.605]), np.full(4, 0.004**2)
    first = draw_accuracies(values, variances, ["a", "a", "b", "b"])
    assert (draw_accuracies(values, variances, ["a", "a", "b", "b"]) == first).all()
