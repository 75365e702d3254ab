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
from deepenough.errors import DeepenoughError
from deepenough.nets import Network
from deepenough.train import Interrupted, Recipe, Trained, choose_device, train
from deepenough.train.feed import Index
from deepenough.train.loop import Progress, Watch
from deepenough.train.result import ENDS, save_result
from deepenough.train.train import OUT_OF_TIME, PAUSED, identify, recall

LOCAL = "local"
"""The address that stands for a Ray started here."""

ANSWER = 10.0  # seconds within which a cluster has to answer
LOOK = 0.5  # seconds between looks at the user's wish to stop
TRIES = 3  # how often a training is begun anew whose worker was lost


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
class Cluster:
    """Trains on Ray what a search asks for, and what it may ask for next.

    `threads` is what each training takes; with a GPU in the recipe's device, one of those too.
    """

    ray: Any
    images: Images
    threads: int
    gpus: int
    _images: Any = None
    _running: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._images = self.ray.put(self.images)

    def ahead(self, orders: Iterable[Order]) -> None:
        """Begin trainings that the search may want, in its order, as many as there is room for."""
        room = max(int(self.ray.cluster_resources().get("CPU", 1)) // self.threads, 1)
        for order in orders:
            if len(self._running) >= room:
                return
            self._begin(order)

    def _begin(self, order: Order) -> str:
        key = self._key(order)
        if key not in self._running:
            task = self.ray.remote(
                num_cpus=self.threads, num_gpus=self.gpus, max_retries=TRIES, num_returns="streaming"
            )(epochs_of)
            self._running[key] = task.remote(order, self._images, self.threads)
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
        before = (watch and recall(folder / PAUSED, network, identity)) or recall(folder, network, identity)
        if before:
            return before
        stream = self._running.pop(self._begin(order))
        for reference in self._arriving(stream, stop or (lambda: False)):
            trained: Trained = self.ray.get(reference)
            if progress is not None:
                progress(trained.steps, trained.steps * recipe.epochs // max(trained.epochs, 1), trained.curve[-1])
            if trained.ended in ENDS:
                save_result(folder, trained, identity)
                return trained
            late = deadline is not None and time.monotonic() > deadline
            verdict = OUT_OF_TIME if late else watch(trained.curve) if watch else "go on"
            if verdict != "go on":
                self._cancel(stream)
                trained = replace(trained, ended=verdict)
                if not late:
                    save_result(folder / PAUSED, trained, identity)
                return trained
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
        for stream in self._running.values():
            self._cancel(stream)
        self._running.clear()

    def _cancel(self, stream: Any) -> None:
        with suppress(self.ray.exceptions.RayError, ValueError):
            self.ray.cancel(stream, force=True)


def epochs_of(order: Order, images: Images, threads: int) -> Iterator[Trained]:
    """A training's state after each of its epochs, the last one the finished training. Runs in a worker of Ray's."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as temporary:
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
def cluster(address: str, images: Images, threads: int, device: str) -> Iterator[Cluster]:
    """A connection to the Ray at `address`, or to one that is started here for as long as it lasts."""
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
        found = Cluster(ray, images, threads, gpus=int(choose_device(device).type == "cuda"))
        yield found
        found.close()
    finally:
        ray.shutdown()
