"""Whether a candidate in training can still make it, judged by its siblings' learning curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


class Seen(Protocol):
    """What is known of an epoch: its number, from 1, and the held-out accuracy in 0..1 after it."""

    @property
    def epoch(self) -> int: ...
    @property
    def top1(self) -> float: ...


Curve = Sequence[Seen]

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
class Prospects:
    """Watches one training: "pruned" once `bar` is out of reach, "sure" once `sure(curve)` says so."""

    bar: float
    siblings: Sequence[Curve]
    images: int
    sure: Callable[[Curve], bool] = lambda curve: False

    def __call__(self, curve: Curve) -> str:
        if self.sure(curve):
            return "sure"
        ceiling = reachable(curve, self.siblings, self.images)
        if ceiling is not None and ceiling < self.bar:
            return "pruned"
        return "go on"
