"""Trainings in worker processes come to what they come to here, and nothing is lost when something ends early."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small import Watch, make_images, make_network, make_teacher

from deepenough import DeepenoughError
from deepenough.distribution import process_executor
from deepenough.distribution.process_executor import ProcessExecutor
from deepenough.errors import DamageWarning, ProcessEndedWarning
from deepenough.nets.build import build
from deepenough.training.callbacks import Callback, Ending, Interrupt, Moment
from deepenough.training.checkpoint import checkpoint_files
from deepenough.training.executor import Job, LocalExecutor
from deepenough.training.interrupt import Interrupted
from deepenough.training.recipe import Recipe
from deepenough.training.result import PAUSED_FOLDER, Trained
from deepenough.training.spec import TrainingSpec

IMAGES = make_images()
RECIPE = Recipe(epochs=3, batch=16, lr=0.1, device="cpu")
LONG = replace(RECIPE, epochs=400)  # more than a test waits for


@pytest.fixture(scope="module")
def two_workers() -> Iterator[ProcessExecutor]:
    with ProcessExecutor(IMAGES, count=2) as executor:
        yield executor


def spec(fold: int, recipe: Recipe = RECIPE) -> TrainingSpec:
    rows = np.arange(len(IMAGES.labels))
    return TrainingSpec(make_network(), recipe, rows[rows % 3 != fold], rows[rows % 3 == fold], seed=fold)


def jobs(folder: Path, *callbacks: Callback, recipe: Recipe = RECIPE) -> list[Job]:
    return [Job(spec(fold, recipe), folder / f"fold-{fold}", callbacks, threads=1) for fold in range(3)]


def here(folder: Path, *callbacks: Callback, recipe: Recipe = RECIPE) -> list[Trained]:
    """The results of the same jobs without workers."""
    return list(LocalExecutor(IMAGES).run_all(jobs(folder, *callbacks, recipe=recipe)))


def assert_same(found: Trained, expected: Trained) -> None:
    assert found.ended is expected.ended
    assert [replace(epoch, seconds=0) for epoch in found.curve] == [replace(e, seconds=0) for e in expected.curve]
    assert np.array_equal(found.probabilities, expected.probabilities)
    assert found.state.keys() == expected.state.keys()
    assert all(torch.equal(found.state[name], expected.state[name]) for name in found.state)
    assert (found.macs, found.lr, found.steps) == (expected.macs, expected.lr, expected.steps)


def test_results_come_in_order_and_are_the_same_bit_for_bit(two_workers: ProcessExecutor, tmp_path: Path) -> None:
    found = list(two_workers.run_all(jobs(tmp_path / "workers")))
    for one, other in zip(found, here(tmp_path / "here"), strict=True):
        assert_same(one, other)
    assert (tmp_path / "workers" / "fold-2" / "weights.safetensors").read_bytes() == (
        tmp_path / "here" / "fold-2" / "weights.safetensors"
    ).read_bytes()


def test_what_is_known_comes_before_others_begin(
    two_workers: ProcessExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By it the others may not be wanted any more."""
    (known,) = two_workers.run_all(jobs(tmp_path)[:1])
    begun: list[Path] = []
    monkeypatch.setattr(ProcessExecutor, "_begin", lambda executor, running: begun.append(running.task.folder))
    results = two_workers.run_all(jobs(tmp_path))
    assert_same(next(results), known)
    results.close()
    assert not begun


def test_students_learn_in_workers_as_here(two_workers: ProcessExecutor, tmp_path: Path) -> None:
    taught = [replace(job, spec=replace(job.spec, teacher=make_teacher(job.spec.train))) for job in jobs(tmp_path)]
    found = list(two_workers.run_all(taught))
    local = [replace(job, folder=tmp_path / "here" / job.folder.name) for job in taught]
    for one, other in zip(found, LocalExecutor(IMAGES).run_all(local), strict=True):
        assert_same(one, other)


def test_frozen_layers_stay_in_workers_as_here(two_workers: ProcessExecutor, tmp_path: Path) -> None:
    recipe = replace(RECIPE, freeze=0.7)
    found = list(two_workers.run_all(jobs(tmp_path / "workers", recipe=recipe)))
    start = build(make_network(), seed=0).state_dict()
    assert torch.equal(found[0].state["conv1.weight"], start["conv1.weight"])
    assert not torch.equal(found[0].state["conv2.weight"], start["conv2.weight"])
    for one, other in zip(found, here(tmp_path / "here", recipe=recipe), strict=True):
        assert_same(one, other)


def test_callbacks_hear_of_every_epoch_and_end_a_training_where_they_would_here(
    two_workers: ProcessExecutor, tmp_path: Path
) -> None:
    heard: list[list[int]] = []

    class Ears(Callback):
        def on_epoch_end(self, moment: Moment) -> None:
            heard.append([epoch.epoch for epoch in moment.curve])

    prune = Watch(lambda curve: "pruned" if len(curve) == 2 else "go on")
    found = list(two_workers.run_all(jobs(tmp_path / "workers", prune, Ears())))
    assert [one.ended for one in found] == [Ending.PRUNED] * 3
    assert sorted(heard) == [[1]] * 3 + [[1, 2]] * 3
    for one, other in zip(found, here(tmp_path / "here", prune), strict=True):
        assert_same(one, other)
    assert (tmp_path / "workers" / "fold-1" / PAUSED_FOLDER / "result.json").is_file()


def test_what_is_finished_is_not_trained_again(tmp_path: Path) -> None:
    expected = here(tmp_path)
    with ProcessExecutor(IMAGES, count=2) as executor:
        found = list(executor.run_all(jobs(tmp_path)))
        assert not executor._workers
    for one, other in zip(found, expected, strict=True):
        assert_same(one, other)


def test_no_worker_starts_for_trainings_of_seconds(tmp_path: Path) -> None:
    with ProcessExecutor(IMAGES, count=2) as executor:
        assert len(list(executor.run_all(jobs(tmp_path), seconds=0.5))) == 3
        assert not executor._workers


def in_progress(folder: Path) -> Callable[[], bool]:
    """True once two trainings have taken a few steps: their first checkpoint is written before the first step."""
    begun: list[float] = []

    def wish() -> bool:
        if len(list(folder.glob("fold-*/step-*"))) >= 2 and not begun:
            begun.append(time.monotonic())
        return bool(begun) and time.monotonic() > begun[0] + 0.3

    return wish


def test_a_wish_to_stop_saves_all_and_both_go_on(two_workers: ProcessExecutor, tmp_path: Path) -> None:
    stopped = tmp_path / "stopped"
    long = replace(RECIPE, epochs=40)
    with pytest.raises(Interrupted, match="saved in the training's folder"):
        list(two_workers.run_all(jobs(stopped, Interrupt(in_progress(stopped)), recipe=LONG)))
    steps = [int(checkpoint_files(stopped / f"fold-{fold}")[0].name.split("-")[1]) for fold in (0, 1)]
    assert all(steps)
    assert not (stopped / "fold-2").exists()

    again = tmp_path / "again"
    with pytest.raises(Interrupted):
        list(two_workers.run_all(jobs(again, Interrupt(in_progress(again)), recipe=long)))
    for one, other in zip(
        two_workers.run_all(jobs(again, recipe=long)), here(tmp_path / "here", recipe=long), strict=True
    ):
        assert_same(one, other)


def test_trainings_that_are_no_longer_wanted_stop_with_a_checkpoint(
    two_workers: ProcessExecutor, tmp_path: Path
) -> None:
    short, *long = jobs(tmp_path)
    many = [short, *(replace(job, spec=replace(job.spec, recipe=LONG)) for job in long)]
    results = two_workers.run_all(many)
    assert_same(next(results), here(tmp_path / "here")[0])
    results.close()
    assert not two_workers._busy
    assert checkpoint_files(tmp_path / "fold-1")
    assert not (tmp_path / "fold-1" / "result.json").exists()
    assert len(list(two_workers.run_all(jobs(tmp_path / "next")))) == 3


def test_others_go_on_with_the_training_of_a_worker_that_was_killed(tmp_path: Path) -> None:
    long = replace(RECIPE, epochs=30)
    folder = tmp_path / "workers"

    class Kill(Callback):
        def on_epoch_end(self, moment: Moment) -> None:
            if len(moment.curve) == 5 and len(executor._workers) == 2:
                executor._workers[0].process.kill()

    with ProcessExecutor(IMAGES, count=2) as executor:
        results = executor.run_all(jobs(folder, Kill(), recipe=long))
        with pytest.warns(ProcessEndedWarning, match="killed by signal 9.*one training after the other"):
            found = list(results)
        assert executor.count == 1
        for one, other in zip(found, here(tmp_path / "here", recipe=long), strict=True):
            assert_same(one, other)


def test_the_end_of_the_last_worker_is_an_error_in_a_sentence(tmp_path: Path) -> None:
    class KillAll(Callback):
        def on_epoch_end(self, moment: Moment) -> None:
            for worker in executor._workers:
                worker.process.kill()

    with ProcessExecutor(IMAGES, count=2) as executor:
        results = executor.run_all(jobs(tmp_path, KillAll(), recipe=LONG))
        with pytest.warns(ProcessEndedWarning), pytest.raises(DeepenoughError, match="memory ran out; nothing is lost"):
            next(results)


def test_an_error_in_a_worker_is_raised_as_it_is(two_workers: ProcessExecutor, tmp_path: Path) -> None:
    good, other, bad = jobs(tmp_path)
    bad = replace(bad, spec=replace(bad.spec, train=bad.spec.train[:0]))
    with pytest.raises(DeepenoughError, match="no training images for small; give at least one"):
        list(two_workers.run_all([good, other, bad]))
    blocked = tmp_path / "a file"
    blocked.write_text("")
    with pytest.raises(OSError, match="a file") as caught:
        list(two_workers.run_all([replace(good, folder=blocked / "fold-0"), other]))
    assert caught.value.filename
    assert len(list(two_workers.run_all(jobs(tmp_path / "next")))) == 3


def test_warnings_of_a_worker_are_the_runs_own(two_workers: ProcessExecutor, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        list(two_workers.run_all(jobs(tmp_path, Interrupt(in_progress(tmp_path)), recipe=LONG)))
    newest = checkpoint_files(tmp_path / "fold-0")[0]
    newest.write_bytes(newest.read_bytes()[:-1])
    soon = time.monotonic() + 3
    results = two_workers.run_all(jobs(tmp_path, Interrupt(lambda: time.monotonic() > soon), recipe=LONG))
    with pytest.warns(DamageWarning, match="going on from the checkpoint before it"), pytest.raises(Interrupted):
        next(results)


PROGRAM = """
import sys
from pathlib import Path
sys.path[:0] = {helpers!r}
import test_process_executor as t
with t.ProcessExecutor(t.IMAGES, count=2) as executor:
    class Tell(t.Callback):
        def on_epoch_end(self, moment):
            print(*(worker.process.pid for worker in executor._workers), flush=True)
    list(executor.run_all(t.jobs(Path({folder!r}), Tell(), recipe=t.LONG)))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs signals")
def test_workers_end_with_their_run_and_do_not_hear_what_is_sent_to_all_its_processes(tmp_path: Path) -> None:
    program = PROGRAM.format(helpers=[str(Path(__file__).parent), *sys.path], folder=str(tmp_path))
    run = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert run.stdout is not None
    workers = [int(pid) for pid in run.stdout.readline().split()]
    assert len(workers) == 2
    for pid in workers:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
    for _ in range(3):
        assert run.stdout.readline().split() == [str(pid) for pid in workers]
    run.kill()
    run.wait()
    end = time.monotonic() + 60
    while any(is_alive(pid) for pid in workers):
        assert time.monotonic() < end
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """True for a process that has not ended; one that nobody waits for any more is left as a zombie at most."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/status")
    return not (status.exists() and "State:\tZ" in status.read_text())


def test_an_idle_worker_that_ends_is_noticed_and_done_without(tmp_path: Path) -> None:
    with ProcessExecutor(IMAGES, count=2) as executor:
        assert len(list(executor.run_all(jobs(tmp_path / "first")))) == 3
        executor._workers[0].process.kill()
        with pytest.warns(ProcessEndedWarning, match="one training after the other"):
            found = list(executor.run_all(jobs(tmp_path / "second")))
        assert len(found) == 3
        assert executor.count == 1


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs signals")
def test_a_worker_that_does_not_stop_is_ended_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process_executor, "PATIENCE", 0.5)
    with ProcessExecutor(IMAGES, count=2) as executor:
        short, *long = jobs(tmp_path / "first")
        results = executor.run_all([short, *(replace(job, spec=replace(job.spec, recipe=LONG)) for job in long)])
        next(results)
        frozen = next(iter(executor._busy))
        frozen.process.send_signal(signal.SIGSTOP)
        results.close()
        assert frozen not in executor._workers
        assert len(list(executor.run_all(jobs(tmp_path / "second")))) == 3
        assert len(executor._workers) == 2


def test_a_wish_to_stop_right_after_a_training_began_is_heard(two_workers: ProcessExecutor, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        list(two_workers.run_all(jobs(tmp_path, Interrupt(lambda: True), recipe=LONG)))
    assert len(two_workers._workers) == 2


def test_each_training_gets_the_images_as_its_network_wants_them(tmp_path: Path) -> None:
    """A worker trains for a network that wants them as they are, for one that wants others, and for the first again."""
    other = replace(IMAGES.preprocess, mean=(0.1,) * IMAGES.preprocess.channels)
    images = replace(IMAGES, others={other: 255 - np.asarray(IMAGES.pixels[:])})
    wanted = [
        Job(replace(spec(n % 2), preprocess=way), Path(f"{n}"), threads=1) for n, way in enumerate((None, other, None))
    ]

    def placed(name: str) -> list[Job]:
        return [replace(job, folder=tmp_path / name / job.folder) for job in wanted]

    with ProcessExecutor(images, count=2) as executor:
        found = list(executor.run_all(placed("workers")))
    expected = list(LocalExecutor(images).run_all(placed("here")))
    for one, here_ in zip(found, expected, strict=True):
        assert_same(one, here_)
    alone = list(LocalExecutor(images.read_as(other).alone()).run_all([placed("alone")[1]]))
    assert_same(found[1], alone[0])
    prints = {replace(spec(0), preprocess=way).fingerprint(images) for way in (None, IMAGES.preprocess, other)}
    assert len(prints) == 2, "the images' own way is the same training as before there were others"
