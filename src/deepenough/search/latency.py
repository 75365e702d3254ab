"""Latency as a size to minimise: medians with their spread, and which of them can be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Latency:
    """The time of one prediction in seconds: the median over rounds of measuring, with the quartiles over them.

    `told_apart` is the median of the fastest architecture that this one can't be told from: what architectures are
    sorted by. `measured` is False where it was interpolated between two that were.
    """

    median: float
    lower: float
    upper: float
    told_apart: float
    measured: bool = True

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        """From the time of a prediction in every round."""
        lower, median, upper = (float(value) for value in np.quantile(seconds, (0.25, 0.5, 0.75)))
        return cls(median, lower, upper, median)


def told_apart(latencies: Sequence[Latency]) -> list[Latency]:
    """The same, in groups whose members count as equally fast: from fast to slow by their medians, each belongs to the
    group of the one before, unless its lower quartile lies above the upper quartile of the fastest of that group."""
    found = list(latencies)
    fastest: Latency | None = None
    for number in sorted(range(len(found)), key=lambda number: found[number].median):
        each = found[number]
        if fastest is None or each.lower > fastest.upper:
            fastest = each
        found[number] = replace(each, told_apart=fastest.median)
    return found


def interpolated_latency(macs: int, low: tuple[int, Latency], high: tuple[int, Latency]) -> Latency:
    """The latency of a network between two of its family, in proportion to their multiply-accumulates, given before."""
    share = (macs - low[0]) / (high[0] - low[0]) if high[0] != low[0] else 0.5

    def between(name: str) -> float:
        return float((1 - share) * getattr(low[1], name) + share * getattr(high[1], name))

    return Latency(between("median"), between("lower"), between("upper"), between("told_apart"), measured=False)
