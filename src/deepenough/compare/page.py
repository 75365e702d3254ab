"""The page of a comparison: one HTML file that needs nothing else, with comparison.json beside it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from deepenough.compare import text as words
from deepenough.compare.results import FrameworkComparison
from deepenough.files import write_whole
from deepenough.language import gettext as _
from deepenough.language import speaking
from deepenough.report.html import fill_template
from deepenough.report.plotting import Plot, trace_colour

PAGE, NUMBERS = "comparison.html", "comparison.json"
_BAR = 34  # pixels of height for a bar


def write_comparison(found: FrameworkComparison, folder: Path, language: str | None = None) -> Path:
    """Write the numbers and the page into a folder; the page's path.

    `language` of the page is "en" or "zh", by default that of the locale.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / NUMBERS, json.dumps({"format": 2, **asdict(found)}, indent=1))
    content = {"found": found, "words": words}
    with speaking(language):
        page = fill_template("compare", "page.html", content, comparison_figures(found))
    write_whole(folder / PAGE, page)
    return folder / PAGE


def comparison_figures(found: FrameworkComparison) -> dict[str, Plot]:
    """Bars by framework and mode, as Plotly JSON."""
    figures = {
        "train": _by_mode(found, "speed", "train"),
        "infer": _by_mode(found, "speed", "infer"),
        "first": _by_mode(found, "first", "train"),
        "memory": _memory(found),
    }
    figures["first"]["layout"]["xaxis"] |= {"type": "log", "dtick": 1}
    return {name: figure for name, figure in figures.items() if figure["data"][0]["x"]}


def _by_mode(found: FrameworkComparison, measure: str, task: str) -> Plot:
    """The `speed` of a task, or the seconds of its `first` step."""
    text, unit = {"speed": (words.rate, _("images a second")), "first": (words.first, _("seconds"))}[measure]
    bars = [
        (f"{each.framework}<br>{mode}", getattr(each, measure)[f"{task}, {mode}"], text(each, task, mode))
        for each in found.results
        for mode in words.modes(each)
        if f"{task}, {mode}" in getattr(each, measure)
    ]
    return _bars(bars, unit)


def _memory(found: FrameworkComparison) -> Plot:
    predicted = [each for each in found.results if each.peak_infer is not None]
    trained = [each for each in predicted if each.peak is not None]
    figure = _bars(
        [(each.framework, (each.peak_infer or 0) / 1e9, words.size(each.peak_infer)) for each in predicted], "GB"
    )
    figure["data"][0]["name"] = _("prediction")
    if trained:
        second = _bars([(each.framework, (each.peak or 0) / 1e9, words.size(each.peak)) for each in trained], "GB")
        figure["data"].append(second["data"][0] | {"name": _("with training"), "marker": {"color": trace_colour(1)}})
        figure["layout"] |= {"height": 2 * _BAR * len(predicted) + 90, "barmode": "group"}
    return figure


def _bars(bars: Sequence[tuple[str, float, str]], title: str) -> Plot:
    """Horizontal bars, the first on top, each with its number in words."""
    trace = {
        "type": "bar",
        "orientation": "h",
        "y": [name for name, _, _ in bars],
        "x": [value for _, value, _ in bars],
        "text": [text for _, _, text in bars],
        "textposition": "auto",
        "cliponaxis": False,
        "hovertemplate": f"%{{y}}: %{{text}} ({title})<extra></extra>",
        "marker": {"color": trace_colour(0)},
    }
    layout = {
        "height": _BAR * len(bars) + 90,
        "xaxis": {"title": {"text": title}},
        "yaxis": {"autorange": "reversed"},
        "bargap": 0.25,
    }
    return {"data": [trace], "layout": layout}
