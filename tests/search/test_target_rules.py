"""The rules of a question with a target, on made-up predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from scipy.stats import binomtest

from deepenough.search.alpha_spending import ALPHA, SPENT, AlphaSpending, Look
from deepenough.search.architectures import Architecture, search_space
from deepenough.search.candidates import Candidate
from deepenough.search.question import Measure, Question
from deepenough.search.statistics import Strata
from deepenough.search.target_rules import Untrained, against_target, check_target
from deepenough.search.verdict import TargetCheck, Verdict, depths_text
from deepenough.training.callbacks import Ending

COUNT = 4000


def looked_at(candidates: Sequence[Candidate], target: float, strata: Strata) -> list[TargetCheck]:
    """Check candidates, in the order of the looks at them."""
    spending = AlphaSpending(target, strata)
    following = range(len(candidates) - 1, -1, -1)
    return [
        check_target(c, target, spending.look(c.hits, n) if c.finished else None)
        for c, n in zip(candidates, following, strict=True)
    ]


def test_a_target_is_checked_by_the_exact_lower_bound(tried: Any, strata: Strata) -> None:
    candidate = tried(0, range(200))
    alpha = SPENT * ALPHA
    low = binomtest(3800, COUNT, alternative="greater").proportion_ci(1 - alpha, method="exact").low
    (found,) = looked_at([candidate], low - 1e-6, strata)
    assert (found.shown, found.seems, found.value) == (True, True, 0.95)
    assert found.lower == pytest.approx(low)
    assert found.alpha == pytest.approx(alpha)
    assert found.text == f"shown to meet it: at least {low:.1%} (95.1% bound)"
    (found,) = looked_at([candidate], low + 1e-6, strata)
    assert (found.shown, found.seems) == (False, True)
    (found,) = looked_at([candidate], 0.9501, strata)
    assert (found.shown, found.seems, found.images_to_settle) == (False, False, None)


def test_one_that_has_not_finished_meets_no_target(tried: Any) -> None:
    found = check_target(tried(0, range(0), state=Ending.PRUNED, why="ended early"), 0.5, None)
    assert (found.shown, found.seems, found.text) == (False, False, "ended early")


def test_without_anything_left_to_spend_nothing_is_shown(tried: Any) -> None:
    found = check_target(tried(0, range(0)), 0.5, Look(alpha=0.0, lower=0.0, shown=False, clearly_below=False))
    assert (found.shown, found.seems, found.images_to_settle) == (False, True, None)
    assert found.text == "seems to meet it, but the looks before it have spent the chance of an error"


def test_an_answer_without_anything_left_to_spend_has_no_bound(tried: Any) -> None:
    check = check_target(tried(0, range(200)), 0.9, Look(alpha=0.0, lower=0.0, shown=False, clearly_below=False))
    found = against_target(Question(target=0.9), [check], Untrained(), folds=1, resolved=0.01)
    assert found.kind == "seems"
    assert found.text == (
        "depth 7 seems to reach 90.0%: 95.0% on 4,000 images (the looks before it have spent the chance of an error)"
    )


@pytest.mark.parametrize(
    ("minimize", "says"),
    [("depth", "depth 7 is deep enough"), ("parameters", "residual-7 is enough"), ("macs", "residual-7 is enough")],
)
def test_the_answer_is_about_what_is_minimised(tried: Any, strata: Strata, minimize: str, says: str) -> None:
    checks = looked_at([tried(0, range(100))], 0.95, strata)
    asked = Question(target=0.95, minimize=Measure(minimize))
    assert against_target(asked, checks, Untrained(), folds=1, resolved=0.01).text.startswith(f"{says}: shown on")


def test_a_training_that_the_time_limit_ended_is_no_failure(tried: Any, strata: Strata) -> None:
    late = tried(1, range(300), state=Ending.OUT_OF_TIME, why="ended by the time limit")
    checks = looked_at([tried(0, range(400)), late], 0.95, strata)
    text = against_target(Question(target=0.95), checks, Untrained(), folds=1, resolved=0.01).text
    assert text.startswith("no network tried reached 95.0%")
    assert text.endswith("; the training of depth 11 was ended by the time limit")


def test_where_no_training_finished_none_is_said_to_miss_the_target(tried: Any, strata: Strata) -> None:
    """Its accuracy so far may be above the target."""
    late = tried(0, range(100), state=Ending.OUT_OF_TIME, why="ended by the time limit")
    checks = looked_at([late], 0.9, strata)
    text = against_target(Question(target=0.9), checks, Untrained(), folds=1, resolved=0.01).text
    assert text == (
        "no training finished, so none is known to reach 90.0%; the best so far is residual-7 with 97.5%; "
        "the training of depth 7 was ended by the time limit"
    )


def test_against_a_target(tried: Any, strata: Strata) -> None:
    shallow, middle, deep = tried(0, range(220)), tried(1, range(190)), tried(2, range(100))

    def verdict(target: float, *candidates: Candidate) -> Verdict:
        checks = looked_at(candidates, target, strata)
        return against_target(Question(target=target), checks, Untrained(), folds=1, resolved=0.01)

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
    checks = looked_at([tried(0, range(400))], 0.99, strata)
    advice = against_target(asked, checks, Untrained(), folds=1, resolved=0.01).advice
    assert any("--width 3, or another: --family inception" in line for line in advice)


@pytest.mark.parametrize(
    ("folds", "share"), [(2, "half"), (3, "two thirds"), (4, "three quarters"), (10, "9 of 10 parts")]
)
def test_folds_judge_others_than_the_network_that_is_shipped(
    tried: Any, strata: Strata, folds: int, share: str
) -> None:
    checks = looked_at([tried(0, range(190))], 0.95, strata)
    text = against_target(Question(target=0.95), checks, Untrained(), folds, 0.01).text
    assert text.endswith(
        f"; measured for networks of this kind trained on {share} of the images; the one in model/ is trained on all "
        "of them"
    )


def test_depths_in_a_row_are_named_by_their_ends(architectures: tuple[Architecture, ...]) -> None:
    seven, eleven, nineteen, _, deepest = architectures
    assert depths_text([deepest]) == "depth 67"
    assert depths_text([nineteen, deepest]) == "depths 19 and 67"
    assert depths_text(architectures[2:]) == "depths 19 to 67"
    assert depths_text([seven, eleven, deepest]) == "depths 7, 11 and 67"
    plain = search_space(["plain"], [1.0], (1, 28, 28), 10, max_depth=8)
    assert depths_text([plain[0], seven]) == f"{plain[0].name} and residual-7"


def test_a_target_met_to_the_letter_has_no_number_of_images() -> None:
    """An accuracy that is the target is settled by no number of images: the text says so without one."""
    from deepenough.search.statistics import images_for_target
    from deepenough.search.target_rules import _settled

    assert images_for_target(0.5, 0.5) is None
    assert _settled(None) == "more decision images would settle it"
    assert _settled(1200) == "about 1,200 decision images would settle it"
