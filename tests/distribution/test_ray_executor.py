"""What runs ahead on a cluster and what is ended, on one of paper; `test_ray_cluster.py` has a real one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from small import Watch, make_images

from deepenough import DeepenoughError
from deepenough.distribution import ray_executor as executors
from deepenough.distribution.ray_executor import RayCluster, RayExecutor
from deepenough.distribution.ray_workers import RayWorkers
from deepenough.experiment.setup import Experiment
from deepenough.nets import Network
from deepenough.search.architectures import search_space
from deepenough.training.callbacks import Deadline, Ending, ReportProgress
from deepenough.training.curve import Epoch
from deepenough.training.interrupt import Interrupted
from deepenough.training.out_of_memory import OutOfMemoryInGroupError
from deepenough.training.recipe import Recipe
from deepenough.training.result import Trained
from deepenough.training.spec import TrainingSpec
from deepenough.training.tensorboard import TensorBoard

pytest.importorskip("ray")

SHALLOW, DEEP, OTHER = (architecture.network for architecture in search_space(["residual"], [1.0], (1, 8, 8), 2)[:3])
WISH = RayCluster("local")
IMAGES = replace(make_images(count=12, classes=2), classes=("cat", "dog"))


def order(network: Network, fold: int) -> TrainingSpec:
    return TrainingSpec(network, Recipe(epochs=2), np.arange(10), np.array([fold]), seed=0)


def state(of: TrainingSpec, ended: Ending = Ending.FINISHED, epochs: int = 2) -> Trained:
    """What a training came to."""
    nan = float("nan")
    curve = tuple(Epoch(number + 1, 0.5, 0.5, *(nan,) * 5, lr=0.1, seconds=1.0) for number in range(epochs))
    return replace(executors.untrained(of, IMAGES), curve=curve, epochs=epochs, ended=ended)


class Stream:
    """A training on the paper cluster; `epochs` are what it still gives, errors among them."""

    def __init__(self, order: TrainingSpec, epochs: list[Any]) -> None:
        self.order, self.epochs, self.state = order, epochs, "running"

    def __next__(self) -> Any:
        if not self.epochs:
            raise StopIteration
        return self.epochs.pop(0)

    def completed(self) -> Stream:
        return self


class FailedError(Exception):
    """A Ray error, of a task that failed with `cause`."""

    def __init__(self, cause: Exception) -> None:
        super().__init__("Traceback\n of many\n lines")
        self.cause = cause


class PaperRay:
    """What a cluster asks of Ray. Trainings run until a test says that they are through."""

    exceptions = SimpleNamespace(RayError=FailedError)
    taken = 0.0
    util = SimpleNamespace(
        placement_group=lambda bundles: object(),
        remove_placement_group=lambda place: None,
        scheduling_strategies=SimpleNamespace(PlacementGroupSchedulingStrategy=lambda place, **_: place),
    )

    def __init__(self, *machines: dict[str, float]) -> None:
        self.machines = [{"Alive": True, "Resources": machine} for machine in machines]
        self.begun: list[Stream] = []
        self.gives: Callable[[TrainingSpec], list[Any]] = lambda of: [state(of, Ending.PAUSED, epochs=1), state(of)]

    def nodes(self) -> list[dict[str, Any]]:
        return self.machines

    def cluster_resources(self) -> dict[str, float]:
        return {"GPU": sum(machine["Resources"].get("GPU", 0) for machine in self.machines)}

    def available_resources(self) -> dict[str, float]:
        return {"GPU": self.cluster_resources()["GPU"] - self.taken}

    def put(self, what: Any) -> Any:
        return what

    def remote(self, **options: Any) -> Callable[..., Any]:
        def begin(of: TrainingSpec, *_: Any) -> Stream:
            self.begun.append(Stream(of, self.gives(of)))
            return self.begun[-1]

        return lambda function: SimpleNamespace(remote=begin)

    def wait(self, streams: list[Stream], timeout: float, fetch_local: bool) -> tuple[list[Stream], list[Stream]]:
        """With a timeout, for a next epoch; without, whether a training is through."""
        return [s for s in streams if (s.epochs if timeout else s.state == "through")], []

    def get(self, epoch: Any) -> Any:
        if isinstance(epoch, Exception):
            raise epoch
        return epoch

    def cancel(self, stream: Stream, force: bool) -> None:
        stream.state = "ended"

    def running(self) -> list[tuple[Network, int]]:
        return [(s.order.network, int(s.order.evaluation[0])) for s in self.begun if s.state == "running"]


def paper(
    *machines: dict[str, float], threads: int = 1, taken: float = 0.0, **workers: Any
) -> tuple[PaperRay, RayExecutor]:
    ray = PaperRay(*machines)
    ray.taken = taken
    return ray, RayExecutor(ray, IMAGES, RayWorkers(threads, **workers))


def trained(
    cluster: RayExecutor,
    of: TrainingSpec,
    folder: Path,
    watch: Any = None,
    deadline: float | None = None,
    progress: Any = None,
) -> Trained:
    given = [(Deadline, deadline), (Watch, watch), (ReportProgress, progress)]
    return cluster.run(of, folder, [make(what) for make, what in given if what is not None])


def orders(
    *networks: Network, folds: int, taken: list[TrainingSpec] | None = None
) -> dict[Network, Iterator[TrainingSpec]]:
    """Every fold of some networks; what was taken of them goes into `taken`."""

    def lazily(network: Network) -> Iterator[TrainingSpec]:
        for fold in range(folds):
            if taken is not None:
                taken.append(order(network, fold))
            yield order(network, fold)

    return {network: lazily(network) for network in networks}


def test_others_begin_as_soon_as_there_is_room(tmp_path: Path) -> None:
    ray, cluster = paper({"CPU": 2})
    taken: list[TrainingSpec] = []
    cluster.expect(orders(SHALLOW, DEEP, folds=4, taken=taken))
    assert ray.running() == [(SHALLOW, 0), (SHALLOW, 1)]
    seen = []

    def progress(*_: Any) -> None:
        seen.append(ray.running())
        ray.begun[1].state = "through"  # which nobody has looked at yet

    trained(cluster, order(SHALLOW, 0), tmp_path / "0", progress=progress)
    assert seen == [[(SHALLOW, 0), (SHALLOW, 1)], [(SHALLOW, 0), (SHALLOW, 2)]]
    trained(cluster, order(SHALLOW, 1), tmp_path / "1")
    assert ray.running() == [(SHALLOW, 2), (SHALLOW, 3)]
    assert len(taken) == len(ray.begun) == 4


def test_what_is_not_wanted_any_more_is_ended(tmp_path: Path) -> None:
    ray, cluster = paper({"CPU": 3})
    cluster.expect(orders(SHALLOW, DEEP, folds=2))
    assert ray.running() == [(SHALLOW, 0), (SHALLOW, 1), (DEEP, 0)]
    trained(cluster, order(SHALLOW, 0), tmp_path, watch=lambda curve: "pruned")
    cluster.expect(orders(DEEP, folds=2))
    assert ray.running() == [(DEEP, 0), (DEEP, 1)]
    assert ray.begun[1].state == "ended"


@pytest.mark.parametrize("wanted", [order(OTHER, 0), replace(order(SHALLOW, 0), seed=1)])
def test_what_is_wanted_now_never_waits_for_what_runs_ahead(wanted: TrainingSpec, tmp_path: Path) -> None:
    ray, cluster = paper({"CPU": 2})
    cluster.expect(orders(SHALLOW, DEEP, folds=2))
    seen = []
    trained(cluster, wanted, tmp_path, progress=lambda *_: seen.append(ray.running()))
    assert seen == [[(SHALLOW, 0), (wanted.network, 0)]] * 2
    assert ray.running() == [(SHALLOW, 0)]  # and nothing that was announced is begun any more


def test_room_is_counted_by_machines() -> None:
    four = [{"CPU": 4.0}] * 4
    assert paper(*four, threads=8)[1].room() == 0
    assert paper(*four, threads=3)[1].room() == 4
    assert paper(*four, threads=3, processes=3)[1].room() == 1
    assert paper({"CPU": 8.0}, {"CPU": 8.0, "GPU": 1.0}, device="cuda")[1].room() == 1
    assert paper({"CPU": 8.0, "GPU": 4.0}, device="cuda", taken=1.0)[1].room() == 3  # by whoever started the search
    assert paper({"CPU": 8.0, "GPU": 1.0}, device="cuda", taken=1.0)[1].room() == 0
    ray, cluster = paper(*four)
    ray.machines[0]["Alive"] = False
    assert cluster.room() == 12


def test_the_time_limit_holds_while_nothing_comes(tmp_path: Path) -> None:
    ray, cluster = paper({"CPU": 1})
    ray.gives = lambda of: [[state(of, Ending.PAUSED, 1)], [state(of)], []][int(of.evaluation[0])]
    over = time.monotonic() - 1
    with pytest.raises(DeepenoughError, match="not one epoch within --time-limit"):
        trained(cluster, order(SHALLOW, 2), tmp_path / "2", deadline=over)
    begun = trained(cluster, order(SHALLOW, 0), tmp_path / "0", deadline=time.monotonic() + 0.1)
    assert (begun.ended, begun.epochs) == ("out of time", 1)
    trained(cluster, order(SHALLOW, 1), tmp_path / "1")
    nothing = trained(cluster, order(SHALLOW, 2), tmp_path / "2", deadline=over)
    assert (nothing.ended, nothing.epochs, nothing.probabilities.tolist()) == ("out of time", 0, [[0.5, 0.5]])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FailedError(ValueError("first\nsecond")), "Ray: ValueError: first"),
        (FailedError(FailedError(DeepenoughError("our own\nwords"))), "our own\nwords"),
    ],
)
def test_a_worker_s_error_is_said_plainly(error: Exception, said: str, tmp_path: Path) -> None:
    ray, cluster = paper({"CPU": 1})
    ray.gives = lambda of: [error]
    with pytest.raises(DeepenoughError) as raised:
        trained(cluster, order(SHALLOW, 0), tmp_path)
    assert str(raised.value) == said


def test_workers_without_memory_begins_anew_with_half(tmp_path: Path) -> None:
    ray, cluster = paper({"CPU": 2}, processes=2)
    some = order(SHALLOW, 0)

    def gives(of: TrainingSpec) -> list[Any]:
        at_once = of.recipe.micro_batch or 32
        if at_once > 8:
            return [state(of, Ending.PAUSED, epochs=1), FailedError(OutOfMemoryInGroupError(at_once, 2, at_once // 2))]
        return [state(of)]

    ray.gives = gives
    found = trained(cluster, some, tmp_path)
    assert [stream.order.recipe.micro_batch for stream in ray.begun] == [0, 16, 8]
    assert found.ended == "finished"
    trained(cluster, some, tmp_path)  # it is the training that was asked for, and there
    assert len(ray.begun) == 3


@pytest.mark.parametrize("address", ["local", "auto"])
def test_local_starts_a_ray_whatever_is_running_elsewhere(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`RAY_ADDRESS` names another cluster, which only "auto" joins: `ray.init` is given what Ray resolves so."""
    import ray
    from ray._private.services import canonicalize_bootstrap_address

    monkeypatch.setenv("RAY_ADDRESS", "192.0.2.1:6379")
    joined: list[str | None] = []

    def init(address: str | None = None, **_: Any) -> None:
        joined.append(canonicalize_bootstrap_address(address))  # type: ignore[arg-type]
        raise RuntimeError("far enough")

    monkeypatch.setattr(ray, "init", init)
    with (
        pytest.raises(DeepenoughError, match="far enough"),
        executors.ray_executor(RayCluster(address), IMAGES, 1, "cpu"),
    ):
        pass
    assert joined == [None if address == "local" else "192.0.2.1:6379"]


def test_a_cluster_with_gpus_wants_one_where_steps_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setattr(ray, "init", lambda **_: None)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": 2.0})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(RayExecutor, "__post_init__", lambda self: None)
    monkeypatch.setattr(RayExecutor, "room", lambda self: 4)
    with (
        pytest.raises(DeepenoughError, match="--entrypoint-num-gpus 1"),
        executors.ray_executor(WISH, IMAGES, 1, "auto"),
    ):
        pass
    with executors.ray_executor(WISH, IMAGES, 1, "cpu") as found:
        assert found.workers.gpus == 0


def test_curves_of_a_cluster_go_to_tensorboard_too(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    _, cluster = paper({"CPU": 1})
    cluster.run(order(SHALLOW, 0), tmp_path / "run", [TensorBoard(tmp_path / "curves")])
    points = accumulator.EventAccumulator(str(tmp_path / "curves")).Reload().Scalars("top1/train")
    assert [point.step for point in points] == [1, 2]


@pytest.mark.parametrize(
    ("mishap", "late", "measured"),
    [(None, False, [1, 2, 3]), (DeepenoughError("no room"), False, [1, 2]), (None, True, [])],
)
def test_what_is_measured_beforehand_ends_no_search(mishap: Exception | None, late: bool, measured: list[int]) -> None:
    def tuned(architecture: int) -> None:
        seen.append(architecture)
        if mishap and architecture == 2:
            raise mishap

    seen: list[int] = []
    experiment: Any = SimpleNamespace(search_space=[1, 2, 3], trainer=SimpleNamespace(tuned=tuned, is_late=late))
    Experiment.measure_ahead(experiment)
    assert seen == measured


def test_a_wish_to_stop_is_heard_while_steps_are_measured_beforehand() -> None:
    def tuned(architecture: int) -> None:
        raise Interrupted("stopped")

    experiment: Any = SimpleNamespace(search_space=[1], trainer=SimpleNamespace(tuned=tuned, is_late=False))
    with pytest.raises(Interrupted):
        Experiment.measure_ahead(experiment)
