"""The rules of a question with a target, on made-up predictions."""

from __future__ import annotations

from typing import Any

import pytest
from scipy.stats import binomtest

from deepenough.search.candidates import Candidate
from deepenough.search.question import Question
from deepenough.search.statistics import Strata
from deepenough.search.target_rules import against_target, check_target
from deepenough.search.verdict import Verdict
from deepenough.training.callbacks import Ending

COUNT = 4000


def test_a_target_is_checked_by_the_exact_lower_bound(tried: Any) -> None:
    candidate = tried(0, range(200))
    low = binomtest(3800, COUNT, alternative="greater").proportion_ci(0.95, method="exact").low
    found = check_target(candidate, low - 1e-6)
    assert (found.shown, found.seems, found.value) == (True, True, 0.95)
    assert found.lower == pytest.approx(low)
    found = check_target(candidate, low + 1e-6)
    assert (found.shown, found.seems) == (False, True)
    found = check_target(candidate, 0.9501)
    assert (found.shown, found.seems, found.images_to_settle) == (False, False, None)


def test_one_that_has_not_finished_meets_no_target(tried: Any) -> None:
    found = check_target(tried(0, range(0), state=Ending.PRUNED, why="ended early"), 0.5)
    assert (found.shown, found.seems, found.text) == (False, False, "ended early")


def test_against_a_target(tried: Any, strata: Strata) -> None:
    shallow, middle, deep = tried(0, range(220)), tried(1, range(190)), tried(2, range(100))

    def verdict(target: float, *candidates: Candidate) -> Verdict:
        return against_target(Question(target=target), candidates, strata, 0.01)

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
    advice = against_target(asked, [tried(0, range(400))], strata, 0.01).advice
    assert any("--width 3, or another: --family inception" in line for line in advice)


def test_a_target_met_to_the_letter_has_no_number_of_images() -> None:
    """An accuracy that is the target is settled by no number of images: the text says so without one."""
    from deepenough.search.statistics import images_for_target
    from deepenough.search.target_rules import _settled

    assert images_for_target(0.5, 0.5) is None
    assert _settled(None) == "more decision images would settle it"
    assert _settled(1200) == "about 1,200 decision images would settle it"
