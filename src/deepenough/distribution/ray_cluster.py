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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepenough.data.images import Images
from deepenough.distribution.ray_workers import Crew
from deepenough.distribution.torchrun import LostError
from deepenough.errors import DeepenoughError, first_line
from deepenough.nets import Network
from deepenough.nets.build import build
from deepenough.training.device import choose_device
from deepenough.training.feed import Index
from deepenough.training.interrupt import Interrupted
from deepenough.training.loop import Progress, Watch
from deepenough.training.out_of_memory import ShortError
from deepenough.training.recipe import Recipe
from deepenough.training.result import ENDS, Trained, save_result
from deepenough.training.tensorboard import Curves, curves
from deepenough.training.train import OUT_OF_TIME, PAUSED, identify, late, seen_before, train

LOCAL = "local"
"""The address that stands for a Ray started here."""

ANSWER = 10.0  # seconds within which a cluster has to answer
TOKENS = "ray._private.authentication.authentication_token_setup"  # the logger that speaks of them on every start
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


@dataclass
class Running:
    """A training that was begun: its epochs as they come, and what Ray keeps free for a crew of several."""

    network: Network
    epochs: Any
    place: Any = None


@dataclass
class Cluster:
    """Trains on Ray what a search asks for, and what it may ask for next."""

    ray: Any
    images: Images
    crew: Crew
    _images: Any = None
    _running: dict[str, Running] = field(default_factory=dict)  # in the order in which they were begun
    _orders: Mapping[Network, Iterator[Order]] = field(default_factory=dict)  # may be wanted next, not begun yet
    _halves: dict[Network, int] = field(default_factory=dict)  # images at once, of crews that ran out of memory
    _taken: float = 0.0  # GPUs that others had before, among them whoever started this search
    _answered: bool = False

    def __post_init__(self) -> None:
        self._images = self.ray.put(self.images)
        if self.crew.gpus:
            self._taken = self.ray.cluster_resources().get("GPU", 0) - self.ray.available_resources().get("GPU", 0)

    def ahead(self, orders: Mapping[Network, Iterator[Order]]) -> None:
        """Begin trainings that the search may want, in its order, as many as there is room for, and the others as room
        comes free. Whatever else runs ahead is not wanted any more. An order is taken only once there is room for it.
        """
        self._end(*(key for key, running in self._running.items() if running.network not in orders))
        self._orders = orders
        self._refill()

    def room(self) -> int:
        """How many trainings the cluster can do at once; each process has to find its room on one machine."""
        machines = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        needs = self.crew.needs.items()
        slots = sum(min(int(there.get(kind, 0) // each) for kind, each in needs) for there in machines)
        return max(slots - math.ceil(self._taken), 0) // self.crew.processes

    def _refill(self) -> None:
        while self._orders and len(self._working()) < self.room():
            order = next(chain.from_iterable(self._orders.values()), None)
            if order is None:
                self._orders = {}
            else:
                self._begin(order)

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

    def _make_way(self, order: Order, key: str) -> None:
        """Leave room for a training that is wanted now and does not run yet: it never waits for those that run ahead.

        Where it was not announced, the search goes another way, and nothing more is begun of what was.
        """
        if key not in map(self._key, self._orders.get(order.network, ())):
            self._orders = {}
        self._end(*self._working()[max(0, self.room() - 1) :])

    def _begin(self, order: Order) -> None:
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
            if order.network in self._halves:
                order = replace(order, recipe=replace(order.recipe, micro_batch=self._halves[order.network]))
            # In a list Ray hands on the reference itself, for the worker to give to its helpers.
            self._running[key] = Running(order.network, task.remote(order, [self._images], self.crew), place)

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
        tensorboard: Path | None = None,
    ) -> Trained:
        """`deepenough.training.train`, on the cluster: the folder gets what it would have got.

        A crew that tells that it is out of memory begins anew, with half as many images at once.
        """
        order = Order(network, recipe, train_index, held_out_index, seed, start)
        identity = self._key(order)
        trained = seen_before(folder, network, identity, watched=watch is not None)
        if trained is None and identity not in self._running:
            self._make_way(order, identity)
        while trained is None:
            self._begin(order)
            drawn = curves(tensorboard)
            try:
                trained = self._follow(order, identity, folder, watch, deadline, progress, stop, drawn)
            except ShortError as short:
                self._halves[network] = short.half
            finally:
                drawn.close()
                self._end(identity)
        self._answered = True
        return trained

    def _follow(
        self,
        order: Order,
        identity: str,
        folder: Path,
        watch: Watch | None,
        deadline: float | None,
        progress: Progress | None,
        stop: Callable[[], bool] | None,
        drawn: Curves,
    ) -> Trained:
        """Look at a training that runs, epoch by epoch, as if it were trained here."""
        trained = None
        for trained in self._arriving(self._running[identity].epochs, deadline, stop or (lambda: False)):
            drawn.draw(trained.curve)
            if progress is not None:
                latest = trained.curve[-1] if trained.curve else None
                progress(trained.steps, trained.steps * order.recipe.epochs // max(trained.epochs, 1), latest)
            if trained.ended in ENDS:
                save_result(folder, trained, identity)
                return trained
            verdict = OUT_OF_TIME if late(deadline) else watch(trained.curve) if watch else "go on"
            if verdict != "go on":
                trained = replace(trained, ended=verdict)
                if verdict != OUT_OF_TIME:
                    save_result(folder / PAUSED, trained, identity)
                return trained
        if late(deadline) and (trained or self._answered):
            return replace(trained or untrained(order, self.images), ended=OUT_OF_TIME)
        why = "not one epoch within --time-limit" if late(deadline) else "no result"
        raise DeepenoughError(f"{order.network.name}: Ray gave {why}; `ray status` says how the cluster is")

    def _arriving(self, stream: Any, deadline: float | None, stop: Callable[[], bool]) -> Iterator[Trained]:
        """A training's state after each epoch, as they come, until the deadline; meanwhile others are begun."""
        while True:
            ready, _ = self.ray.wait([stream], timeout=LOOK, fetch_local=False)
            if stop():
                raise Interrupted("stopped")
            if ready:
                try:
                    yield self.ray.get(next(stream))
                except StopIteration:
                    return
                except self.ray.exceptions.RayError as error:
                    raise plainly(error) from None
            elif late(deadline):
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


def untrained(order: Order, images: Images) -> Trained:
    """What a training comes to before its first epoch: the weights it starts from, and no opinion on any image."""
    model = build(order.network, order.seed)
    if order.start is not None:
        model.load_state_dict(order.start)
    classes = len(images.classes)
    return Trained(
        network=order.network,
        state=dict(model.state_dict()),
        curve=(),
        ended=OUT_OF_TIME,
        probabilities=np.full((len(order.held_out), classes), 1 / classes, np.float32),
        lr=order.recipe.lr or 0.0,
        steps=0,
        epochs=0,
        seconds=0.0,
        waited=0.0,
        macs=0,
        overhead_macs=0,
    )


def plainly(error: BaseException) -> DeepenoughError:
    """What went wrong in a worker, in one line: our own words as they are, other errors by name."""
    while isinstance(cause := getattr(error, "cause", None), Exception):  # a helper's error comes through two tasks
        error = cause
    if isinstance(error, DeepenoughError):
        return error
    text = str(error).strip().partition("\n")[0]
    return DeepenoughError(f"Ray: {type(error).__name__}" + (f": {text}" if text else ""))


def epochs_of(order: Order, held: list[Any], crew: Crew) -> Iterator[Trained]:
    """A training's state after each of its epochs, the last one the finished training. Runs in a worker of Ray's."""
    import ray

    images: Images = ray.get(held[0])
    recipe = replace(order.recipe, device=crew.device)
    with tempfile.TemporaryDirectory() as temporary, crew.together(held) as group:
        folder = Path(temporary) / "training"
        done = 0
        while True:
            trained = train(
                order.network,
                recipe,
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
    if address.startswith("ray://"):
        raise DeepenoughError(
            f"--ray {address}: from outside of a cluster Ray can't tell the epochs of a training as they come; start "
            "on one of its machines, as by `ray job submit -- deepenough fit ... --ray auto`"
        )
    host, _, port = address.rpartition(":")
    if not host:  # "local", or "auto": Ray knows at once
        return
    try:
        socket.create_connection((host, int(port)), timeout=ANSWER).close()
    except (OSError, ValueError) as error:
        raise DeepenoughError(
            f"--ray {address}: nothing answers there ({error}); give `auto` on one of the cluster's machines, the "
            "address of its head, as HOST:6379, or nothing for a Ray that is started here"
        ) from None


def is_news(record: logging.LogRecord) -> bool:
    """Whether a line of Ray's about tokens is worth being shown: that they are asked for is as it should be."""
    return not record.getMessage().startswith("Token authentication is enabled for")


@contextmanager
def cluster(wish: SideBySide, images: Images, threads: int, device: str) -> Iterator[Cluster]:
    """A connection to the Ray that is wished for, or to one that is started here for as long as it lasts."""
    address = wish.address
    if find_spec("ray") is None:
        raise DeepenoughError("--ray needs Ray: pip install 'deepenough[cluster]'")
    import ray

    logging.getLogger(TOKENS).addFilter(is_news)
    check_there(address)
    if address == LOCAL:
        # Workers of Ray's yield to all else that the machine does. Beside one busy program, importing torch took them
        # 26 s instead of 3; a training without Ray does not yield either.
        os.environ.setdefault("RAY_worker_niceness", "0")
    try:
        ray.init(
            address=None if address == LOCAL else address,
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise DeepenoughError(f"--ray {address}: {first_line(error)}") from None
    try:
        crew = Crew(threads, choose_device(device).type, wish.processes)
        if device == "auto" and not crew.gpus and ray.cluster_resources().get("GPU"):  # type: ignore[no-untyped-call]
            raise DeepenoughError(
                "--ray: the cluster has GPUs and this machine, where steps are measured, has none. Start where there "
                "is one (`ray job submit --entrypoint-num-gpus 1 -- ...`), or give --device cpu"
            )
        found = Cluster(ray, images, crew)
        if not found.room():
            raise DeepenoughError(
                f"--ray: {crew.processes} processes with {threads} threads each have no room on this cluster beside "
                "others; `ray status` says how much that is. Give fewer --processes or --threads"
            )
        yield found
        found.close()
    finally:
        ray.shutdown()
