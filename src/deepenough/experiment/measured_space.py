"""The search space with the latencies of its networks, and without those that are over a limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from deepenough.experiment.options import Options
from deepenough.progress import Reporter
from deepenough.record import Record
from deepenough.record.networks import LatencyRecord, LeftOutRecord, LimitsRecord
from deepenough.runtimes.table import ROUNDS, Conditions
from deepenough.search.architectures import Architecture
from deepenough.search.latency import Latency, told_apart
from deepenough.search.limits import check_any_left, limits_text
from deepenough.search.question import Measure
from deepenough.units import latency_text


@dataclass(frozen=True)
class MeasuredSpace:
    """The architectures that keep the limits, and the account of limits and latency for the record."""

    architectures: tuple[Architecture, ...]
    limits: LimitsRecord | None = None
    latency: LatencyRecord | None = None


def measured_space(
    architectures: Sequence[Architecture], asked: Options, before: Record | None, reporter: Reporter
) -> MeasuredSpace:
    """Leave out what is over a limit, and measure latency where it was asked for; both are told to the user.

    A run that goes on takes the latencies that were measured when it began from its record, `before`. The order of the
    architectures stays.
    """
    limits, latency = asked.limits, before.latency if before else None
    candidates = [each for each in architectures if not limits.exceeded(each)]
    if asked.latency_runtime and candidates:
        if before and latency:
            candidates = _recorded(candidates, before)
        else:
            candidates, latency = _measured(candidates, asked.latency_runtime, asked, reporter)
    kept = [each for each in candidates if not limits.exceeded(each)]
    seen = {each.name: each for each in candidates}
    everything = [seen.get(each.name, each) for each in architectures]
    check_any_left(limits, everything, kept)
    for line in [latency.text] if latency else []:
        reporter.say(line)
    if not str(limits):
        return MeasuredSpace(tuple(kept), None, latency)
    left_out = [each for each in everything if each not in kept]
    text = limits_text(limits, kept, left_out)
    reporter.say(text)
    rows = [LeftOutRecord.of(each, why=limits.exceeded(each)) for each in left_out]
    return MeasuredSpace(tuple(kept), LimitsRecord.of(limits, text=text, left_out=rows), latency)


def _recorded(architectures: Sequence[Architecture], before: Record) -> list[Architecture]:
    """The architectures with their latencies as a record has them."""
    rows = [*before.search_space, *(before.limits.left_out if before.limits else [])]
    known: Mapping[str, Latency] = {row.name: Latency(**row.latency.model_dump()) for row in rows if row.latency}
    return [replace(each, latency=known[each.name]) for each in architectures]


def _measured(
    architectures: Sequence[Architecture], runtime: str, asked: Options, reporter: Reporter
) -> tuple[list[Architecture], LatencyRecord]:
    """The architectures with their latencies as they are measured now, and the account of that."""
    from deepenough.runtimes.latency import time_predictions  # takes long to import, for a template engine

    conditions = Conditions(runtime, asked.runtime_batch, asked.runtime_threads)
    times = time_predictions([each.network for each in architectures], conditions, reporter)
    latencies = told_apart([Latency.of(seconds) for seconds in times.seconds])
    found = [replace(each, latency=latency) for each, latency in zip(architectures, latencies, strict=True)]
    text = _latency_text(found, conditions, times.runtime)
    return found, LatencyRecord.of(conditions, version=times.runtime, text=text)


def _latency_text(architectures: Sequence[Architecture], conditions: Conditions, version: str) -> str:
    """The fastest and the slowest, and those that can't be told apart."""
    groups: dict[float, list[Architecture]] = {}
    for each in sorted(architectures, key=lambda each: each.measure(Measure.LATENCY)):
        groups.setdefault(each.measure(Measure.LATENCY)[0], []).append(each)
    order = [each for group in groups.values() for each in group]
    ends = [order[0], *order[1:][-1:]]
    said = " to ".join(f"{latency_text(each.latency.median)} ({each.name})" for each in ends if each.latency)
    images = "an image" if conditions.batch == 1 else f"{conditions.batch} images"
    threads = f"{conditions.threads} thread{'s' * (conditions.threads > 1)}"
    text = f"latency of {images} in {version} on {threads}, medians over {ROUNDS} rounds: {said}"
    alike = [" and ".join(each.name for each in group) for group in groups.values() if len(group) > 1]
    if alike:
        text += f"; quartiles overlap, so the shallower counts as faster: {'; '.join(alike)}"
    return text
