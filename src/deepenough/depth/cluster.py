"""Candidates side by side on a Ray cluster, and the same answer as one machine comes to.

A search is a sequence of trainings, each watched by what the ones before it found. On a cluster the trainings that it
may want next run ahead; the search looks at each of them in its own order, epoch by epoch, as if it had trained them
itself, and ends those that can't win. So what it decides does not hang on who was faster.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from deepenough.data import Images
from deepenough.depth.crew import Crew
from deepenough.errors import DeepenoughError
from deepenough.nets import Network
from deepenough.train import Interrupted, Recipe, Trained, choose_device, train
from deepenough.train.feed import Index
from deepenough.train.loop import Progress, Watch
from deepenough.train.processes import LostError
from deepenough.train.result import ENDS, save_result
from deepenough.train.train import OUT_OF_TIME, PAUSED, identify, seen_before

LOCAL = "local"
"""The address that stands for a Ray started here."""

ANSWER = 10.0  # seconds within which a cluster has to answer
LOOK = 0.5  # seconds between looks at the user's wish to stop
TRIES = 3  # how often a training is begun anew whose worker was lost


@dataclass(frozen=True)
class SideBySide:
    """The wish for candidates side by side: on the Ray at `address`, each trained by `processes` together."""

    address: str
    processes: int = 1


@dataclass(frozen=True)
class Order:
    """One training that may be wanted."""

    network: Network
    recipe: Recipe
    train: Index
    held_out: Index
    seed: int
    start: Mapping[str, torch.Tensor] | None = None


@dataclass(frozen=True)
class Running:
    """A training on its way: its epochs as they come, and what Ray keeps free for a crew of several."""

    epochs: Any
    place: Any = None


@dataclass
class Cluster:
    """Trains on Ray what a search asks for, and what it may ask for next."""

    ray: Any
    images: Images
    crew: Crew
    _images: Any = None
    _running: dict[str, Running] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._images = self.ray.put(self.images)

    def ahead(self, orders: Iterable[Order]) -> None:
        """Begin trainings that the search may want, in its order, as many as there is room for."""
        room = self.room()
        for order in orders:
            if len(self._running) >= room:
                return
            self._begin(order)

    def room(self) -> int:
        """How many trainings the cluster can do at once."""
        there = self.ray.cluster_resources()
        return min(int(there.get(kind, 0) // (each * self.crew.processes)) for kind, each in self.crew.needs.items())

    def _begin(self, order: Order) -> str:
        key = self._key(order)
        if key not in self._running:
            options: dict[str, Any] = {"num_cpus": self.crew.threads, "num_gpus": self.crew.gpus, "max_retries": TRIES}
            place = None
            if self.crew.processes > 1:  # all of them or none, near each other; workers are not used again
                place = self.ray.util.placement_group([self.crew.needs] * self.crew.processes)
                inside = self.ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(
                    place, placement_group_bundle_index=0, placement_group_capture_child_tasks=True
                )
                options |= {"scheduling_strategy": inside, "retry_exceptions": [LostError], "max_calls": 1}
            task = self.ray.remote(num_returns="streaming", **options)(epochs_of)
            # In a list Ray hands on the reference itself, for the worker to give to its helpers.
            self._running[key] = Running(task.remote(order, [self._images], self.crew), place)
        return key

    def _key(self, order: Order) -> str:
        return identify(order.network, order.recipe, self.images, order.train, order.held_out, order.seed, order.start)

    def train(
        self,
        network: Network,
        recipe: Recipe,
        images: Images,
        train_index: Index,
        held_out_index: Index,
        folder: Path,
        *,
        seed: int,
        start: Mapping[str, torch.Tensor] | None = None,
        watch: Watch | None = None,
        deadline: float | None = None,
        progress: Progress | None = None,
        stop: Callable[[], bool] | None = None,
        **rest: Any,
    ) -> Trained:
        """`deepenough.train.train`, on the cluster: the folder gets what it would have got."""
        order = Order(network, recipe, train_index, held_out_index, seed, start)
        identity = self._key(order)
        before = seen_before(folder, network, identity, watched=watch is not None)
        if before:
            return before
        running = self._running.pop(self._begin(order))
        try:
            for reference in self._arriving(running.epochs, stop or (lambda: False)):
                trained: Trained = self.ray.get(reference)
                if progress is not None:
                    progress(trained.steps, trained.steps * recipe.epochs // max(trained.epochs, 1), trained.curve[-1])
                if trained.ended in ENDS:
                    save_result(folder, trained, identity)
                    return trained
                late = deadline is not None and time.monotonic() > deadline
                verdict = OUT_OF_TIME if late else watch(trained.curve) if watch else "go on"
                if verdict != "go on":
                    trained = replace(trained, ended=verdict)
                    if not late:
                        save_result(folder / PAUSED, trained, identity)
                    return trained
        finally:
            self._end(running)
        raise DeepenoughError(f"{network.name}: Ray gave no result; `ray status` says how the cluster is")

    def _arriving(self, stream: Any, stop: Callable[[], bool]) -> Iterator[Any]:
        """References to a training's epochs, as they come."""
        while True:
            ready, _ = self.ray.wait([stream], timeout=LOOK, fetch_local=False)
            if stop():
                raise Interrupted("stopped; a training that was on its way begins anew with `deepenough fit --resume`")
            if ready:
                try:
                    yield next(stream)
                except StopIteration:
                    return
                except self.ray.exceptions.RayError as error:
                    raise DeepenoughError(f"Ray: {str(error).strip().splitlines()[-1]}") from None

    def close(self) -> None:
        """End all that runs ahead and is not wanted any more."""
        for running in self._running.values():
            self._end(running)
        self._running.clear()

    def _end(self, running: Running) -> None:
        with suppress(self.ray.exceptions.RayError, ValueError):
            self.ray.cancel(running.epochs, force=True)
        if running.place is not None:
            self.ray.util.remove_placement_group(running.place)


def epochs_of(order: Order, held: list[Any], crew: Crew) -> Iterator[Trained]:
    """A training's state after each of its epochs, the last one the finished training. Runs in a worker of Ray's."""
    import ray

    images: Images = ray.get(held[0])
    device = choose_device(order.recipe.device)
    with tempfile.TemporaryDirectory() as temporary, crew.together(held, device) as group:
        folder = Path(temporary) / "training"
        done = 0
        while True:
            trained = train(
                order.network,
                order.recipe,
                images,
                order.train,
                order.held_out,
                folder,
                seed=order.seed,
                start=order.start,
                watch=lambda curve, done=done: "an epoch" if len(curve) > done else "go on",  # type: ignore[misc]
                group=group,
            )
            yield trained
            if trained.ended in ENDS:
                return
            done = trained.epochs
            shutil.rmtree(folder / PAUSED)


def check_there(address: str) -> None:
    """Raise the error for an address where nothing answers, which Ray would wait for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:  # "local", or "auto": Ray knows at once
        return
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER).close()
    except (OSError, ValueError) as error:
        raise DeepenoughError(
            f"--ray {address}: nothing answers there ({error}); give the address of the cluster's head, as HOST:6379 "
            "or ray://HOST:10001, `auto` on one of its machines, or nothing for a Ray that is started here"
        ) from None


@contextmanager
def cluster(wish: SideBySide, images: Images, threads: int, device: str) -> Iterator[Cluster]:
    """A connection to the Ray that is wished for, or to one that is started here for as long as it lasts."""
    address = wish.address
    if find_spec("ray") is None:
        raise DeepenoughError("--ray needs Ray: pip install 'deepenough[cluster]'")
    import ray

    check_there(address)
    try:
        ray.init(
            address=None if address == LOCAL else address,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise DeepenoughError(f"--ray {address}: {str(error).strip().splitlines()[0]}") from None
    try:
        crew = Crew(threads, gpus=int(choose_device(device).type == "cuda"), processes=wish.processes)
        found = Cluster(ray, images, crew)
        if not found.room():
            raise DeepenoughError(
                f"--ray: {crew.processes} processes with {threads} threads each are more than this cluster has; "
                "`ray status` says how much that is. Give fewer --processes or --threads"
            )
        yield found
        found.close()
    finally:
        ray.shutdown()
