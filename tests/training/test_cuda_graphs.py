"""Steps that are replayed. On the CPU something stands in for CUDA's recordings; `test_gpu.py` has the real ones."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from small import make_images, make_network, train

from deepenough.data.augment import Augment
from deepenough.errors import DeepenoughError
from deepenough.training import cuda_graphs as graphs
from deepenough.training import perform as performing
from deepenough.training.cuda_graphs import EAGER_BATCHES, CudaGraphs
from deepenough.training.feed import Batch
from deepenough.training.process_group import ALONE, ProcessGroup
from deepenough.training.recipe import Recipe
from deepenough.training.step import Step, uses_cuda_graphs

TRAIN, HELD_OUT = np.arange(74), np.arange(74, 96)  # batches of 15 and of 14
RECIPE = Recipe(
    epochs=6, batch=16, lr=0.05, clip=1.0, label_smoothing=0.1, device="cpu",
    augment=Augment(rotation=10, flip=True, mixup=0.2),
)  # fmt: skip


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Has steps be recorded, with what a graph does on a GPU: recording computes nothing, and whatever is replayed
    reads and writes where it did when it was recorded. The number of replays of each recording."""
    steps: list[Step] = []
    replays: list[int] = []
    plain = performing.make_step

    def make_step(*given: Any) -> Step:
        step = plain(*given)
        step.cuda_graphs = CudaGraphs(step.parameters)
        steps.append(step)
        return step

    def recorded(work: Callable[[], torch.Tensor], pool: Any) -> tuple[Callable[[], None], torch.Tensor, Any]:
        step, number = (
            next(each for each in reversed(steps) if each.cuda_graphs and each.cuda_graphs.counts),
            len(replays),
        )
        before, draws = copy.deepcopy(step.model.state_dict()), torch.get_rng_state()
        tally = work()
        places = [tally, *(parameter.grad for parameter in step.parameters)]
        step.model.load_state_dict(before)
        torch.set_rng_state(draws)
        for place in places:
            place.fill_(torch.nan)
        replays.append(0)

        def replay() -> None:
            replays[number] += 1
            for parameter in step.parameters:
                parameter.grad = None
            for place, value in zip(places, [work(), *(p.grad for p in step.parameters)], strict=True):
                place.copy_(value)

        return replay, tally, pool

    monkeypatch.setattr(performing, "make_step", make_step)
    monkeypatch.setattr(graphs, "capture", recorded)
    return replays


def trained(folder: Path, **given: Any) -> Any:
    return train(make_network(), replace(RECIPE, **given), make_images(), TRAIN, HELD_OUT, folder, seed=1)


@pytest.mark.parametrize(
    "given", [{}, {"micro_batch": 6}, {"precision": "bfloat16"}, {"optimizer": "adamw", "lr": 0.01, "ema": 0.0}]
)
def test_replayed_steps_are_the_same(given: Any, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    expected = trained(tmp_path / "eager", **given)
    replays = request.getfixturevalue("recordings")
    found = trained(tmp_path / "replayed", **given)
    assert all(torch.equal(tensor, found.state[name]) for name, tensor in expected.state.items())
    assert [epoch.train_loss for epoch in found.curve] == [epoch.train_loss for epoch in expected.curve]
    assert sorted(replays) == [
        6 * 1 - EAGER_BATCHES,
        6 * 4 - EAGER_BATCHES,
    ]  # an epoch has four batches of one size and one of another


def test_smaller_images_have_graphs_of_their_own(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    expected = trained(tmp_path / "eager", initial_scale=0.5)
    replays = request.getfixturevalue("recordings")
    found = trained(tmp_path / "replayed", initial_scale=0.5)
    assert all(torch.equal(tensor, found.state[name]) for name, tensor in expected.state.items())
    assert sorted(replays) == 2 * [3 * 1 - EAGER_BATCHES] + 2 * [3 * 4 - EAGER_BATCHES]  # three epochs at each size


def test_graphs_of_smaller_images_are_freed_with_the_first_of_full_size() -> None:
    recorded = CudaGraphs([])
    recorded.graphs[15], recorded.layout = "of smaller images", (1, 1, 4, 4)  # type: ignore[assignment]
    batch = Batch(torch.zeros(15, 1, 8, 8), torch.zeros(15, 4), 0, 15)
    recorded(lambda batch, pieces: torch.tensor(float(pieces)), batch, 1)
    assert recorded.graphs == {}
    assert recorded.counts == {15: 1}


def test_where_nothing_can_be_recorded_training_goes_on(
    tmp_path: Path, recordings: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def recorded(work: Callable[[], torch.Tensor], pool: Any) -> Any:
        draws = torch.get_rng_state()
        work()
        torch.set_rng_state(draws)
        try:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nand more")
        except RuntimeError:
            raise RuntimeError("operation failed due to a previous error during capture") from None

    # A recording computes nothing, also where it fails; this one does, but with frozen norms nothing is left of it.
    monkeypatch.setattr(graphs, "capture", recorded)
    given = {"freeze_norms": True, "augment": Augment()}
    with pytest.warns(
        UserWarning, match=r"can't record them \(CUDA error: operation not permitted when .* capturing\)"
    ):
        found = trained(tmp_path / "failing", **given)
    monkeypatch.undo()
    expected = trained(tmp_path / "eager", **given)
    assert all(torch.equal(tensor, found.state[name]) for name, tensor in expected.state.items())


def test_where_memory_runs_out_recordings_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """They hold on to what the other size of batch needs: as many images as before go through at once without them."""
    expected = trained(tmp_path / "eager")
    replays = request.getfixturevalue("recordings")
    eager = Step.gradient
    short: list[int] = []

    def gradient(step: Step, batch: Batch, pieces: int) -> torch.Tensor:
        if len(batch.images) == 14 and step.cuda_graphs and step.cuda_graphs.graphs and not short:
            short.append(pieces)
            raise torch.OutOfMemoryError("CUDA out of memory")
        return eager(step, batch, pieces)

    monkeypatch.setattr(Step, "gradient", gradient)
    found = trained(tmp_path / "short")
    assert short == [1]
    assert replays == [4 - EAGER_BATCHES]  # of the first epoch, before its last batch, which is the smaller one
    assert all(torch.equal(tensor, found.state[name]) for name, tensor in expected.state.items())
    short[:] = [0]
    monkeypatch.setattr(Step, "gradient", never)
    with pytest.raises(DeepenoughError, match="with 1 image at once"):
        trained(tmp_path / "pruned")


def test_a_recording_that_fails_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is computed at once without it, and needs the memory."""
    made: list[weakref.ref[torch.Tensor]] = []
    kept: list[bool] = []

    def recorded(work: Callable[[], torch.Tensor], pool: Any) -> Any:
        tally = work()
        made.append(weakref.ref(tally))
        raise torch.OutOfMemoryError("CUDA out of memory")

    def compute(batch: Batch, pieces: int) -> torch.Tensor:
        kept.extend(each() is not None for each in made)
        return torch.zeros(4)

    monkeypatch.setattr(graphs, "capture", recorded)
    cuda_graphs, batch = CudaGraphs([]), Batch(torch.zeros(4, 1, 2, 2), torch.zeros(4, 3), 0, 4)
    gc.disable()
    try:
        for _ in range(EAGER_BATCHES):
            cuda_graphs(compute, batch, 1)
        with pytest.warns(UserWarning, match=r"can't record them \(CUDA out of memory\)"):
            cuda_graphs(compute, batch, 1)
    finally:
        gc.enable()
    assert kept == [False]


def test_the_range_test_is_not_recorded(tmp_path: Path, recordings: list[int]) -> None:
    trained(tmp_path, lr=None)
    assert sorted(recordings) == [6 * 1 - EAGER_BATCHES, 6 * 4 - EAGER_BATCHES]


def never(step: Step, batch: Batch, pieces: int) -> torch.Tensor:
    raise torch.OutOfMemoryError("CUDA out of memory")


def test_recordings_go_where_batches_go_through_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, Any]] = []

    def recorded(work: Callable[[], torch.Tensor], pool: Any) -> Any:
        made.append((len(made), pool))
        tally = work()
        return lambda: None, tally, pool or f"pool {len(made)}"

    monkeypatch.setattr(graphs, "capture", recorded)
    cuda_graphs = CudaGraphs([])
    for pieces in (1, 1, 1, 1, 2, 2, 2):
        batch = Batch(torch.zeros(4, 1, 2, 2), torch.zeros(4, 3), 0, 4)
        cuda_graphs(lambda batch, pieces: torch.full((4,), float(pieces)), batch, pieces)
    assert made == [(0, None), (1, None)]
    assert cuda_graphs.graphs[4].tally.tolist() == [2.0] * 4
    assert cuda_graphs.disable()
    assert not cuda_graphs.graphs
    assert not cuda_graphs.disable()


def test_steps_are_recorded_on_nvidias_gpus_and_alone() -> None:
    assert uses_cuda_graphs(torch.device("cuda"), ALONE)
    assert not uses_cuda_graphs(torch.device("cpu"), ALONE)
    assert not uses_cuda_graphs(torch.device("mps"), ALONE)
    two: ProcessGroup = SimpleNamespace(size=2)  # type: ignore[assignment]
    assert not uses_cuda_graphs(torch.device("cuda"), two)
