"""The figures of the page as Plotly JSON: accuracy, probes, cost and learning curves."""

from __future__ import annotations

from deepenough.language import gettext as _
from deepenough.language import lookup
from deepenough.record import Measure, Metric, Record
from deepenough.record.schema import CandidateRecord, EpochRecord
from deepenough.report import text as words
from deepenough.report.candidate_groups import candidate_groups, comparable_groups
from deepenough.report.cost_figures import answer_rings, cost_figures, front_line
from deepenough.report.heatmaps import confusion, signal_maps
from deepenough.report.plotting import (
    Plot,
    accuracy_bars,
    axes,
    epoch_ticks,
    ring,
    safe,
    scatter,
    trace_colour,
    trace_dash,
    trace_style,
)


def report_figures(record: Record) -> dict[str, Plot]:
    """Every figure that there is something to draw for, by name."""
    made = {
        "accuracy": _accuracy(record),
        "probing": _probing(record),
        "gap": _gap(record),
        **cost_figures(record),
        "curves": _curves(record, "top1"),
        "losses": _curves(record, "loss"),
        "confusion": confusion(record),
        **signal_maps(record),
    }
    return {name: figure for name, figure in made.items() if figure is not None}


def _accuracy(record: Record) -> Plot | None:
    """Accuracy on the decision images against depth, with intervals; what was chosen, and the line to reach."""
    data: list[Plot] = []
    for number, (name, everyone) in enumerate(candidate_groups(record)):
        whole = [c for c in everyone if words.comparable(c)]
        distilled = [c for c in everyone if words.is_distilled(c)]
        others = [c for c in everyone if not (words.comparable(c) or words.is_distilled(c))]
        for group, label, mode, drawn in (
            (whole, name, "lines+markers", trace_style(number)),
            (distilled, _("%(family)s: distilled", family=name), "markers", trace_style(number, symbol="star")),
            (
                others,
                _("%(family)s: stopped early, grown or another seed", family=name),
                "markers",
                trace_style(number, "-open"),
            ),
        ):
            if group:
                data.append(_points(record, group, label, mode) | drawn)
    if not data:
        return None
    data += [front_line(record, Measure.DEPTH), *answer_rings(record, Measure.DEPTH)]
    line, label = _accuracy_to_reach(record)
    shapes, notes = [], []
    if line is not None:
        shapes.append(
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": line, "y1": line,
             "line": {"color": "--muted", "width": 1.5, "dash": "dash"}}
        )  # fmt: skip
        notes.append(
            {"xref": "paper", "x": 0, "y": line, "text": label, "showarrow": False, "xanchor": "left",
             "yanchor": "bottom", "font": {"color": "--muted", "size": 12}}
        )  # fmt: skip
    layout = axes(_("depth (weighted layers)"), words.metric(record), shapes=shapes, annotations=notes)
    layout["xaxis"] |= _depths(record)
    return {"data": data, "layout": layout}


def _points(record: Record, group: list[CandidateRecord], name: str, mode: str) -> Plot:
    """One trace of accuracy against depth, with the 95% interval where top-1 is the metric."""
    trace = scatter(
        name,
        [c.depth for c in group],
        [100 * (words.value(record, c) or 0.0) for c in group],
        mode,
        text=[safe(f"{c.name}: {lookup(c.state)}") for c in group],
        hovertemplate=f"%{{text}}<br>{_at_depth()}<extra></extra>",
    )
    if record.question.metric is Metric.TOP1:
        trace["error_y"] = accuracy_bars([c.decision.top1 for c in group if c.decision])
    return trace


def _at_depth() -> str:
    """The depth and the accuracy of a point that is pointed at, as Plotly's template has them."""
    return _("depth %(depth)s: %(accuracy)s", depth="%{x}", accuracy="%{y:.2f}%")


def _depths(record: Record) -> Plot:
    """An axis with a tick for every depth that was tried, as far apart as their doublings."""
    depths = sorted({candidate.depth for candidate in record.candidates})
    return {"type": "log", "tickmode": "array", "tickvals": depths, "ticktext": [str(depth) for depth in depths]}


def _accuracy_to_reach(record: Record) -> tuple[float | None, str]:
    """The accuracy to reach: the target, or the best less the margin."""
    question = record.question
    if question.target is not None:
        return 100 * question.target, _("target %(target)s", target=words.percent(question.target))
    if record.decision is None:
        return None, ""
    best = next((c for c in record.candidates if c.name == record.decision.best), None)
    value = words.value(record, best) if best else None
    if value is None:
        return None, ""
    return 100 * (value - question.margin), _("best less the margin, %(margin)s", margin=words.percent(question.margin))


def _probing(record: Record) -> Plot | None:
    """Accuracy of the probes against depth, with intervals; what they propose, and what was chosen."""
    if record.probing is None:
        return None
    curves = []
    for number, probing in enumerate(record.probings):
        probes = probing.probes
        curves.append(
            scatter(
                safe(
                    _("linear probe of %(network)s", network=words.network_title(probing))
                    if record.joined_probes
                    else _("linear probe")
                ),
                [probe.depth for probe in probes],
                [100 * probe.accuracy.value for probe in probes],
                error_y=accuracy_bars([probe.accuracy for probe in probes]),
                text=[safe(probe.place) for probe in probes],
                hovertemplate=f"{_('after %(place)s', place='%{text}')}<br>{_at_depth()}<extra></extra>",
                **trace_style(number),
            )
        )
    by_name = {f"{each.network}-{p.place}": p for each in record.probings for p in each.probes}
    joined = record.joined_probes
    proposed = joined.proposed if joined else f"{record.probing.network}-{record.probing.proposed}"
    chosen = record.decision.chosen if record.decision else ""
    probes = list(by_name.values())
    marks = [
        ring(label, by_name[name].depth, by_name[name].accuracy.value, symbol, colour)
        for label, symbol, colour, name in (
            (_("proposed cut"), "diamond-open", "--c3", proposed),
            (_("chosen after fine-tuning"), "circle-open", "--c2", chosen),
        )
        if name in by_name
    ]
    layout = axes(_("depth of the network cut there (weighted layers)"), _("accuracy of a linear probe"))
    layout["xaxis"] |= {"tickmode": "array", "tickvals": [p.depth for p in probes]} if len(probes) <= 20 else {}
    return {"data": [*curves, *marks], "layout": layout}


def _gap(record: Record) -> Plot | None:
    """Training and held-out accuracy against depth: where they part, overfitting begins."""
    data: list[Plot] = []
    groups = [(name, [c for c in group if c.train_top1 is not None]) for name, group in comparable_groups(record)]
    groups = [(name, group) for name, group in groups if group]
    for number, (name, group) in enumerate(groups):
        prefix = _("%(family)s, ", family=name) if len(groups) > 1 else ""
        rows: tuple[tuple[str, list[float | None], str, str, str], ...] = (
            (_("training images"), [c.train_top1 for c in group], trace_colour(2 * number + 1), "dash", "square"),
            (_("held-out images"), [c.decision.top1.value for c in group if c.decision], trace_colour(2 * number),
             "solid", "circle"),
        )  # fmt: skip
        for order, (label, values, colour, dash, symbol) in enumerate(rows):
            data.append(
                scatter(
                    prefix + label,
                    [c.depth for c in group],
                    [100 * (v or 0.0) for v in values],
                    text=[_("gap %(gap)s points", gap=words.signed_points(_overfitting(c))) for c in group],
                    hovertemplate=f"{label}<br>{_at_depth()}<br>%{{text}}<extra></extra>",
                    line={"color": colour, "dash": dash, "width": 2},
                    marker={"size": 8, "symbol": symbol},
                    **({"fill": "tonexty", "fillcolor": "--fill"} if order and len(group) > 1 else {}),
                )
            )
    layout = axes(_("depth (weighted layers)"), _("accuracy"))
    layout["xaxis"] |= _depths(record)
    return {"data": data, "layout": layout} if data else None


def _overfitting(candidate: CandidateRecord) -> float:
    return (candidate.train_top1 or 0.0) - (candidate.decision.top1.value if candidate.decision else 0.0)


def _held_out(row: EpochRecord, key: str) -> float | None:
    value = row.top1 if key == "top1" else row.loss
    return None if value is None else (100 * value if key == "top1" else value)


def _curves(record: Record, key: str) -> Plot | None:
    """Held-out accuracy or loss after every epoch; a colour for each candidate, thin for folds, thick for the mean."""
    data: list[Plot] = []
    for number, candidate in enumerate(record.candidates):
        style = {"color": trace_colour(number), "dash": trace_dash(number)}
        runs = [
            {row.epoch: value for row in training.curve if (value := _held_out(row, key)) is not None}
            for training in candidate.trainings
        ]
        runs = [run for run in runs if run]
        if not runs:
            continue
        common = {"type": "scatter", "mode": "lines", "legendgroup": str(number), "name": safe(candidate.name)}
        if len(runs) > 1:
            data += [
                {**common, "x": list(run), "y": list(run.values()), "line": {**style, "width": 0.8}, "opacity": 0.45,
                 "showlegend": False, "hoverinfo": "skip"}
                for run in runs
            ]  # fmt: skip
        shared = sorted(set.intersection(*(set(run) for run in runs)))
        mean = [sum(run[epoch] for run in runs) / len(runs) for epoch in shared]
        data.append({**common, "x": shared, "y": mean, "line": {**style, "width": 2}})
        if len(shared) == 1:
            data[-1]["mode"] = "markers"
    if not data:
        return None
    measured = _("held-out accuracy") if key == "top1" else _("held-out loss")
    layout = axes(_("epoch"), measured, hovermode="x unified")
    layout["xaxis"] |= epoch_ticks(epoch for trace in data for epoch in trace["x"])
    if key == "loss":
        layout["yaxis"] |= {"ticksuffix": "", "type": "log"}
    return {"data": data, "layout": layout}
