"""The time of a prediction in a runtime on this machine's processor, measured of several networks turn by turn."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from deepenough.errors import DeepenoughError
from deepenough.frameworks.export import Export
from deepenough.frameworks.targets import TARGETS
from deepenough.frameworks.writer import run_writer
from deepenough.nets import Network
from deepenough.nets.build import build
from deepenough.preprocessing import Preprocessing
from deepenough.progress import Reporter
from deepenough.runtimes.table import ROUNDS, RUNTIMES, Conditions, check_runtime
from deepenough.runtimes.worker import WORKERS, Worker, WorkerError, random_batch

SECONDS = 0.05
"""Of a turn, which has two predictions at least."""

Turn = Callable[[int, float | None], list[float]]
"""The seconds of every prediction of a network, by its number, in a turn of so many seconds; of one without."""


@dataclass(frozen=True)
class PredictionTimes:
    """The median seconds of a prediction of each network in every round, and the runtime's name with its version."""

    runtime: str
    seconds: list[list[float]]


def time_predictions(networks: Sequence[Network], conditions: Conditions, reporter: Reporter) -> PredictionTimes:
    """Time predictions of networks with random weights, in a process that holds them all, turn by turn.

    A prediction goes from pixels uint8 (N, H, W, C) to logits, normalisation included.
    """
    check_runtime(conditions.runtime, networks)
    title = RUNTIMES[conditions.runtime].title
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        folders = [root / str(number) for number in range(len(networks))]
        with reporter.task(f"writing for {title}"):
            _write(networks, conditions.runtime, folders)
        batches = {
            shape: random_batch(network, conditions.batch, 0, root / f"{'x'.join(map(str, shape))}.npz")
            for shape, network in {network.input: network for network in networks}.items()
        }
        program = [str(WORKERS / "latency_worker.py"), conditions.runtime, str(conditions.threads), *map(str, folders)]
        try:
            with closing(Worker(program, root, root / "log", {"OMP_NUM_THREADS": str(conditions.threads)})) as worker:

                def turn(number: int, seconds: float | None) -> list[float]:
                    asked = {"task": "infer", "mode": str(folders[number]), "batch": batches[networks[number].input]}
                    if seconds is None:
                        return [worker.ask(do="first", **asked)["seconds"]]
                    taken: list[float] = worker.ask(do="time", seconds=seconds, **asked)["taken"]
                    return taken

                return PredictionTimes(worker.version, alternate(turn, len(networks), reporter))
        except WorkerError as error:
            raise DeepenoughError(f"--runtime {conditions.runtime}: {title} failed: {error}") from None


def _write(networks: Sequence[Network], runtime: str, folders: Sequence[Path]) -> None:
    """Write the networks with random weights for a runtime."""
    exports, sides = [], []
    for network in networks:
        state = {key: value.numpy() for key, value in build(network).state_dict().items()}
        preprocessing = Preprocessing.untrained(network.input)
        exports.append(Export.of(network, state, preprocessing, tuple(map(str, range(network.classes)))))
        sides.append(preprocessing.reading_side)
    run_writer(exports, TARGETS[RUNTIMES[runtime].target], folders, trained=False, reading_side=sides)


def alternate(turn: Turn, count: int, reporter: Reporter) -> list[list[float]]:
    """Have networks take turns, there and back, so that whatever else slows the machine down slows all of them alike:
    the median of each turn's predictions, without those before the first round.

    A median forgets the predictions that other processes interrupted, which are a part of every turn.
    """
    taken: list[list[float]] = [[] for _ in range(count)]
    with reporter.task("measuring latency") as advance:
        for number in range(count):
            turn(number, None)
        for done in range(ROUNDS):
            advance(done, ROUNDS)
            for number in sorted(range(count), reverse=done % 2 == 1):
                taken[number].append(median(turn(number, SECONDS)))
        advance(ROUNDS, ROUNDS)
    return taken
