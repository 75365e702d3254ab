"""The fastest way to train a network on this machine, and how long it will take: a few real steps of each way."""

from __future__ import annotations

import gc
import hashlib
import json
import math
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deepenough.autotuning.ways import SHARE, Way, best, others, price
from deepenough.data.cache import cache_folder
from deepenough.data.images import Images
from deepenough.errors import DeepenoughError, first_line
from deepenough.files import write_whole
from deepenough.nets import Network, activations, parameters
from deepenough.nets.layers import Weighted
from deepenough.nets.shapes import visits
from deepenough.training.callbacks import CallbackList, Interrupt
from deepenough.training.cuda_graphs import EAGER
from deepenough.training.device import choose_device
from deepenough.training.feed import Index, steps_per_epoch
from deepenough.training.interrupt import Interrupted
from deepenough.training.memory import available
from deepenough.training.out_of_memory import out_of_memory, remembered
from deepenough.training.perform import prepare
from deepenough.training.precision import settings
from deepenough.training.process_group import ALONE, ProcessGroup
from deepenough.training.recipe import Recipe
from deepenough.training.rng import own_draws, own_threads
from deepenough.training.spec import TrainingSpec
from deepenough.training.state import NotFiniteError
from deepenough.training.step import recording

WARM_UP, MEASURED = 1, 3  # steps
SHAPES = 2  # batches of an epoch differ by an image, and a compiler starts anew for each size
MOMENT = 0.25  # seconds: of steps that are over in no time, more are measured
ROOM = 0.8  # of the memory that is there which a step may take
FREE = frozenset({"precision", "memory_format", "compiled", "micro_batch", "threads"})


class CompilerError(DeepenoughError):
    """The compiler that torch uses failed."""


@dataclass(frozen=True)
class Measured:
    """The ways that were tried, the recipe's own first, and the one chosen."""

    tried: tuple[Way, ...]
    chosen: Way

    def to_json(self) -> dict[str, Any]:
        return {"tried": [way.to_json() for way in self.tried], "chosen": self.chosen.to_json()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Measured:
        """The inverse of `to_json`."""
        return cls(tuple(Way(**way) for way in content["tried"]), Way(**content["chosen"]))

    def __str__(self) -> str:
        base = self.tried[0]
        told = ", ".join(f"{_change(base, way)}: {_pace(base, way)}" for way in self.tried[1:])
        return f"{self.chosen}, {1 / self.chosen.seconds:,.0f} images/s{f' (tried {told})' if told else ''}"


def measure(
    network: Network,
    recipe: Recipe,
    images: Images,
    index: Index,
    planned: float,
    *,
    free: frozenset[str] = FREE,
    least: int = 1,
    stop: Callable[[], bool] = lambda: False,
    cache: str | Path | None = None,
) -> Measured:
    """Time a few real training steps, augmentation included, and look for a faster way to compute them.

    `planned` is the number of images that the training will take: other ways are tried as long as that costs no more
    than a share of it, 2%, or 10% with CUDA. `free` names the fields of the recipe that may change, `least` the
    fewest images at once. What other ways gave is kept in the cache for this machine, network and shape; the recipe's
    own is timed every time, since machines have busy hours. Weights are thrown away afterwards, and no draw of a later
    training is touched.

    Raises Interrupted once `stop()`, and DeepenoughError where the recipe's own way can't be computed at all.
    """
    device = choose_device(recipe.device)
    base = Way.of(recipe)
    if "micro_batch" in free and device.type == "cpu":
        some = at_once(network, recipe.batch, available())
        base = replace(base, micro_batch=min(filter(None, (some and max(some, least), base.micro_batch)), default=0))

    def clock(way: Way, limit: float = math.inf) -> Way:
        found = timed(way, network, recipe, images, index, limit=limit, stop=stop)
        if stop():  # it was cut short, and is no measurement
            raise Interrupted("stopped while ways to compute a step were measured")
        return found

    base = clock(base)
    while base.seconds == math.inf:
        some = base.micro_batch or recipe.batch
        if "micro_batch" not in free or some <= least:
            raise DeepenoughError(
                f"{network.name}: a training step with {some} image{'s' * (some > 1)} at once takes more memory than "
                "there is; use a smaller --size or --batch"
            )
        base = clock(replace(base, micro_batch=max(-(-some // 2), least)))
    notes = Notes(cache, network, recipe, images, device)
    tried = [base]
    left = SHARE[device.type] * base.total(planned)
    layers = sum(isinstance(visit.layer, Weighted) for visit in visits(network))
    for name, value in others(base, device.type, torch.get_num_threads(), free):
        soonest = best(tried, planned)
        if value == "float16" and soonest.precision == "bfloat16":
            continue  # as fast, and needs no scaling of the loss; float16 is for GPUs without it
        way = soonest.changed(name, value)
        known = notes.read(way, base)
        if known is None:
            cost = price(name, value, base, recipe.batch, layers)
            if cost > left:
                continue
            left -= cost
            try:
                known = clock(way, limit=cost)
            except CompilerError:
                continue
            if known.seconds == math.inf:  # another program may have the memory now
                continue
            notes.write(known, base)
        tried.append(known)
    return Measured(tuple(tried), best(tried, planned))


@dataclass(frozen=True)
class Trial:
    """The facts with which every process of a group times a way together."""

    way: Way
    network: Network
    recipe: Recipe
    index: Index

    def run(self, images: Images, group: ProcessGroup, shorten: Callable[[int], object] | None = None) -> Way:
        """`timed`, as every process of the group goes through it."""
        return timed(self.way, self.network, self.recipe, images, self.index, group=group, shorten=shorten)


@dataclass
class Laps:
    """When the steps of a trial were over. Those that count come after `warm` others; there are to be a few of them,
    that take a moment at least, and no more than `least` where all have taken `limit` seconds.

    `over` is called after each step. What computes while Python goes on is waited
    for, by `wait`, after 1, 2, 4, 8, ... steps that count only: else Python could not run ahead of it, as it does in a
    training. The other ends are no numbers.
    """

    warm: int
    least: int = 0
    limit: float = math.inf
    wait: Callable[[], object] | None = None
    began: float = 0.0
    ends: list[float] = field(default_factory=list)

    @property
    def begun(self) -> int:
        """The place in `ends` where the first step that counts begins."""
        return self.warm - 1

    def over(self) -> bool:
        """One more is over; whether that is enough."""
        counted = max(len(self.ends) - self.begun, 0)
        if self.wait and counted & (counted - 1):
            self.ends.append(math.nan)
            return False
        if self.wait:
            self.wait()
        self.ends.append(time.perf_counter())
        measured = counted > MEASURED and self.ends[-1] - self.ends[self.begun + 1] > MOMENT
        return measured or (counted >= self.least and self.ends[-1] - self.began > self.limit)

    def times(self) -> tuple[float, float]:
        """Seconds of a step, and what those before took more than as many that count."""
        while math.isnan(self.ends[-1]):
            self.ends.pop()
        steps = len(self.ends) - 1 - self.begun
        pace = (self.ends[-1] - self.ends[self.begun]) / steps if steps > 0 else self.ends[-1] - self.began
        begun = self.ends[min(self.begun, len(self.ends) - 1)]
        return pace, max(begun - self.began - self.warm * pace, 0.0)


def timed(
    way: Way,
    network: Network,
    recipe: Recipe,
    images: Images,
    index: Index,
    *,
    group: ProcessGroup = ALONE,
    shorten: Callable[[int], object] | None = None,
    limit: float = math.inf,
    stop: Callable[[], bool] = lambda: False,
) -> Way:
    """The way with the time of a training's own steps, a few and for a moment at least; infinite where memory does not
    suffice. An eager way that is so slow that it takes more than `limit` seconds is timed by fewer steps.

    Raises CompilerError where a compiled way can't be compiled. A group without memory ends as a training does: with a
    OutOfMemoryInGroupError, once its leader has `shorten` note how many images at once there may be.
    """
    recipe = way.recipe(recipe)
    for records in dict.fromkeys((recording(choose_device(recipe.device), group), False)):
        try:
            return _timed(way, network, recipe, images, index, records, group, shorten, limit, stop)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error) or group.size > 1:
                gc.collect()
                if not way.compiled:
                    raise
                # A compiler may be missing; all else is a fault of ours.
                why = first_line(error)
                raise CompilerError(f"{network.name}: torch.compile failed ({why}); leave out --compile") from None
        gc.collect()  # recordings may have taken the memory that was short
    return replace(way, seconds=math.inf)


def _timed(
    way: Way,
    network: Network,
    recipe: Recipe,
    images: Images,
    index: Index,
    records: bool,
    group: ProcessGroup,
    shorten: Callable[[int], object] | None,
    limit: float,
    stop: Callable[[], bool],
) -> Way:
    """`timed`, with steps that are recorded or not."""
    device = choose_device(recipe.device)
    warm = EAGER + 1 if records else WARM_UP
    if way.compiled:
        index, batch = _both_sizes(index, recipe.batch)
        recipe, warm, limit = replace(recipe, batch=batch), SHAPES * warm, math.inf
    elif records:
        index, batch = _one_size(index, recipe.batch)
        recipe = replace(recipe, batch=batch)
    laps = Laps(
        warm,
        least=int(records),
        limit=limit,
        wait=torch.cuda.synchronize if device.type == "cuda" else None,
    )
    # No range test, and no weights of classes that these images may lack.
    recipe = replace(recipe, epochs=1, lr=1e-4, schedule="constant", class_weights=False)
    spec = TrainingSpec(network, recipe, index, np.empty(0, np.int64), seed=0)
    with own_draws(device), own_threads(way.threads or torch.get_num_threads()), settings(recipe.precision):
        state, loop = prepare(spec, images, device, group)
        loop.callbacks, loop.look = CallbackList([Interrupt(lambda: laps.over() or stop())]), 1
        if not records:
            loop.step.recorder = None
        laps.began = time.perf_counter()
        with remembered(state, loop.feed, shorten), suppress(Interrupted, NotFiniteError):
            while True:
                state.step = 0
                loop.train_epoch(state)
    pace, first = laps.times()
    return replace(way, seconds=pace * loop.feed.steps / len(index), first=first)


def _one_size(index: Index, batch: int) -> tuple[Index, int]:
    """Images, some of them twice, for as many batches as an epoch has, all of the larger of its sizes, and that size:
    each size would be recorded."""
    steps = steps_per_epoch(len(index), batch)
    size = -(-len(index) // steps)
    return np.resize(index, steps * size), size


def _both_sizes(index: Index, batch: int) -> tuple[Index, int]:
    """The images of two batches, one of each size that an epoch has, and the larger size."""
    small, larger = divmod(len(index), steps_per_epoch(len(index), batch))
    return (index[: 2 * small + 1], small + 1) if larger else (index[: 2 * small], small)


def at_once(network: Network, batch: int, memory: int | None) -> int:
    """The most images, an equal share of a batch, whose training step fits into `memory` bytes; 0 for all of it."""
    pieces = 1
    while memory is not None and pieces < batch and step_bytes(network, -(-batch // pieces)) > ROOM * memory:
        pieces += 1
    return 0 if pieces == 1 else -(-batch // pieces)


def step_bytes(network: Network, batch: int) -> int:
    """About how much memory a training step takes in float32: what the backward pass needs of every layer, once more
    for the largest gradients; weights, their gradient, momentum and average."""
    return 4 * (round(1.3 * batch * activations(network)) + 4 * parameters(network, training=True))


class Notes:
    """The speed of ways against the recipe's own, on this machine for one network and shape; a file of the cache."""

    def __init__(
        self, cache: str | Path | None, network: Network, recipe: Recipe, images: Images, device: torch.device
    ) -> None:
        own = replace(recipe, epochs=1, lr=None)  # neither changes what a step costs
        words = [repr(network), own.to_json(), machine(device), type(images.pixels).__name__]  # streamed ones come late
        words += ["recorded"] if recording(device, ALONE) else []
        name: str = hashlib.sha256(json.dumps(words, sort_keys=True).encode()).hexdigest()[:32]
        self.path = cache_folder(cache).with_name("measured") / f"{name}.json"

    def read(self, way: Way, base: Way) -> Way | None:
        """The way as fast against `base` as it was then."""
        for note in self._all():
            if Way(**note["way"]) == way and note["times"] < math.inf:
                return replace(way, seconds=note["times"] * base.seconds, first=note["first"])
        return None

    def write(self, way: Way, base: Way) -> None:
        plain = replace(way, seconds=0.0, first=0.0)
        note = {"way": plain.to_json(), "times": way.seconds / base.seconds, "first": way.first}
        with suppress(OSError):  # a cache that cannot be written only costs time
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, json.dumps([*self._all(), note]))

    def _all(self) -> list[dict[str, Any]]:
        try:
            notes: list[dict[str, Any]] = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return []
        return notes


def machine(device: torch.device) -> dict[str, str]:
    """The facts on which the speed of a step depends, beside the step."""
    return {
        "processor": _processor(),
        "threads": str(torch.get_num_threads()),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else device.type,
        "torch": torch.__version__,
    }


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _change(base: Way, way: Way) -> str:
    """The settings in which a way differs."""
    return ", ".join(word for word in str(way).split(", ") if word not in str(base).split(", "))


def _pace(base: Way, way: Way) -> str:
    """The speed of a way against the base, in percent faster or slower.

    >>> base = Way("float32", "channels_last", False, 0, 0, seconds=0.65)
    >>> _pace(base, replace(base, seconds=1.0)), _pace(base, replace(base, seconds=0.5))
    ('35% slower', '30% faster')
    """
    speed = base.seconds / way.seconds
    return f"{speed - 1:.0%} faster" if speed >= 1 else f"{1 - speed:.0%} slower"
