"""Several processes on one batch against one process on the same batch."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from forkserver import PIPE, Forked, ForkServer
from lockstep import lead

from deepenough.data.augment import STRENGTHS
from deepenough.distribution import torchrun as several
from deepenough.distribution.torchrun import CallWithTimeout, LostError, TorchrunGroup, join_group
from deepenough.errors import DeepenoughError
from deepenough.training.checkpoint import batch_limit, newest_checkpoint
from deepenough.training.feed import Feed, Loader
from deepenough.training.out_of_memory import OutOfMemoryInGroupError, half_at_once, images_at_once
from deepenough.training.process_group import shard

pytestmark = pytest.mark.seconds(40)

LOCKSTEP = Path(__file__).with_name("lockstep.py")
Start = Callable[..., list[Forked]]


@pytest.fixture
def start(forks: ForkServer) -> Start:
    """Starts as many processes as torchrun would, with the environment that it would give them."""
    return partial(begin, forks)


def begin(forks: ForkServer, folder: Path, size: int, given: dict[str, Any], *more: float) -> list[Forked]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(size)}
    return [
        forks.popen(
            [LOCKSTEP, folder, json.dumps(given), *more],
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=PIPE,
            stderr=PIPE,
        )
        for rank in range(size)
    ]


def finish(processes: list[Forked], seconds: float = 120) -> None:
    for process in processes:
        _, complaint = process.communicate(timeout=seconds)
        assert process.returncode == 0, complaint


def difference(one: Any, other: Any) -> float:
    """The largest difference of weights, relative to the largest weight of that tensor."""
    return max(
        float((one.state[name] - tensor).abs().max() / tensor.abs().max().clamp(min=1e-30))
        for name, tensor in other.state.items()
    )


@pytest.mark.parametrize(
    ("size", "given", "limit"),
    [
        (2, {"precision": "float64"}, 1e-9),
        (3, {"precision": "float64", "optimizer": "adamw", "freeze_norms": True}, 1e-9),
        (2, {"precision": "float64", "optimizer": "muon"}, 1e-9),
        (2, {"precision": "float64", "initial_scale": 0.5, "freeze_norms": True}, 1e-9),
        (2, {"precision": "float64", "distill_weight": 0.7}, 1e-9),
        (2, {"epochs": 1, "ema": 0.0}, 1e-4),
    ],
)
def test_they_train_the_network_that_one_trains(
    size: int, given: dict[str, Any], limit: float, start: Start, tmp_path: Path
) -> None:
    finish(start(tmp_path / "several", size, given))
    several = lead(tmp_path / "several", given)  # what is there already
    one = lead(tmp_path / "one", given)
    assert several.steps == one.steps == {10: 50, 1: 5}[given.get("epochs", 10)]
    assert difference(several, one) < limit
    np.testing.assert_allclose(several.probabilities, one.probabilities, rtol=100 * limit, atol=100 * limit)
    for mine, theirs in zip(several.curve, one.curve, strict=True):
        assert mine.top1 == theirs.top1
        assert mine.train_loss == pytest.approx(theirs.train_loss, rel=1e-4)


def test_the_peak_is_found_together(start: Start, tmp_path: Path) -> None:
    given = {"precision": "float64", "lr": None, "epochs": 1}
    finish(start(tmp_path / "several", 2, given))
    assert lead(tmp_path / "several", given).lr == pytest.approx(lead(tmp_path / "one", given).lr)


def test_when_one_is_killed_the_others_end_and_another_number_goes_on(start: Start, tmp_path: Path) -> None:
    given = {"precision": "float64"}
    folder = tmp_path / "several"
    processes = start(folder, 2, given, 0.2)
    wait_for(lambda: len(list(folder.glob("step-*"))) > 1 and steps(folder) >= 8)
    processes[1].send_signal(signal.SIGKILL)
    since = time.monotonic()
    _, complaint = processes[0].communicate(timeout=60)
    assert time.monotonic() - since < 60
    assert processes[0].returncode == 1
    assert "another process of this training is gone" in complaint
    before = steps(folder)
    assert before >= 8
    finish(start(folder, 3, given))
    whole = lead(tmp_path / "one", given)
    assert difference(lead(folder, given), whole) < 1e-9


def test_shares_that_differ_go_through_in_as_many_pieces(start: Start, tmp_path: Path) -> None:
    given = {"epochs": 2, "micro_batch": 7}  # of 8 and 7 images
    finish(start(tmp_path, 2, given))
    assert lead(tmp_path, given).epochs == 2


@pytest.mark.parametrize("short", [0, 1])
def test_where_memory_runs_out_they_go_on_with_half_as_many_at_once(short: int, start: Start, tmp_path: Path) -> None:
    given = {"precision": "float64", "freeze_norms": True}  # so that it does not matter what goes through together
    folder = tmp_path / "several"
    complaints = []
    for process in start(folder, 2, given, 0, short):
        complaints.append(process.communicate(timeout=60)[1])
        assert process.returncode == 1
    assert "out of memory with 8 images at once" in complaints[0]
    assert "goes on with 4 at once" in complaints[0]
    found = newest_checkpoint(folder)
    assert found is not None
    assert found[1]["step"] == 8
    assert batch_limit(folder) == 4
    finish(start(folder, 2, given))
    assert batch_limit(folder) == 0
    assert difference(lead(folder, given), lead(tmp_path / "one", given)) < 1e-9


def steps(folder: Path) -> int:
    """The step of the newest checkpoint."""
    return max((int(path.name.split("-")[1]) for path in folder.glob("step-*")), default=0)


def wait_for(what: Any, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_shares_cover_every_row_once() -> None:

    for count in (1, 5, 16, 17):
        for size in (1, 2, 3, 7):
            rows = [np.arange(count)[shard(count, rank, size)] for rank in range(size)]
            for mine, theirs in zip(rows, np.array_split(np.arange(count), size), strict=True):
                np.testing.assert_array_equal(mine, theirs)


def test_a_wide_batch_norm_is_torchs_over_the_whole_batch() -> None:
    from deepenough.distribution.synchronized_layers import synchronize
    from deepenough.training.process_group import ProcessGroup

    for shape in ((12, 5, 4, 3), (12, 5)):
        x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        other = x.detach().clone().requires_grad_()
        kind = torch.nn.BatchNorm2d if len(shape) == 4 else torch.nn.BatchNorm1d
        plain, wide = kind(5).double(), kind(5).double()
        for norm in (plain, wide):
            torch.nn.init.uniform_(norm.weight, generator=torch.Generator().manual_seed(0))
        synchronize(wide, ProcessGroup())
        given = torch.randn(shape, dtype=torch.float64)
        (plain(x) * given).sum().backward()
        (wide(other) * given).sum().backward()
        pairs = [(x.grad, other.grad), (plain.weight.grad, wide.weight.grad), (plain.bias.grad, wide.bias.grad)]
        for mine, theirs in [*pairs, *zip(plain.buffers(), wide.buffers(), strict=True)]:
            torch.testing.assert_close(mine, theirs)


def test_stochastic_depth_drops_the_images_that_one_process_would() -> None:
    from deepenough.distribution.synchronized_layers import synchronize
    from deepenough.nets.modules import DropPath
    from deepenough.training.process_group import ProcessGroup

    x = torch.randn(9, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    plain, wide = DropPath(0.5), DropPath(0.5)
    position = synchronize(wide, ProcessGroup())
    torch.manual_seed(3)
    wanted = plain(x)
    assert 0 < int((wanted == 0).flatten(1).all(1).sum()) < 9
    for first, last in ((0, 4), (4, 9)):
        position.first, position.last, position.total = first, last, 9
        torch.manual_seed(3)
        assert torch.equal(wide(x[first:last]), wanted[first:last])


def test_a_piece_of_a_group_is_never_empty(start: Start, tmp_path: Path) -> None:
    given = {"epochs": 2, "micro_batch": 1}  # what one process alone may have come down to
    finish(start(tmp_path, 2, given))
    assert lead(tmp_path, given).ended == "finished"


def test_a_store_that_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ask = CallWithTimeout()
    assert ask(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        ask(divmod, 1, 0)
    monkeypatch.setattr(several, "SILENCE_TIMEOUT", 0.2)
    answered = threading.Event()
    with pytest.raises(LostError, match="no answer"):
        ask(answered.wait)
    answered.set()


def test_a_shortage_is_noted_by_whoever_hears_of_it() -> None:
    """A leader on a GPU may never come back from waiting for the others."""
    noted: list[str] = []

    def note() -> None:
        noted.append("short")
        raise OSError("the disk is full")  # which must not end the thread that shows that this process is alive

    group = TorchrunGroup(0, 2, store=None, device=torch.device("cpu"))
    group.on_out_of_memory(note)
    group.note_out_of_memory(False)
    assert not noted
    group.note_out_of_memory(True)
    group.note_out_of_memory(True)
    assert noted == ["short"]
    assert group.another_ran_out_of_memory()


def test_what_goes_through_at_once_is_no_more_than_the_share(images: Any) -> None:
    state: Any = SimpleNamespace(micro_batch=64)
    loader = Loader(images, torch.device("cpu"))
    four = TorchrunGroup(0, 4, store=None, device=torch.device("cpu"))
    feed = Feed(loader, np.arange(96), 32, STRENGTHS["none"], seed=0, group=four)
    assert (images_at_once(state, feed), half_at_once(state, feed)) == (8, 4)
    state.micro_batch = 2
    with pytest.raises(DeepenoughError, match="out of memory with 2 images at once"):
        half_at_once(state, feed)


@pytest.mark.parametrize(
    "error", [OutOfMemoryInGroupError(8, 2, 4), LostError("[a.cc:7] Connection closed. Look there")]
)
def test_errors_travel_between_processes_as_they_are(error: Exception) -> None:
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is type(error)
    assert str(found) == str(error)
    assert getattr(found, "half", None) == getattr(error, "half", None)


@pytest.mark.parametrize(("device", "said"), [("cuda", "process 1 of this machine has no GPU"), ("mps", "Apple")])
def test_a_process_without_a_device_is_told(device: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeepenoughError, match=said), join_group(torch.device(device)):
        pass


def test_a_word_that_was_heard_early_is_not_lost() -> None:
    """A leader that is still building its model when a follower runs out may never come back from its first step."""
    group, done = TorchrunGroup(0, 2, store=None, device=torch.device("cpu")), []
    group.note_out_of_memory(short=True)
    group.on_out_of_memory(lambda: done.append("noted"))
    assert done == ["noted"]
