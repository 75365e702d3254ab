"""The rules of the decision on made-up predictions."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from deepenough.search import rules
from deepenough.search.architectures import Architecture
from deepenough.search.candidates import Candidate
from deepenough.search.question import Question, Role
from deepenough.search.statistics import Strata
from deepenough.training.callbacks import Ending

COUNT = 4000


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


def test_the_best_is_the_smaller_of_equals(tried: Any) -> None:
    small, deep, better = tried(0, range(100)), tried(1, range(50, 150)), tried(2, range(99))
    assert rules.most_accurate([deep, small]) is small
    assert rules.most_accurate([small, better, deep]) is better


def test_equal_predictions_are_enough_and_far_worse_ones_are_not(tried: Any, strata: Strata) -> None:
    best, same, worse = tried(2, range(200)), tried(1, range(200)), tried(0, range(400))
    found = rules.compare_seeds(Question(), [best], [same], strata, tested=True)
    assert (found.enough, found.not_shown_worse, found.contested, found.difference.value) == (True, True, False, 0)
    assert "shown to be enough" in found.text
    found = rules.compare_seeds(Question(), [best], [worse], strata, tested=True)
    assert (found.enough, found.not_shown_worse, found.images_to_settle) == (False, False, None)
    assert found.difference.value == pytest.approx(0.05)
    assert found.text == "shown to be more than 1.0 points worse"


def test_a_loss_under_the_margin_is_paired(tried: Any, strata: Strata) -> None:
    """20 of 4,000 images more are wrong: half a point. Nested mistakes show it, as many scattered ones can't."""
    best = tried(2, range(400))
    nested = rules.compare_seeds(Question(), [best], [tried(0, range(420))], strata, tested=True)
    scattered = rules.compare_seeds(Question(), [best], [tried(0, range(300, 720))], strata, tested=True)
    assert nested.difference.value == scattered.difference.value == pytest.approx(0.005)
    assert nested.difference.upper < 0.01 < scattered.difference.upper
    assert nested.enough
    assert not scattered.enough
    assert scattered.not_shown_worse
    assert scattered.images_to_settle is not None
    assert scattered.images_to_settle > COUNT


def test_near_the_margin_one_seed_is_not_enough_and_two_are(tried: Any, strata: Strata) -> None:
    best, near = tried(2, range(400)), tried(0, range(424))
    one = rules.compare_seeds(Question(margin=0.0085), [best], [near], strata, tested=True)
    assert one.difference.upper < 0.0085
    assert (one.contested, one.enough) == (True, False)
    assert "too close" in one.text
    two = rules.compare_seeds(Question(margin=0.0085), [best], [near, near], strata, tested=True)
    assert (two.contested, two.enough, two.seeds) == (False, True, 2)


def test_nothing_is_shown_after_the_sequence_has_stopped(tried: Any, strata: Strata) -> None:
    found = rules.compare_seeds(Question(), [tried(1, range(0))], [tried(0, range(0))], strata, tested=False)
    assert not found.enough
    assert found.not_shown_worse
    assert "not tested" in found.text


def compared(strata: Strata, best: Candidate, *others: Candidate) -> list[rules.PairedComparison]:
    return [rules.compare_seeds(Question(), [best], [other], strata, tested=True) for other in others]


def test_the_shallowest_that_is_shown_is_chosen(tried: Any, strata: Strata) -> None:
    best, middle, shallow = tried(2, range(200)), tried(1, range(200)), tried(0, range(400))
    verdict = rules.enough(Question(), best, compared(strata, best, middle, shallow), 0.01, None)
    assert (verdict.chosen, verdict.kind, verdict.second) == (middle, "shown", None)
    assert verdict.advice == ()
    assert f"depth {middle.architecture.depth} is deep enough" in verdict.text


def test_what_is_open_is_named_beside_the_answer(tried: Any, strata: Strata) -> None:
    best, scattered = tried(2, range(400)), tried(0, range(300, 720))
    verdict = rules.enough(Question(), best, compared(strata, best, scattered), 0.01, "residual-67")
    assert (verdict.chosen, verdict.kind, verdict.second) == (best, "best", scattered)
    assert ": 4,000 decision images cannot show it, about" in verdict.advice[0]
    assert (
        "residual-67 may be better still; a larger --budget or --time-limit lets the search try it" in verdict.advice[1]
    )


def test_the_first_that_is_tried_may_be_the_answer(tried: Any) -> None:
    verdict = rules.enough(Question(), tried(0, range(5)), [], 0.01, None)
    assert (verdict.kind, verdict.second, verdict.comparisons) == ("shown", None, ())


def test_a_target_is_checked_by_the_exact_lower_bound(tried: Any) -> None:
    candidate = tried(0, range(200))
    low = binomtest(3800, COUNT, alternative="greater").proportion_ci(0.95, method="exact").low
    found = rules.check_target(candidate, low - 1e-6)
    assert (found.shown, found.seems, found.value) == (True, True, 0.95)
    assert found.lower == pytest.approx(low)
    found = rules.check_target(candidate, low + 1e-6)
    assert (found.shown, found.seems) == (False, True)
    found = rules.check_target(candidate, 0.9501)
    assert (found.shown, found.seems, found.images_to_settle) == (False, False, None)


def test_one_that_has_not_finished_meets_no_target(tried: Any) -> None:
    found = rules.check_target(tried(0, range(0), state=Ending.PRUNED, why="ended early"), 0.5)
    assert (found.shown, found.seems, found.text) == (False, False, "ended early")


def test_against_a_target(tried: Any, strata: Strata) -> None:
    shallow, middle, deep = tried(0, range(220)), tried(1, range(190)), tried(2, range(100))

    def verdict(target: float, *candidates: Candidate) -> rules.Verdict:
        return rules.against_target(Question(target=target), candidates, strata, 0.01)

    shown = verdict(0.95, deep, shallow, middle)
    assert (shown.chosen, shown.kind, shown.second, shown.best) == (deep, "shown", middle, deep)
    assert [check.candidate for check in shown.target_checks] == [shallow, middle, deep]
    seems = verdict(0.95, shallow, middle)
    assert (seems.chosen, seems.kind, seems.second) == (middle, "seems", None)
    assert f"about {seems.target_checks[1].images_to_settle:,} decision images" in seems.advice[0]
    failed = verdict(0.99, shallow, middle, deep)
    assert (failed.chosen, failed.kind) == (deep, "not met")
    assert failed.text == f"no network reached 99.0%; the best is {deep.name} with 97.5%"


def test_what_would_help_goes_on_from_what_was_asked(tried: Any, strata: Strata) -> None:
    asked = Question(target=0.99, families=("residual", "plain"), widths=(1.0, 1.5))
    advice = rules.against_target(asked, [tried(0, range(400))], strata, 0.01).advice
    assert any("--width 3, or another: --family inception" in line for line in advice)


def test_seeds_are_averaged_image_by_image(tried: Any) -> None:
    found = rules.mean_hits([tried(0, range(10)), tried(0, range(5, 15), seed=1)])
    assert found[:15].tolist() == [0.5] * 5 + [0.0] * 5 + [0.5] * 5
    assert found[15:].all()


def test_resolution_is_that_of_the_two_best(tried: Any, strata: Strata) -> None:
    near = rules.resolves([tried(0, range(400)), tried(1, range(401))], strata)
    far = rules.resolves([tried(0, range(400)), tried(1, range(400, 800))], strata)
    assert near < far
    assert far == pytest.approx(1.6449 * math.sqrt(0.2 / COUNT), rel=0.01)
    assert rules.resolves([tried(0, range(0))], strata) == pytest.approx(1.6449 * math.sqrt(0.08 / COUNT), rel=1e-3)


def test_a_target_met_to_the_letter_has_no_number_of_images() -> None:
    """An accuracy that is the target is settled by no number of images: the text says so without one."""
    from deepenough.search.rules import _settled
    from deepenough.search.statistics import images_for_target

    assert images_for_target(0.5, 0.5) is None
    assert _settled(None) == "more decision images would settle it"
    assert _settled(1200) == "about 1,200 decision images would settle it"
