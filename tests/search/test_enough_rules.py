"""The rules of a question without a target, on made-up predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from deepenough.search.candidates import Candidate
from deepenough.search.enough_rules import ENOUGH_COUNTS, SMALLER_FIRST, Assessment, assess, compare, shown_worse
from deepenough.search.enough_verdict import enough
from deepenough.search.evidence import EvidenceTable, gather
from deepenough.search.question import Question, Role
from deepenough.search.scouts import SCOUT_UNDERSTATES
from deepenough.search.statistics import Metric, Strata
from deepenough.search.verdict import depths_text

COUNT = 4000
LABELS = np.zeros(COUNT, np.int64)


def table(*candidates: Candidate) -> EvidenceTable:
    return EvidenceTable(tuple(gather(candidates)), Strata.of(LABELS, Metric.TOP1), LABELS, Metric.TOP1)


def weighed(architectures: Any, *candidates: Candidate) -> Assessment:
    return assess(Question(), table(*candidates), architectures[: 1 + max(place(architectures, c) for c in candidates)])


def place(architectures: Any, candidate: Candidate) -> int:
    return [each.name for each in architectures].index(candidate.architecture.name)


@pytest.fixture
def seeds(tried: Any) -> Any:
    """Three seeds of an architecture with the same predictions, so that hardly any variance is left to seeds."""

    def make(number: int, wrong: range, **changes: Any) -> list[Candidate]:
        more = [tried(number, wrong, seed=seed, role=Role.SECOND_SEED) for seed in (1, 2)]
        return [tried(number, wrong, **changes), *more]

    return make


def test_the_worst_of_all_comparisons_decides(tried: Any, seeds: Any) -> None:
    """Enough against the most accurate, and yet not shown against another that disagrees on more images."""
    nested, scattered = tried(2, range(20, 400)), tried(1, range(2000, 2390))
    found = table(*seeds(0, range(400)), nested, scattered)
    pair = compare(Question(), found, found.evidence[0])
    assert found.difference(found.evidence[2], found.evidence[0]).upper < 0.0135
    assert pair.best is scattered
    assert pair.difference.upper == max(found.difference(e, found.evidence[0]).upper for e in found.evidence[1:])
    assert not pair.enough


def test_equal_predictions_are_enough_and_far_worse_ones_are_not(seeds: Any, architectures: Any) -> None:
    found = weighed(architectures, *seeds(2, range(200)), *seeds(1, range(200)), *seeds(0, range(400)))
    shallow, middle, _ = found.comparisons
    assert [each.architecture.name for each in found.shown] == [a.name for a in architectures[1:3]]
    assert (middle.enough, middle.not_shown_worse, middle.difference.value) == (True, True, 0)
    assert (shallow.enough, shallow.not_shown_worse, shallow.images_to_settle) == (False, False, None)
    assert shallow.difference.value == pytest.approx(0.05)
    assert shallow.text.startswith("shown to be more than 1.0 points worse than")
    assert found.not_ruled_out == (architectures[1],)
    verdict = enough(Question(), found, 0.01)
    assert (verdict.chosen.name, verdict.kind, verdict.second) == (architectures[1].name, "shown", None)
    assert verdict.not_ruled_out == (architectures[1].name,)
    assert "shown to be within 1.0 points of the best of depths 7 to 19" in verdict.text


def test_one_that_is_better_than_all_others_is_not_called_worse(seeds: Any, architectures: Any) -> None:
    found = weighed(architectures, *seeds(1, range(400)), *seeds(0, range(200)))
    best = found.comparisons[0]
    assert best.difference.upper < 0
    assert best.text.startswith("shown to be enough: at least ")
    assert best.text.endswith(" points better than any other trained in full")


def test_what_was_not_looked_at_is_said_and_not_claimed(seeds: Any, architectures: Any) -> None:
    known = [*seeds(1, range(200)), *seeds(0, range(202))]
    found = assess(Question(), table(*known), architectures)
    verdict = enough(Question(), found, 0.01)
    assert (verdict.kind, verdict.chosen.architecture) == ("shown among those tried", architectures[0])
    assert "depth 7 is enough among depths 7 and 11" in verdict.text
    assert "depths 19 to 67 were not looked at" in verdict.advice[-1]
    assert set(verdict.not_ruled_out) == {each.name for each in architectures}


def test_nothing_can_be_better_than_nearly_perfect(tried: Any, seeds: Any, architectures: Any) -> None:
    """With 8 of 4,000 wrong, in three trainings, no network can be a point better, so none has to be looked at."""
    found = assess(Question(), table(*seeds(0, range(8))), architectures)
    verdict = enough(Question(), found, 0.01)
    assert (verdict.kind, verdict.comparisons, verdict.advice) == ("shown", (), ())
    assert verdict.not_ruled_out == (architectures[0].name,)
    for known in (seeds(0, range(38)), [tried(0, range(8))]):  # too many are wrong; another seed may be worse
        doubtful = enough(Question(), assess(Question(), table(*known), architectures), 0.01)
        assert doubtful.kind == "best"
        assert "nothing is known about deeper networks" in doubtful.text


def test_a_larger_network_that_is_worse_is_not_shipped_for_what_scouts_promise(tried: Any, architectures: Any) -> None:
    """Two scouts at 97% make it likely that more than 95% is there to be had; but the larger one has 91.6%."""
    scouts = [tried(number, range(120), role=Role.SCOUT) for number in (2, 4)]
    found = assess(Question(), table(tried(0, range(200)), tried(3, range(336)), *scouts), architectures)
    assert found.chosen.architecture == architectures[0]
    assert enough(Question(), found, 0.01).kind == "shown among those tried"
    assert replace(found, dominated=frozenset()).chosen.architecture == architectures[3]


def test_a_scout_rules_out_with_what_it_understates(tried: Any, seeds: Any, architectures: Any) -> None:
    scout = tried(1, range(10, 400), role=Role.SCOUT)
    found = table(*seeds(0, range(400)), scout)
    pair = compare(Question(), found, found.evidence[0])
    assert pair.difference.value == pytest.approx(0.0025 + SCOUT_UNDERSTATES)
    assert pair.difference.upper > 0.01
    assert not weighed(architectures, *seeds(0, range(400)), scout).shown
    worse = tried(1, range(500), role=Role.SCOUT)
    promising = tried(1, range(300), role=Role.SCOUT)
    assert weighed(architectures, *seeds(0, range(400)), worse).wanted.finished
    assert weighed(architectures, *seeds(0, range(400)), promising).wanted.is_scout


def test_the_smallest_of_those_that_promise_about_as_much_is_trained_first(tried: Any, architectures: Any) -> None:
    wrong = (600, 340, 320, 300, 280)
    known = [tried(0, range(600)), *(tried(n, range(wrong[n]), role=Role.SCOUT) for n in (1, 2, 3, 4))]
    found = assess(Question(), table(*known), architectures)
    lowest, low, best, smaller, about_as_good = (found._worth(each) for each in found.looked_at)
    assert lowest < low < smaller < best - SMALLER_FIRST < about_as_good < best
    assert found.by_worth(architectures) == [architectures[n] for n in (2, 4, 3, 1, 0)]
    assert about_as_good - SMALLER_FIRST < smaller < about_as_good
    assert found.by_worth(architectures[3:]) == [*architectures[3:]]
    unseen = assess(Question(), table(*known[:-1]), architectures)
    assert unseen.by_worth(architectures)[-1] is architectures[4]
    assert unseen.by_worth([]) == []


def test_one_much_larger_is_not_shipped_though_it_is_shown(seeds: Any, tried: Any, architectures: Any) -> None:
    """The most accurate is shown by its luck alone; three architectures smaller, the same accuracy is as likely."""
    chosen = weighed(
        architectures, *seeds(0, range(404)), *seeds(1, range(403)), *seeds(2, range(402)), *seeds(3, range(400))
    ).chosen
    assert chosen.architecture is architectures[0]


def test_right_or_one_off_counts_beside_enough(seeds: Any, tried: Any, architectures: Any) -> None:
    """What is shipped maximises the sum that is stated, over all that are finished."""
    found = weighed(
        architectures, tried(0, range(440)), tried(1, range(420)), tried(2, range(402)), tried(3, range(400))
    )
    pairs = zip(found.near, found.probabilities, strict=True)
    worth = [near + ENOUGH_COUNTS * enough for near, enough in pairs]
    assert not found.shown
    assert found.chosen is found.looked_at[int(np.argmax(worth))]
    assert all(near <= 1 for near in found.near)


def test_seeds_are_in_doubt_where_a_bound_holds_the_margin(seeds: Any, tried: Any, architectures: Any) -> None:
    clear = weighed(architectures, *seeds(0, range(900)), *seeds(1, range(200)), *seeds(2, range(200)))
    assert not clear.doubtful
    close = weighed(architectures, tried(0, range(900)), tried(1, range(210)), tried(2, range(200)))
    assert {each.architecture for each in close.doubtful} == {architectures[1], architectures[2]}


@pytest.mark.parametrize(("behind", "doubtful"), [(0.0, True), (0.1, True), (0.9, False), (1.0, False), (1.1, False)])
def test_no_seeds_are_spent_on_a_difference_that_five_could_not_tell_from_the_margin(
    tried: Any, architectures: Any, behind: float, doubtful: bool
) -> None:
    wrong = 200 + round(behind / 100 * COUNT)
    found = weighed(architectures, tried(0, range(900)), tried(1, range(wrong)), tried(2, range(200)))
    assert bool(found.doubtful) is doubtful


def test_what_diverged_is_named_as_such(tried: Any, architectures: Any) -> None:
    known = [tried(0, range(202)), tried(1, range(200))]
    names = {each.name for each in architectures[2:]}
    verdict = enough(Question(), assess(Question(), table(*known), architectures, names), 0.01)
    assert verdict.kind != "shown"
    assert "the training of depths 19 to 67 diverged; a lower --lr" in verdict.advice[-1]
    assert "not looked at" not in verdict.advice[-1]
    alone = enough(Question(), assess(Question(), table(known[0]), architectures[:2], {architectures[1].name}), 0.01)
    assert alone.text == (
        "depth 7 is the only one trained to its end, since the training of depth 11 diverged, "
        "so nothing is known about deeper networks"
    )


@pytest.mark.parametrize(
    ("measure", "word"), [("depth", "shallowest"), ("parameters", "fewest parameters"), ("macs", "fewest multiply-")]
)
def test_the_set_is_named_by_what_is_minimised(tried: Any, architectures: Any, measure: Any, word: str) -> None:
    asked = Question(minimize=measure)
    found = assess(asked, table(tried(0, range(202)), tried(1, range(200))), architectures)
    assert word in enough(asked, found, 0.01).text


def test_only_finished_networks_show_another_to_be_worse(tried: Any) -> None:
    found = table(tried(0, range(400)), tried(1, range(100), role=Role.SCOUT))
    assert not shown_worse(Question(), found, found.evidence[0])
    found = table(tried(0, range(400)), tried(1, range(100)))
    assert shown_worse(Question(), found, found.evidence[0])


def test_depths_in_words(architectures: Any) -> None:
    assert depths_text(architectures[:1]) == "depth 7"
    assert depths_text(architectures[:2]) == "depths 7 and 11"
    assert depths_text(architectures) == "depths 7 to 67"
