"""Ctrl-C ends an experiment within seconds, and leaves no process behind; so does an error in a worker."""

from __future__ import annotations

import operator
import os
import signal
import time
from contextlib import suppress
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import pytest
from forkserver import PIPE, STDOUT, ForkServer

from deepenough import DeepenoughError
from deepenough.data.images import prepare
from deepenough.data.sources import open_source
from deepenough.lab.run import measurement
from deepenough.lab.trials import Trials
from deepenough.lab.workers import call_in_parallel
from deepenough.training.interrupt import Interrupted

pytestmark = pytest.mark.seconds(40)


@pytest.mark.usefixtures("_forked_workers")
@pytest.mark.parametrize("name", ["approximation", "batch-and-devices", "vanishing-gradient", "hierarchy"])
def test_a_stop_ends_an_experiment(name: str, shapes: Path, tmp_path: Path) -> None:
    images = prepare(open_source(shapes))
    measure, asked = measurement(name), time.monotonic() + 1
    trials = Trials(images, tuple(range(1_000)), False, tmp_path, stop=lambda: time.monotonic() > asked)
    with pytest.raises(Interrupted):
        measure(trials)
    assert time.monotonic() < asked + 60  # seconds, on a busy machine
    assert not active_children()


@pytest.mark.usefixtures("_handled")
@pytest.mark.parametrize(("name", "later"), [("approximation", 1), ("batch-and-devices", 1), ("batch-and-devices", 6)])
def test_ctrl_c_in_a_terminal_ends_with_130(
    name: str, later: float, forks: ForkServer, shapes: Path, tmp_path: Path
) -> None:
    words = ["-m", "deepenough", "lab", name, "--data", shapes, "--seeds", "200", "--out", "out"]
    running = forks.popen(words, cwd=tmp_path, stdout=PIPE, stderr=STDOUT)
    try:
        assert running.stdout
        assert any("reading images" in line for line in running.stdout)
        time.sleep(later)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to all of them
        said, _ = running.communicate(timeout=90)
        until = time.monotonic() + 5  # the kernel's time to clear away who has ended; orphans stayed for minutes
        while (left := alive(running.pid)) and time.monotonic() < until:
            time.sleep(0.05)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
    assert running.returncode == 130
    assert not left
    assert "stopped" in said
    assert "Traceback" not in said
    assert not (tmp_path / "out" / "record.json").exists()


def alive(group: int) -> list[str]:
    """The processes of a group that still run; one that has ended may wait long for its parent's parent to notice."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, its_group = file.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                found.append(file.parent.name)
    return found


def test_workers_answer_in_their_order() -> None:
    assert call_in_parallel(operator.truediv, [(1, 2), (3, 4)], lambda: None) == [0.5, 0.75]


@pytest.mark.usefixtures("_forked_workers")
@pytest.mark.parametrize(
    ("target", "given", "said"),
    [
        (time.sleep, [(600,), ("x",)], "process 1: TypeError: "),
        (operator.truediv, [(1, 0), (1, 1)], "process 0: ZeroDivisionError: division by zero"),
        (os._exit, [(3,)], "process 0 ended without a result"),
    ],
)
def test_an_error_in_a_worker_ends_all_of_them(target: Any, given: Any, said: str) -> None:
    with pytest.raises(DeepenoughError, match=said):
        call_in_parallel(target, given, lambda: None)
    assert not active_children()
