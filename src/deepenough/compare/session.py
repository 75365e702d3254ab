"""The measurements: one training step checked in every framework, then speeds taken turn by turn."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.compare.frameworks import FRAMEWORKS, Framework
from deepenough.compare.results import SAME, FrameworkResult, Timing
from deepenough.nets import Network
from deepenough.progress import Reporter
from deepenough.runtimes.worker import Worker, WorkerError

ROUNDING = 3.0
"""The most that another framework's rounding may be, as a multiple of PyTorch's own in float32."""

CHECKED = 4
"""Images in the batch whose step is checked."""

FLOOR = 1e-3
"""A tensor whose gradients are smaller than this share of the largest is compared with that share: biases before batch
norms have a gradient of nothing but rounding."""


@dataclass
class Session:
    """The workers of a comparison, by framework; `close` ends them.

    Args:
        results: of the frameworks, filled in as they are measured.
        folder: holds the exports, by target, and the batches.
        reporter: is told of the progress.
        workers: that are running.
    """

    results: dict[str, FrameworkResult]
    folder: Path
    reporter: Reporter
    workers: dict[str, Worker] = field(default_factory=dict)

    def start(self, frameworks: Sequence[Framework]) -> None:
        """Start a worker for each framework; one that does not start is a problem in its result."""
        for number, framework in enumerate(frameworks):
            result = self.results[framework.name]
            with self.reporter.task(f"starting {framework.name}"):
                try:
                    worker = framework.start(self.folder / framework.target, self.folder / f"{number}.log")
                except WorkerError as error:
                    result.problem = str(error)
                    continue
            self.workers[framework.name] = worker
            result.version = worker.version

    def close(self) -> None:
        """End the workers."""
        for worker in self.workers.values():
            worker.close()

    def check_gradients(self, network: Network, batch: int, seed: int) -> None:
        """Compare loss and gradients of one step from the same weights with those of the first framework that trains.

        In float64: in float32 rounding decides which of two equals a pool takes and whether a ReLU at zero is open, and
        norms over small batches make percents of it. How much is measured on that first framework, as its difference
        from itself in float32, and is what a framework may differ by that has no float64 throughout.
        """
        random = np.random.default_rng(seed)
        channels, height, width = network.input
        images = random.standard_normal((min(batch, CHECKED), height, width, channels))
        given = self.folder / "checked.npz"
        np.savez(given, images=images, labels=random.integers(0, network.classes, len(images)))
        reference: tuple[float, dict[str, Any]] | None = None
        rounding = 0.0
        for name, worker in self.workers.items():
            if not worker.gradients:
                continue
            result = self.results[name]
            with self.reporter.task(f"checking a step of {name}"):
                try:
                    loss, gradients = self._step(worker, given, "float64")
                    if reference is None:
                        reference = loss, gradients
                        rounding = gradient_difference(self._step(worker, given, "float32")[1], gradients)
                except WorkerError as error:
                    result.failed["gradients"] = str(error)
                    continue
            exact = next(each.whole_float64 for each in FRAMEWORKS if each.name == name)
            result.allowed = SAME if exact else max(SAME, ROUNDING * rounding)
            result.loss_difference = abs(loss - reference[0]) / max(abs(reference[0]), 1e-12)
            result.gradient_difference = gradient_difference(gradients, reference[1])

    def _step(self, worker: Worker, given: Path, precision: str) -> tuple[float, dict[str, Any]]:
        """Loss and gradients of one step."""
        out = self.folder / "gradients.npz"
        loss = worker.ask(do="gradients", batch=str(given), out=str(out), precision=precision)["loss"]
        with np.load(out) as found:
            return loss, dict(found)

    def measure_speed(self, timing: Timing, batch: str) -> None:
        """Time first steps, then turns on the images of a file.

        Predictions come first: training needs more memory, and the peak only grows.
        """
        for task in ("infer", "train"):
            turns = [
                (name, mode) for name, worker in self.workers.items() for kind, mode in worker.tasks if kind == task
            ]
            taken: dict[tuple[str, str], list[float]] = {turn: [] for turn in turns}
            with self.reporter.task("predicting" if task == "infer" else "training") as advance:
                steps = len(turns) * (timing.rounds + 1)
                for step in range(steps):
                    name, mode = turns[step % len(turns)]
                    advance(step, steps, f"{name}, {mode}")
                    taken[name, mode] += self._turn(
                        name, task, mode, batch, timing.seconds if step >= len(turns) else None
                    )
                advance(steps, steps, "")
            for (name, mode), times in taken.items():
                if times:
                    self.results[name].speed[f"{task}, {mode}"] = timing.batch / statistics.median(times)

    def _turn(self, name: str, task: str, mode: str, batch: str, seconds: float | None) -> list[float]:
        """The seconds of every step in a turn of so many `seconds`; without them, one step is taken as the first."""
        result, key = self.results[name], f"{task}, {mode}"
        if key in result.failed:
            return []
        command: dict[str, Any] = {"task": task, "mode": mode, "batch": batch}
        command |= {"do": "first"} if seconds is None else {"do": "time", "seconds": seconds}
        try:
            answer = self.workers[name].ask(**command)
        except WorkerError as error:
            result.failed[key] = str(error)
            return []
        if task == "infer":
            result.peak_infer = answer["peak"]
        else:
            result.peak = answer["peak"]
        if seconds is None:
            result.first[key] = answer["seconds"]
            return []
        taken: list[float] = answer["taken"]
        return taken


def gradient_difference(found: dict[str, Any], wanted: dict[str, Any]) -> float:
    """The largest difference of a tensor's gradient, |a - b| / |b|, in root mean squares (see `FLOOR`)."""
    if set(found) != set(wanted):
        return float("inf")
    sizes = {key: _root_mean_square(value) for key, value in wanted.items()}
    least = max(FLOOR * max(sizes.values()), 1e-30)
    return max(_root_mean_square(found[key] - value) / max(sizes[key], least) for key, value in wanted.items())


def _root_mean_square(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
