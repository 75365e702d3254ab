"""Candidates side by side on a Ray cluster, and the same answer as one machine comes to.

A search is a sequence of trainings, each watched by what the ones before it found. On a cluster the trainings that it
may want next run ahead; the search looks at each of them in its own order, epoch by epoch, as if it had trained them
itself, and ends those that can't win. So what it decides does not hang on who was faster.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.data.images import Images
from deepenough.distribution.ray_workers import RayWorkers
from deepenough.errors import DeepenoughError, first_line
from deepenough.nets import Network
from deepenough.nets.build import build
from deepenough.preprocessing import Preprocessing
from deepenough.training.callbacks import Action, Callback, CallbackList, Ending, Moment
from deepenough.training.device import choose_device
from deepenough.training.executor import Executor, Expected
from deepenough.training.interrupt import Interrupted
from deepenough.training.out_of_memory import OutOfMemoryInGroupError
from deepenough.training.process_group import ALONE, LostError, ProcessGroup
from deepenough.training.result import PAUSED_FOLDER, Trained, recall
from deepenough.training.spec import TrainingSpec
from deepenough.training.train import train

LOCAL = "local"
"""The address that stands for a Ray started here."""

CONNECT_TIMEOUT = 10.0  # seconds within which a cluster has to answer
TOKENS = "ray._private.authentication.authentication_token_setup"  # the logger that speaks of them on every start
RAY_POLL = 0.5  # seconds between looks at the user's wish to stop
TRIES = 3  # how often a training is begun anew whose worker was lost


@dataclass(frozen=True)
class RayCluster:
    """The Ray cluster at `address` that trains candidates side by side, each by `processes` together."""

    address: str
    processes: int = 1


@dataclass
class Running:
    """A training that was begun: its epochs as they come, and what Ray keeps free for a group of workers."""

    network: Network
    epochs: Any
    place: Any = None


@dataclass
class RayExecutor(Executor):
    """Trains on Ray what a search asks for, and what it may ask for next."""

    ray: Any
    images: Images
    workers: RayWorkers
    group: ProcessGroup = ALONE  # each of Ray's workers has its own
    _images: dict[Preprocessing, Any] = field(default_factory=dict)  # Ray's references to them
    _running: dict[str, Running] = field(default_factory=dict)  # in the order in which they were begun
    _expected: Expected = field(default_factory=dict)  # may be wanted next, not begun yet
    _batch_limits: dict[Network, int] = field(default_factory=dict)  # images at once, where workers ran out of memory
    _taken: float = 0.0  # GPUs that others had before, among them whoever started this search
    _answered: bool = False

    def __post_init__(self) -> None:
        if self.workers.gpus:
            self._taken = self.ray.cluster_resources().get("GPU", 0) - self.ray.available_resources().get("GPU", 0)

    def expect(self, specs: Expected) -> None:
        """Begin trainings that the search may want, in its order, as many as there is room for, and the others as room
        comes free. Whatever else runs ahead is not wanted any more. A spec is made only once there is room for it.
        """
        self._end(*(key for key, running in self._running.items() if running.network not in specs))
        self._expected = specs
        self._refill()

    def room(self) -> int:
        """The number of trainings that the cluster can do at once; each process has to find its room on one machine."""
        machines = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        needs = self.workers.needs.items()
        slots = sum(min(int(there.get(kind, 0) // each) for kind, each in needs) for there in machines)
        return max(slots - math.ceil(self._taken), 0) // self.workers.processes

    def _refill(self) -> None:
        while self._expected and len(self._working()) < self.room():
            spec = next(chain.from_iterable(self._expected.values()), None)
            if spec is None:
                self._expected = {}
            else:
                self._begin(spec)

    def _working(self) -> list[str]:
        """The trainings that take room. What Ray kept free for those that are through is given back."""
        working = []
        for key, running in self._running.items():
            through, _ = self.ray.wait([running.epochs.completed()], timeout=0, fetch_local=False)
            if through:
                self._give_back(running)
            else:
                working.append(key)
        return working

    def _make_room(self, spec: TrainingSpec, key: str) -> None:
        """Leave room for a training that is wanted now and does not run yet: it never waits for those that run ahead.

        Where it was not announced, the search goes another way, and nothing more is begun of what was.
        """
        if key not in map(self._key, self._expected.get(spec.network, ())):
            self._expected = {}
        self._end(*self._working()[max(0, self.room() - 1) :])

    def _begin(self, spec: TrainingSpec) -> None:
        key = self._key(spec)
        if key not in self._running:
            options: dict[str, Any] = {
                "num_cpus": self.workers.threads,
                "num_gpus": self.workers.gpus,
                "max_retries": TRIES,
            }
            place = None
            if self.workers.processes > 1:  # all of them or none, near each other; workers are not used again
                place = self.ray.util.placement_group([self.workers.needs] * self.workers.processes)
                inside = self.ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(
                    place, placement_group_bundle_index=0, placement_group_capture_child_tasks=True
                )
                options |= {"scheduling_strategy": inside, "retry_exceptions": [LostError], "max_calls": 1}
            task = self.ray.remote(num_returns="streaming", **options)(epochs_of)
            if spec.network in self._batch_limits:
                spec = replace(spec, recipe=replace(spec.recipe, micro_batch=self._batch_limits[spec.network]))
            # In a list Ray hands on the reference itself, for the worker to give to its helpers.
            self._running[key] = Running(spec.network, task.remote(spec, [self._held(spec)], self.workers), place)

    def _held(self, spec: TrainingSpec) -> Any:
        """Ray's reference to the images of a training, which Ray gets when they are first needed."""
        images = self.images.read_as(spec.preprocess)
        if images.preprocess not in self._images:
            self._images[images.preprocess] = self.ray.put(images.alone())
        return self._images[images.preprocess]

    def _key(self, spec: TrainingSpec) -> str:
        return spec.fingerprint(self.images)

    def run(self, spec: TrainingSpec, folder: Path, callbacks: Sequence[Callback] = (), *, threads: int = 0) -> Trained:
        """`training.train`, on the cluster: the folder gets what it would have got. Its workers have their own threads.

        Workers that tell that they are out of memory begin anew, with half as many images at once.
        """
        fingerprint, accompanying = self._key(spec), CallbackList(callbacks)
        trained = recall(folder, spec, fingerprint, pauses=accompanying.may_pause)
        if trained is None and fingerprint not in self._running:
            self._make_room(spec, fingerprint)
        try:
            while trained is None:
                self._begin(spec)
                try:
                    trained = self._follow(spec, fingerprint, folder, accompanying)
                except OutOfMemoryInGroupError as short:
                    self._batch_limits[spec.network] = short.half
                finally:
                    self._end(fingerprint)
        finally:
            accompanying.close()
        self._answered = True
        return trained

    def _follow(self, spec: TrainingSpec, fingerprint: str, folder: Path, callbacks: CallbackList) -> Trained:
        """Look at a training that runs, epoch by epoch, as if it were trained here."""
        trained = None
        for trained in self._arriving(self._running[fingerprint].epochs, callbacks):
            moment = moment_of(spec, trained)
            callbacks.on_epoch_end(moment)
            if trained.ended.is_final:
                callbacks.on_train_end(moment, trained.ended)
                trained.save(folder, fingerprint)
                return trained
            action = callbacks.on_epoch_begin(moment)
            if action is not Action.GO_ON:
                trained = replace(trained, ended=Ending(action.value))
                callbacks.on_train_end(moment, trained.ended)
                if trained.ended.is_kept:
                    trained.save(folder / PAUSED_FOLDER, fingerprint)
                return trained
        over = callbacks.is_over
        if over and (trained or self._answered):
            return replace(trained or untrained(spec, self.images), ended=Ending.OUT_OF_TIME)
        why = "not one epoch within --time-limit" if over else "no result"
        raise DeepenoughError(f"{spec.network.name}: Ray gave {why}; `ray status` says how the cluster is")

    def _arriving(self, stream: Any, callbacks: CallbackList) -> Iterator[Trained]:
        """A training's state after each epoch, as they come, until the deadline; meanwhile others are begun."""
        while True:
            ready, _ = self.ray.wait([stream], timeout=RAY_POLL, fetch_local=False)
            if callbacks.wants_stop:
                raise Interrupted("stopped")
            if ready:
                try:
                    yield self.ray.get(next(stream))
                except StopIteration:
                    return
                except self.ray.exceptions.RayError as error:
                    raise worker_error(error) from None
            elif callbacks.is_over:
                return
            self._refill()

    def close(self) -> None:
        """End all that runs ahead and is not wanted any more."""
        self._end(*self._running)

    def _end(self, *keys: str) -> None:
        for key in keys:
            running = self._running.pop(key)
            with suppress(self.ray.exceptions.RayError, ValueError):
                self.ray.cancel(running.epochs, force=True)
            self._give_back(running)

    def _give_back(self, running: Running) -> None:
        if running.place is not None:
            self.ray.util.remove_placement_group(running.place)
            running.place = None


def moment_of(spec: TrainingSpec, trained: Trained) -> Moment:
    """The progress of a training elsewhere, by the state that it sent after an epoch."""
    return Moment(trained.steps, trained.steps * spec.recipe.epochs // max(trained.epochs, 1), trained.curve)


def untrained(spec: TrainingSpec, images: Images) -> Trained:
    """The result of no epoch: the weights that a training starts from, and no opinion on any image."""
    model = build(spec.network, spec.seed)
    if spec.initial_weights is not None:
        model.load_state_dict(dict(spec.initial_weights))
    classes = len(images.classes)
    return Trained(
        network=spec.network,
        state=dict(model.state_dict()),
        curve=(),
        ended=Ending.OUT_OF_TIME,
        probabilities=np.full((len(spec.evaluation), classes), 1 / classes, np.float32),
        lr=spec.recipe.lr or 0.0,
    )


def worker_error(error: BaseException) -> DeepenoughError:
    """The error of a worker in one line: our own words as they are, other errors by name."""
    while isinstance(cause := getattr(error, "cause", None), Exception):  # a helper's error comes through two tasks
        error = cause
    if isinstance(error, DeepenoughError):
        return error
    text = str(error).strip().partition("\n")[0]
    return DeepenoughError(f"Ray: {type(error).__name__}" + (f": {text}" if text else ""))


class OneEpoch(Callback):
    """Pause after every epoch, so that its state can be sent."""

    def __init__(self, done: int) -> None:
        self.done = done

    def on_epoch_begin(self, moment: Moment) -> Action:
        return Action.PAUSE if len(moment.curve) > self.done else Action.GO_ON


def epochs_of(spec: TrainingSpec, held: list[Any], workers: RayWorkers) -> Iterator[Trained]:
    """A training's state after each of its epochs, the last one the finished training. Runs in a worker of Ray's."""
    import ray

    images: Images = ray.get(held[0])
    spec = replace(spec, recipe=replace(spec.recipe, device=workers.device))
    with tempfile.TemporaryDirectory() as temporary, workers.join(held) as group:
        folder = Path(temporary) / "training"
        done = 0
        while True:
            trained = train(spec, images, folder, [OneEpoch(done)], group=group)
            yield trained
            if trained.ended.is_final:
                return
            done = trained.epochs
            shutil.rmtree(folder / PAUSED_FOLDER)


def check_address(address: str) -> None:
    """Raise the error for an address where nothing answers, which Ray would wait for minutes."""
    if address.startswith("ray://"):
        raise DeepenoughError(
            f"--ray {address}: from outside of a cluster Ray can't tell the epochs of a training as they come; start "
            "on one of its machines, as by `ray job submit -- deepenough fit ... --ray auto`"
        )
    host, _, port = address.rpartition(":")
    if not host:  # "local", or "auto": Ray knows at once
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_TIMEOUT).close()
    except (OSError, ValueError) as error:
        raise DeepenoughError(
            f"--ray {address}: nothing answers there ({error}); give `auto` on one of the cluster's machines, the "
            "address of its head, as HOST:6379, or nothing for a Ray that is started here"
        ) from None


def is_news(record: logging.LogRecord) -> bool:
    """True if a line of Ray's about tokens is worth being shown: that they are asked for is as it should be."""
    return not record.getMessage().startswith("Token authentication is enabled for")


@contextmanager
def ray_executor(cluster: RayCluster, images: Images, threads: int, device: str) -> Iterator[RayExecutor]:
    """A connection to the Ray that is wished for, or to one that is started here for as long as it lasts."""
    address = cluster.address
    if find_spec("ray") is None:
        raise DeepenoughError("--ray needs Ray: pip install 'deepenough[cluster]'")
    import ray

    logging.getLogger(TOKENS).addFilter(is_news)
    check_address(address)
    if address == LOCAL:
        # Workers of Ray's yield to all else that the machine does. Beside one busy program, importing torch took them
        # 26 s instead of 3; a training without Ray does not yield either.
        os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        ray.init(
            address=address,  # "local" starts one; None would join that of RAY_ADDRESS, or any on this machine
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise DeepenoughError(f"--ray {address}: {first_line(error)}") from None
    try:
        workers = RayWorkers(threads, choose_device(device).type, cluster.processes)
        if device == "auto" and not workers.gpus and ray.cluster_resources().get("GPU"):  # type: ignore[no-untyped-call]
            raise DeepenoughError(
                "--ray: the cluster has GPUs and this machine, where steps are measured, has none. Start where there "
                "is one (`ray job submit --entrypoint-num-gpus 1 -- ...`), or give --device cpu"
            )
        found = RayExecutor(ray, images, workers)
        if not found.room():
            raise DeepenoughError(
                f"--ray: {workers.processes} processes with {threads} threads each have no room on this cluster beside "
                "others; `ray status` says how much that is. Give fewer --processes or --threads"
            )
        yield found
        found.close()
    finally:
        ray.shutdown()
