"""Several processes that answer at one address."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from forkserver import PIPE, ForkServer
from renamed_classes import rename_classes

pytestmark = [
    pytest.mark.seconds(60),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes in /proc"),
]

RAW = {"Content-Type": "application/octet-stream"}


def workers_of(process: int) -> list[int]:
    """The processes that were started to answer by another one."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:  # it has just ended
            continue
    return sorted(found)


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


def is_alive(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Running:
    """A service with two workers."""

    def __init__(self, forks: ForkServer, run: Path) -> None:
        self.process = forks.popen(
            ["-m", "deepenough", "serve", f"x={run}", "--port", "0", "--workers", "2", "--engine", "torch"],
            stdout=PIPE, stderr=PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert "in 2 processes" in line, (line, self.process.stderr.read() if not line else "")
        self.url = line.rpartition(" at ")[2].split(" ")[0]

    def ask(self, photo: bytes) -> str:
        """The label of a photo, by a connection of its own, so that either worker may take it."""
        answer = httpx2.post(f"{self.url}/predict", content=photo, headers=RAW, timeout=60)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["predictions"][0]["label"])

    def asked(self) -> float:
        """Requests to /predict that were answered, by all workers."""
        lines = httpx2.get(f"{self.url}/metrics").text.splitlines()
        counts = [line.split()[-1] for line in lines if line.startswith('deepenough_requests_total{route="/predict"')]
        return sum(map(float, counts))


@pytest.fixture
def model(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished / "model", tmp_path / "model")


@pytest.fixture
def photo(shapes: Path) -> bytes:
    return sorted(shapes.rglob("*.png"))[1].read_bytes()


@pytest.fixture
def running(forks: ForkServer, model: Path) -> Iterator[Running]:
    running = Running(forks, model)
    yield running
    running.process.kill()
    running.process.communicate(timeout=60)


def test_a_worker_that_ends_is_replaced_and_all_read_models_anew(running: Running, model: Path, photo: bytes) -> None:
    before = workers_of(running.process.pid)
    assert len(before) == 2
    label = running.ask(photo)
    for _ in range(9):
        assert running.ask(photo) == label
    assert running.asked() == 10

    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: not is_alive(before[0]))
    assert running.ask(photo) == label  # the other one answers
    wait_until(lambda: len(workers_of(running.process.pid)) == 2)
    assert before[0] not in workers_of(running.process.pid)

    for kind in ("circle", "cross", "square"):
        rename_classes(model, kind, f"new {kind}")
    assert httpx2.post(f"{running.url}/reload", timeout=60).json() == {"reloaded": ["x"]}
    wait_until(lambda: all(running.ask(photo) == f"new {label}" for _ in range(10)))

    workers = workers_of(running.process.pid)
    running.process.send_signal(signal.SIGTERM)
    _, complaint = running.process.communicate(timeout=90)
    assert running.process.returncode == 0
    assert f"process {before[0]} ended (exit status -9): another one starts" in complaint
    assert "Traceback" not in complaint
    assert not any(map(is_alive, workers))


def test_workers_end_with_the_process_that_started_them(running: Running) -> None:
    workers = workers_of(running.process.pid)
    running.process.kill()
    wait_until(lambda: not any(map(is_alive, workers)))


def test_a_run_that_can_t_be_read_is_told_once(forks: ForkServer, model: Path) -> None:
    (model / "weights.safetensors").write_bytes(b"")
    process = forks.popen(["-m", "deepenough", "serve", str(model), "--port", "0", "--workers", "2"], stderr=PIPE)
    _, complaint = process.communicate(timeout=90)
    assert process.returncode == 2
    assert complaint.count("weights.safetensors") == 1
    assert "Traceback" not in complaint


def test_workers_that_start_survive_a_reload(forks: ForkServer, finished: Path) -> None:
    process = forks.popen(
        ["-m", "deepenough", "serve", f"x={finished}", "--port", "0", "--workers", "2", "--engine", "torch"],
        stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        for number in (1, 2):  # the first starts alone
            wait_until(lambda number=number: len(workers_of(process.pid)) >= number or process.poll() is not None)
            for each in workers_of(process.pid):
                os.kill(each, signal.SIGHUP)
        assert "in 2 processes" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        _, complaint = process.communicate(timeout=90)
        assert (process.returncode, "ended" in complaint, "Traceback" in complaint) == (0, False, False), complaint
    finally:
        process.kill()
