"""End trainings early that can no longer be good enough, judged by the learning curves of finished siblings."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from deepenough.training.callbacks import Action, Callback, Moment


class CurvePoint(Protocol):
    """The facts about an epoch: its number, from 1, and the held-out accuracy in 0..1 after it."""

    @property
    def epoch(self) -> int: ...
    @property
    def top1(self) -> float: ...


Curve = Sequence[CurvePoint]

EARLIEST = 1 / 3  # share of the epochs before which nothing is judged: curves are still crossing
ALLOWANCE = 0.75  # a deeper network may shrink its remaining error by a quarter more than any sibling did


def reachable(curve: Curve, siblings: Sequence[Curve], images: int) -> float | None:
    """The accuracy that a candidate may still end with, generously; None where nothing can be said.

    Finished siblings, trained by the same recipe, tell by which factor the error falls from this epoch to the
    last. The best of those factors is taken, `ALLOWANCE` times smaller still, and two standard errors of the
    sampling of the held-out `images` are added.
    """
    epoch = len(curve)
    factors = [
        (1 - sibling[-1].top1) / max(1 - sibling[epoch - 1].top1, 1e-9) for sibling in siblings if len(sibling) > epoch
    ]
    if not factors or epoch < EARLIEST * max(len(sibling) for sibling in siblings):
        return None
    now = curve[-1].top1
    error = (1 - now) * min(1.0, min(factors)) * ALLOWANCE
    return 1 - error + 2 * math.sqrt(max(now * (1 - now), 1e-9) / images)


@dataclass(frozen=True)
class EarlyStopping(Callback):
    """Prune a training once `bar` is out of reach; pause it once `sure(curve)` says that it meets the target."""

    bar: float
    siblings: Sequence[Curve]
    images: int
    sure: Callable[[Curve], bool] = lambda curve: False

    may_pause = True

    def on_epoch_begin(self, moment: Moment) -> Action:
        if self.sure(moment.curve):
            return Action.PAUSE
        ceiling = reachable(moment.curve, self.siblings, self.images)
        return Action.PRUNE if ceiling is not None and ceiling < self.bar else Action.GO_ON
