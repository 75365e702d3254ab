"""`fit --distill` from images to page, and its runs when they go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from unfinished_run import make_unfinished

from deepenough import Run, fit, load, resume
from deepenough.distribution import process_executor
from deepenough.errors import DamageWarning
from deepenough.files import read_checked_json
from deepenough.report.cost_text import cost
from deepenough.report.tables import answer
from deepenough.search.architectures import Architecture
from deepenough.search.enough_rules import Assessment
from deepenough.search.enough_search import EnoughSearch
from deepenough.search.evidence import Evidence
from deepenough.search.question import Role

pytestmark = pytest.mark.seconds(60)

WEIGHTS = "model/weights.safetensors"
STUDENT, TEACHER = "residual-3-distilled", "residual-7"


def next_student(search: EnoughSearch) -> Architecture | None:
    done = {candidate.name for candidate in search.tried}
    small, deep = search.search_space
    return small.distilled_from(deep) if TEACHER in done and STUDENT not in done else None


def student_or_best(found: Assessment) -> Evidence:
    return max(found.finished, key=lambda each: (each.architecture.teacher is not None, each.accuracy))


@pytest.fixture(autouse=True, scope="module")
def _depth_7_teaches_depth_3_which_is_shipped() -> Iterator[None]:
    """Whatever so short trainings on so few images come to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(EnoughSearch, "_next_student", next_student)
        patch.setattr(Assessment, "chosen", property(student_or_best))
        yield


@pytest.fixture(scope="module")
def options(quick: dict[str, Any]) -> dict[str, Any]:
    return {**quick, "folds": 2, "epochs": 2, "augment": "standard", "budget": 3.0, "margin": 0.1, "distill": True}


@pytest.fixture(scope="module")
def run(shapes: Path, cache: Path, options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return fit(shapes, out=tmp_path_factory.mktemp("distilled") / "run", **options)


def test_a_distilled_network_is_another_candidate_and_is_shipped_as_such(run: Run) -> None:
    record = run.record
    candidates = {each.name: each for each in record.candidates}
    assert [*candidates][:3] == ["residual-3", TEACHER, STUDENT]
    student = candidates[STUDENT]
    assert (student.role, student.teacher, student.depth) == (Role.DISTILLED, TEACHER, 3)
    assert all(each.teacher is None for each in record.candidates if each.role == "search space")
    assert student.cost > candidates["residual-3"].cost
    assert student.trainings[0].curve != candidates["residual-3"].trainings[0].curve
    decision = record.decision
    assert decision is not None
    assert decision.chosen == STUDENT
    assert {STUDENT, "residual-3", TEACHER} <= {pair.candidate for pair in decision.comparisons}
    assert json.loads((run.folder / "model" / "network.json").read_text())["name"] == STUDENT
    assert load(run.folder).network.name == STUDENT


def test_first_screen_and_page_say_that_it_was_distilled_and_from_which_network(run: Run) -> None:
    said = answer(run.record).plain
    assert said.startswith(f"Depth 3, distilled from {TEACHER}, is")
    assert f"depth 3 (distilled from {TEACHER})" in said
    assert "times training its teacher and the chosen network alone" in cost(run.record)
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert f"Depth 3, distilled from {TEACHER}, is" in page
    assert f"<small>distilled, taught by {TEACHER}</small>" in page
    assert "Stars are networks that also learned from the logits of a deeper one" in page


def test_its_cost_has_the_teacher_s_in_it(run: Run) -> None:
    spent, final = run.record.cost, run.folder / "candidates"
    assert spent is not None
    trained = [read_checked_json(final / f"{name}-final" / "result.json") for name in (TEACHER, STUDENT)]
    assert spent.final == spent.chosen_alone == sum(each["macs"] for each in trained)
    assert spent.spent == spent.final + sum(each.cost for each in run.record.candidates)
    assert not (final / f"{STUDENT}.way.json").exists()  # it computes as depth 3 does


def damaged(file: Path) -> bytes:
    before = file.read_bytes()
    file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    return before


def test_a_run_goes_on_to_the_same_bits_also_where_its_teacher_was_damaged(run: Run, tmp_path: Path) -> None:
    again = make_unfinished(Path(shutil.copytree(run.folder, tmp_path / "run")))
    candidates = again / "candidates"
    shutil.rmtree(candidates / f"{STUDENT}-final")
    shutil.rmtree(candidates / STUDENT / "fold1")
    teachers = [
        candidates / f"{TEACHER}-final" / "weights.safetensors",
        candidates / TEACHER / "fold1" / "weights.safetensors",
    ]
    before = [damaged(file) for file in teachers]
    with pytest.warns(DamageWarning, match="training it again"):
        found = resume(again)
    assert [file.read_bytes() for file in teachers] == before
    assert (again / WEIGHTS).read_bytes() == (run.folder / WEIGHTS).read_bytes()
    assert found.record.decision == run.record.decision


def test_side_by_side_it_comes_to_the_same(
    shapes: Path, run: Run, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_executor, "WORTH_STARTING", 0.0)
    found = fit(shapes, out=tmp_path / "run", **{**options, "threads": 2})
    assert found.record.environment["jobs"] == "2"
    assert (found.folder / WEIGHTS).read_bytes() == (run.folder / WEIGHTS).read_bytes()
    assert found.record.decision == run.record.decision
