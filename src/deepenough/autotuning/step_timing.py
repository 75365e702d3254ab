"""The time of a training's own steps in one configuration."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from deepenough.autotuning.configuration import StepConfiguration
from deepenough.data.images import Images
from deepenough.data.split import Index
from deepenough.errors import DeepenoughError, first_line
from deepenough.training.callbacks import CallbackList, Interrupt
from deepenough.training.cuda_graphs import EAGER_BATCHES
from deepenough.training.device import choose_device
from deepenough.training.feed import steps_per_epoch
from deepenough.training.interrupt import Interrupted
from deepenough.training.out_of_memory import out_of_memory, reporting_out_of_memory
from deepenough.training.perform import prepare_training
from deepenough.training.precision import matmul_precision
from deepenough.training.process_group import ALONE, ProcessGroup
from deepenough.training.rng import forked_rng, using_threads
from deepenough.training.spec import TrainingSpec
from deepenough.training.state import NotFiniteError
from deepenough.training.step import uses_cuda_graphs

WARM_UP, MEASURED = 1, 3  # steps
BATCH_SIZES = 2  # batches of an epoch differ by an image, and a compiler starts anew for each size
MOMENT = 0.25  # seconds: of steps that are over in no time, more are measured


class CompilerError(DeepenoughError):
    """The compiler that torch uses failed."""


@dataclass(frozen=True)
class TimingTask:
    """The order to every process of a group to time the steps of a training in a configuration together."""

    spec: TrainingSpec
    configuration: StepConfiguration


@dataclass(frozen=True, eq=False)
class StepTrial:
    """The training whose steps are timed, where it runs, and when to stop.

    Its evaluation rows, epochs and learning rate don't matter. The leader of a group that runs out of memory calls
    `note_limit` with the number of images at once that there may be.
    """

    spec: TrainingSpec
    images: Images
    group: ProcessGroup = ALONE
    note_limit: Callable[[int], object] | None = None
    stop: Callable[[], bool] = lambda: False


@dataclass
class StepTimer:
    """The times at which steps were over. Those that count come after `warm` others; there are to be a few of them,
    that take a moment at least, and no more than `least` where all have taken `limit` seconds.

    `over` is called after each step. A device that computes while Python goes on is waited
    for, by `wait`, after 1, 2, 4, 8, ... steps that count only: else Python could not run ahead of it, as it does in a
    training. The other ends are not numbers.
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
        """Note the end of a step; True once there are enough."""
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


def time_steps(trial: StepTrial, configuration: StepConfiguration, limit: float = math.inf) -> StepConfiguration:
    """The configuration with the time of a training's own steps, a few and for a moment at least; infinite where
    memory does not suffice. An eager one that is so slow that it takes more than `limit` seconds is timed by fewer
    steps.

    Raises CompilerError where a compiled one can't be compiled. A group without memory ends as a training does, with
    an OutOfMemoryInGroupError.
    """
    sizes = 1 + bool(trial.spec.first_sizes)  # of images, each of which a compiler begins anew for
    trial = replace(trial, spec=_timed_spec(trial.spec, configuration))
    for captured in dict.fromkeys((uses_cuda_graphs(choose_device(trial.spec.recipe.device), trial.group), False)):
        try:
            found = _time(trial, configuration, limit, captured)
            return replace(found, first=sizes * found.first) if configuration.compiled else found
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error) or trial.group.size > 1:
                gc.collect()
                if not configuration.compiled:
                    raise
                # A compiler may be missing; all else is a fault of ours.
                why = first_line(error)
                name = trial.spec.network.name
                raise CompilerError(f"{name}: torch.compile failed ({why}); leave out --compile") from None
        gc.collect()  # CUDA graphs may have taken the memory that was short
    return replace(configuration, seconds=math.inf)


def _timed_spec(spec: TrainingSpec, configuration: StepConfiguration) -> TrainingSpec:
    """One epoch of the training in a configuration, without weights of classes that these images may lack."""
    recipe = replace(configuration.apply(spec.recipe), epochs=1, class_weights=False)
    return replace(spec, recipe=recipe, evaluation=np.empty(0, np.int64))


def _time(trial: StepTrial, configuration: StepConfiguration, limit: float, captured: bool) -> StepConfiguration:
    """Time steps that are captured as CUDA graphs, or not."""
    spec, recipe = trial.spec, trial.spec.recipe
    device = choose_device(recipe.device)
    warm, index, batch = EAGER_BATCHES + 1 if captured else WARM_UP, spec.train, recipe.batch
    if configuration.compiled:
        index, batch = _both_sizes(index, batch)
        warm, limit = BATCH_SIZES * warm, math.inf
    elif captured:
        index, batch = _one_size(index, batch)
    wait: Any = torch.cuda.synchronize if device.type == "cuda" else None
    timer = StepTimer(warm, least=int(captured), limit=limit, wait=wait)
    spec = replace(spec, recipe=replace(recipe, batch=batch), train=index)
    threads = configuration.threads or torch.get_num_threads()
    with forked_rng(device), using_threads(threads), matmul_precision(recipe.precision):
        state, loop = prepare_training(spec, trial.images, device, trial.group)
        loop.callbacks, loop.look = CallbackList([Interrupt(lambda: timer.over() or trial.stop())]), 1
        if not captured:
            loop.step.cuda_graphs = None
        timer.began = time.perf_counter()
        with reporting_out_of_memory(state, loop.feed, trial.note_limit), suppress(Interrupted, NotFiniteError):
            while True:
                state.step = 0
                loop.train_epoch(state)
    pace, first = timer.times()
    return replace(configuration, seconds=pace * loop.feed.steps / len(index), first=first)


def _one_size(index: Index, batch: int) -> tuple[Index, int]:
    """Images, some of them twice, for as many batches as an epoch has, all of the larger of its sizes, and that size:
    each size would be captured."""
    steps = steps_per_epoch(len(index), batch)
    size = -(-len(index) // steps)
    return np.resize(index, steps * size), size


def _both_sizes(index: Index, batch: int) -> tuple[Index, int]:
    """The images of two batches, one of each size that an epoch has, and the larger size."""
    small, larger = divmod(len(index), steps_per_epoch(len(index), batch))
    return (index[: 2 * small + 1], small + 1) if larger else (index[: 2 * small], small)
