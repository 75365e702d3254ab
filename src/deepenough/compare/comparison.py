"""The comparison: the same network and weights everywhere, the same step checked, speeds taken turn by turn."""

from __future__ import annotations

import platform
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.compare.contestants import SIDES, Side, Worker, WorkerError
from deepenough.errors import DeepenoughError, unknown
from deepenough.frameworks.export import Export
from deepenough.frameworks.targets import TARGETS
from deepenough.frameworks.writer import write
from deepenough.machine import cores
from deepenough.nets import Dropout, Group, Network, Stack, depth, macs, parameters
from deepenough.nets.build import build
from deepenough.preprocessing import Preprocessing
from deepenough.progress import Reporter

SAME = 1e-3
"""Largest difference of the losses, and of each tensor's gradients (see `gradient_difference`)."""

ROUNDING = 3.0
"""How many times PyTorch's own rounding in float32 another framework's may be."""

CHECKED = 4
"""Images in the batch whose step is checked."""

FLOOR = 1e-3
"""A tensor whose gradients are smaller than this share of the largest is compared with that share: biases before batch
norms have a gradient of nothing but rounding."""

Mode = dict[str, Any]


@dataclass
class Row:
    """What was measured of one side. Speeds are images a second, by task and mode; sizes are bytes.

    `allowed` is how much its loss and gradients may differ.
    """

    side: str
    version: str = ""
    problem: str = ""
    loss_difference: float | None = None
    gradient_difference: float | None = None
    allowed: float = SAME
    first: dict[str, float] = field(default_factory=dict)
    speed: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    peak_infer: int | None = None
    peak: int | None = None
    disk: int | None = None
    lines: int | None = None

    @property
    def differs(self) -> bool:
        """Whether its training step is another."""
        return max(self.loss_difference or 0.0, self.gradient_difference or 0.0) > self.allowed


@dataclass(frozen=True)
class Comparison:
    """All rows, and what they were measured with."""

    network: str
    depth: int
    parameters: int
    macs: int
    input: tuple[int, int, int]
    batch: int
    rounds: int
    seconds: float
    machine: str
    date: str
    rows: tuple[Row, ...]


def compare(
    network: Network,
    *,
    batch: int = 16,
    rounds: int = 3,
    seconds: float = 3.0,
    only: Sequence[str] = (),
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Comparison:
    """Measure `network` (without dropout, which no two frameworks draw alike) in every framework that is here.

    In each of `rounds` every framework and mode has a turn of `seconds`, at least two steps; figures are medians over
    the steps of all rounds. `only` names the sides that take part.
    """
    reporter = reporter or Reporter()
    names = [side.name for side in SIDES]
    for name in only:
        if name not in names:
            raise unknown("framework", name, names)
    network = replace(network, stack=_without_dropout(network.stack))
    chosen = [side for side in SIDES if side.name in (only or names)]
    rows = {side.name: Row(side.name) for side in chosen}
    for side in chosen:
        if side.missing:
            rows[side.name].problem = f"not installed: pip install 'deepenough[{side.extra}]'"
    ready = [side for side in chosen if not side.missing]
    if not ready:
        raise DeepenoughError("none of these frameworks is installed here; `pip install 'deepenough[frameworks]'`")
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        root = Path(temporary)
        write_exports(network, ready, root, rows, seed, reporter)
        given = random_batch(network, batch, seed, root / "batch.npz")
        workers = _start(ready, root, rows, stack, reporter)
        _gradients(workers, network, batch, seed, root, rows, reporter)
        _measure(workers, given, batch, rounds, seconds, rows, reporter)
    return Comparison(
        network.name, depth(network), parameters(network), macs(network), network.input, batch, rounds, seconds,
        _machine(), datetime.now().astimezone().isoformat(timespec="minutes"), tuple(rows.values()),
    )  # fmt: skip


def _without_dropout(stack: Stack) -> Stack:
    kept = tuple(layer for layer in stack if not isinstance(layer, Dropout))
    return tuple(replace(x, stack=_without_dropout(x.stack)) if isinstance(x, Group) else x for x in kept)


def write_exports(
    network: Network, sides: Sequence[Side], root: Path, rows: dict[str, Row], seed: int, reporter: Reporter
) -> None:
    """The exports that the sides take; their sizes, and how many lines the network is in each framework's own code."""
    state = {key: value.numpy() for key, value in build(network, seed).state_dict().items()}
    names = tuple(str(number) for number in range(network.classes))
    export = Export.of(network, state, Preprocessing.untrained(network.input), names)
    for name in dict.fromkeys(side.target for side in sides):
        goal = TARGETS[name]
        with reporter.task(f"writing for {goal.title}"):
            write([export], goal, [root / name], trained=False, reading_side=[2 * max(network.input[1:])])
        if name == "keras":
            np.savez(root / name / "weights.npz", **dict(export.state))  # type: ignore[arg-type]
        source = {"caffe": "model.prototxt"}.get(name, "network.py")
        for side in sides:
            if side.target == name:
                rows[side.name].disk = (root / name / WEIGHS[name]).stat().st_size
                if (root / name / source).is_file():
                    rows[side.name].lines = code_lines((root / name / source).read_text(encoding="utf-8"))


WEIGHS = {
    "torch": "weights.safetensors",
    "keras": "model.keras",
    "paddle": "model.pdiparams",
    "onnx": "model.onnx",
    "caffe": "model.caffemodel",
}
"""The file whose size counts."""


def code_lines(source: str) -> int:
    """Lines of code: no blank lines, comments or docstrings."""
    count, inside = 0, False
    for line in map(str.strip, source.splitlines()):
        quotes = line.count('"""')
        if inside or quotes:
            inside ^= quotes % 2 == 1
            continue
        count += bool(line) and not line.startswith("#")
    return count


def random_batch(network: Network, batch: int, seed: int, path: Path) -> str:
    """Random images and labels, written to a file; its name."""
    channels, height, width = network.input
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (batch, height, width, channels), dtype=np.uint8)
    np.savez(path, pixels=pixels, labels=random.integers(0, network.classes, batch))
    return str(path)


def _start(
    sides: Sequence[Side], root: Path, rows: dict[str, Row], stack: ExitStack, reporter: Reporter
) -> dict[str, Worker]:
    workers = {}
    for number, side in enumerate(sides):
        with reporter.task(f"starting {side.name}"):
            try:
                worker = side.start(root / side.target, root / f"{number}.log")
            except WorkerError as error:
                rows[side.name].problem = str(error)
                continue
        stack.callback(worker.close)
        workers[side.name] = worker
        rows[side.name].version = worker.version
    return workers


def _gradients(
    workers: dict[str, Worker], network: Network, batch: int, seed: int, root: Path, rows: dict[str, Row],
    reporter: Reporter,
) -> None:  # fmt: skip
    """Loss and gradients of one step from the same weights, compared with the first side that trains.

    In float64: in float32 rounding decides which of two equals a pool takes and whether a ReLU at zero is open, and
    norms over small batches make percents of it. How much is measured on that first side, as its difference from itself
    in float32, and is what a side may differ by that has no float64 throughout.
    """
    random = np.random.default_rng(seed)
    channels, height, width = network.input
    given = root / "checked.npz"
    images = random.standard_normal((min(batch, CHECKED), height, width, channels))
    np.savez(given, images=images, labels=random.integers(0, network.classes, len(images)))
    reference: tuple[float, dict[str, Any]] | None = None
    rounding = 0.0
    for name, worker in workers.items():
        if not worker.gradients:
            continue
        with reporter.task(f"checking a step of {name}"):
            try:
                loss, gradients = _step(worker, given, root / "gradients.npz", "float64")
                if reference is None:
                    reference = loss, gradients
                    rounding = gradient_difference(
                        _step(worker, given, root / "gradients.npz", "float32")[1], gradients
                    )
            except WorkerError as error:
                rows[name].failed["gradients"] = str(error)
                continue
        exact = next(side.whole_float64 for side in SIDES if side.name == name)
        rows[name].allowed = SAME if exact else max(SAME, ROUNDING * rounding)
        rows[name].loss_difference = abs(loss - reference[0]) / max(abs(reference[0]), 1e-12)
        rows[name].gradient_difference = gradient_difference(gradients, reference[1])


def _step(worker: Worker, given: Path, out: Path, precision: str) -> tuple[float, dict[str, Any]]:
    """Loss and gradients of one step."""
    loss = worker.ask(do="gradients", batch=str(given), out=str(out), precision=precision)["loss"]
    with np.load(out) as found:
        return loss, dict(found)


def gradient_difference(found: dict[str, Any], wanted: dict[str, Any]) -> float:
    """The largest difference of a tensor's gradient, |a - b| / |b|, in root mean squares (see `FLOOR`)."""
    if set(found) != set(wanted):
        return float("inf")
    sizes = {key: _root_mean_square(value) for key, value in wanted.items()}
    least = max(FLOOR * max(sizes.values()), 1e-30)
    return max(_root_mean_square(found[key] - value) / max(sizes[key], least) for key, value in wanted.items())


def _root_mean_square(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def _measure(
    workers: dict[str, Worker], batch: str, count: int, rounds: int, seconds: float, rows: dict[str, Row],
    reporter: Reporter,
) -> None:  # fmt: skip
    """First steps, then turns. Predictions come first: training needs more memory, and the peak only grows."""
    taken: dict[tuple[str, str, str], list[float]] = {}
    for task in ("infer", "train"):
        turns = [(name, mode) for name, worker in workers.items() for kind, mode in worker.tasks if kind == task]
        with reporter.task("predicting" if task == "infer" else "training") as advance:
            steps = len(turns) * (rounds + 1)
            for turn in range(rounds + 1):
                for place, (name, mode) in enumerate(turns):
                    row, key = rows[name], f"{task}, {mode}"
                    advance(turn * len(turns) + place, steps, f"{name}, {mode}")
                    if key in row.failed:
                        continue
                    command = {"task": task, "mode": mode, "batch": batch}
                    try:
                        if turn == 0:
                            answer = workers[name].ask(do="first", **command)
                            row.first[key] = answer["seconds"]
                        else:
                            answer = workers[name].ask(do="time", seconds=seconds, **command)
                            taken.setdefault((name, task, mode), []).extend(answer["taken"])
                    except WorkerError as error:
                        row.failed[key] = str(error)
                        continue
                    if task == "infer":
                        row.peak_infer = answer["peak"]
                    else:
                        row.peak = answer["peak"]
            advance(steps, steps, "")
    for (name, task, mode), times in taken.items():
        rows[name].speed[f"{task}, {mode}"] = count / statistics.median(times)


def _machine() -> str:
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        models = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        name = models[0] if models else name
    return f"{name}, {cores()} cores, {platform.system()}, Python {platform.python_version()}"
