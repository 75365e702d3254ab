"""The switches of `fit` that change what is asked or how it is trained, end to end on small pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import deepenough
from deepenough import fit, record


@pytest.fixture
def short(quick: dict[str, Any]) -> dict[str, Any]:
    return {**quick, "epochs": 2}


@pytest.mark.parametrize("family", ["plain", "inception"])
def test_every_family_answers_and_predicts(family: str, shapes: Path, tmp_path: Path, short: dict[str, Any]) -> None:
    run = fit(shapes, out=tmp_path / family, family=family, **{**short, "max_depth": 8})
    assert {architecture.family for architecture in run.record.search_space} == {family}
    assert run.record.decision is not None
    answers = deepenough.load(run.folder).predict(sorted(shapes.glob("circle/*.png"))[:3])
    assert len(answers) == 3


def test_two_families_and_the_fewest_parameters(shapes: Path, tmp_path: Path, short: dict[str, Any]) -> None:
    asked = {"family": ("residual", "plain"), "minimize": "parameters", "target": 0.3}
    found = fit(shapes, out=tmp_path / "run", **asked, **short).record
    sizes = [architecture.parameters for architecture in found.search_space]
    assert sizes == sorted(sizes)
    assert {architecture.family for architecture in found.search_space} == {"residual", "plain"}
    assert found.decision is not None
    meets = [c.parameters for c in found.candidates if c.decision and c.decision.top1.value >= 0.3]
    assert found.candidate(found.decision.chosen).parameters == min(meets)


def test_balanced_accuracy_is_the_mean_over_classes(
    shapes_in: Callable[..., Path], tmp_path: Path, short: dict[str, Any]
) -> None:
    uneven = shapes_in(tmp_path / "uneven", 40)
    for picture in sorted(uneven.glob("square/*.png"))[12:]:
        picture.unlink()
    options = {"metric": "balanced", "class_weights": True}
    found = fit(uneven, out=tmp_path / "run", **options, **short).record
    assert found.test is not None
    confusion = found.test.confusion
    shares = [row[k] / sum(row) for k, row in enumerate(confusion)]
    assert found.test.balanced == pytest.approx(sum(shares) / len(shares))
    assert found.test.top1.value == pytest.approx(
        sum(row[k] for k, row in enumerate(confusion)) / sum(map(sum, confusion))
    )


def test_training_switches_reach_the_training(shapes: Path, tmp_path: Path, quick: dict[str, Any]) -> None:
    given = {"ema": 0.0, "schedule": "cosine", "optimizer": "adamw", "patience": 1, "clip": 1.0}
    options = {**quick, "lr": 1e-12, "epochs": 6, "max_depth": 3, **given}
    found = fit(shapes, out=tmp_path / "run", **options).record
    assert {name: found.recipe[name] for name in given} == given
    training = found.candidates[0].trainings[0]
    # a rate of nothing never gets better, so that patience ends the training after its second epoch
    assert len(training.curve) == 2


def test_curves_go_to_tensorboard_too(shapes: Path, tmp_path: Path, short: dict[str, Any]) -> None:
    pytest.importorskip("tensorboard")
    run = fit(shapes, out=tmp_path / "run", log="tensorboard", **short)
    assert list(run.folder.rglob("events.out.tfevents.*"))
    assert record.load(run.folder).status == "finished"
