"""What a training does."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import train

from deepenough.data.augment import Augment
from deepenough.errors import DeepenoughError
from deepenough.nets import macs
from deepenough.nets.build import build
from deepenough.training import perform as performing
from deepenough.training.callbacks import Moment, epochs_without_gain
from deepenough.training.checkpoint import newest_checkpoint
from deepenough.training.curve import HELD_OUT
from deepenough.training.gradient_statistics import STATISTICS_IMAGES
from deepenough.training.interrupt import Interrupted
from deepenough.training.loss import Objective
from deepenough.training.lr_range_test import STEPS, choose_lr, range_test
from deepenough.training.metrics import Scores
from deepenough.training.process_group import ALONE
from deepenough.training.recipe import Recipe
from deepenough.training.result import load_result
from deepenough.training.spec import TrainingSpec
from deepenough.training.tensorboard import TensorBoard

PLAIN = Recipe(epochs=3, batch=16, augment=Augment(), lr=0.05)


def go(network: Any, images: Any, recipe: Recipe, folder: Path, count: int = 64, **more: Any) -> Any:
    return train(network, recipe, images, np.arange(count), np.arange(64, 96), folder, **{"seed": 0, **more})


def test_it_learns_32_images_by_heart(images: Any, network: Any, tmp_path: Path) -> None:
    recipe = replace(PLAIN, epochs=40, lr=None, label_smoothing=0.0)
    index = np.arange(32)
    trained = train(network, recipe, images, index, index, tmp_path, seed=0)
    assert trained.curve[-1].top1 == 1.0
    assert trained.curve[-1].loss < 0.3
    assert (trained.probabilities.argmax(1) == images.labels[:32]).all()


def test_the_account_adds_up(images: Any, network: Any, tmp_path: Path) -> None:
    trained = go(network, images, PLAIN, tmp_path / "given")
    forward = macs(network)
    assert (trained.steps, trained.epochs, trained.ended) == (12, 3, "finished")
    assert trained.overhead_macs == forward * 3 * (32 + 3 * STATISTICS_IMAGES)
    assert trained.macs == 3 * forward * 3 * 64 + trained.overhead_macs
    assert [epoch.epoch for epoch in trained.curve] == [1, 2, 3]
    assert trained.seconds >= sum(epoch.seconds for epoch in trained.curve) > 0
    last = trained.curve[-1]
    assert last.top1 == (trained.probabilities.argmax(1) == images.labels[64:]).mean()
    scores = Scores.of(trained.probabilities, images.labels[64:], 4)
    assert all(getattr(last, name) == getattr(scores, name) for name in HELD_OUT)
    np.testing.assert_allclose(trained.probabilities.sum(1), 1, rtol=1e-5)
    tested = go(network, images, replace(PLAIN, lr=None), tmp_path / "tested")
    steps, rest = divmod(tested.overhead_macs - trained.overhead_macs, 3 * forward * 16)
    assert rest == 0
    assert 10 <= steps <= STEPS


def test_the_result_on_disk_is_the_result(images: Any, network: Any, tmp_path: Path) -> None:
    trained = go(network, images, PLAIN, tmp_path)
    loaded = load_result(tmp_path, network)
    assert loaded is not None
    assert (loaded.curve, loaded.macs, loaded.seconds) == (trained.curve, trained.macs, trained.seconds)
    assert all(torch.equal(loaded.state[name], trained.state[name]) for name in trained.state)
    assert (loaded.probabilities == trained.probabilities).all()
    build(network, 1).load_state_dict(loaded.state)


def test_it_starts_from_given_weights(images: Any, network: Any, tmp_path: Path) -> None:
    given = build(network, 77).state_dict()
    recipe = replace(PLAIN, lr=1e-12, ema=0.0, epochs=1)
    trained = go(network, images, recipe, tmp_path, start=given)
    for name, tensor in trained.state.items():
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(tensor, given[name], rtol=1e-5, atol=1e-7)


def test_without_held_out_images_there_is_no_accuracy(images: Any, network: Any, tmp_path: Path) -> None:
    index = np.arange(20)
    trained = train(network, PLAIN, images, index, np.empty(0, np.int64), tmp_path, seed=0)
    assert math.isnan(trained.curve[-1].top1)
    assert trained.probabilities.shape == (0, 4)
    assert math.isnan(load_result(tmp_path, network).curve[-1].loss)  # type: ignore[union-attr]


def test_no_training_images_is_an_error(images: Any, network: Any, tmp_path: Path) -> None:
    with pytest.raises(DeepenoughError, match="no training images"):
        train(network, PLAIN, images, np.empty(0, np.int64), np.arange(4), tmp_path, seed=0)


@pytest.mark.parametrize("schedule", ["constant", "onecycle"])
def test_a_loss_that_is_not_finite_keeps_the_last_good_state(
    images: Any, network: Any, tmp_path: Path, schedule: str
) -> None:
    recipe = replace(PLAIN, lr=1e30, schedule=schedule, warmup=0.0, ema=0.0)
    trained = go(network, images, recipe, tmp_path, checkpoint_steps=1)
    assert trained.ended == "not finite"
    assert trained.steps < 12
    assert trained.lr == 1e30
    assert trained.macs >= 3 * macs(network) * 16  # what was thrown away was paid for
    assert all(bool(torch.isfinite(tensor.float()).all()) for tensor in trained.state.values())
    assert np.isfinite(trained.probabilities).all()
    assert go(network, images, recipe, tmp_path).ended == "not finite"


def test_early_stopping_ends_after_its_patience(images: Any, network: Any, tmp_path: Path) -> None:
    recipe = replace(PLAIN, lr=1e-9, epochs=9, patience=2, ema=0.0, schedule="constant")
    frozen = replace(recipe, patience=0)
    trained = go(network, images, recipe, tmp_path / "a")
    whole = go(network, images, frozen, tmp_path / "b")
    tops = [epoch.top1 for epoch in whole.curve]
    expected = next((n for n in range(1, 9) if n - 1 - tops[:n].index(max(tops[:n])) >= 2), 9)
    assert trained.epochs == expected
    assert trained.ended == ("early" if expected < 9 else "finished")
    assert epochs_without_gain(whole.curve[:1]) == 0


def test_progress_counts_every_step(images: Any, network: Any, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    go(network, images, PLAIN, tmp_path, progress=lambda done, total, epoch: seen.append((done, total)))
    assert sorted({done for done, _ in seen}) == list(range(1, 13))
    assert {total for _, total in seen} == {12}


def test_images_of_a_last_batch_of_one_still_count(images: Any, network: Any, tmp_path: Path) -> None:
    trained = go(network, images, PLAIN, tmp_path, count=33)
    assert trained.steps == 9
    assert trained.macs - trained.overhead_macs == 3 * macs(network) * 3 * 33


def test_the_range_test_is_a_function_of_its_seed(images: Any, network: Any, tmp_path: Path) -> None:
    recipe = replace(PLAIN, lr=None, epochs=1)
    one, two = (go(network, images, recipe, tmp_path / name) for name in "ab")
    assert one.lr == two.lr
    assert 1e-3 <= one.lr <= 3


def test_the_range_test_picks_below_the_smallest_loss() -> None:
    lrs = [0.001, 0.01, 0.1, 1.0]
    assert choose_lr(lrs, [2.3, 2.0, 1.5, math.inf], divisor=4.0) == pytest.approx(0.025)
    assert choose_lr(lrs, [2.3, 9.0, math.inf, math.inf], divisor=4.0) == 0.001
    assert choose_lr(lrs[:1], [math.inf], divisor=4.0) == 0.001


def test_a_range_test_without_memory_comes_down_and_the_training_with_it(
    images: Any, network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(PLAIN, lr=None)
    expected = go(network, images, replace(recipe, micro_batch=4), tmp_path / "expected")
    tried: list[int] = []

    def scarce(make: Any, feed: Any, recipe: Recipe) -> Any:
        tried.append(recipe.micro_batch)
        if not 0 < recipe.micro_batch <= most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes")
        return range_test(make, feed, recipe)

    def kill(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(performing, "range_test", scarce)
    most = 4
    with pytest.raises(KeyboardInterrupt):
        go(network, images, recipe, tmp_path / "found", progress=kill)
    saved = newest_checkpoint(tmp_path / "found")
    assert saved is not None
    assert (saved[1]["step"], saved[1]["micro_batch"], saved[1]["lr"]) == (0, 4, expected.lr)
    found = go(network, images, recipe, tmp_path / "found")
    assert tried == [0, 8, 4]
    assert all(torch.equal(tensor, found.state[name]) for name, tensor in expected.state.items())
    most = 0
    with pytest.raises(DeepenoughError, match="out of memory with 1 image at once"):
        go(network, images, recipe, tmp_path / "pruned")


def test_other_errors_of_a_range_test_stay(
    images: Any, network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(performing, "range_test", broken)
    with pytest.raises(RuntimeError, match="broken"):
        go(network, images, replace(PLAIN, lr=None), tmp_path)


def test_the_range_test_is_not_compiled(
    images: Any, network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Any] = []
    monkeypatch.setattr(torch, "compile", lambda model, **options: compiled.append(model) or model)
    go(network, images, replace(PLAIN, lr=None, epochs=1, compiled=True), tmp_path)
    assert len(compiled) == 1


@contextmanager
def overflow(at: int) -> Iterator[None]:
    """The loss of one step, counted from 1, is no number."""
    plain = performing.make_step

    def make_step(*given: Any) -> Any:
        step, calls = plain(*given), itertools.count(1)
        step.forward = lambda pixels: step.model(pixels) * (math.inf if next(calls) == at else 1)
        return step

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(performing, "make_step", make_step)
        yield


def test_a_loss_that_float16_forgives_ends_no_training(images: Any, network: Any, tmp_path: Path) -> None:
    recipe = replace(PLAIN, precision="float16")
    with overflow(at=6):
        trained = go(network, images, recipe, tmp_path / "saved", checkpoint_steps=1)
    assert trained.ended == "finished"
    assert [math.isfinite(epoch.train_loss) for epoch in trained.curve] == [True, False, True]
    calls = itertools.count(1)
    with overflow(at=6), pytest.raises(Interrupted, match="stopped at step 6"):
        go(network, images, recipe, tmp_path / "stopped", stop=lambda: next(calls) == 6)
    resumed = go(network, images, recipe, tmp_path / "stopped")
    assert all(torch.equal(tensor, resumed.state[name]) for name, tensor in trained.state.items())


@pytest.mark.parametrize("how", [{"checkpoint_steps": 1}, {"stop": lambda: True}])
def test_a_loss_that_nothing_forgives_ends_a_training(
    images: Any, network: Any, tmp_path: Path, how: dict[str, Any]
) -> None:
    with overflow(at=1):
        assert go(network, images, PLAIN, tmp_path, **how).ended == "not finite"


def test_weights_that_are_no_numbers_are_never_forgiven(network: Any) -> None:
    spec = TrainingSpec(network, replace(PLAIN, precision="float16"), np.arange(4), np.arange(4), seed=0)
    state, _ = performing.new_state(spec, Objective(), torch.device("cpu"), ALONE)
    state.tally += math.nan
    assert state.finite()
    last = torch.amp.GradScaler("cpu", init_scale=1.0)  # it can't scale down any more
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(state.precision, "scaler", last)
        assert not state.finite()
    next(iter(state.model.parameters())).data[0] = math.nan
    assert state.precision.forgives
    assert not state.finite()


def test_patience_needs_held_out_images(images: Any, network: Any, tmp_path: Path) -> None:
    recipe, nothing = replace(PLAIN, epochs=4, patience=1), np.empty(0, np.int64)
    trained = train(network, recipe, images, np.arange(64), nothing, tmp_path, seed=0)
    assert (trained.ended, trained.epochs) == ("finished", 4)


def test_tensorboard_has_every_point_once(images: Any, network: Any, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    folder = tmp_path / "curves"
    paused = {"watch": lambda curve: "paused" if len(curve) == 2 else "go on"}
    go(network, images, PLAIN, tmp_path / "run", tensorboard=folder, **paused)
    trained = go(network, images, PLAIN, tmp_path / "run", tensorboard=folder)
    events = accumulator.EventAccumulator(str(folder)).Reload()
    points = events.Scalars("top1/held-out")
    assert [point.step for point in points] == [1, 2, 3]
    assert [point.value for point in points] == pytest.approx([epoch.top1 for epoch in trained.curve])


def test_a_training_that_is_read_back_keeps_its_curves(images: Any, network: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    folder = tmp_path / "curves"
    go(network, images, PLAIN, tmp_path / "run", tensorboard=folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    go(network, images, PLAIN, tmp_path / "run", tensorboard=folder)
    assert before == {path.name: path.read_bytes() for path in folder.iterdir()} != {}


def test_a_training_that_went_back_has_every_point_once(images: Any, network: Any, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    curve = go(network, images, PLAIN, tmp_path / "run").curve
    board = TensorBoard(tmp_path / "curves")
    for epochs in (1, 2, 1, 2, 3):
        board.on_epoch_end(Moment(0, 0, curve[:epochs]))
    board.close()
    points = accumulator.EventAccumulator(str(tmp_path / "curves")).Reload().Scalars("top1/held-out")
    assert [point.step for point in points] == [1, 2, 3]
