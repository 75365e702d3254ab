"""The page of an experiment: what is claimed, what was seen, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from deepenough.lab.record import Effect, Point, Record, interval
from deepenough.report.html import fill
from deepenough.report.text import duration

PAGE = "lab.html"
COLOURS = ("--c1", "--c2", "--c3", "--c4", "--c5", "--c6")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")


def render(record: Record) -> str:
    """One HTML file that needs nothing else."""
    filters: dict[str, Callable[..., Any]] = {"duration": duration, "shown": shown, "bounds": bounds, "middle": middle}
    return fill("lab", "page.html", {"record": record}, {"seen": figure(record)}, filters)


def shown(value: float) -> str:
    """A number with three figures."""
    return f"{value:.3g}" if math.isfinite(value) else "–"


def bounds(what: Point | Effect, log: bool = False) -> str:
    """The interval, where there is one."""
    if what.kind != "measured":
        return "exact" if what.kind == "counted" else "as published"
    _, low, high = middle(what, log)
    return f"{shown(low)} to {shown(high)}" if math.isfinite(high) else "one seed: none"


def middle(what: Point | Effect, log: bool = False) -> tuple[float, float, float]:
    """The mean and its interval; of quantities that are seen on a logarithmic axis those of the logarithm."""
    if not log or what.kind != "measured":
        return what.mean, *what.interval
    logs = [math.log(max(value, 1e-300)) for value in what.values]
    low, high = interval(logs)
    return math.exp(sum(logs) / len(logs)), math.exp(low), math.exp(min(high, 700)) if len(logs) > 1 else math.inf


def figure(record: Record) -> dict[str, Any]:
    """Lines with 95% intervals, as Plotly JSON."""
    seen = record.seen
    traces = []
    for number, line in enumerate(seen.lines):
        middles = [middle(p, seen.log_y) for p in line.points]
        several = all(len(p.values) > 1 and p.kind == "measured" for p in line.points)
        colour = COLOURS[number % len(COLOURS)]
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": line.name,
                "x": [p.x for p in line.points],
                "y": [mean for mean, _, _ in middles],
                "error_y": {
                    "type": "data",
                    "symmetric": False,
                    "array": [high - mean for mean, _, high in middles] if several else [],
                    "arrayminus": [mean - low for mean, low, _ in middles] if several else [],
                    "thickness": 1.5,
                    "width": 5,
                },
                "text": [p.note for p in line.points],
                "hovertemplate": f"{seen.x} %{{x}}: %{{y:.4g}}<br>%{{text}}<extra></extra>",
                "line": {"color": colour, "width": 1.5},
                "marker": {"size": 8, "symbol": SYMBOLS[number % len(SYMBOLS)], "color": colour},
            }
        )
    places = sorted({p.x for line in seen.lines for p in line.points if not isinstance(p.x, str)})
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": seen.x}, "type": "log" if seen.log_x else None},
        "yaxis": {"title": {"text": seen.y}, "type": "log" if seen.log_y else None, "exponentformat": "power"},
    }
    if seen.log_x:
        layout["xaxis"] |= {"tickvals": places, "ticktext": [f"{place:g}" for place in places]}
    return {"data": traces, "layout": layout}
