"""`deepenough fit` under torchrun: one run by several processes, on one host and on two, and when one is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import forkserver
import pytest
import torch
from forkserver import PIPE, STDOUT, Forked, ForkServer
from safetensors.torch import load_file

from deepenough import fit, record

pytestmark = pytest.mark.seconds(80)

WEIGHTS = "model/weights.safetensors"
TORCHRUN = [sys.executable, "-m", "torch.distributed.run"]
FORKED = [str(Path(forkserver.__file__).with_name("forked_torchrun.py"))]  # the same, without the time to import
Process = Forked | subprocess.Popen[str]
Start = Callable[..., Process]


@pytest.fixture(scope="session")
def fixed(quick: dict[str, Any]) -> dict[str, Any]:
    """A question whose answer does not hang on the last digit: a rate that is given, weights in float64."""
    return {**quick, "epochs": 4, "lr": 0.05, "precision": "float64", "threads": 1}


@pytest.fixture
def start(forks: ForkServer, shapes: Path, cache: Path, fixed: dict[str, Any]) -> Iterator[Start]:
    """Starts `deepenough fit` under torchrun: by its command, or in a fork, on one of two hosts too."""
    begun: list[Process] = []

    def begin(launch: list[str], run: Path, host: str = "", **more: Any) -> Process:
        options = {**fixed, **more}
        words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        words = [*launch, "-m", "deepenough", "fit", str(shapes), "--out", str(run), *words]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "DEEPENOUGH_CACHE": str(cache)}
        env |= {"HOST": host, "GLOO_SOCKET_IFNAME": WIRE} if host else {}
        process: Process
        if launch[0] == FORKED[0]:
            process = forks.popen(words, stdout=PIPE, stderr=STDOUT, env=env)
        else:
            process = subprocess.Popen(words, stdout=PIPE, stderr=STDOUT, text=True, env=env, start_new_session=True)
        begun.append(process)
        return process

    yield begin
    for process in begun:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="session")
def alone(shapes: Path, cache: Path, fixed: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit(shapes, out=tmp_path_factory.mktemp("alone") / "run", **fixed).folder


def same_answer(one: Path, other: Path) -> None:
    """The same candidates and decision, and the same weights but for the order of additions."""
    mine, theirs = record.load(one), record.load(other)
    assert mine.status == theirs.status == "finished"
    assert mine.decision is not None
    assert theirs.decision is not None
    assert mine.decision.chosen == theirs.decision.chosen
    assert [c.name for c in mine.candidates] == [c.name for c in theirs.candidates]
    assert [s.model_dump() for s in mine.steps] == [s.model_dump() for s in theirs.steps]
    weights = load_file(other / WEIGHTS)
    for name, tensor in load_file(one / WEIGHTS).items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-9, atol=1e-12)


def wait_for(what: Callable[[], Any], process: Process, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.02)


def workers(process: Process) -> list[int]:
    """The processes that a forked torchrun has started: by its fork server, through one more process each."""
    return [pid for server in children(process.pid) for keeper in children(server) for pid in children(keeper)]


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_two_processes_come_to_the_answer_of_one(start: Start, alone: Path, tmp_path: Path) -> None:
    process = start([*TORCHRUN, "--standalone", "--nproc-per-node", "2"], tmp_path / "run")
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    same_answer(tmp_path / "run", alone)
    assert record.load(tmp_path / "run").environment["processes"] == "2"
    assert output.count("predict: deepenough predict") == 1  # one process talks


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs Linux's /proc")
@pytest.mark.parametrize("when", ["record.json", "candidates/residual-7/fold0/step-*"])  # while measuring, or training
def test_torchrun_starts_again_and_nothing_is_lost(start: Start, alone: Path, tmp_path: Path, when: str) -> None:
    run = tmp_path / "run"
    process = start([*FORKED, "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"], run)
    wait_for(lambda: list(run.glob(when)), process)
    os.kill(workers(process)[1], signal.SIGKILL)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert "resuming" in output
    same_answer(run, alone)


STARVED = """
import os
if os.environ.get("RANK") == os.environ["STARVED"]:
    import torch
    from deepenough.training.step import Step
    step = Step.__call__
    def starved(self, batch, micro_batch=0, stop=False):
        if micro_batch == 0 and self.group.size > 1:
            raise torch.OutOfMemoryError("simulated")
        return step(self, batch, micro_batch, stop)
    Step.__call__ = starved
"""


@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_process_without_memory_to_measure_has_all_go_on_with_half(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rank: str
) -> None:
    monkeypatch.setenv("STARVED", rank)
    (tmp_path / "sitecustomize.py").write_text(STARVED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    run = tmp_path / "run"
    two = [*FORKED, "--standalone", "--nproc-per-node", "2", "--max-restarts", "1"]
    process = start(two, run, max_depth=3)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    assert "images at once on one of 2 processes" in output
    assert "resuming" in output
    batch = record.load(run).recipe["batch"]
    assert {json.loads(path.read_text())["chosen"]["micro_batch"] for path in run.rglob("*.way.json")} == {batch // 4}


def test_who_does_not_lead_is_silent_about_a_users_mistake(start: Start, tmp_path: Path) -> None:
    two = [*FORKED, "--standalone", "--nproc-per-node", "2"]
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    for process, told in (
        (start(two, tmp_path / "taken"), "this folder holds something else"),
        (start(two, tmp_path / "small", batch=1), "2 processes for batches of 1 images"),
    ):
        output, _ = process.communicate(timeout=120)
        assert process.returncode != 0
        assert [line for line in output.splitlines() if line.startswith("deepenough: ")] == [
            next(line for line in output.splitlines() if told in line)
        ]
    assert not (tmp_path / "small").exists()


def test_ctrl_c_saves_and_another_number_of_processes_goes_on(
    start: Start, forks: ForkServer, alone: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = start([*FORKED, "--standalone", "--nproc-per-node", "2"], run)
    wait_for(lambda: list(run.glob("candidates/residual-7/fold0/step-*")), process)
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert record.load(run).status == "interrupted"
    done = forks.run(["-m", "deepenough", "fit", "--resume", run])
    assert done.returncode == 0, done.stderr
    same_answer(run, alone)


@pytest.fixture
def hosts() -> Iterator[tuple[str, str]]:
    """Two hosts with a wire between them, as network namespaces; they share the disk, as a cluster's do."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and iproute2")
    one, other = f"deepenough{os.getpid()}a", f"deepenough{os.getpid()}b"
    try:
        for name in (one, other):
            _ip(f"netns add {name}")
        _ip(f"link add {WIRE} netns {one} type veth peer name {WIRE} netns {other}")
    except subprocess.CalledProcessError as error:
        _remove(one, other)
        pytest.skip(f"network namespaces can't be made here: {error.stderr}")
    for number, name in enumerate((one, other), start=1):
        _ip(f"-n {name} addr add 10.77.0.{number}/24 dev {WIRE}")
        _ip(f"-n {name} link set {WIRE} up")
        _ip(f"-n {name} link set lo up")
    yield one, other
    _remove(one, other)


WIRE = "wire0"


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True, capture_output=True, text=True)


def _remove(*names: str) -> None:
    for name in names:
        subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def on(rank: int) -> list[str]:
    """torchrun on one of the two hosts."""
    return [
        *FORKED, "--nnodes", "2", "--node-rank", str(rank), "--nproc-per-node", "1", "--master-addr", "10.77.0.1",
        "--master-port", "29555",
    ]  # fmt: skip


def test_two_hosts_come_to_the_answer_of_one(start: Start, alone: Path, hosts: tuple[str, str], tmp_path: Path) -> None:
    processes = [start(on(rank), tmp_path / "run", host) for rank, host in enumerate(hosts)]
    for process in processes:
        output, _ = process.communicate(timeout=240)
        assert process.returncode == 0, output
    same_answer(tmp_path / "run", alone)


IMPATIENT = """
from deepenough.distribution import torchrun
torchrun.SILENCE_TIMEOUT = 10.0
"""


def test_when_the_wire_is_cut_both_hosts_end(
    start: Start, hosts: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(IMPATIENT)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    run = tmp_path / "run"
    processes = [start(on(rank), run, host, epochs=400) for rank, host in enumerate(hosts)]
    wait_for(lambda: list(run.glob("candidates/residual-3/fold0/step-*")), processes[0])
    _ip(f"-n {hosts[1]} link set {WIRE} down")
    until = time.monotonic() + 60
    for process in processes:
        process.communicate(timeout=max(until - time.monotonic(), 0.1))
        assert process.returncode != 0
