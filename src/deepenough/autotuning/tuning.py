"""Autotuning: find the fastest configuration of a network's training step on this machine by a few real steps."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from deepenough.autotuning.configuration import (
    TUNING_SHARE,
    StepConfiguration,
    alternatives,
    fastest,
    trial_seconds,
)
from deepenough.autotuning.memory_estimate import fitting_micro_batch
from deepenough.autotuning.step_timing import CompilerError, StepTrial, time_steps
from deepenough.autotuning.tuning_cache import TuningCache
from deepenough.errors import DeepenoughError
from deepenough.nets.layers import Lrn, Weighted
from deepenough.nets.network import Network
from deepenough.nets.shapes import visits
from deepenough.training.device import choose_device
from deepenough.training.interrupt import Interrupted
from deepenough.training.memory import available_memory

TUNABLE = frozenset({"precision", "memory_format", "compiled", "micro_batch", "threads"})


@dataclass(frozen=True)
class TuningResult:
    """The configurations that were tried, the recipe's own first, and the one chosen."""

    tried: tuple[StepConfiguration, ...]
    chosen: StepConfiguration

    def to_json(self) -> dict[str, Any]:
        return {"tried": [each.to_json() for each in self.tried], "chosen": self.chosen.to_json()}

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> TuningResult:
        """The inverse of `to_json`."""
        return cls(
            tuple(StepConfiguration(**each) for each in content["tried"]), StepConfiguration(**content["chosen"])
        )

    def __str__(self) -> str:
        base = self.tried[0]
        told = ", ".join(f"{_change(base, each)}: {_relative_speed(base, each)}" for each in self.tried[1:])
        return f"{self.chosen}, {1 / self.chosen.seconds:,.0f} images/s{f' (tried {told})' if told else ''}"


def tune(
    trial: StepTrial,
    planned: float,
    *,
    tunable: frozenset[str] = TUNABLE,
    least: int = 1,
    cache: str | Path | None = None,
) -> TuningResult:
    """Time a few real training steps, augmentation included, and look for a faster configuration.

    What others gave is kept in the cache for this machine, network and shape; the recipe's own is timed every time,
    since machines have busy hours. Weights are thrown away afterwards, and no draw of a later training is touched.

    Args:
        trial: The training.
        planned: The number of images that it will take: others are tried as long as that costs no more than a share of
            it, 2%, or 10% with CUDA.
        tunable: The fields of the recipe that may change.
        least: The fewest images at once.
        cache: The folder of the cache, where it is not the usual one.

    Raises Interrupted once `trial.stop()`, and DeepenoughError where the recipe's own configuration can't be computed
    at all.
    """
    device = choose_device(trial.spec.recipe.device)
    base = _base(trial, "micro_batch" in tunable, least)
    known_speeds = TuningCache(cache, trial)
    tried = [base]
    left = TUNING_SHARE[device.type] * base.total(planned)
    layers = sum(isinstance(visit.layer, Weighted) for visit in visits(trial.spec.network))
    free = tunable - {"compiled"} if _slow_compiled(trial.spec.network, device) else tunable
    for name, value in alternatives(base, device.type, torch.get_num_threads(), free):
        soonest = fastest(tried, planned)
        if value == "float16" and soonest.precision == "bfloat16":
            continue  # as fast, and needs no scaling of the loss; float16 is for GPUs without it
        changed = soonest.changed(name, value)
        measured = known_speeds.read(changed, base)
        if measured is None:
            seconds = trial_seconds(name, value, base, trial.spec.recipe.batch, layers)
            if seconds > left:
                continue
            left -= seconds
            try:
                measured = _time(trial, changed, seconds)
            except CompilerError:
                continue
            if measured.seconds == math.inf:  # another program may have the memory now
                continue
            known_speeds.write(measured, base)
        tried.append(measured)
    return TuningResult(tuple(tried), fastest(tried, planned))


def tune_threads(
    trial: StepTrial, configuration: StepConfiguration, counts: Iterable[int], planned: float
) -> StepConfiguration:
    """A configuration with that number of threads, of `counts`, which trains on `planned` images soonest; the first,
    unless another is noticeably sooner, or where memory suffices for none.

    Raises Interrupted once `trial.stop()`.
    """
    return fastest([_time(trial, replace(configuration, threads=count)) for count in counts], planned)


def _slow_compiled(network: Network, device: torch.device) -> bool:
    """True if compiling takes long and makes slower: on a CPU, torch's compiler makes the shifted sums of a local
    response norm ten times as slow (torch 2.13), which no other layer makes up for."""
    return device.type == "cpu" and any(isinstance(visit.layer, Lrn) for visit in visits(network))


def _base(trial: StepTrial, splits: bool, least: int) -> StepConfiguration:
    """The recipe's own configuration, timed; where it `splits` batches, with as many images at once as fit."""
    recipe = trial.spec.recipe
    base = StepConfiguration.of(recipe)
    if splits and choose_device(recipe.device).type == "cpu":
        some = fitting_micro_batch(trial.spec.network, recipe.batch, available_memory())
        base = replace(base, micro_batch=min(filter(None, (some and max(some, least), base.micro_batch)), default=0))
    base = _time(trial, base)
    while base.seconds == math.inf:
        some = base.micro_batch or recipe.batch
        if not splits or some <= least:
            raise DeepenoughError(
                f"{trial.spec.network.name}: a training step with {some} image{'s' * (some > 1)} at once takes more "
                "memory than there is; use a smaller --size or --batch"
            )
        base = _time(trial, replace(base, micro_batch=max(-(-some // 2), least)))
    return base


def _time(trial: StepTrial, configuration: StepConfiguration, limit: float = math.inf) -> StepConfiguration:
    found = time_steps(trial, configuration, limit)
    if trial.stop():  # it was cut short, and is no measurement
        raise Interrupted("stopped while the speed of a step was measured")
    return found


def _change(base: StepConfiguration, other: StepConfiguration) -> str:
    """The settings in which a configuration differs."""
    return ", ".join(word for word in str(other).split(", ") if word not in str(base).split(", "))


def _relative_speed(base: StepConfiguration, other: StepConfiguration) -> str:
    """The speed of a configuration against the base, in percent faster or slower.

    >>> base = StepConfiguration("float32", "channels_last", False, 0, 0, seconds=0.65)
    >>> _relative_speed(base, replace(base, seconds=1.0)), _relative_speed(base, replace(base, seconds=0.5))
    ('35% slower', '30% faster')
    """
    speed = base.seconds / other.seconds
    return f"{speed - 1:.0%} faster" if speed >= 1 else f"{1 - speed:.0%} slower"
