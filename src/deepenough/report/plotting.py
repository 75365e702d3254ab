"""The parts that the figures of the page share. A colour is the name of a CSS variable, which the page fills in."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from deepenough.record.schema import Accuracy

Plot = dict[str, Any]
_COLOURS = ("--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
_DASHES = ("solid", "dash", "dot", "dashdot")
_MOST_TICKS = 8


def trace_colour(number: int) -> str:
    """The colour of a figure's trace by its number."""
    return _COLOURS[number % len(_COLOURS)]


def trace_style(number: int, mark: str = "", symbol: str = "") -> Plot:
    """Line and markers of a figure's trace by its number; `mark` is a variant of the marker, as "-open", and `symbol`
    another one than the number's."""
    symbol, colour = (symbol or _SYMBOLS[number % len(_SYMBOLS)]) + mark, trace_colour(number)
    return {"line": {"color": colour, "width": 1.5}, "marker": {"size": 9, "symbol": symbol, "color": colour}}


def trace_dash(number: int) -> str:
    """The dash of a line by its number, another once the colours come round again."""
    return _DASHES[number // len(_COLOURS) % len(_DASHES)]


def safe(text: str) -> str:
    """Escape the little HTML that Plotly reads in its texts: names are shown as they are."""
    return html.escape(text, quote=False)


def axes(x: str, y: str, **more: Any) -> Plot:
    """A layout with titles of the axes, the vertical one in percent."""
    return {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}, "ticksuffix": "%"}, **more}


def epoch_ticks(epochs: Iterable[float]) -> Plot:
    """Ticks of an axis of epochs, at whole numbers and at most eight; Plotly's own where no whole number is among them.

    Plotly would divide two epochs into tenths and fifths.
    """
    ends = list(epochs)
    whole = range(math.ceil(min(ends)), math.floor(max(ends)) + 1)
    steps = (factor * 10**power for power in count() for factor in (1, 2, 5))
    ticks = next(found for step in steps if len(found := [each for each in whole if each % step == 0]) <= _MOST_TICKS)
    return {"tickmode": "array", "tickvals": ticks} if ticks else {}


def error_bars(intervals: Sequence[tuple[float, float, float]]) -> Plot:
    """Intervals around points, each given as value, low and high."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - value for value, _, high in intervals],
        "arrayminus": [value - low for value, low, _ in intervals],
        "thickness": 1.5,
        "width": 5,
    }


def accuracy_bars(accuracies: Sequence[Accuracy]) -> Plot:
    """The 95% intervals of accuracies in percent."""
    return error_bars([(100 * each.value, 100 * each.low, 100 * each.high) for each in accuracies])


def scatter(name: str, x: Sequence[float | str], y: Sequence[float], mode: str = "lines+markers", **more: Any) -> Plot:
    """A trace of points, joined or not."""
    return {"type": "scatter", "mode": mode, "name": name, "x": x, "y": y, **more}


def ring(label: str, x: float, accuracy: float, symbol: str, colour: str) -> Plot:
    """A mark around one point."""
    marker = {"size": 20, "symbol": symbol, "color": colour, "line": {"width": 2.5}}
    return scatter(label, [x], [100 * accuracy], "markers", hoverinfo="skip", marker=marker)
