"""Learning rates: pure functions of the step, so that a resumed run needs no state for them."""

from __future__ import annotations

import math
from collections.abc import Callable

from deepenough.errors import unknown

START = 1 / 25  # where one-cycle starts, as a share of the peak; torch's default
END = START / 1e4  # where it ends; torch's default

Schedule = Callable[[int], float]


def cosine_between(start: float, end: float, share: float) -> float:
    """Half a cosine from `start` at share 0 to `end` at share 1."""
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def onecycle_lr(step: int, steps: int, warmup: float) -> float:
    """One cycle (Smith 2018): up in the first `warmup` share of all steps, then down to almost zero.

    The same numbers as torch's `OneCycleLR(max_lr=1, pct_start=warmup, anneal_strategy="cos")`.
    """
    top = warmup * steps - 1
    if step <= top:
        return cosine_between(START, 1.0, step / top if top > 0 else 1.0)
    return cosine_between(1.0, END, (step - max(top, 0)) / max(steps - 1 - max(top, 0), 1))


def cosine_lr(step: int, steps: int, warmup: float) -> float:
    """A straight line up in the first `warmup` share of all steps, then half a cosine down to zero."""
    rise = int(warmup * steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    return cosine_between(1.0, 0.0, (step - rise) / max(steps - rise, 1))


def constant_lr(step: int, steps: int, warmup: float) -> float:
    """A straight line up in the first `warmup` share of all steps, then flat."""
    rise = int(warmup * steps)
    return min((step + 1) / (rise + 1), 1.0)


SCHEDULES = {"onecycle": onecycle_lr, "cosine": cosine_lr, "constant": constant_lr}


def schedule(name: str, *, lr: float, steps: int, warmup: float) -> Schedule:
    """The learning rate of every step from 0 to `steps` - 1, with its peak at `lr`."""
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    shape = SCHEDULES[name]
    return lambda step: lr * shape(step, steps, warmup)
