"""The answer in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from deepenough.record import DecisionKind, Plan, schema
from deepenough.report import text
from deepenough.report.cost_text import cost
from deepenough.report.page import render_report


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        (DecisionKind.SHOWN, "is enough"),
        (DecisionKind.AMONG, "is enough among"),
        (DecisionKind.SEEMS, "seems to be enough"),
        (DecisionKind.BEST, "is the best found"),
    ],
)
def test_every_kind_of_answer_has_its_headline(
    make: Callable[..., schema.Record], kind: DecisionKind, wanted: str
) -> None:
    record = make()
    assert record.decision is not None
    record.decision.kind = kind
    assert text.headline(record).startswith(f"Depth {record.decision.depth} {wanted}")


@pytest.mark.parametrize(("target", "wanted"), [(None, ", the only one in the search space"), (0.5, " is enough")])
def test_the_only_network_of_a_search_space_is_enough_only_for_a_target(
    make: Callable[..., schema.Record], target: float | None, wanted: str
) -> None:
    record = make()
    assert record.decision is not None
    record.decision.kind, record.question.target = DecisionKind.SHOWN, target
    record.search_space = record.search_space[:1]
    assert text.headline(record) == f"Depth {record.decision.depth}{wanted}"


def test_an_answer_among_some_names_those_that_were_trained_and_no_scout(make: Callable[..., schema.Record]) -> None:
    record = make()
    assert record.decision is not None
    record.decision.kind = DecisionKind.AMONG
    trained = sorted({c.depth for c in record.candidates if c.state == "finished" and c.role != "scout"})
    looked_at = {c.depth for c in record.candidates if c.role == "scout"}
    words = text.headline(record).split(" among ")[1]
    if len(trained) > 4:
        assert words == f"the {len(trained)} depths trained"
    else:
        assert [int(word) for word in words.replace(",", " ").split() if word.isdigit()] == trained
    assert looked_at
    assert not looked_at & set(trained)


def test_one_network_alone_is_the_best_found(make: Callable[..., schema.Record]) -> None:
    record = make()
    assert record.decision is not None
    record.candidates = [record.candidate(record.decision.chosen)]
    record.decision.kind = DecisionKind.BEST
    assert "best found" in text.headline(record)


@pytest.mark.parametrize(
    ("state", "wanted"), [("finished", "No network tried reached the target"), ("out of time", "No training finished")]
)
def test_a_target_that_no_finished_training_missed_is_not_said_to_be_missed(
    make: Callable[..., schema.Record], state: schema.CandidateState, wanted: str
) -> None:
    record = make()
    assert record.decision is not None
    record.question.target, record.decision.kind = 0.9, DecisionKind.NOT_MET
    record.candidate(record.decision.chosen).state = state
    assert text.headline(record) == wanted


def test_where_folds_decided_the_kept_network_is_said_to_be_another_one(
    make: Callable[..., schema.Record], tmp_path: Path
) -> None:
    record = make()
    assert record.cost is not None
    assert text.claimed_of(record) is None
    record.cost.final = 10**12
    record.decision_images.folds = 4
    said = text.claimed_of(record)
    assert said is not None
    assert "trained on 3 of 4 folds" in said
    assert said in render_report(record, tmp_path)


def test_trainings_side_by_side_say_whether_time_passes_or_is_added_up(make: Callable[..., schema.Record]) -> None:
    record = make()
    plan = Plan(architectures=[], least=360, most=1320, memory=0, expected=2160, seconds=2400)
    record = record.model_copy(update={"plan": plan})
    assert "side by side" not in cost(record)
    assert "; the estimate was 6 min to 22 min, and 36 min for the networks trained" in cost(record)
    record = record.model_copy(update={"environment": record.environment | {"jobs": "2"}})
    assert " (2 trainings side by side, their times added up): " in cost(record)
    assert "; the estimate was 6 min to 22 min side by side, and 36 min added up for the networks " in cost(record)
    record = record.model_copy(update={"cost": None})
    assert cost(record).endswith(" of training (2 trainings side by side, their times added up)")
