"""The page of a comparison: one HTML file that needs nothing else, with comparison.json beside it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deepenough.compare import text as words
from deepenough.compare.comparison import Comparison
from deepenough.files import write_whole
from deepenough.report.html import fill

PAGE, NUMBERS = "comparison.html", "comparison.json"
BAR = 34
"""Pixels of height for a bar."""


def write_comparison(found: Comparison, folder: Path) -> Path:
    """Write the numbers and the page into a folder; the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / NUMBERS, json.dumps({"format": 1, **asdict(found)}, indent=1))
    write_whole(folder / PAGE, render(found))
    return folder / PAGE


def render(found: Comparison) -> str:
    """The page as text."""
    return fill("compare", "page.html", {"found": found, "words": words}, figures(found))


def figures(found: Comparison) -> dict[str, Any]:
    """Bars by framework and mode, as Plotly JSON."""
    made = {
        "train": _speeds(found, "train"),
        "infer": _speeds(found, "infer"),
        "first": _first(found),
        "memory": _memory(found),
    }
    return {name: figure for name, figure in made.items() if figure["data"][0]["x"]}


def _speeds(found: Comparison, task: str) -> dict[str, Any]:
    bars = [
        (f"{row.side}<br>{mode}", row.speed[f"{task}, {mode}"], words.rate(row, task, mode))
        for row in found.rows
        for mode in words.modes(row)
        if f"{task}, {mode}" in row.speed
    ]
    return _bars(bars, "images a second")


def _first(found: Comparison) -> dict[str, Any]:
    bars = [
        (f"{row.side}<br>{mode}", row.first[f"train, {mode}"], words.first(row, "train", mode))
        for row in found.rows
        for mode in words.modes(row)
        if f"train, {mode}" in row.first
    ]
    figure = _bars(bars, "seconds")
    figure["layout"]["xaxis"] |= {"type": "log", "dtick": 1}
    return figure


def _memory(found: Comparison) -> dict[str, Any]:
    rows = [row for row in found.rows if row.peak_infer is not None]
    figure = _bars([(row.side, (row.peak_infer or 0) / 1e9, words.size(row.peak_infer)) for row in rows], "GB")
    figure["data"][0]["name"] = "prediction"
    trained = [row for row in rows if row.peak is not None]
    if trained:
        second = _bars([(row.side, (row.peak or 0) / 1e9, words.size(row.peak)) for row in trained], "GB")["data"][0]
        second |= {"name": "with training", "marker": {"color": "--c2"}}
        figure["data"].append(second)
        figure["layout"] |= {"height": 2 * BAR * len(rows) + 90, "barmode": "group"}
    return figure


def _bars(bars: list[tuple[str, float, str]], title: str) -> dict[str, Any]:
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
        "marker": {"color": "--c1"},
    }
    layout = {
        "height": BAR * len(bars) + 90,
        "xaxis": {"title": {"text": title}},
        "yaxis": {"autorange": "reversed"},
        "bargap": 0.25,
    }
    return {"data": [trace], "layout": layout}
