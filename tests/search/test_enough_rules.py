"""The rules of a question without a target, on made-up predictions."""

from __future__ import annotations

from typing import Any

import pytest

from deepenough.search.candidates import Candidate
from deepenough.search.enough_rules import compare_seeds, enough, mean_hits
from deepenough.search.question import Question
from deepenough.search.statistics import Strata
from deepenough.search.verdict import PairedComparison

COUNT = 4000


def test_equal_predictions_are_enough_and_far_worse_ones_are_not(tried: Any, strata: Strata) -> None:
    best, same, worse = tried(2, range(200)), tried(1, range(200)), tried(0, range(400))
    found = compare_seeds(Question(), [best], [same], strata, tested=True)
    assert (found.enough, found.not_shown_worse, found.contested, found.difference.value) == (True, True, False, 0)
    assert "shown to be enough" in found.text
    found = compare_seeds(Question(), [best], [worse], strata, tested=True)
    assert (found.enough, found.not_shown_worse, found.images_to_settle) == (False, False, None)
    assert found.difference.value == pytest.approx(0.05)
    assert found.text == "shown to be more than 1.0 points worse"


def test_a_loss_under_the_margin_is_paired(tried: Any, strata: Strata) -> None:
    """20 of 4,000 images more are wrong: half a point. Nested mistakes show it, as many scattered ones can't."""
    best = tried(2, range(400))
    nested = compare_seeds(Question(), [best], [tried(0, range(420))], strata, tested=True)
    scattered = compare_seeds(Question(), [best], [tried(0, range(300, 720))], strata, tested=True)
    assert nested.difference.value == scattered.difference.value == pytest.approx(0.005)
    assert nested.difference.upper < 0.01 < scattered.difference.upper
    assert nested.enough
    assert not scattered.enough
    assert scattered.not_shown_worse
    assert scattered.images_to_settle is not None
    assert scattered.images_to_settle > COUNT


def test_near_the_margin_one_seed_is_not_enough_and_two_are(tried: Any, strata: Strata) -> None:
    best, near = tried(2, range(400)), tried(0, range(424))
    one = compare_seeds(Question(margin=0.0085), [best], [near], strata, tested=True)
    assert one.difference.upper < 0.0085
    assert (one.contested, one.enough) == (True, False)
    assert "too close" in one.text
    two = compare_seeds(Question(margin=0.0085), [best], [near, near], strata, tested=True)
    assert (two.contested, two.enough, two.seeds) == (False, True, 2)


def test_nothing_is_shown_after_the_sequence_has_stopped(tried: Any, strata: Strata) -> None:
    found = compare_seeds(Question(), [tried(1, range(0))], [tried(0, range(0))], strata, tested=False)
    assert not found.enough
    assert found.not_shown_worse
    assert "not tested" in found.text


def compared(strata: Strata, best: Candidate, *others: Candidate) -> list[PairedComparison]:
    return [compare_seeds(Question(), [best], [other], strata, tested=True) for other in others]


def test_the_shallowest_that_is_shown_is_chosen(tried: Any, strata: Strata) -> None:
    best, middle, shallow = tried(2, range(200)), tried(1, range(200)), tried(0, range(400))
    verdict = enough(Question(), best, compared(strata, best, middle, shallow), 0.01, None)
    assert (verdict.chosen, verdict.kind, verdict.second) == (middle, "shown", None)
    assert verdict.advice == ()
    assert f"depth {middle.architecture.depth} is deep enough" in verdict.text


def test_what_is_open_is_named_beside_the_answer(tried: Any, strata: Strata) -> None:
    best, scattered = tried(2, range(400)), tried(0, range(300, 720))
    verdict = enough(Question(), best, compared(strata, best, scattered), 0.01, "residual-67")
    assert (verdict.chosen, verdict.kind, verdict.second) == (best, "best", scattered)
    assert ": 4,000 decision images cannot show it, about" in verdict.advice[0]
    assert (
        "residual-67 may be better still; a larger --budget or --time-limit lets the search try it" in verdict.advice[1]
    )


def test_the_first_that_is_tried_may_be_the_answer(tried: Any) -> None:
    verdict = enough(Question(), tried(0, range(5)), [], 0.01, None)
    assert (verdict.kind, verdict.second, verdict.comparisons) == ("shown", None, ())


def test_seeds_are_averaged_image_by_image(tried: Any) -> None:
    found = mean_hits([tried(0, range(10)), tried(0, range(5, 15), seed=1)])
    assert found[:15].tolist() == [0.5] * 5 + [0.0] * 5 + [0.5] * 5
    assert found[15:].all()
