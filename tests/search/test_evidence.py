"""What finished trainings and scouts say together of an architecture, on made-up predictions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from deepenough.search.candidates import Candidate
from deepenough.search.evidence import (
    PRIOR_SEED_DEVIATION,
    PRIOR_WEIGHT,
    EvidenceTable,
    gather,
)
from deepenough.search.question import Role
from deepenough.search.scouts import (
    SCOUT_UNCERTAINTY,
    SCOUT_UNDERSTATES,
    UNCERTAINTY_IN_COMMON,
    understate_here,
    understates,
)
from deepenough.search.statistics import Metric, Strata, paired_difference
from deepenough.training.callbacks import Ending

COUNT = 4000
LABELS = np.zeros(COUNT, np.int64)
STRATA = Strata.of(LABELS, Metric.TOP1)


def table(*candidates: Candidate) -> EvidenceTable:
    return EvidenceTable(tuple(gather(candidates)), STRATA, LABELS, Metric.TOP1)


def test_a_scout_counts_until_its_architecture_is_trained(tried: Any) -> None:
    scout, full = tried(1, range(300), role=Role.SCOUT), tried(1, range(200))
    assert [each.candidate for each in gather([scout])] == [scout]
    assert [each.candidate for each in gather([scout, full])] == [full]


def test_half_a_training_is_no_evidence(tried: Any) -> None:
    assert gather(
        [tried(0, range(10), state=Ending.OUT_OF_TIME)]
    )  # its trainings are whole: the limit came between folds
    cut_short = tried(0, range(10), state=Ending.OUT_OF_TIME)
    cut_short.trainings[0].ended = Ending.OUT_OF_TIME
    assert gather([cut_short]) == []


def test_seeds_are_averaged_image_by_image(tried: Any) -> None:
    (found,) = gather([tried(0, range(10)), tried(0, range(5, 15), seed=1, role=Role.SECOND_SEED)])
    assert found.hits[:15].tolist() == [0.5] * 5 + [0.0] * 5 + [0.5] * 5
    assert found.hits[15:].all()
    assert (found.seeds, found.trainings) == (2, 2)


def test_without_a_second_seed_the_stated_deviation_is_allowed_for(tried: Any) -> None:
    found = table(tried(0, range(100)), tried(1, range(100)))
    assert found.seed_variance == pytest.approx(PRIOR_SEED_DEVIATION**2)
    difference = found.difference(found.evidence[1], found.evidence[0])
    images = paired_difference(tried(1, range(100)).hits, tried(0, range(100)).hits, STRATA).standard_error
    assert difference.standard_error == pytest.approx(math.sqrt(images**2 + 2 * PRIOR_SEED_DEVIATION**2))


def test_the_deviation_between_seeds_is_measured_where_there_are_several(tried: Any) -> None:
    """Two seeds 3 points apart: their variance is 4.5 points squared, less what the images explain."""
    first, second = tried(0, range(100)), tried(0, range(220), seed=1, role=Role.SECOND_SEED)
    by_images = paired_difference(first.hits, second.hits, STRATA).standard_error ** 2 / 2
    measured = 0.03**2 / 2 - by_images
    found = table(first, second, tried(1, range(100)))
    wanted = (PRIOR_WEIGHT * PRIOR_SEED_DEVIATION**2 + measured) / (PRIOR_WEIGHT + 1)
    assert found.seed_variance == pytest.approx(wanted)


def test_equal_seeds_leave_less_to_seeds_than_was_allowed_for(tried: Any) -> None:
    pair = [tried(0, range(100)), tried(0, range(100), seed=1, role=Role.SECOND_SEED)]
    assert table(*pair, tried(1, range(100))).seed_variance < PRIOR_SEED_DEVIATION**2


def test_a_scout_is_taken_for_better_than_it_looks_and_less_sure(tried: Any) -> None:
    network, scout = tried(0, range(400)), tried(1, range(380), role=Role.SCOUT)
    found = table(network, scout)
    ahead = found.difference(found.evidence[1], found.evidence[0])
    plain = table(network, tried(1, range(380)))
    usual = plain.difference(plain.evidence[1], plain.evidence[0])
    assert ahead.value == pytest.approx(usual.value + SCOUT_UNDERSTATES)
    assert ahead.standard_error**2 == pytest.approx(usual.standard_error**2 + SCOUT_UNCERTAINTY**2)
    back = found.difference(found.evidence[0], found.evidence[1])
    assert (back.value, back.upper) == pytest.approx((-ahead.value, -ahead.lower))


@pytest.mark.parametrize("mistakes", [0.0, 0.002, 0.0119, 0.0121, 0.3])
def test_a_scout_has_no_more_mistakes_to_lose_than_it_makes(mistakes: float) -> None:
    mean, deviation = understates(1 - mistakes)
    assert mean == pytest.approx(min(SCOUT_UNDERSTATES, mistakes))
    assert deviation * SCOUT_UNDERSTATES == pytest.approx(mean * SCOUT_UNCERTAINTY)


def test_partial_trainings_are_compared_on_the_images_that_both_have_seen(tried: Any) -> None:
    half = np.arange(COUNT) < COUNT // 2
    pruned = tried(0, range(1900, 2300), seen=half, state=Ending.PRUNED)
    found = table(tried(1, range(0)), pruned)
    difference = found.difference(found.evidence[1], found.evidence[0])
    assert (difference.images, difference.value) == (COUNT // 2, pytest.approx(100 / 2000))


def test_mistakes_are_a_share_of_images_with_the_deviation_between_seeds(tried: Any) -> None:
    found = table(tried(0, range(40)))
    mistakes = found.mistakes(found.evidence[0])
    assert mistakes.value == pytest.approx(40 / COUNT)
    by_images = math.sqrt(0.01 * 0.99 / COUNT)  # of a binomial share
    assert mistakes.standard_error == pytest.approx(math.sqrt(by_images**2 + PRIOR_SEED_DEVIATION**2), rel=0.01)


def test_estimates_are_measured_from_the_most_accurate_finished_network(tried: Any) -> None:
    found = table(tried(0, range(400)), tried(1, range(200)), tried(2, range(100), role=Role.SCOUT))
    values, variances = found.estimates()
    assert values == pytest.approx([-0.05, 0.0, 0.025 + SCOUT_UNDERSTATES])
    assert (variances > found.seed_variance).all()
    assert variances[2] > variances[1]


def test_what_scouts_understate_here_is_the_posterior_of_what_they_do_usually() -> None:
    """By brute force: draws of the part in common, weighted by how likely each makes what was measured."""
    assert understate_here([]) == pytest.approx((SCOUT_UNDERSTATES, SCOUT_UNCERTAINTY))
    gains = [(-0.003, 0.005**2), (0.001, 0.003**2)]
    of_each = math.sqrt(SCOUT_UNCERTAINTY**2 - UNCERTAINTY_IN_COMMON**2)
    draws = np.random.default_rng(0)
    common = SCOUT_UNDERSTATES + UNCERTAINTY_IN_COMMON * draws.standard_normal(1_000_000)
    chances = np.exp(-0.5 * sum((gain - common) ** 2 / (variance + of_each**2) for gain, variance in gains))
    another = common + of_each * draws.standard_normal(len(common))
    mean = np.average(another, weights=chances)
    deviation = math.sqrt(np.average((another - mean) ** 2, weights=chances))
    assert understate_here(gains) == pytest.approx((mean, deviation), abs=3e-5)


def test_a_scout_whose_network_gained_nothing_tells_of_the_others_and_no_bound_rests_on_it(tried: Any) -> None:
    trained = [tried(0, range(400)), tried(1, range(300))]
    scouts = [tried(number, range(300), role=Role.SCOUT) for number in (1, 2)]
    without, found = table(*trained, scouts[1]), table(*trained, *scouts)
    assert found.evidence[1].scout is scouts[0]
    (usual, _), (values, variances) = without.estimates(), found.estimates()
    assert usual[2] == pytest.approx(SCOUT_UNDERSTATES)
    gain = (
        0.0,
        paired_difference(trained[1].hits, scouts[0].hits, STRATA).standard_error ** 2 + 2 * found.seed_variance,
    )
    mean, deviation = understate_here([gain])
    assert values[2] == pytest.approx(mean)
    assert values[2] < usual[2]
    assert variances[2] == pytest.approx(without.estimates()[1][2] + deviation**2 - SCOUT_UNCERTAINTY**2)
    assert values[:2] == pytest.approx(usual[:2])
    best, scouted = found.evidence[1], found.evidence[2]
    assert found.difference(scouted, best) == without.difference(without.evidence[2], without.evidence[1])


def test_a_scout_without_mistakes_tells_nothing_of_others(tried: Any) -> None:
    found = table(tried(1, range(2)), *(tried(number, range(0), role=Role.SCOUT) for number in (1, 2)))
    assert found.estimates()[0] == pytest.approx([0.0, 2 / COUNT])
