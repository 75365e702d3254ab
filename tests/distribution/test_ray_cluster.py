"""Candidates side by side on Ray against one after the other: the same decisions and weights.

One search starts its own Ray, as a process's first. The others share one, whose workers have imported everything.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from forkserver import ForkServer

from deepenough import DeepenoughError, fit, record, resume
from deepenough.distribution import ray_executor as executors
from deepenough.distribution.ray_executor import RayCluster, RayExecutor
from deepenough.training.callbacks import Interrupt
from deepenough.training.interrupt import Interrupted

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.seconds(100)

WEIGHTS = "model/weights.safetensors"


@pytest.fixture(scope="module")
def options(quick: dict[str, Any]) -> dict[str, Any]:
    """Three architectures, some of which end early, and folds."""
    return {**quick, "max_depth": 11, "epochs": 6}


@pytest.fixture(scope="module")
def started(cache: Path) -> Iterator[RayExecutor]:
    """A Ray that was started as a search starts it."""
    images: Any = SimpleNamespace(fingerprint="", blocks=None, in_blocks=False, classes=("cat", "dog"))
    with executors.ray_executor(RayCluster("local"), images, 1, "cpu") as found:
        yield found


@pytest.fixture
def _shared(started: RayExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """What starts a Ray here gets the one that was started, which goes on after it."""
    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)


@pytest.fixture(scope="module")
def unaided(options: dict[str, Any], shapes: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What this machine comes to without Ray."""
    return fit(shapes, out=tmp_path_factory.mktemp("unaided") / "run", **options).folder


def decided(folder: Path) -> Any:
    """What a search did and decided, without times."""
    found = record.load(folder)
    assert found.decision is not None
    return (
        found.decision.model_dump(),
        [step.model_dump() for step in found.steps],
        [(c.name, c.state, c.cost, [t.epochs for t in c.trainings], c.decision) for c in found.candidates],
    )


def test_a_search_that_starts_a_ray_comes_to_the_same_answer(
    forks: ForkServer, quick_arguments: list[str], options: dict[str, Any], shapes: Path, tmp_path: Path
) -> None:
    together = tmp_path / "together"
    words = [*quick_arguments, "--max-depth", options["max_depth"], "--epochs", options["epochs"], "--target", 0.75]
    done = forks.run(["-m", "deepenough", "fit", shapes, "--out", together, "--ray", "local", *words])
    assert done.returncode == 0, done.stderr
    assert "Token authentication" not in done.stdout + done.stderr  # a process's first Ray says so
    alone = fit(shapes, out=tmp_path / "alone", **options, target=0.75).folder
    assert decided(together) == decided(alone)
    assert (together / WEIGHTS).read_bytes() == (alone / WEIGHTS).read_bytes()


@pytest.mark.usefixtures("_shared")
@pytest.mark.parametrize("more", [{"folds": 2, "max_depth": 7}, {"lr": 1e8, "epochs": 2, "max_depth": 7}])
def test_a_cluster_comes_to_the_same_answer(
    more: dict[str, Any], options: dict[str, Any], shapes: Path, cache: Path, tmp_path: Path
) -> None:
    alone = fit(shapes, out=tmp_path / "alone", **options | more).folder
    together = fit(shapes, out=tmp_path / "together", ray="local", **options | more).folder
    assert decided(together) == decided(alone)
    assert (together / WEIGHTS).read_bytes() == (alone / WEIGHTS).read_bytes()


@pytest.mark.usefixtures("_shared")
def test_a_candidate_may_be_trained_by_several_processes(
    options: dict[str, Any], shapes: Path, cache: Path, tmp_path: Path
) -> None:
    given = {**options, "max_depth": 7, "threads": 1, "optimizer": "sgd"}  # Muon makes more of roundings
    alone = fit(shapes, out=tmp_path / "alone", **given).record
    together = fit(shapes, out=tmp_path / "together", ray="local", processes=2, **given).record
    assert together.decision is not None
    assert alone.decision is not None
    assert together.decision.depth == alone.decision.depth
    for one, other in zip(alone.candidates, together.candidates, strict=True):
        mine, theirs = one.trainings[0].curve, other.trainings[0].curve
        assert other.name == one.name
        assert [epoch.train_loss for epoch in theirs] == pytest.approx([epoch.train_loss for epoch in mine], rel=1e-3)


@pytest.mark.usefixtures("_shared")
def test_a_lost_helper_is_made_up_for(
    options: dict[str, Any], shapes: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / "killed"
    plain = executors.epochs_of

    def has_a_helper_that_dies(order: Any, held: Any, workers: Any) -> Any:
        from deepenough.distribution import ray_workers as there

        helps = there.follow_first_worker

        def dies_once(*given: Any) -> None:
            import os

            from deepenough.distribution.torchrun import TorchrunGroup

            if not killed.exists():
                killed.write_text("")
                TorchrunGroup.broadcast_task = lambda self, what: os._exit(1)  # type: ignore[method-assign]
            helps(*given)

        there.follow_first_worker = dies_once
        yield from plain(order, held, workers)

    monkeypatch.setattr(executors, "epochs_of", has_a_helper_that_dies)
    given = {**options, "max_depth": 3, "threads": 1}
    found = fit(shapes, out=tmp_path / "together", ray="local", processes=2, **given).record
    assert killed.exists()
    assert found.status == "finished"


@pytest.mark.usefixtures("_shared")
def test_a_group_of_workers_that_runs_out_of_memory_is_begun_anew(
    options: dict[str, Any], shapes: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, plain = tmp_path / "begun", executors.epochs_of

    def with_little_memory(order: Any, held: Any, workers: Any) -> Any:
        from deepenough.training.step import Step

        step = Step.__call__

        def short(self: Any, batch: Any, micro_batch: int = 0, stop: bool = False) -> Any:
            if micro_batch == 0:
                raise torch.OutOfMemoryError("simulated")
            return step(self, batch, micro_batch, stop)

        Step.__call__ = short  # type: ignore[method-assign]
        with begun.open("a") as file:
            file.write(f"{order.recipe.micro_batch} ")
        yield from plain(order, held, workers)

    monkeypatch.setattr(executors, "epochs_of", with_little_memory)
    given = {**options, "max_depth": 3, "threads": 1, "batch": 32}
    found = fit(shapes, out=tmp_path / "together", ray="local", processes=2, **given).record
    assert begun.read_text() == "0 8 "
    assert found.status == "finished"


@pytest.mark.usefixtures("_shared")
def test_a_lost_worker_is_made_up_for(
    options: dict[str, Any], shapes: Path, unaided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = tmp_path / "killed"
    plain = executors.epochs_of

    def dies_once(order: Any, held: Any, workers: Any) -> Any:
        import os

        for number, trained in enumerate(plain(order, held, workers)):
            if number == 2 and not killed.exists():
                killed.write_text(order.network.name)
                os._exit(1)
            yield trained

    monkeypatch.setattr(executors, "epochs_of", dies_once)
    together = fit(shapes, out=tmp_path / "together", ray="local", **options).folder
    monkeypatch.undo()
    assert killed.exists()
    assert decided(together) == decided(unaided)
    assert (together / WEIGHTS).read_bytes() == (unaided / WEIGHTS).read_bytes()


@pytest.mark.usefixtures("_shared")
def test_a_search_that_was_stopped_goes_on_with_or_without_a_cluster(
    options: dict[str, Any], shapes: Path, unaided: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    plain, calls = RayExecutor.run, []

    def stops(self: Any, spec: Any, folder: Path, callbacks: Any, **named: Any) -> Any:
        calls.append(self)
        return plain(self, spec, folder, [*callbacks, *([Interrupt(lambda: True)] * (len(calls) == 2))], **named)

    monkeypatch.setattr(RayExecutor, "run", stops)
    with pytest.raises(Interrupted, match="--resume"):
        fit(shapes, out=run, ray="local", **options)
    calls[0].close()  # a Ray of its own would have ended with the search, and all that ran ahead with it
    assert decided(resume(run).folder) == decided(unaided)


@pytest.mark.usefixtures("_shared")
def test_what_is_wrong_is_said(shapes: Path, options: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(DeepenoughError, match=r"--ray 127\.0\.0\.1:1: nothing answers"):
        fit(shapes, out=tmp_path / "a", ray="127.0.0.1:1", **options)
    with pytest.raises(DeepenoughError, match=r"ray job submit"):
        fit(shapes, out=tmp_path / "e", ray="ray://127.0.0.1:1", **options)
    with pytest.raises(DeepenoughError, match="12 processes with"):
        fit(shapes, out=tmp_path / "c", ray="local", processes=12, **options)
    with pytest.raises(DeepenoughError, match="4096 processes for batches of"):
        fit(shapes, out=tmp_path / "f", ray="local", processes=4096, **options)
    with pytest.raises(DeepenoughError, match="with --ray"):
        fit(shapes, out=tmp_path / "d", processes=2, **options)
    monkeypatch.setattr(executors, "find_spec", lambda name: None)
    with pytest.raises(DeepenoughError, match=r"pip install 'deepenough\[cluster\]'"):
        fit(shapes, out=tmp_path / "b", ray="local", **options)
    assert not any(tmp_path.iterdir())  # nothing is in the way of a second try


@pytest.mark.skipif(os.name != "posix", reason="niceness is POSIX's")
def test_workers_on_this_machine_are_no_slower_than_a_training_without_ray(started: RayExecutor) -> None:
    assert ray.get(ray.remote(lambda: os.nice(0)).remote()) == os.nice(0)
