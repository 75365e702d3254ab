"""Every kind of answer that the searches give, on a Chinese report: no English is left, and no advice is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_records import candidate, made, score
from seen_page import Seen, english_left

from deepenough.language import Language, speaking
from deepenough.nets import NETWORKS
from deepenough.nets.cut import cut_at, cuts
from deepenough.record import Record
from deepenough.record import schema as r
from deepenough.record.networks import ArchitectureRecord
from deepenough.report.page import render_report
from deepenough.report.shortfall import shortfalls
from deepenough.search.architectures import cut_architectures, search_space
from deepenough.search.cut_target_search import CutTargetSearch, beginning
from deepenough.search.enough_search import EnoughSearch
from deepenough.search.question import Question
from deepenough.search.search import Search
from deepenough.search.target_search import TargetSearch
from deepenough.training.callbacks import Ending

RISING = {1: 0.80, 2: 0.85, 3: 0.87, 4: 0.88, 8: 0.882, 16: 0.88}
FLAT = dict.fromkeys(RISING, 0.9)
LATE = {1: 0.70, 2: 0.71, 3: 0.9, 4: 0.90, 8: 0.90, 16: 0.90}


def record_of(search: Search, verdict: Any, question: Question) -> Record:
    """The record of a search, with what is beside it made up."""
    record = made(question.target, classes=["bag", "boot", "coat"], folds=len(search.trainer.folds.folds))
    record.question = r.QuestionRecord.of(question, confidence=0.95, time_limit=None)
    record.search_space = [ArchitectureRecord.of(each, planned_cost=1) for each in search.search_space]
    record.candidates = []
    for each in search.tried:
        architecture = each.architecture
        row = candidate(
            architecture.depth, each.accuracy, 3, name=each.name, family=architecture.family, role=each.role,
            seed=each.seed, parameters=architecture.parameters, macs=architecture.macs, start=each.start,
            state="unfinished" if each.state is Ending.PAUSED else each.state, why=each.why, epochs=1,
            folds=len(each.trainings), teacher=each.teacher and each.teacher.name,
        )  # fmt: skip
        assert row.decision
        row.decision.top1 = score(each.accuracy, int(each.seen.sum()))
        record.candidates.append(row)
    record.steps = [r.EventRecord.model_validate(event) for event in search.events]
    record.decision = r.Decision.model_validate(verdict)
    record.decision.advice += shortfalls(record)
    return record


def left_on(record: Record, folder: Path) -> list[str]:
    """The English that is left on the Chinese page, and on the search's own sentences in any case."""
    with speaking(Language.CHINESE):
        page = render_report(record, folder)
    names = [
        record.data.source, record.command, record.version, record.created, *record.data.classes, *record.recipe,
        *(name for value in record.recipe.values() if isinstance(value, dict) for name in value),
        *(each.name for each in (*record.candidates, *record.search_space)), *record.environment,
        *(str(value) for value in (*record.recipe.values(), *record.environment.values())),
        *(each.name for each in (*record.mistakes, *record.data.findings)), *(each.kind for each in record.layers),
        *(each.path for each in record.layers), *(each.family for each in record.candidates), "mobile",
        *(each.weights for each in record.probings),
    ]  # fmt: skip
    assert record.decision
    advice = page.partition('<h2 class="minor">')[2].partition("</ul>")[0].split("<li>")[1:]
    assert len(advice) == len(record.decision.advice), (advice, record.decision.advice)
    return english_left(Seen(page), names)


CASES: dict[str, tuple[dict[int, float], dict[str, Any], dict[str, Any]]] = {
    "shown": (RISING, {}, {"noise": 0.001}),
    "among": (RISING, {"budget": 0.12}, {"noise": 0.001}),
    "seems": (LATE | {4: 0.895, 8: 0.9}, {}, {"images": 800}),
    "flat": (FLAT, {}, {"images": 400, "folds": 4}),
    "also enough": (LATE | {1: 0.88, 2: 0.9, 8: 0.904, 16: 0.906}, {"budget": 0.5}, {"images": 9000, "noise": 0.001}),
    "best": (dict.fromkeys(RISING, 0.8), {"margin": 0.002}, {"images": 400, "noise": 0.05}),
    "all of them": (RISING, {"budget": 1.0}, {"noise": 0.001}),
    "nearly perfect": (dict.fromkeys(RISING, 0.9995), {}, {"noise": 0.0001}),
    "no short looks": ({1: 0.97, 2: 0.985, 3: 0.994, 4: 0.996, 8: 0.997, 16: 0.997}, {}, {"images": 400}),
    "one": (RISING, {"budget": 0.001}, {}),
    "target": (RISING, {"target": 0.86, "budget": 2.0}, {}),
    "closing in": (LATE, {"target": 0.88, "budget": 10.0}, {}),
    "seems to meet": (RISING, {"target": 0.84, "budget": 2.0}, {"images": 400}),
    "not met": (RISING, {"target": 0.95, "budget": 2.0}, {}),
    "ruled out": (FLAT, {"target": 0.99, "budget": 4.0}, {"folds": 4}),
    "not tried": (RISING, {"target": 0.99, "budget": 1.0}, {"images": 300}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_kind_of_answer_is_chinese(
    case: str, architectures: Any, question: Question, trainer: Any, approaching: Any, tmp_path: Path
) -> None:
    truth, asked, simulated = CASES[case]
    asked_of = replace(question, **asked)
    kind: Callable[..., Any] = TargetSearch if asked_of.target else EnoughSearch
    search = kind(asked_of, architectures, trainer(approaching(truth), **simulated), lambda s: None)
    record = record_of(search, search.run(), asked_of)
    assert left_on(record, tmp_path) == []
    assert case != "also enough" or (record.decision and record.decision.facts and record.decision.facts.also_enough)
    assert case != "no short looks" or case in [step.what for step in record.steps]


def test_the_only_network_is_not_said_to_be_enough(
    architectures: Any, question: Question, trainer: Any, approaching: Any, tmp_path: Path
) -> None:
    search = EnoughSearch(question, architectures[:1], trainer(approaching(RISING)), lambda s: None)
    verdict = search.run()
    assert verdict.kind == "shown"  # which is so of a search space of one
    assert verdict.text == "depth 7 is the only one in the search space, so there was nothing to compare it with"
    record = record_of(search, verdict, question)
    assert left_on(record, tmp_path) == []
    with speaking(Language.CHINESE):
        assert "搜索空间中唯一的网络" in render_report(record, tmp_path)


def test_the_cases_give_every_kind_of_answer(
    architectures: Any, question: Question, trainer: Any, approaching: Any
) -> None:
    kinds = set()
    for truth, asked, simulated in CASES.values():
        asked_of = replace(question, **asked)
        kind: Callable[..., Any] = TargetSearch if asked_of.target else EnoughSearch
        kinds.add(kind(asked_of, architectures, trainer(approaching(truth), **simulated), lambda s: None).run().kind)
    assert kinds == {"shown", "shown among those tried", "seems", "best", "not met"}


@pytest.mark.parametrize(("target", "reason"), [(0.86, "usual"), (0.89, "best"), (0.80, "proposed")])
def test_a_target_among_cuts_is_answered_in_chinese(
    target: float, reason: str, question: Question, trainer: Any, tmp_path: Path
) -> None:
    whole = NETWORKS["squeezenet1_1"]()
    space = cut_architectures("squeezenet1_1", [(c.place, cut_at(whole, c.place, 10)) for c in cuts(whole)])
    accuracies = (0.40, 0.50, 0.60, 0.70, 0.76, 0.80, 0.82, 0.83, 0.84)
    probes = {each.name: accuracy for each, accuracy in zip(space, accuracies, strict=True)}
    asked = replace(question, target=target, budget=2.0, weights=("squeezenet1_1",))
    paper = trainer(lambda blocks, epochs, seed: accuracies[blocks] + 0.07, folds=4)
    begun = beginning(asked, space, paper, probes, space[5])
    search = CutTargetSearch(asked, space, paper, lambda s: None, beginning=begun, probes=probes)
    record = record_of(search, search.run(), asked)
    assert search.beginning.reason == reason
    assert (record.steps[0].what == f"beginning with {begun.architecture.name}") == (reason != "proposed")
    assert any(step.what.startswith("left out") for step in record.steps)
    assert record.decision
    assert record.decision.facts
    assert record.decision.facts.left_out
    assert left_on(record, tmp_path) == []
    for others in (True, False):  # as older runs have it
        update = {"left_out": [], "not_proposed": record.decision.facts.left_out, "others": others}
        facts = record.decision.facts.model_copy(update=update)
        decision = record.decision.model_copy(update={"facts": facts})
        assert left_on(record.model_copy(update={"decision": decision}), tmp_path) == []


def test_the_best_cut_of_a_network_that_comes_first_is_said_in_chinese(
    question: Question, architectures: Sequence[Any], trainer: Any, tmp_path: Path
) -> None:
    space = search_space(["residual", "plain"], [1.0], (1, 28, 28), 10, max_depth=11)
    probes = {each.name: 0.7 if each.family == "plain" else 0.74 + each.depth / 1000 for each in space}
    asked = replace(question, target=0.82, budget=9.0, weights=("a", "b"))
    paper = trainer(lambda blocks, epochs, seed: 0.85, folds=4)
    begun = beginning(asked, space, paper, probes, space[-1])
    search = CutTargetSearch(asked, space, paper, lambda s: None, beginning=begun, probes=probes)
    assert begun.reason == "most"
    assert left_on(record_of(search, search.run(), asked), tmp_path) == []


@pytest.mark.parametrize("target", [None, 0.95])
@pytest.mark.parametrize("where", ["largest", "all"])
def test_what_diverged_is_said_in_chinese(
    target: float | None, where: str, architectures: Any, question: Question, trainer: Any, diverging: Any,
    approaching: Any, tmp_path: Path,
) -> None:  # fmt: skip
    paper = diverging(trainer(approaching(RISING)), lambda attempt: where == "all" or attempt.architecture.blocks > 2)
    asked = replace(question, target=target, budget=2.0 if target else question.budget)
    kind: Callable[..., Any] = TargetSearch if target else EnoughSearch
    search = kind(asked, architectures, paper, lambda s: None)
    verdict = search.run()
    assert left_on(record_of(search, verdict, asked), tmp_path) == []


def test_students_are_said_in_chinese(
    architectures: Sequence[Any], question: Question, trainer: Any, approaching: Any, tmp_path: Path
) -> None:
    asked = replace(question, budget=2.0, distill=True)
    truth = {1: 0.80, 2: 0.86, 3: 0.88, 4: 0.90, 8: 0.90, 16: 0.90}
    paper = trainer(approaching(truth), images=20_000, gains={1: 0.01, 2: 0.04, 3: 0.02})
    search = EnoughSearch(asked, architectures, paper, lambda s: None)
    record = record_of(search, search.run(), asked)
    assert any("logits" in step.why for step in record.steps)
    assert left_on(record, tmp_path) == []


@pytest.mark.parametrize(
    ("target", "truth"),
    [(None, dict.fromkeys(RISING, 0.9)), (None, {**FLAT, 1: 0.95}), (0.85, FLAT), (0.99, RISING)],
)
def test_the_reason_why_nothing_is_distilled_is_said_in_chinese(
    target: float | None, truth: dict[int, float],
    architectures: Sequence[Any], question: Question, trainer: Any, approaching: Any, tmp_path: Path,
) -> None:  # fmt: skip
    asked = replace(question, target=target, budget=2.0, distill=True)
    kind: Callable[..., Any] = TargetSearch if target else EnoughSearch
    search = kind(asked, architectures, trainer(approaching(truth), images=20_000), lambda s: None)
    record = record_of(search, search.run(), asked)
    assert any(step.what == "nothing distilled" for step in record.steps)
    assert left_on(record, tmp_path) == []
