"""Accuracy against what a network costs: its latency, or else its multiply-accumulates, and its parameters."""

from __future__ import annotations

from deepenough.language import gettext as _
from deepenough.record import DecisionKind, Measure, Record
from deepenough.record.schema import CandidateRecord
from deepenough.report import text as words
from deepenough.report.candidate_groups import candidate_groups
from deepenough.report.pareto import front_by, size_by
from deepenough.report.plotting import Plot, axes, error_bars, ring, safe, scatter, trace_style


def cost_figures(record: Record) -> dict[str, Plot | None]:
    """Accuracy against latency where it was measured, else multiply-accumulates, and against parameters."""
    measured = record.latency is not None
    return {
        "cost": _against(record, Measure.LATENCY if measured else Measure.MACS),
        "parameters": _against(record, Measure.PARAMETERS),
    }


def _against(record: Record, measure: Measure) -> Plot | None:
    """Every candidate by a size, those that can't be compared directly as open marks; the Pareto front; the answer."""
    size = size_by(measure)
    data: list[Plot] = []
    for number, (name, everyone) in enumerate(candidate_groups(record)):
        known = sorted((c for c in everyone if size(c) is not None), key=lambda c: size(c) or 0.0)
        whole = [c for c in known if words.comparable(c)]
        others = [c for c in known if not words.comparable(c)]
        if whole:
            trace = _points(record, whole, name, measure) | trace_style(number)
            spreads = [candidate.latency for candidate in whole if candidate.latency]
            if measure is Measure.LATENCY:
                trace["error_x"] = error_bars([(1000 * s.median, 1000 * s.lower, 1000 * s.upper) for s in spreads])
            data.append(trace | {"mode": "lines+markers+text", "text": _depths(whole), "textposition": "bottom center"})
        if others:
            trace = _points(record, others, _("%(family)s: not comparable", family=name), measure) | trace_style(
                number, "-open"
            )
            data.append(trace | {"mode": "markers"})
    if not data:
        return None
    data += [front_line(record, measure), *answer_rings(record, measure)]
    layout = axes(_title(record, measure), words.metric(record))
    layout["xaxis"] |= {"type": "log", "tickformat": "~g" if measure is Measure.LATENCY else "~s", "dtick": "D2"}
    return {"data": data, "layout": layout}


def _points(record: Record, group: list[CandidateRecord], name: str, measure: Measure) -> Plot:
    return scatter(
        name,
        [_scaled(candidate, measure) for candidate in group],
        [100 * (words.value(record, candidate) or 0.0) for candidate in group],
        customdata=[_described(candidate) for candidate in group],
        hovertemplate="%{customdata}<br>%{y:.2f}%<extra></extra>",
    )


def _scaled(candidate: CandidateRecord, measure: Measure) -> float:
    """A size as the axis has it: latency in milliseconds."""
    return (size_by(measure)(candidate) or 0.0) * (1000 if measure is Measure.LATENCY else 1)


def _described(candidate: CandidateRecord) -> str:
    parts = [
        _("%(count)s parameters", count=words.amount(candidate.parameters)),
        _("%(count)s multiply-accumulates", count=words.amount(candidate.macs)),
    ]
    if candidate.weight_bytes is not None:
        parts.insert(1, words.weight_size(candidate.weight_bytes))
    if candidate.latency is not None:
        parts.append(f"{words.latency(candidate.latency)} ({words.latency_spread(candidate.latency)})")
    head = _("%(network)s, depth %(depth)s", network=candidate.name, depth=candidate.depth)
    return "<br>".join(map(safe, (head, *parts)))


def _depths(group: list[CandidateRecord]) -> list[str]:
    """The depth beside each point, once."""
    return ["" if any(c.depth == each.depth for each in group[:n]) else f"{c.depth}" for n, c in enumerate(group)]


def _title(record: Record, measure: Measure) -> str:
    if measure is Measure.LATENCY and record.latency is not None:
        return _("ms in %(runtime)s", runtime=safe(record.latency.version))
    return _("parameters") if measure is Measure.PARAMETERS else _("multiply-accumulates")


def front_line(record: Record, measure: Measure) -> Plot:
    """The Pareto front: from each of its networks level to the next larger one."""
    front = front_by(record, size_by(measure))
    return scatter(
        _("Pareto front"),
        [_scaled(candidate, measure) for candidate in front],
        [100 * (words.value(record, candidate) or 0.0) for candidate in front],
        hoverinfo="skip",
        line={"color": "--c4", "width": 2, "dash": "dot", "shape": "hv"},
        marker={"size": 14, "symbol": "square-open", "color": "--c4", "line": {"width": 2}},
    )


def answer_rings(record: Record, measure: Measure) -> list[Plot]:
    """Rings around what was chosen, and around the second answer."""
    rings = []
    for candidate, label, symbol, colour in _answers(record):
        if size_by(measure)(candidate) is not None:
            accuracy = words.value(record, candidate) or 0.0
            rings.append(ring(label, _scaled(candidate, measure), accuracy, symbol, colour))
    return rings


def _answers(record: Record) -> list[tuple[CandidateRecord, str, str, str]]:
    """The answers with the label, the symbol and the colour of their rings."""
    decision = record.decision
    if decision is None:
        return []
    chosen = _("best, target not met") if decision.kind is DecisionKind.NOT_MET else _("chosen")
    named = [(decision.chosen, chosen, "circle-open", "--c2")]
    if decision.second and decision.second != decision.chosen:
        named.append((decision.second, _("second answer"), "diamond-open", "--c3"))
    return [
        (candidate, label, symbol, colour)
        for name, label, symbol, colour in named
        for candidate in record.candidates
        if candidate.name == name and words.value(record, candidate) is not None
    ]
