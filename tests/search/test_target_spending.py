"""The error spent over looks at a target, against scipy, closed forms and simulated truth."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest, multivariate_normal, norm

from deepenough.search.alpha_spending import (
    ALPHA,
    CLEARLY_BELOW,
    SEED_DEVIATION,
    SPENT,
    AlphaSpending,
    least_correlation,
    next_critical,
    union_probability,
)
from deepenough.search.statistics import Strata

TARGET = 0.9
LOOKS = 6
criticals = st.lists(st.floats(1.5, 3.0), min_size=1, max_size=5)


def one_stratum(count):
    return Strata.of(np.zeros(count, np.int64), "top1")


def equicorrelated(count, correlation):
    return np.full((count, count), correlation) + (1 - correlation) * np.eye(count)


@given(criticals)
def test_independent_looks_multiply(critical):
    assert union_probability(critical, 0.0) == pytest.approx(1 - np.prod(norm.cdf(critical)), abs=1e-9)


@pytest.mark.parametrize("correlation", [0.2, 0.55, 0.9, 0.99])
@pytest.mark.parametrize("critical", [[2.0], [1.7, 2.5], [2.4, 2.1, 2.3], [1.9, 2.0, 2.1, 2.2, 2.3]])
def test_correlated_looks_are_the_multivariate_normal(critical, correlation):
    count = len(critical)
    distribution = multivariate_normal(np.zeros(count), equicorrelated(count, correlation), allow_singular=True)
    expected = 1 - distribution.cdf(critical, rng=np.random.default_rng(0))
    assert union_probability(critical, correlation) == pytest.approx(expected, abs=2e-4)


@given(criticals, st.floats(0, 0.95), st.floats(0.001, 0.02))
def test_the_next_look_spends_what_is_left_and_never_less_than_its_share(failed, correlation, share):
    total = union_probability(failed, 0.0) + share
    critical = next_critical(failed, correlation, total, share)
    assert critical <= norm.isf(share) + 1e-9
    assert union_probability([*failed, critical], correlation) <= total + 1e-5
    # networks that are more alike than was estimated only make an error rarer
    assert union_probability([*failed, critical], min(correlation + 0.04, 0.99)) <= total + 1e-5


def test_the_first_look_is_the_exact_bound_at_its_share():
    hits = np.repeat([1.0, 0.0], [1380, 120])
    look = AlphaSpending(TARGET, one_stratum(1500)).look(hits, following=LOOKS - 1)
    share = SPENT * ALPHA / LOOKS
    assert look.alpha == pytest.approx(share)
    exact = binomtest(1380, 1500, alternative="greater").proportion_ci(1 - share, method="exact").low
    assert look.lower == pytest.approx(exact)
    assert look.shown == (exact >= TARGET)


def test_an_architectures_bound_also_holds_the_spread_between_seeds():
    hits, strata = np.repeat([1.0, 0.0], [9200, 800]), one_stratum(10000)
    network, architecture = AlphaSpending(TARGET, strata), AlphaSpending(TARGET, strata, trainings=4)
    for confidence in (0.9, 0.99):
        z = norm.ppf(confidence)
        sampling = [abs(bound - 0.92) for bound in network.bounds(hits, confidence)]
        both = [abs(bound - 0.92) for bound in architecture.bounds(hits, confidence)]
        assert both == pytest.approx([np.hypot(half, z * SEED_DEVIATION / 2) for half in sampling])


def test_a_clear_failure_spends_nothing_and_a_near_one_does():
    strata, spending = one_stratum(1000), AlphaSpending(TARGET, one_stratum(1000))
    far, near = np.repeat([1.0, 0.0], [860, 140]), np.repeat([1.0, 0.0], [898, 102])
    assert binomtest(860, 1000, alternative="less").proportion_ci(CLEARLY_BELOW, method="exact").high < TARGET
    assert spending.look(far, following=3).clearly_below
    assert spending.share(2) == pytest.approx(SPENT * ALPHA / 3)
    look = spending.look(near, following=2)
    assert (look.shown, look.clearly_below) == (False, False)
    # spent is what the fewest images come to that would have been enough, counted by scipy
    fewest = next(correct for correct in range(1000) if binom.sf(correct - 1, 1000, TARGET) <= look.alpha)
    spent = binom.sf(fewest - 1, 1000, TARGET)
    assert spent < look.alpha
    assert spending.share(1) == pytest.approx((SPENT * ALPHA - spent) / 2)
    for shift in range(1, 20):
        spending.look(np.roll(near, 40 * shift), following=0)
    assert not spending.look(np.ones(1000), following=0).shown, "nothing was left to show it with"
    assert AlphaSpending(TARGET, strata).look(np.ones(1000), following=5).shown


def test_a_look_that_succeeds_gives_its_share_back():
    spending = AlphaSpending(TARGET, one_stratum(1000))
    assert spending.look(np.repeat([1.0, 0.0], [960, 40]), following=3).shown
    assert spending.share(0) == pytest.approx(SPENT * ALPHA)


def paired_hits(rng, count, accuracies, common=0.834):
    """Hits of several networks; two of them disagree on about 0.8 times the images that one of them gets wrong."""
    difficulty = np.sqrt(common) * rng.standard_normal(count)
    noise = np.sqrt(1 - common) * rng.standard_normal((len(accuracies), count))
    return (difficulty + noise < norm.ppf(accuracies)[:, None]).astype(np.float64)


def test_the_simulated_networks_disagree_as_real_ones_do():
    hits = paired_hits(np.random.default_rng(0), 200_000, [TARGET, TARGET])
    assert np.mean(hits[0] != hits[1]) == pytest.approx(0.8 * (1 - TARGET), abs=0.004)


def test_the_correlation_is_a_lower_bound_that_comes_near():
    rng = np.random.default_rng(1)
    true = np.corrcoef(paired_hits(rng, 400_000, [TARGET, TARGET]))[0, 1]
    found = [least_correlation(*paired_hits(rng, 1500, [TARGET, TARGET]), one_stratum(1500)) for _ in range(300)]
    assert np.mean(np.array(found) > true) <= 0.10
    assert np.median(found) == pytest.approx(true - 0.1, abs=0.05)
    hits = paired_hits(rng, 1500, [TARGET, TARGET])
    unpaired = [least_correlation(hits[0], rng.permutation(hits[1]), one_stratum(1500)) for _ in range(50)]
    assert np.mean(unpaired) < 0.05
    assert least_correlation(*hits, one_stratum(1500), 1e-4) < least_correlation(*hits, one_stratum(1500))


def claims(accuracies, count, repetitions, looks):
    """How often each network of a sequence is the one that is claimed to meet the target."""
    rng, claimed = np.random.default_rng(2), np.zeros(len(accuracies))
    for _ in range(repetitions):
        spending = AlphaSpending(TARGET, one_stratum(count))
        for number, hits in enumerate(paired_hits(rng, count, accuracies)):
            if looks(spending, hits, len(accuracies) - 1 - number):
                claimed[number] += 1
                break
    return claimed / repetitions


def naive(spending, hits, following):
    return spending.bounds(hits, 1 - ALPHA)[0] >= TARGET


def spent(spending, hits, following):
    return spending.look(hits, following).shown


@pytest.mark.parametrize("below", [[0.0] * 6, [0.05, 0.02, 0.0, 0.0, 0.0, 0.0], [0.011, 0.008, 0.004, 0.002, 0.0, 0.0]])
@pytest.mark.parametrize("count", [200, 1500])
def test_false_claims_are_at_most_5_percent(below, count):
    """All of these are level with the target or a little below, where a false claim is likeliest."""
    repetitions = 300
    accuracies = TARGET - 1e-9 - np.array(below)
    false = claims(accuracies, count, repetitions, spent).sum()
    assert false <= ALPHA + 2 * np.sqrt(ALPHA * (1 - ALPHA) / repetitions)


def test_five_percent_a_look_would_be_found_out():
    assert claims(np.full(6, TARGET - 1e-9), 1500, 300, naive).sum() > 2 * ALPHA


def test_it_is_sharper_than_a_sixth_of_the_error_a_look():
    """Shallow ones that fail clearly cost nothing, so that a deep one is judged nearly as by a single look."""

    def sixth(spending, hits, following):
        return spending.bounds(hits, 1 - ALPHA / LOOKS)[0] >= TARGET

    accuracies = [0.80, 0.84, 0.86, 0.87, 0.885, 0.914]
    assert claims(accuracies, 1500, 200, spent)[-1] > claims(accuracies, 1500, 200, sixth)[-1] + 0.15
