"""Candidates side by side on Ray against one after the other: the same decisions and weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deepenough import DeepenoughError, fit, record, resume
from deepenough.depth import cluster as clusters
from deepenough.train import Interrupted

WEIGHTS = "model/weights.safetensors"

pytest.importorskip("ray")
pytestmark = pytest.mark.xdist_group("ray")


@pytest.fixture(scope="module")
def options(quick: dict[str, Any]) -> dict[str, Any]:
    """Three rungs, some of which end early, and folds."""
    return {**quick, "max_depth": 11, "epochs": 6}


def decided(folder: Path) -> Any:
    """What a search did and decided, without times."""
    found = record.load(folder)
    assert found.decision is not None
    return (
        found.decision.model_dump(),
        [step.model_dump() for step in found.steps],
        [(c.name, c.state, c.cost, [t.epochs for t in c.trainings], c.decision) for c in found.candidates],
    )


@pytest.mark.parametrize("more", [{}, {"target": 0.75}, {"folds": 2, "max_depth": 7}])
def test_a_cluster_comes_to_the_same_answer(
    more: dict[str, Any], options: dict[str, Any], shapes: Path, cache: Path, tmp_path: Path
) -> None:
    alone = fit(shapes, out=tmp_path / "alone", **options | more).folder
    together = fit(shapes, out=tmp_path / "together", ray="local", **options | more).folder
    assert decided(together) == decided(alone)
    assert (together / WEIGHTS).read_bytes() == (alone / WEIGHTS).read_bytes()


def test_a_candidate_may_be_trained_by_several_processes(
    options: dict[str, Any], shapes: Path, cache: Path, tmp_path: Path
) -> None:
    given = {**options, "max_depth": 7, "threads": 1}
    alone = fit(shapes, out=tmp_path / "alone", **given).record
    together = fit(shapes, out=tmp_path / "together", ray="local", processes=2, **given).record
    assert together.decision is not None
    assert alone.decision is not None
    assert together.decision.depth == alone.decision.depth
    for one, other in zip(alone.candidates, together.candidates, strict=True):
        mine, theirs = one.trainings[0].curve, other.trainings[0].curve
        assert other.name == one.name
        assert [epoch.train_loss for epoch in theirs] == pytest.approx([epoch.train_loss for epoch in mine], rel=1e-3)


def test_a_lost_helper_is_made_up_for(
    options: dict[str, Any], shapes: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / "killed"
    plain = clusters.epochs_of

    def has_a_helper_that_dies(order: Any, held: Any, crew: Any) -> Any:
        from deepenough.depth import crew as there

        helps = there.help_along

        def dies_once(*given: Any) -> None:
            import os

            from deepenough.train.processes import Processes

            if not killed.exists():
                killed.write_text("")
                Processes.order = lambda self, what: os._exit(1)  # type: ignore[method-assign]
            helps(*given)

        there.help_along = dies_once
        yield from plain(order, held, crew)

    monkeypatch.setattr(clusters, "epochs_of", has_a_helper_that_dies)
    given = {**options, "max_depth": 3, "threads": 1}
    found = fit(shapes, out=tmp_path / "together", ray="local", processes=2, **given).record
    assert killed.exists()
    assert found.status == "finished"


def test_a_lost_worker_is_made_up_for(
    options: dict[str, Any], shapes: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / "killed"
    plain = clusters.epochs_of

    def dies_once(order: Any, held: Any, crew: Any) -> Any:
        import os

        for number, trained in enumerate(plain(order, held, crew)):
            if number == 2 and not killed.exists():
                killed.write_text(order.network.name)
                os._exit(1)
            yield trained

    monkeypatch.setattr(clusters, "epochs_of", dies_once)
    together = fit(shapes, out=tmp_path / "together", ray="local", **options).folder
    monkeypatch.undo()
    assert killed.exists()
    assert decided(together) == decided(fit(shapes, out=tmp_path / "alone", **options).folder)


def test_a_search_that_was_stopped_goes_on_with_or_without_a_cluster(
    options: dict[str, Any], shapes: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    plain, calls = clusters.Cluster.train, []

    def stops(self: Any, *given: Any, **named: Any) -> Any:
        calls.append(1)
        return plain(self, *given, **named | ({"stop": lambda: True} if len(calls) == 2 else {}))

    monkeypatch.setattr(clusters.Cluster, "train", stops)
    with pytest.raises(Interrupted, match="--resume"):
        fit(shapes, out=run, ray="local", **options)
    monkeypatch.undo()
    assert decided(resume(run).folder) == decided(fit(shapes, out=tmp_path / "alone", **options).folder)


def test_what_is_wrong_is_said(shapes: Path, options: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(DeepenoughError, match=r"--ray 127\.0\.0\.1:1: nothing answers"):
        fit(shapes, out=tmp_path / "a", ray="127.0.0.1:1", **options)
    with pytest.raises(DeepenoughError, match="4096 processes with"):
        fit(shapes, out=tmp_path / "c", ray="local", processes=4096, **options)
    with pytest.raises(DeepenoughError, match="with --ray"):
        fit(shapes, out=tmp_path / "d", processes=2, **options)
    monkeypatch.setattr(clusters, "find_spec", lambda name: None)
    with pytest.raises(DeepenoughError, match=r"pip install 'deepenough\[cluster\]'"):
        fit(shapes, out=tmp_path / "b", ray="local", **options)
    assert json.loads((tmp_path / "b" / record.FILE).read_text())["status"] == "running"
