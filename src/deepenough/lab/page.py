"""The page of an experiment: the claim, the measurements, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from deepenough.lab.record import (
    CONTRADICTED,
    NOT_SHOWN,
    SUPPORTED,
    Effect,
    LabRecord,
    Line,
    Point,
    Quantity,
    Result,
    mean_interval,
)
from deepenough.lab.text import say
from deepenough.language import gettext as _
from deepenough.report.html import fill_template
from deepenough.report.plotting import Plot, error_bars, scatter, trace_style
from deepenough.report.text import duration, percent, signed_points

PAGE = "lab.html"


def render_experiment(record: LabRecord) -> str:
    """One HTML file that needs nothing else."""
    filters: dict[str, Callable[..., Any]] = {
        "duration": duration,
        "number": value_text,
        "bounds": bounds,
        "middle": middle,
        "say": say,
        "verdict": verdict,
    }
    return fill_template("lab", "page.html", {"record": record}, {"result": result_figure(record.result)}, filters)


def value_text(what: Quantity, value: float) -> str:
    """A value in the unit of what it is of: a percentage, points between two, or a number with three figures."""
    if not math.isfinite(value):
        return "–"
    if what.unit == "share":
        return percent(value)
    return _("%(points)s points", points=signed_points(value)) if what.unit else f"{value:.3g}"


def bounds(what: Point | Effect, log: bool = False) -> str:
    """The interval, where there is one."""
    if what.kind != "measured":
        return _("exact") if what.kind == "counted" else _("as published")
    low, high = middle(what, log)[1:]
    if not math.isfinite(high):
        return _("none (one seed)")
    return _("%(low)s to %(high)s", low=value_text(what, low), high=value_text(what, high))


def verdict(word: str) -> str:
    """A verdict in the current language."""
    return {SUPPORTED: _("supported"), NOT_SHOWN: _("not shown"), CONTRADICTED: _("contradicted here")}.get(word, word)


def middle(what: Point | Effect, log: bool = False) -> tuple[float, float, float]:
    """The mean and its interval; for a logarithmic axis those of the logarithm."""
    if not log or what.kind != "measured":
        return what.mean, *what.interval
    logs = [math.log(max(value, 1e-300)) for value in what.values]
    low, high = mean_interval(logs)
    return math.exp(sum(logs) / len(logs)), math.exp(low), math.exp(min(high, 700)) if len(logs) > 1 else math.inf


def result_figure(result: Result) -> Plot:
    """Lines with 95% intervals, as Plotly JSON; shares in percent, differences of shares in points."""
    places = sorted({p.x for line in result.lines for p in line.points if not isinstance(p.x, str)})
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": say(result.x)}, "type": "log" if result.log_x else None},
        "yaxis": {"title": {"text": say(result.y)}, "type": "log" if result.log_y else None, "exponentformat": "power"},
    }
    if unit := _unit(result):
        layout["yaxis"]["ticksuffix"] = "%" if unit == "share" else _(" points")
    if result.log_x:
        layout["xaxis"] |= {"tickvals": places, "ticktext": [f"{place:g}" for place in places]}
    return {"data": [_trace(result, line, number) for number, line in enumerate(result.lines)], "layout": layout}


def _unit(result: Result) -> str:
    return next((point.unit for line in result.lines for point in line.points if point.unit), "")


def _trace(result: Result, line: Line, number: int) -> Plot:
    scale = 100 if _unit(result) else 1
    found = (middle(point, result.log_y) for point in line.points)
    middles = [(scale * mean, scale * low, scale * high) for mean, low, high in found]
    several = all(len(p.values) > 1 and p.kind == "measured" for p in line.points)
    return scatter(
        say(line.name),
        [p.x for p in line.points],
        [mean for mean, _, _ in middles],
        error_y=error_bars(middles if several else []),
        text=[say(p.note) for p in line.points],
        hovertemplate=f"{say(result.x)} %{{x}}: %{{y:.4g}}<br>%{{text}}<extra></extra>",
        **trace_style(number),
    )
