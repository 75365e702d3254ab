"""The statistics, against scipy, closed forms and simulated truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from deepenough.search.statistics import (
    Strata,
    accuracy_bounds,
    exact_interval,
    images_for_target,
    one_sided,
    paired_difference,
    resolution,
    z_score,
)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_bounds_are_scipys_exact_ones(pair):
    correct, count = pair
    two_sided = binomtest(correct, count).proportion_ci(0.95, method="exact")
    assert exact_interval(correct, count) == pytest.approx((two_sided.low, two_sided.high), abs=1e-9)
    low = binomtest(correct, count, alternative="greater").proportion_ci(0.95, method="exact").low
    high = binomtest(correct, count, alternative="less").proportion_ci(0.95, method="exact").high
    assert one_sided(correct, count) == pytest.approx((low, high), abs=1e-9)


def test_no_images_say_nothing():
    assert one_sided(0, 0) == (0.0, 1.0)


def pair(both, only_best, only_candidate, neither):
    best = np.repeat([1.0, 1.0, 0.0, 0.0], [both, only_best, only_candidate, neither])
    candidate = np.repeat([1.0, 0.0, 1.0, 0.0], [both, only_best, only_candidate, neither])
    return best, candidate


def one_stratum(count):
    return Strata.of(np.zeros(count, np.int64), "top1")


@given(st.integers(0, 300), st.integers(0, 60), st.integers(0, 60), st.integers(1, 100))
def test_paired_bounds_are_bonett_and_prices(both, b, c, neither):
    n = both + b + c + neither
    difference = paired_difference(*pair(both, b, c, neither), one_stratum(n))
    # Bonett and Price (2012), with the adjusted shares written out
    p12, p21 = (b + 1) / (n + 2), (c + 1) / (n + 2)
    error = np.sqrt((p12 + p21 - (p12 - p21) ** 2) / (n + 2))
    assert difference.value == pytest.approx((b - c) / n)
    assert difference.standard_error == pytest.approx(error)
    assert difference.upper == pytest.approx(p12 - p21 + norm.ppf(0.95) * error)
    assert difference.lower == pytest.approx(p12 - p21 - norm.ppf(0.95) * error)
    two_sided = p12 - p21 - norm.ppf(0.975) * error, p12 - p21 + norm.ppf(0.975) * error
    assert difference.interval() == pytest.approx(tuple(np.clip(two_sided, -1, 1)))


@pytest.mark.parametrize(
    ("count", "only_best", "only_candidate"),
    [(341, 0.03, 0.02), (341, 0.005, 0.0), (1437, 0.01, 0.01), (6000, 0.05, 0.04)],
)
def test_upper_bound_covers_the_truth(count, only_best, only_candidate):
    """At least about 95 of 100 samples have the true difference under the bound, also where few images differ."""
    draws = np.random.default_rng(0)
    shares = [1 - only_best - only_candidate, only_best, only_candidate]
    covered = 0
    for both, b, c in draws.multinomial(count, shares, size=1000):
        covered += paired_difference(*pair(both, b, c, 0), one_stratum(count)).upper >= only_best - only_candidate
    assert covered / 1000 >= 0.93


def test_equal_predictions_on_few_images_are_not_proof():
    assert paired_difference(*pair(50, 0, 0, 0), one_stratum(50)).upper > 0.01
    assert paired_difference(*pair(1000, 0, 0, 0), one_stratum(1000)).upper < 0.01


@given(st.integers(1, 40), st.integers(0, 40), st.integers(200, 900))
def test_that_many_images_would_settle_it(b, c, both):
    margin = 0.02
    n = both + b + c
    difference = paired_difference(*pair(both, b, c, 0), one_stratum(n))
    needed = difference.settled_by(margin)
    if (b - c) / n >= margin:
        assert needed is None
    elif 4 * n < needed < 1000 * n:  # the images again and again: same shares, as many as memory takes
        times = round(needed / n)
        again = paired_difference(*pair(times * both, times * b, times * c, 0), one_stratum(times * n))
        assert again.upper == pytest.approx(margin, abs=0.35 * abs(margin - difference.value))


@given(st.floats(0.0, 0.004), st.integers(0, 30))
def test_images_settle_only_what_comes_from_images(deviation, lead):
    """As many images as it says, with the same shares and seeds, bring the bound to the margin; none do where the seeds
    alone leave that much doubt."""
    margin, count = 0.01, 1000
    shares = 900 - lead, 40 + lead, 40, 20
    difference = paired_difference(*pair(*shares), one_stratum(count), added_variance=deviation**2)
    needed = difference.settled_by(margin)
    room = margin - lead / count
    assert (needed is None) == (room <= z_score() * deviation)
    if needed and 4 * count < needed < 400 * count:
        times = round(needed / count)
        again = paired_difference(
            *pair(*(times * each for each in shares)), one_stratum(times * count), added_variance=deviation**2
        )
        assert again.upper == pytest.approx(margin, abs=0.35 * room)


def test_several_seeds_are_averaged():
    best = np.array([[1, 1, 0, 1.0], [1, 0, 0, 1]]).mean(axis=0)
    candidate = np.array([[1, 0, 0, 1.0], [1, 0, 1, 1]]).mean(axis=0)
    assert paired_difference(best, candidate, one_stratum(4)).value == pytest.approx((0.5 - 0.5) / 4)


def test_balanced_accuracy_weighs_classes_alike():
    labels = np.array([0] * 90 + [1] * 10)
    hits = np.array([1.0] * 90 + [0.0] * 10)
    strata = Strata.of(labels, "balanced")
    assert strata.accuracy(hits) == pytest.approx(0.5)
    low, high = accuracy_bounds(hits, strata)
    assert low < 0.5 < high
    assert one_stratum(100).accuracy(hits) == pytest.approx(0.9)


def test_balanced_bounds_cover_the_truth():
    draws = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [200, 60, 25])
    chances = np.array([0.95, 0.8, 0.7])
    strata = Strata.of(labels, "balanced")
    covered = [
        accuracy_bounds((draws.random(len(labels)) < chances[labels]).astype(float), strata)[0] <= chances.mean()
        for _ in range(600)
    ]
    assert np.mean(covered) >= 0.92


def test_resolution_and_images_for_a_target():
    assert resolution(341) > 0.02 > resolution(3409) > resolution(9000)
    assert images_for_target(0.90, 0.92) is None
    needed = images_for_target(0.93, 0.92)
    assert one_sided(round(0.93 * needed), needed)[0] == pytest.approx(
        0.92, abs=1e-3
    )  # "about": exact bound, normal formula
