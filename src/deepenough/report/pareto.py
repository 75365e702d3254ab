"""The Pareto front of size and accuracy: the candidates that no other beats in both, and the steps along it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from deepenough.language import gettext as _
from deepenough.record import Measure, Record
from deepenough.record.schema import CandidateRecord
from deepenough.report import text as words
from deepenough.units import latency_text

Size = Callable[[CandidateRecord], float | None]
"""A size of a candidate; None where it is not known."""


def pareto_front(points: Sequence[tuple[float, float]]) -> list[int]:
    """The numbers of the points (size, accuracy) that no other is at least as good as in both and better in one, from
    small to large."""
    front: list[int] = []
    for number in sorted(range(len(points)), key=lambda number: (points[number][0], -points[number][1])):
        if not front or points[number][1] > points[front[-1]][1] or points[number] == points[front[-1]]:
            front.append(number)
    return front


def size_by(measure: Measure) -> Size:
    """The size of candidates by a measure: seconds for latency, else a count."""

    def size(candidate: CandidateRecord) -> float | None:
        if measure is not Measure.LATENCY:
            return float(getattr(candidate, measure))
        return candidate.latency.median if candidate.latency else None

    return size


def front_by(record: Record, size: Size) -> list[CandidateRecord]:
    """The Pareto front of the candidates that can be compared directly, small to large."""
    known = [
        (candidate, cost, accuracy)
        for candidate in record.candidates
        if words.comparable(candidate)
        and (accuracy := words.value(record, candidate)) is not None
        and (cost := size(candidate)) is not None
    ]
    return [known[number][0] for number in pareto_front([(cost, accuracy) for _, cost, accuracy in known])]


@dataclass(frozen=True)
class StepUp:
    """The step from a candidate of the front to the next larger one, in words; `told` is False where their accuracies
    differ by less than the decision images can tell."""

    small: str
    large: str
    accuracy: str
    latency: str
    parameters: str
    size: str
    macs: str
    depth: str
    told: bool


def steps_up(record: Record) -> list[StepUp]:
    """The gain of each step along the front, by what the run minimises."""
    front = front_by(record, size_by(record.question.minimize))
    resolves = record.decision.resolves if record.decision else 0.0
    return [_step(record, small, large, resolves) for small, large in pairwise(front)]


def _step(record: Record, small: CandidateRecord, large: CandidateRecord, resolves: float) -> StepUp:
    gain = (words.value(record, large) or 0.0) - (words.value(record, small) or 0.0)
    latency = size = "–"
    if small.latency and large.latency:
        latency = _change(large.latency.median - small.latency.median, latency_text)
    if small.weight_bytes is not None and large.weight_bytes is not None:
        size = _change(large.weight_bytes - small.weight_bytes, words.weight_size)
    return StepUp(
        small=small.name,
        large=large.name,
        accuracy=_("%(gain)s points", gain=words.signed_points(gain)),
        latency=latency,
        parameters=_change(large.parameters - small.parameters, words.amount),
        size=size,
        macs=_change(large.macs - small.macs, words.amount),
        depth=_change(large.depth - small.depth, str),
        told=gain >= resolves,
    )


def _change(difference: float, said: Callable[[Any], str]) -> str:
    return f"{'−' if difference < 0 else '+'}{said(abs(difference))}"
