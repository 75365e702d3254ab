"""The main job end to end on small pictures: what a run leaves behind, and that the same question has one answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file

import deepenough
from deepenough import DeepenoughError, Record, fit, record, resume
from deepenough.data.images import prepare
from deepenough.data.sources import open_source
from deepenough.experiment.baselines import baselines
from deepenough.model import load
from deepenough.nets import loads, parameters
from deepenough.training.gradient_statistics import STATISTICS_IMAGES

pytestmark = pytest.mark.seconds(25)

Command = Callable[..., tuple[int, str, str]]


def hits(metrics: record.Metrics) -> int:
    return int(np.trace(metrics.confusion))


def test_the_record_is_whole_and_answers(finished: Path) -> None:
    found = Record.model_validate_json((finished / "record.json").read_text(encoding="utf-8"))
    assert found.status == "finished"
    assert found.decision is not None
    assert found.cost is not None
    names = [candidate.name for candidate in found.candidates]
    assert len(names) == len(set(names))
    assert {found.decision.chosen, found.decision.best} <= set(names)
    assert found.candidate(found.decision.chosen).depth == found.decision.depth
    assert [architecture.depth for architecture in found.search_space] == [3, 7]
    assert found.cost.chosen_alone > 0
    assert found.cost.times_chosen == pytest.approx(found.cost.spent / found.cost.chosen_alone)
    assert found.cost.share_of_space == pytest.approx(found.cost.spent / found.cost.whole_space)
    for candidate in found.candidates:
        assert candidate.decision is not None
        assert candidate.decision.top1.count == found.decision_images.count
        assert [len(training.curve) for training in candidate.trainings] == [4]
        assert candidate.cost == sum(training.cost for training in candidate.trainings)


def test_the_spent_cost_is_what_the_recipe_says(finished: Path) -> None:
    """Three forward passes for every image trained on or looked at, one for every image judged, in each epoch."""
    found = record.load(finished)
    train, validation = (sum(found.data.counts[name]) for name in ("train", "validation"))
    for candidate in found.candidates:
        assert candidate.cost == 4 * (3 * (train + STATISTICS_IMAGES) + validation) * candidate.macs


def test_the_parts_are_disjoint_and_the_test_images_are_counted_once(finished: Path, shapes: Path) -> None:
    found, images = record.load(finished), prepare(open_source(shapes))
    parts = [images.split.train, images.split.validation, images.split.test]
    everything = np.concatenate(parts)
    assert len(everything) == len(set(everything)) == len(images) == 180
    assert [sum(found.data.counts[name]) for name in ("train", "validation", "test")] == [len(part) for part in parts]
    assert found.test is not None
    assert found.test.top1.count == len(parts[2]) == sum(map(sum, found.test.confusion))
    assert [a.count for a in found.test.per_class] == np.bincount(images.labels[parts[2]]).tolist()
    assert found.test.top1.value == pytest.approx(hits(found.test) / 36)
    assert found.test.top1.low < found.test.top1.value < found.test.top1.high
    assert found.decision_images.count == len(parts[1])
    assert found.data.fingerprint == images.fingerprint


def test_the_model_is_the_chosen_network(finished: Path) -> None:
    found, model = record.load(finished), deepenough.load(finished)
    assert found.decision is not None
    assert loads(json.dumps(found.network)) == model.network
    assert model.network.name == found.candidate(found.decision.chosen).name
    assert parameters(model.network) == found.candidate(found.decision.chosen).parameters
    assert sum(layer.parameters for layer in found.layers) == parameters(model.network)
    assert model.classes == ("circle", "cross", "square")
    assert sum(p.numel() for p in model.module.parameters()) == parameters(model.network)


def test_mistakes_and_report_lie_in_the_run(finished: Path) -> None:
    found = record.load(finished)
    assert found.test is not None
    assert len(found.mistakes) == min(24, found.test.top1.count - hits(found.test)) > 0
    assert all((finished / mistake.picture).is_file() for mistake in found.mistakes)
    assert all(mistake.truth != mistake.predicted for mistake in found.mistakes)
    assert all((finished / str(name)).is_file() for m in found.mistakes for name in (m.heat, m.truth_heat))
    sure = [mistake.confidence for mistake in found.mistakes]
    assert sure == sorted(sure, reverse=True)
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert found.decision is not None
    assert found.decision.chosen in page


def test_every_class_has_a_right_answer_with_its_heat(finished: Path) -> None:
    found = record.load(finished)
    assert [example.truth for example in found.examples] == ["circle", "cross", "square"]
    for example in found.examples:
        (prediction,) = load(finished).predict(finished / example.picture)
        assert prediction.label == example.truth
        assert prediction.probabilities[0] == pytest.approx(example.confidence, abs=1e-5)
        plain, heated = (Image.open(finished / name) for name in (example.picture, example.heat))
        assert heated.size == tuple(7 * side for side in plain.size)


def test_without_captum_there_is_a_report_without_heat(
    shapes: Path, tmp_path: Path, quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepenough.attribution.methods.find_spec", lambda name: None)
    run = fit(shapes, out=tmp_path / "run", **{**quick, "epochs": 1, "max_depth": 3})
    assert run.record.mistakes
    assert not any(mistake.heat or mistake.truth_heat for mistake in run.record.mistakes)
    assert run.record.examples == []
    assert "deepenough[explain]" in run.report.path.read_text(encoding="utf-8")


def test_every_epoch_tells_the_signals_of_every_layer(finished: Path) -> None:
    for candidate in record.load(finished).candidates:
        assert len(candidate.layers) >= candidate.depth  # shortcuts may have layers of their own
        for row in (row for training in candidate.trainings for row in training.curve):
            assert len(row.gradients) == len(row.activations) == len(candidate.layers)
            assert all(value is not None and value > 0 for value in (*row.gradients, *row.activations))


def test_the_record_names_no_path_of_this_machine(finished: Path) -> None:
    content = json.loads((finished / "record.json").read_text(encoding="utf-8"))
    content.pop("options")  # what was asked, for resuming
    content.pop("command")
    content["data"].pop("source")
    assert str(finished.parent) not in json.dumps(content)


def test_the_baselines_of_the_record_are_those_of_the_same_images(finished: Path, shapes: Path) -> None:
    images, found = prepare(open_source(shapes)), record.load(finished)
    expected = baselines(images, images.split.train, images.split.test, 0)
    assert [(b.name, b.test, b.trained_on) for b in found.baselines] == [(b.name, b.test, 122) for b in expected]
    assert [b.test.count for b in found.baselines] == [36, 36]


def test_the_same_question_has_the_same_answer(
    finished: Path, shapes: Path, tmp_path: Path, quick: dict[str, Any]
) -> None:
    again = fit(shapes, out=tmp_path / "again", **quick)
    first = record.load(finished)
    assert again.record.decision == first.decision
    assert again.record.test == first.test
    name = "model/weights.safetensors"
    assert (tmp_path / "again" / name).read_bytes() == (finished / name).read_bytes()


def test_another_seed_gives_other_weights_and_another_split(
    finished: Path, shapes: Path, tmp_path: Path, quick: dict[str, Any]
) -> None:
    other = fit(shapes, out=tmp_path / "other", seed=1, **{**quick, "epochs": 1})
    first, second = (load_file(run / "model" / "weights.safetensors") for run in (finished, other.folder))
    assert all(candidate.seed == 1 for candidate in other.record.candidates if candidate.role == "search space")
    assert other.record.data.mean != record.load(finished).data.mean
    assert any(name not in second or not np.array_equal(first[name], second[name]) for name in first)


def test_a_target_that_is_met(command: Command, shapes: Path, tmp_path: Path, quick_arguments: list[str]) -> None:
    run = tmp_path / "run"
    status, out, _ = command("fit", shapes, "--target", 0.4, "--out", run, *quick_arguments)
    found = record.load(run)
    assert status == 0
    assert found.decision is not None
    assert found.decision.kind == "shown"
    assert found.decision.target_checks[0].lower >= 0.4
    assert f"report: {run / 'report.html'}" in out
    assert f"deepenough predict {run} IMAGE" in out


def test_a_target_that_nothing_meets(
    command: Command, shapes: Path, tmp_path: Path, quick_arguments: list[str]
) -> None:
    run = tmp_path / "run"
    status, out, _ = command("fit", shapes, "--target", 0.995, "--out", run, *quick_arguments)
    found = record.load(run)
    assert status == 3
    assert found.status == "finished"
    assert found.decision is not None
    assert found.decision.kind == "not met"
    best = max((c for c in found.candidates if c.state == "finished"), key=lambda c: c.decision.top1.value)  # type: ignore[union-attr]
    assert found.decision.chosen == best.name
    assert any("--width 2" in line for line in found.decision.advice)
    assert "99.5%" in out
    assert not deepenough.experiment.fit.Run(run, found).met  # type: ignore[attr-defined]
    assert (run / "model" / "weights.safetensors").is_file()  # the best there is


def test_folds_judge_on_all_images_but_test(shapes: Path, tmp_path: Path, quick: dict[str, Any]) -> None:
    run = fit(shapes, out=tmp_path / "run", **{**quick, "folds": 2, "epochs": 2, "max_depth": 3})
    found = run.record
    assert (found.decision_images.kind, found.decision_images.folds) == ("out-of-fold", 2)
    assert found.decision_images.count == 144
    assert found.candidates[0].decision is not None
    assert found.candidates[0].decision.top1.count == 144
    assert found.cost is not None
    assert found.cost.final == 2 * 3 * (144 + STATISTICS_IMAGES) * found.candidates[0].macs
    assert found.cost.spent == found.cost.final + sum(c.cost for c in found.candidates)
    assert found.cost.chosen_alone == found.cost.final
    assert found.test is not None
    assert found.test.top1.count == 36
    assert found.train is not None
    assert found.train.top1.count == 144


def test_a_time_limit_still_gets_an_answer(
    command: Command, shapes: Path, tmp_path: Path, quick_arguments: list[str]
) -> None:
    status, _, err = command("fit", shapes, "--time-limit", "0.001s", "--out", tmp_path / "run", *quick_arguments)
    found = record.load(tmp_path / "run")
    assert status == 0, err
    assert found.status == "finished"
    assert [candidate.state for candidate in found.candidates] == ["out of time"]
    assert len(found.candidates[0].trainings[0].curve) == 1
    assert found.decision is not None
    assert found.decision.chosen == found.candidates[0].name
    assert deepenough.load(tmp_path / "run").classes == ("circle", "cross", "square")
    assert found.test is not None
    assert not found.baselines  # the limit is over by then, and the page says so
    assert "the time limit is over: baselines on the pixels are left out" in err
    assert "estimate: nothing more can be trained within the time limit" in err
    assert "the time limit of 0.0 s is too short for one epoch of " in " ".join(err.split())
    assert "the time limit of 0.0 s was overrun by " in " ".join(err.split())
    page = (tmp_path / "run" / "report.html").read_text()
    assert "by the estimate nothing more could be trained within the time limit" in page
    assert "Models without depth were not fitted for comparison: the time limit was over." in page


def test_a_run_is_never_written_over(command: Command, finished: Path, shapes: Path) -> None:
    before = (finished / "record.json").read_bytes()
    status, _, err = command("fit", shapes, "--out", finished)
    assert status == 2
    assert "there is a run already; go on with `deepenough fit --resume" in err
    assert (finished / "record.json").read_bytes() == before


def test_runs_without_a_name_get_the_next_number(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    small = {**quick, "epochs": 1, "max_depth": 3}
    assert [str(fit(shapes, **small).folder) for _ in range(2)] == ["runs/shapes-1", "runs/shapes-2"]


def test_a_finished_run_has_nothing_left_to_do(finished: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.name != "report.html"}
    assert resume(finished).record == record.load(finished)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.name != "report.html"} == before


def test_single_augmentation_switches_reach_the_recipe(
    command: Command, shapes: Path, tmp_path: Path, quick_arguments: list[str]
) -> None:
    words = [*quick_arguments, "--epochs", 1, "--max-depth", 3, "--rotation", 7, "--no-flip", "--width", 0.5]
    status, _, err = command("fit", shapes, "--out", tmp_path / "run", *words)
    assert status == 0, err
    found = record.load(tmp_path / "run")
    assert (found.recipe["augment"]["rotation"], found.recipe["augment"]["flip"]) == (7, False)
    assert (found.recipe["epochs"], found.recipe["batch"], found.recipe["lr"]) == (1, 16, 0.1)
    assert [architecture.name for architecture in found.search_space] == ["residual-3-w0.5"]
    assert found.environment["threads"] == "1"


def test_a_family_may_be_given_as_one_word(shapes: Path, tmp_path: Path, quick: dict[str, Any]) -> None:
    run = fit(shapes, out=tmp_path / "run", family="plain", width=0.5, **{**quick, "epochs": 1, "max_depth": 4})
    assert (run.record.question.families, run.record.question.widths) == (["plain"], [0.5])


def test_an_option_that_does_not_exist_is_an_error(shapes: Path) -> None:
    with pytest.raises(DeepenoughError, match=r"option 'margn' is not known; nearest .*margin"):
        fit(shapes, margn=0.1)
