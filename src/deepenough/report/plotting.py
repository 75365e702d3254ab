"""The parts that the figures of the page share. A colour is the name of a CSS variable, which the page fills in."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from deepenough.record.schema import Accuracy

Figure = dict[str, Any]
COLOURS = ("--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross")
DASHES = ("solid", "dash", "dot", "dashdot")


def safe(text: str) -> str:
    """Escape the little HTML that Plotly reads in its texts: names are shown as they are."""
    return html.escape(text, quote=False)


def axes(x: str, y: str, **more: Any) -> Figure:
    """A layout with titles of the axes, the vertical one in percent."""
    return {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}, "ticksuffix": "%"}, **more}


def error_bars(accuracies: Sequence[Accuracy]) -> Figure:
    """The 95% intervals of accuracies in percent."""
    return {
        "type": "data",
        "symmetric": False,
        "array": [100 * (accuracy.high - accuracy.value) for accuracy in accuracies],
        "arrayminus": [100 * (accuracy.value - accuracy.low) for accuracy in accuracies],
        "thickness": 1.5,
        "width": 5,
    }


def scatter(name: str, x: Sequence[float], y: Sequence[float], mode: str = "lines+markers", **more: Any) -> Figure:
    """A trace of points, joined or not."""
    return {"type": "scatter", "mode": mode, "name": name, "x": x, "y": y, **more}


def ring(label: str, depth: int, accuracy: float, symbol: str, colour: str) -> Figure:
    """A mark around one point."""
    marker = {"size": 20, "symbol": symbol, "color": colour, "line": {"width": 2.5}}
    return scatter(label, [depth], [100 * accuracy], "markers", hoverinfo="skip", marker=marker)
