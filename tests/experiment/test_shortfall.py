"""The warnings of a network that a model without depth beats: when they come, and the order of the likely causes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deepenough import fit
from deepenough import record as records
from deepenough.record import Record
from deepenough.record.images import MirroringRecord
from deepenough.record.schema import Accuracy, RunStatus
from deepenough.report.shortfall import likely_causes, shortfalls
from deepenough.search.statistics import exact_interval


def accuracy(right: int, count: int = 100) -> Accuracy:
    low, high = exact_interval(right, count)
    return Accuracy(value=right / count, count=count, low=low, high=high)


def changed(
    finished: Path,
    *,
    test: int,
    train: int = 99,
    baseline: int = 95,
    losses: tuple[float, ...] = (0.9, 0.5, 0.2, 0.1),
    flip: bool = True,
    mirroring: dict[str, Any] | None = None,
) -> Record:
    """The record of a finished run with other figures: images right of 100, and the training losses of its epochs."""
    record = records.load(finished)
    assert record.test is not None
    assert record.train is not None
    assert record.decision is not None
    record.test.top1, record.train.top1 = accuracy(test), accuracy(train)
    record.baselines[0].test, record.baselines[1].test = accuracy(baseline), accuracy(50)
    record.test.confusion = [[40, 0, 0], [0, 30, 0], [0, 0, 30]]
    training = record.candidate(record.decision.chosen).trainings[0]
    template = training.curve[-1]
    training.curve = [template.model_copy(update={"train_loss": loss}) for loss in losses]
    record.recipe["augment"]["flip"] = flip
    record.mirroring = MirroringRecord(on=flip, basis="test", text="", tells=True, **(mirroring or {}))
    return record


def test_nothing_is_said_where_the_network_is_best(finished: Path) -> None:
    assert shortfalls(changed(finished, test=95, baseline=95)) == []
    assert shortfalls(changed(finished, test=96, baseline=90)) == []


def test_a_difference_that_is_not_shown_is_said_to_be_none(finished: Path) -> None:
    (found,) = shortfalls(changed(finished, test=93, baseline=95))
    assert "not shown to be worse" in found
    assert "95.0% against 93.0%" in found
    assert "causes" not in found


def test_a_network_that_only_names_the_most_frequent_class(finished: Path) -> None:
    first, second = shortfalls(changed(finished, test=45, train=45, losses=(1.1, 1.09, 1.1, 1.09)))
    assert "always naming the most frequent class (40.0%)" in first
    assert "linear model on the pixels does better on the test images, 95.0% against 45.0%" in second


def test_a_flip_that_is_shown_to_harm_comes_first(finished: Path) -> None:
    record = changed(finished, test=45, train=50, losses=(1.1, 1.0, 0.8, 0.7), mirroring={"harms": True})
    (found,) = [line for line in shortfalls(record) if "Likely causes" in line]
    assert found.index("(1) mirror images change the class") < found.index("(2) too few epochs")
    record.recipe["augment"]["flip"] = False
    assert not any("mirror" in cause for cause in likely_causes(record, 0.95))


def test_a_network_that_knows_its_training_images_has_too_few(finished: Path) -> None:
    record = changed(finished, test=60, train=100)
    (found,) = likely_causes(record, 0.95)
    assert "too few images" in found
    assert "100.0% of its training images and 60.0% of others" in found


@pytest.mark.parametrize(
    ("losses", "order"),
    [
        ((1.1, 1.0, 0.9, 0.7), ["too few epochs", "the learning rate"]),
        ((1.1, 0.99, 0.98, 0.98), ["the learning rate", "too few epochs"]),
        ((1.1, 0.5, 0.4, 0.2), ["too few epochs"]),
        ((1.05,), ["too few epochs", "the learning rate"]),
    ],
)
def test_a_training_loss_that_still_falls_speaks_for_epochs(
    finished: Path, losses: tuple[float, ...], order: list[str]
) -> None:
    found = likely_causes(changed(finished, test=60, train=62, losses=losses), 0.95)
    assert len(found) == len(order)
    assert all(cause.startswith(begin) for cause, begin in zip(found, order, strict=True))


def test_a_flip_that_could_not_be_tested_comes_last(finished: Path) -> None:
    record = changed(finished, test=60, train=62)
    assert record.mirroring is not None
    record.mirroring.tells = False
    assert "too few images could tell" in likely_causes(record, 0.95)[-1]


def test_records_of_other_versions_have_no_mirroring(finished: Path) -> None:
    record = changed(finished, test=60, train=62)
    record.mirroring = None
    assert not any("mirror" in cause for cause in likely_causes(record, 0.95))


def test_a_run_says_what_was_decided_and_goes_on_with_it(
    shapes: Path, tmp_path: Path, quick: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision is made once: a resumed run takes it from the record, though another would be made now."""
    from deepenough.data import mirroring
    from deepenough.experiment import setup
    from deepenough.experiment.fit import resume

    options = {name: value for name, value in quick.items() if name != "augment"} | {"epochs": 1, "max_depth": 3}
    run = fit(shapes, out=tmp_path / "run", **options)
    before = run.record
    assert before.mirroring is not None
    assert before.mirroring.on is before.data.mirror is before.recipe["augment"]["flip"]
    assert before.mirroring.images == sum(before.data.counts["train"])
    page = run.report.path.read_text(encoding="utf-8")
    assert before.mirroring.text.split(" (")[0].capitalize() in page

    stopped = before.model_copy(deep=True, update={"status": RunStatus.INTERRUPTED})
    records.save(stopped, tmp_path / "run")
    other = mirroring.Mirroring(not before.mirroring.on, mirroring.Basis.TEST, "otherwise")
    monkeypatch.setattr(setup, "decide_mirroring", lambda *given, **more: other)
    after = resume(tmp_path / "run").record
    assert (after.mirroring, after.data, after.recipe) == (before.mirroring, before.data, before.recipe)


def test_one_model_is_and_many_trees_are(finished: Path) -> None:
    record = changed(finished, test=93, baseline=95)
    assert shortfalls(record)[0].startswith("a linear model on the pixels is not shown")
    record.baselines[0].test, record.baselines[1].test = accuracy(50), accuracy(95)
    assert shortfalls(record)[0].startswith("gradient-boosted trees on the pixels are not shown")
    record.baselines[1].test = accuracy(99)
    assert shortfalls(record)[0].startswith("gradient-boosted trees on the pixels do better")
