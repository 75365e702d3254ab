"""A run that was killed, stopped, paused or damaged ends with the weights of the unbroken run, bit for bit."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small import Killed, kill_at, train

from deepenough.data.augment import Augment
from deepenough.errors import DeepenoughError
from deepenough.training import checkpoint as checkpoints
from deepenough.training.interrupt import Interrupted
from deepenough.training.recipe import Recipe
from deepenough.training.result import WEIGHTS_FILE, Trained

pytestmark = pytest.mark.seconds(20)

RECIPE = Recipe(epochs=3, batch=16, augment=Augment(shift=0.05, flip=True), ema=0.9)
TRAIN, HELD_OUT = np.arange(64), np.arange(64, 96)

Go = Callable[..., Trained]


@pytest.fixture
def go(network: Any, images: Any) -> Go:
    def run(folder: Path, recipe: Recipe = RECIPE, **more: Any) -> Trained:
        return train(network, recipe, images, TRAIN, HELD_OUT, folder, **{"seed": 3, **more})

    return run


def same(one: Trained, other: Trained) -> bool:
    drop = lambda trained: [replace(epoch, seconds=0.0) for epoch in trained.curve]  # noqa: E731
    return (
        one.state.keys() == other.state.keys()
        and all(torch.equal(one.state[name], other.state[name]) for name in one.state)
        and bool((one.probabilities == other.probabilities).all())
        and drop(one) == drop(other)
        and (one.lr, one.steps, one.macs, one.ended) == (other.lr, other.steps, other.macs, other.ended)
    )


# Forks, so that the imports are paid for once; each child is a process of its own that is really killed.
KILLS = """
import importlib.util, json, os, signal, sys, time
from pathlib import Path
import numpy as np, torch
spec = importlib.util.spec_from_file_location("room", sys.argv[1])
room = importlib.util.module_from_spec(spec); spec.loader.exec_module(room)
from deepenough.data.augment import Augment
from deepenough.training.interrupt import Interrupted, Stop
from deepenough.training.recipe import Recipe
torch.set_num_threads(1)
torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)  # imports half of torch, once
images, network = room.make_images(), room.make_network()
recipe = Recipe(epochs=4, batch=16, lr=0.1, augment=Augment(shift=0.05, flip=True), ema=0.9)

def child(folder, at=None, number=None):
    pid = os.fork()
    if pid:
        return os.waitpid(pid, 0)[1]
    status, sent = 0, []
    def progress(done, total, epoch):  # called twice for the last step of an epoch
        if done == at and not sent:
            sent.append(at)
            os.kill(os.getpid(), number)
    try:
        with Stop() as stop:
            room.train(network, recipe, images, np.arange(64), np.arange(64, 96), Path(folder), seed=5, stop=stop,
                  progress=progress, checkpoint_steps=3)
    except Interrupted as error:
        status = 30 if "go on" in str(error) else 31
    os._exit(status)

def child_for(folder, seconds):
    pid = os.fork()
    if not pid:
        room.train(network, recipe, images, np.arange(64), np.arange(64, 96), Path(folder), seed=5, checkpoint_steps=1)
        os._exit(0)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]

out = []
for number, (how, at) in enumerate(json.loads(sys.argv[3])):
    folder = f"{sys.argv[2]}/{number}"
    if how == "none":
        status = 0
    elif how == "time":
        status = child_for(folder, at)
    else:
        status = child(folder, at, signal.SIGKILL if how == "kill" else signal.SIGTERM)
    last = child(folder)
    out.append([how, status, last])
print(json.dumps(out))
"""


def test_killed_and_stopped_processes_go_on_bit_for_bit(tmp_path: Path) -> None:
    draw = random.Random()
    steps = sorted(draw.sample(range(1, 17), 4))
    plan: list[tuple[str, float]] = [("none", 0), *(("kill", step) for step in steps)]
    plan += [("term", draw.randrange(1, 16)), ("time", draw.uniform(0.0, 0.5)), ("time", draw.uniform(0.0, 0.5))]
    room = Path(__file__).with_name("small.py")
    done = subprocess.run(
        [sys.executable, "-c", KILLS, room, tmp_path, json.dumps(plan)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    unbroken = (tmp_path / "0" / WEIGHTS_FILE).read_bytes()
    for number, (how, status, last) in enumerate(json.loads(done.stdout)):
        assert {"none": status == 0, "kill": status == 9, "term": status == 30 << 8, "time": status in (0, 9)}[how], (
            plan[number],
            status,
        )
        assert last == 0
        assert (tmp_path / str(number) / WEIGHTS_FILE).read_bytes() == unbroken, plan[number]


def test_two_seeds_differ(go: Go, tmp_path: Path) -> None:
    assert not same(go(tmp_path / "a"), go(tmp_path / "b", seed=4))


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_every_recipe_goes_on_bit_for_bit(go: Go, tmp_path: Path, optimizer: str, precision: str) -> None:
    recipe = replace(RECIPE, optimizer=optimizer, precision=precision, clip=1.0, class_weights=True)
    unbroken = go(tmp_path / "whole", recipe)
    with pytest.raises(Killed):
        go(tmp_path / "broken", recipe, checkpoint_steps=2, progress=kill_at(7))
    assert same(go(tmp_path / "broken", recipe), unbroken)


def test_a_finished_folder_is_not_trained_again(go: Go, tmp_path: Path) -> None:
    first = go(tmp_path)
    assert same(go(tmp_path, progress=kill_at(1)), first)
    assert not checkpoints.checkpoint_files(tmp_path)


def test_a_damaged_result_is_trained_again(go: Go, tmp_path: Path) -> None:
    first = go(tmp_path)
    flip(tmp_path / WEIGHTS_FILE)
    with pytest.warns(RuntimeWarning, match="SHA-256"):
        assert same(go(tmp_path), first)


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_skipped(go: Go, tmp_path: Path) -> None:
    unbroken = go(tmp_path / "whole")
    folder = tmp_path / "broken"
    with pytest.raises(Killed):
        go(folder, checkpoint_steps=2, progress=kill_at(7))
    new, old = checkpoints.checkpoint_files(folder)
    assert [int(path.name[5:13]) for path in (new, old)] == [6, 4]
    flip(new)
    with pytest.warns(RuntimeWarning, match="step-00000006.*damaged"):
        tensors_and_facts = checkpoints.newest_checkpoint(folder)
    assert tensors_and_facts is not None
    assert tensors_and_facts[1]["step"] == 4
    with pytest.warns(RuntimeWarning, match="damaged"):
        assert same(go(folder), unbroken)


def test_with_all_checkpoints_damaged_it_starts_again(go: Go, tmp_path: Path) -> None:
    unbroken = go(tmp_path / "whole")
    folder = tmp_path / "broken"
    with pytest.raises(Killed):
        go(folder, checkpoint_steps=2, progress=kill_at(7))
    for path in checkpoints.checkpoint_files(folder):
        flip(path)
    with pytest.warns(RuntimeWarning, match="damaged"):
        assert same(go(folder), unbroken)


def test_a_half_written_file_is_no_checkpoint(go: Go, tmp_path: Path) -> None:
    with pytest.raises(Killed):
        go(tmp_path, checkpoint_steps=2, progress=kill_at(5))
    (tmp_path / ".step-00000009-0123456789abcdef.safetensors.77.tmp").write_bytes(b"half")
    found = checkpoints.newest_checkpoint(tmp_path)
    assert found is not None
    assert found[1]["step"] == 4
    go(tmp_path)
    assert not list(tmp_path.glob("step-*"))


def test_a_pause_and_going_on_is_the_unbroken_run(go: Go, tmp_path: Path) -> None:
    unbroken = go(tmp_path / "whole")
    folder = tmp_path / "paused"
    first = go(folder, watch=lambda curve: "pruned" if len(curve) == 1 else "go on")
    assert (first.ended, first.epochs, first.steps) == ("pruned", 1, 4)
    assert first.probabilities.shape == (32, 4)
    assert same(go(folder), unbroken)


def test_a_pause_is_seen_again_by_whoever_watches(go: Go, tmp_path: Path) -> None:
    """A search is replayed after a kill: it has to see the pause that it saw, whatever was trained after it."""

    def watch(curve: Any) -> str:
        return "pruned" if len(curve) == 1 else "go on"

    first = go(tmp_path, watch=watch)
    with pytest.raises(Killed):
        go(tmp_path, checkpoint_steps=2, progress=kill_at(11))
    assert same(go(tmp_path, watch=watch), first)
    whole = go(tmp_path)
    assert (whole.ended, whole.epochs) == ("finished", 3)
    assert same(go(tmp_path, watch=watch), first)
    assert same(go(tmp_path), whole)


def test_the_deadline_pauses_and_is_not_kept(go: Go, tmp_path: Path) -> None:
    late = go(tmp_path, deadline=time.monotonic(), watch=lambda curve: "go on")
    assert (late.ended, late.epochs) == ("out of time", 1)
    assert go(tmp_path, watch=lambda curve: "go on").ended == "finished"


def test_stop_saves_and_says_how_to_go_on(go: Go, tmp_path: Path) -> None:
    unbroken = go(tmp_path / "whole")
    calls = iter([False] * 5 + [True])
    with pytest.raises(Interrupted, match=r"step 6 of 12.*--resume") as caught:
        go(tmp_path / "stopped", stop=lambda: next(calls))
    assert caught.value.exit_status == 130
    assert same(go(tmp_path / "stopped"), unbroken)


def test_a_folder_belongs_to_one_training(go: Go, tmp_path: Path) -> None:
    go(tmp_path)
    with pytest.raises(DeepenoughError, match="another training"):
        go(tmp_path, seed=9)
    with pytest.raises(DeepenoughError, match="another training"):
        go(tmp_path, replace(RECIPE, batch=8))


def test_the_callers_random_numbers_and_threads_stay(go: Go, tmp_path: Path) -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    go(tmp_path)
    assert torch.equal(torch.rand(3), expected)
    assert torch.get_num_threads() == 1


class Waits:
    """A state whose checkpoint is written as soon as a test allows it."""

    step = 7

    def tensors(self) -> dict[str, torch.Tensor]:
        return {"model/weight": torch.ones(3)}

    def facts(self) -> dict[str, Any]:
        return {"step": self.step}


def test_a_checkpoint_may_be_written_beside_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that others wait for must not be silent for long, however slow its disk is."""
    state: Any = Waits()
    go_on, plain = threading.Event(), checkpoints.write_whole

    def slow(path: Path, content: bytes) -> None:
        assert go_on.wait(10)
        plain(path, content)

    monkeypatch.setattr(checkpoints, "write_whole", slow)
    writer = checkpoints.Checkpoints(tmp_path, "", seconds=0.0, in_background=True)
    writer.save(state)
    assert checkpoints.newest_checkpoint(tmp_path) is None
    assert not writer.due(state, epoch_ended=True)
    go_on.set()
    writer.settle()
    found = checkpoints.newest_checkpoint(tmp_path)
    assert found is not None
    assert found[1]["step"] == 7

    def full(path: Path, content: bytes) -> None:
        raise OSError("no room")

    monkeypatch.setattr(checkpoints, "write_whole", full)
    writer.save(state)
    with pytest.raises(OSError, match="no room"):
        writer.settle()
