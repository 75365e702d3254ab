"""How long a search will take, and how long it took."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch
from rich.console import Console

import deepenough
from deepenough import Record
from deepenough.autotuning.configuration import StepConfiguration
from deepenough.autotuning.memory_estimate import step_bytes
from deepenough.experiment import estimate as plans
from deepenough.experiment.estimate import estimate, estimate_text, seconds_of_epoch
from deepenough.progress import Reporter
from deepenough.record import Plan
from deepenough.report.tables import plan_table
from deepenough.report.training_time import training_time
from deepenough.search.architectures import search_space
from deepenough.search.question import Measure, Metric, Question


class CandidateTrainer:
    """Whose steps take a second for every 10 million multiply-accumulates of an image."""

    recipe = SimpleNamespace(batch=64, device="cpu", epochs=8)
    paper = StepConfiguration()

    def __init__(self, folds: int = 1, jobs: int = 1, time_left: float = math.inf) -> None:
        self.folds, self.jobs, self.time_left = SimpleNamespace(folds=[None] * folds), jobs, time_left
        self.timed: list[str] = []

    def configuration(self, architecture: Any) -> StepConfiguration:
        self.timed.append(architecture.name)
        return replace(self.paper, seconds=architecture.macs / 1e7)

    def steps_images(self, architecture: Any) -> float:
        return 1000.0

    def planned(self, architecture: Any) -> float:
        return 3.0 * 1000 * architecture.macs

    def planned_until(self, architecture: Any, epoch: int) -> float:
        return self.planned(architecture) * (epoch / self.recipe.epochs) ** 2  # the first are cheaper

    def planned_scout(self, architecture: Any, epochs: int) -> float:
        return self.planned(architecture) * epochs / self.recipe.epochs

    def step_macs(self, architecture: Any) -> int:
        return 3 * int(architecture.macs)

    def retraining(self, architecture: Any) -> float:
        return 3.0 * 300 * architecture.macs if len(self.folds.folds) > 1 else 0.0

    def retraining_images(self, architecture: Any) -> float:
        return self.retraining(architecture) / self.step_macs(architecture)


def asked(target: float | None) -> Question:
    return Question(
        target=target, margin=0.01, metric=Metric.TOP1, minimize=Measure.DEPTH, families=("residual",), widths=(1.0,),
        budget=0.5, seed=0, weights=None,
    )  # fmt: skip


ARCHITECTURES = search_space(("residual",), (1.0,), (3, 32, 32), 10, max_depth=None, minimize=Measure.DEPTH)


def estimated(question: Question, trainer: Any) -> Plan:
    first = ARCHITECTURES[:2] if question.target is None else ARCHITECTURES[:1]
    return estimate(question, ARCHITECTURES, trainer, first)


@pytest.mark.parametrize("target", [None, 0.9])
def test_what_is_not_measured_follows_from_its_multiply_accumulates(target: float | None) -> None:
    trainer = CandidateTrainer()
    found = estimated(asked(target), trainer)  # type: ignore[arg-type]
    assert len(set(trainer.timed)) == 3 < len(ARCHITECTURES)
    for architecture, planned in zip(ARCHITECTURES, found.architectures, strict=True):
        assert planned.seconds == pytest.approx(1000 * architecture.macs / 1e7)
    whole = sum(architecture.seconds for architecture in found.architectures)
    if target is None:
        assert found.least == pytest.approx(sum(architecture.seconds for architecture in found.architectures[:2]))
        assert found.most == pytest.approx(whole / 2)
    else:
        assert (found.least, found.most) == (found.architectures[0].seconds, pytest.approx(whole))
    assert "GB of memory" in estimate_text(found)


def test_with_frozen_layers_the_pace_follows_what_steps_cost() -> None:
    """The frozen share jumps from cut to cut: seconds go with a step's multiply-accumulates, not with a pass's."""
    frozen = [0, 0.35, 0.05, 0.3, 0.2, 0.4]

    class Freezing(CandidateTrainer):
        def step_macs(self, architecture: Any) -> int:
            share = frozen[ARCHITECTURES.index(architecture)]
            return int((3 - 2 * share) * architecture.macs)

        def configuration(self, architecture: Any) -> StepConfiguration:
            return replace(super().configuration(architecture), seconds=self.step_macs(architecture) / 3e7)

    trainer = Freezing()
    for architecture, planned in zip(ARCHITECTURES, estimated(asked(0.9), trainer).architectures, strict=True):
        assert planned.seconds == pytest.approx(1000 * trainer.step_macs(architecture) / 3e7)
    assert len(set(trainer.timed)) == 3 < len(ARCHITECTURES) == len(frozen)


@pytest.mark.parametrize(("jobs", "share"), [(1, 1.0), (2, 0.5), (3, 0.5), (4, 0.25)])
def test_folds_side_by_side_take_the_time_of_their_rounds(jobs: int, share: float) -> None:
    alone, beside = (
        estimate(asked(None), ARCHITECTURES, CandidateTrainer(4, count), ARCHITECTURES[:2])  # type: ignore[arg-type]
        for count in (1, jobs)
    )
    for one, other in zip(alone.architectures, beside.architectures, strict=True):
        assert other.seconds == pytest.approx(share * one.seconds)


def test_with_folds_the_answer_is_trained_once_more() -> None:
    found = estimated(asked(None), CandidateTrainer(folds=4))  # type: ignore[arg-type]
    first, second, *_, last = (architecture.seconds for architecture in found.architectures)
    assert found.least == pytest.approx(1.3 * first + second)
    assert found.most == pytest.approx(
        sum(architecture.seconds for architecture in found.architectures) / 2 + 0.3 * last
    )


def test_students_are_in_the_estimate() -> None:
    """With a target the last but one may learn from the deepest; without one the budget holds students as well."""
    for target, more in ((0.9, 1), (None, 0)):
        plain, students = (
            estimated(replace(asked(target), distill=distill), CandidateTrainer())  # type: ignore[arg-type]
            for distill in (False, True)
        )
        assert students.least == plain.least
        assert students.most == pytest.approx(plain.most + more * plain.architectures[-2].seconds)


def test_a_budget_that_does_not_reach_all_networks_is_told() -> None:
    """A tenth of the ladder pays for the first three and a short look at the fourth."""
    question = replace(asked(None), budget=0.1)
    found = estimated(question, CandidateTrainer())  # type: ignore[arg-type]
    whole = sum(each.macs for each in ARCHITECTURES)
    assert sum(each.macs for each in ARCHITECTURES[:3]) > whole / 10  # so the third is only looked at
    reached = [each.name for each in ARCHITECTURES if each.name in found.within_reach]
    assert reached == found.within_reach
    assert f"look at {len(reached)} of {len(ARCHITECTURES)} networks" in estimate_text(found)
    enough = estimated(replace(question, budget=0.5), CandidateTrainer())  # type: ignore[arg-type]
    assert "the budget lets" not in estimate_text(enough)


def test_what_compiling_takes_is_estimated() -> None:
    trainer = CandidateTrainer()
    trainer.paper = StepConfiguration(compiled=True, first=40.0)
    for architecture, planned in zip(ARCHITECTURES, estimated(asked(0.9), trainer).architectures, strict=True):  # type: ignore[arg-type]
        assert planned.seconds >= 40.0 + 1000 * architecture.macs / 1e7 - 1e-6


def test_memory_is_that_of_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def memory() -> float:
        return estimated(asked(0.9), trainer).memory  # type: ignore[arg-type]

    trainer = CandidateTrainer()
    monkeypatch.setattr(plans, "peak_memory", lambda: 10**12)
    monkeypatch.setattr(plans, "available_memory", lambda: 1)  # which lets one image at a time through
    assert memory() == 10**12 + step_bytes(ARCHITECTURES[-1].network, 1)
    monkeypatch.setattr(plans, "choose_device", lambda _: torch.device("cuda"))
    assert memory() == step_bytes(ARCHITECTURES[-1].network, 64)
    trainer.paper = StepConfiguration(micro_batch=16)  # that it came down to
    assert memory() == step_bytes(ARCHITECTURES[-1].network, 16)


def test_memory_that_measuring_takes_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = 10**9

    class Measuring(CandidateTrainer):
        def configuration(self, architecture: Any) -> StepConfiguration:
            nonlocal taken
            taken = 10**12
            return super().configuration(architecture)

    monkeypatch.setattr(plans, "peak_memory", lambda: taken)
    found = estimated(asked(0.9), Measuring())  # type: ignore[arg-type]
    assert found.memory == 10**9 + step_bytes(ARCHITECTURES[-1].network, 64)


def test_a_time_limit_is_the_most_that_it_takes() -> None:
    found = estimated(asked(None), CandidateTrainer(time_left=12_000.0))
    assert found.least < found.most == 12_000
    assert "time limit" not in estimate_text(found)


@pytest.mark.parametrize("left", [30.0, -1.0])
def test_a_time_limit_that_is_too_short_is_told_before_the_first_training(left: float) -> None:
    whole = estimated(asked(None), CandidateTrainer())
    found = estimated(asked(None), CandidateTrainer(time_left=left))
    assert found.least == found.most == found.time_left == max(left, 0)
    assert found.least_without_limit == whole.least
    assert whole.time_left is whole.least_without_limit is None
    first, said = estimate_text(found).splitlines()
    if left > 0:
        assert said.startswith("the time limit leaves 30 s for trainings")
    else:
        assert first.startswith("estimate: nothing more can be trained within the time limit (depth 3: ")
        assert said.endswith("the answer will rest on an unfinished one")
        assert "0.0 s" not in first + said


@pytest.mark.parametrize("left", [math.inf, 30.0, -1.0])
def test_the_line_and_the_table_have_the_same_words_for_the_time(left: float) -> None:
    found = estimated(asked(None), CandidateTrainer(time_left=left))
    time = training_time(found)
    assert ("of training" in time) == (left != -1.0)
    printed = StringIO()
    Console(width=200, file=printed).print(plan_table(found))
    assert estimate_text(found).startswith(f"estimate: {time} (depth 3: ")
    assert f"the search: {time}, at most " in printed.getvalue()


def test_the_first_epoch_is_one_of_the_folds_that_are_trained_first() -> None:
    trainer = CandidateTrainer(folds=4, jobs=2)
    found = estimated(asked(None), trainer)
    first = found.architectures[0]
    seconds = seconds_of_epoch(found, ARCHITECTURES[0], trainer)  # type: ignore[arg-type]
    assert seconds == pytest.approx(first.seconds / 2 / 8**2)


def test_what_was_measured_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPENOUGH_CACHE", str(tmp_path))

    class Lines(Reporter):
        said: ClassVar[list[str]] = []

        def say(self, text: str) -> None:
            self.said.append(text)

    found = deepenough.plan("digits", epochs=2, max_depth=7, folds=1, progress=Lines())
    for architecture in found.architectures:
        (line,) = [text for text in Lines.said if text.startswith(f"{architecture.name}: ")]
        assert re.fullmatch(rf"{architecture.name}: [^()]+, [\d,]+ images/s( \(tried .*\))?", line)


def test_the_record_sets_what_was_expected_beside_what_it_took(finished: Any) -> None:
    found = Record.model_validate_json((finished / "record.json").read_text())
    assert found.plan is not None
    assert [architecture.name for architecture in found.plan.architectures] == [
        architecture.name for architecture in found.search_space
    ]
    assert found.cost is not None
    assert found.plan.seconds == pytest.approx(found.cost.seconds)
    # A pace that is off by ten would be a mistake of ours and no busy machine.
    assert 0.1 < (found.plan.expected or math.nan) / found.plan.seconds < 10
    assert 0 < found.plan.least <= found.plan.most
    assert found.plan.peak is None or found.plan.peak > 50 * 2**20
    for candidate in found.candidates:
        assert candidate.way is not None
        assert candidate.ways
        for training in candidate.trainings:
            assert 0 <= training.waited <= training.seconds
