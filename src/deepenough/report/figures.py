"""The figures of the page as Plotly JSON. A colour is the name of a CSS variable, which the page fills in."""

from __future__ import annotations

import html
import math
from typing import Any

from deepenough.record import Candidate, EpochRow, Record
from deepenough.report import text as words

Figure = dict[str, Any]
COLOURS = ("--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross")
DASHES = ("solid", "dash", "dot", "dashdot")
LABELLED = 20  # classes up to which the cells of the confusion matrix carry their numbers
NAMED = 40  # classes up to which all of them are named on the axes


def figures(record: Record) -> dict[str, Figure]:
    """Every figure that there is something to draw for, by name."""
    made = {
        "accuracy": accuracy(record),
        "sounding": sounding(record),
        "gap": gap(record),
        "cost": cost(record),
        "curves": curves(record, "top1"),
        "losses": curves(record, "loss"),
        "confusion": confusion(record),
        **strengths(record),
    }
    return {name: figure for name, figure in made.items() if figure is not None}


def _safe(text: str) -> str:
    """Plotly reads a little HTML in its texts: names are shown as they are."""
    return html.escape(text, quote=False)


def _groups(record: Record) -> list[tuple[str, list[Candidate]]]:
    """Measured candidates by family and width, shallow first."""
    groups: dict[tuple[str, float], list[Candidate]] = {}
    for candidate in record.candidates:
        if words.value(record, candidate) is not None:
            groups.setdefault((candidate.family, candidate.width), []).append(candidate)
    several = len({width for _, width in groups}) > 1
    return [
        (_safe(f"{family}, width {width:g}" if several else family), sorted(group, key=lambda c: (c.depth, c.seed)))
        for (family, width), group in groups.items()
    ]


def _whole_groups(record: Record) -> list[tuple[str, list[Candidate]]]:
    """As `_groups`, those that a line may join: alike in seed, start, length of training and images judged."""
    groups = [(name, [c for c in group if words.comparable(c)]) for name, group in _groups(record)]
    return [(name, group) for name, group in groups if group]


def _layout(x: str, y: str, **more: Any) -> Figure:
    return {"xaxis": {"title": {"text": x}}, "yaxis": {"title": {"text": y}, "ticksuffix": "%"}, **more}


def _metric(record: Record) -> str:
    return "balanced accuracy" if record.question.metric == "balanced" else "accuracy"


def accuracy(record: Record) -> Figure | None:
    """Accuracy on the decision images against depth, with intervals; what was chosen, and the line to reach."""
    data: list[Figure] = []
    for number, (name, everyone) in enumerate(_groups(record)):
        whole = [c for c in everyone if words.comparable(c)]
        others = [c for c in everyone if not words.comparable(c)]
        for group, label, mode, mark in (
            (whole, name, "lines+markers", ""),
            (others, f"{name}: ended early, grown or another seed", "markers", "-open"),
        ):
            if group:
                trace = _points(record, group, label, mode, SYMBOLS[number % 5] + mark)
                trace["line"] = {"color": COLOURS[number % 7], "width": 1.5}
                trace["marker"]["color"] = COLOURS[number % 7]
                data.append(trace)
    if not data:
        return None
    for chosen, label in _answers(record):
        data.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": label,
                "x": [chosen.depth],
                "y": [100 * (words.value(record, chosen) or 0.0)],
                "hoverinfo": "skip",
                "marker": {
                    "size": 20,
                    "symbol": "circle-open" if label != "second answer" else "diamond-open",
                    "color": "--c2" if label != "second answer" else "--c3",
                    "line": {"width": 2.5},
                },
            }
        )
    line, label = _line(record)
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
    layout = _layout("depth (weighted layers)", _metric(record), shapes=shapes, annotations=notes)
    layout["xaxis"] |= _depths(record)
    return {"data": data, "layout": layout}


def _points(record: Record, group: list[Candidate], name: str, mode: str, symbol: str) -> Figure:
    """One trace of accuracy against depth, with the 95% interval where top-1 is the metric."""
    bars: Figure = {}
    if record.question.metric == "top1":
        tops = [c.decision.top1 for c in group if c.decision]
        bars["error_y"] = {
            "type": "data",
            "symmetric": False,
            "array": [100 * (top.high - top.value) for top in tops],
            "arrayminus": [100 * (top.value - top.low) for top in tops],
            "thickness": 1.5,
            "width": 5,
        }
    return {
        "type": "scatter",
        "mode": mode,
        "name": name,
        "x": [c.depth for c in group],
        "y": [100 * (words.value(record, c) or 0.0) for c in group],
        "text": [_safe(f"{c.name}: {c.state}") for c in group],
        "hovertemplate": "%{text}<br>depth %{x}: %{y:.2f}%<extra></extra>",
        "marker": {"size": 9, "symbol": symbol},
        **bars,
    }


def _depths(record: Record) -> Figure:
    """An axis with a tick for every depth that was tried, as far apart as their doublings."""
    depths = sorted({candidate.depth for candidate in record.candidates})
    return {"type": "log", "tickmode": "array", "tickvals": depths, "ticktext": [str(depth) for depth in depths]}


def _answers(record: Record) -> list[tuple[Candidate, str]]:
    decision = record.decision
    if decision is None:
        return []
    named = [(decision.candidate, "best, target not met" if decision.kind == "not met" else "chosen")]
    if decision.second and decision.second != decision.candidate:
        named.append((decision.second, "second answer"))
    return [
        (candidate, label)
        for name, label in named
        for candidate in record.candidates
        if candidate.name == name and words.value(record, candidate) is not None
    ]


def _line(record: Record) -> tuple[float | None, str]:
    """The accuracy to reach: the target, or the best less the margin."""
    question = record.question
    if question.target is not None:
        return 100 * question.target, f"target {words.percent(question.target)}"
    if record.decision is None:
        return None, ""
    best = next((c for c in record.candidates if c.name == record.decision.best), None)
    value = words.value(record, best) if best else None
    if value is None:
        return None, ""
    return 100 * (value - question.margin), f"best less the margin, {words.percent(question.margin)}"


def sounding(record: Record) -> Figure | None:
    """Accuracy of the probes against depth, with intervals; what they propose, and what was chosen."""
    if record.sounding is None:
        return None
    places = record.sounding.places
    tops = [place.accuracy for place in places]
    curve: Figure = {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "linear probe",
        "x": [place.depth for place in places],
        "y": [100 * top.value for top in tops],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [100 * (top.high - top.value) for top in tops],
            "arrayminus": [100 * (top.value - top.low) for top in tops],
            "thickness": 1.5,
            "width": 5,
        },
        "text": [_safe(place.place) for place in places],
        "hovertemplate": "after %{text}<br>depth %{x}: %{y:.2f}%<extra></extra>",
        "line": {"color": COLOURS[0], "width": 1.5},
        "marker": {"size": 8, "symbol": "circle", "color": COLOURS[0]},
    }
    marks = []
    chosen = record.decision.depth if record.decision else None
    for label, symbol, colour, wanted in (
        ("proposed cut", "diamond-open", "--c3", [p for p in places if p.place == record.sounding.proposed]),
        ("chosen after fine-tuning", "circle-open", "--c2", [p for p in places if p.depth == chosen]),
    ):
        marks += [
            {
                "type": "scatter",
                "mode": "markers",
                "name": label,
                "x": [place.depth],
                "y": [100 * place.accuracy.value],
                "hoverinfo": "skip",
                "marker": {"size": 20, "symbol": symbol, "color": colour, "line": {"width": 2.5}},
            }
            for place in wanted[:1]
        ]
    layout = _layout("depth of the network cut there (weighted layers)", "accuracy of a linear probe")
    layout["xaxis"] |= {"tickmode": "array", "tickvals": [p.depth for p in places]} if len(places) <= 20 else {}
    return {"data": [curve, *marks], "layout": layout}


def gap(record: Record) -> Figure | None:
    """Training and held-out accuracy against depth: where they part, overfitting begins."""
    data: list[Figure] = []
    groups = [(name, [c for c in group if c.train_top1 is not None]) for name, group in _whole_groups(record)]
    groups = [(name, group) for name, group in groups if group]
    for number, (name, group) in enumerate(groups):
        prefix = f"{name}, " if len(groups) > 1 else ""
        rows: tuple[tuple[str, list[float | None], str, str, str], ...] = (
            ("training images", [c.train_top1 for c in group], COLOURS[(2 * number + 1) % 7], "dash", "square"),
            ("held-out images", [c.decision.top1.value for c in group if c.decision], COLOURS[2 * number % 7],
             "solid", "circle"),
        )  # fmt: skip
        for order, (label, values, colour, dash, symbol) in enumerate(rows):
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": prefix + label,
                    "x": [c.depth for c in group],
                    "y": [100 * (v or 0.0) for v in values],
                    "text": [f"gap {words.points(_gap(c))} points" for c in group],
                    "hovertemplate": f"{label}<br>depth %{{x}}: %{{y:.2f}}%<br>%{{text}}<extra></extra>",
                    "line": {"color": colour, "dash": dash, "width": 2},
                    "marker": {"size": 8, "symbol": symbol},
                    **({"fill": "tonexty", "fillcolor": "--fill"} if order and len(group) > 1 else {}),
                }
            )
    layout = _layout("depth (weighted layers)", "accuracy")
    layout["xaxis"] |= _depths(record)
    return {"data": data, "layout": layout} if data else None


def _gap(candidate: Candidate) -> float:
    return (candidate.train_top1 or 0.0) - (candidate.decision.top1.value if candidate.decision else 0.0)


def cost(record: Record) -> Figure | None:
    """Cost of one prediction against accuracy."""
    data: list[Figure] = []
    for number, (name, group) in enumerate(_whole_groups(record)):
        group = sorted(group, key=lambda c: c.macs)
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers+text",
                "name": name,
                "x": [c.macs for c in group],
                "y": [100 * (words.value(record, c) or 0.0) for c in group],
                "text": [
                    f"{c.depth}" if all(c.depth != before.depth for before in group[:n]) else ""
                    for n, c in enumerate(group)
                ],
                "textposition": "bottom center",
                "customdata": [_safe(f"{c.name}: {words.amount(c.parameters)} parameters") for c in group],
                "hovertemplate": "%{customdata}<br>%{x:.3s} multiply-accumulates, %{y:.2f}%<extra></extra>",
                "line": {"color": COLOURS[number % 7], "width": 1.5},
                "marker": {"size": 9, "symbol": SYMBOLS[number % 5]},
            }
        )
    if not data:
        return None
    layout = _layout("multiply-accumulates (at the points: depth)", _metric(record))
    layout["xaxis"] |= {"type": "log", "tickformat": "~s", "dtick": "D2"}
    return {"data": data, "layout": layout}


def _held_out(row: EpochRow, key: str) -> float | None:
    value = row.top1 if key == "top1" else row.loss
    return None if value is None else (100 * value if key == "top1" else value)


def curves(record: Record, key: str) -> Figure | None:
    """Held-out accuracy or loss after every epoch; a colour for each candidate, thin for folds, thick for the mean."""
    data: list[Figure] = []
    for number, candidate in enumerate(record.candidates):
        style = {"color": COLOURS[number % 7], "dash": DASHES[number // 7 % 4]}
        runs = [
            {row.epoch: value for row in training.curve if (value := _held_out(row, key)) is not None}
            for training in candidate.trainings
        ]
        runs = [run for run in runs if run]
        if not runs:
            continue
        common = {"type": "scatter", "mode": "lines", "legendgroup": str(number), "name": _safe(candidate.name)}
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
    layout = _layout("epoch", "held-out accuracy" if key == "top1" else "held-out loss", hovermode="x unified")
    if key == "loss":
        layout["yaxis"] |= {"ticksuffix": "", "type": "log"}
    return {"data": data, "layout": layout}


def strengths(record: Record) -> dict[str, Figure]:
    """Gradient norm and activation scale of every layer over training: of the chosen network, and of the deepest."""
    shown = {}
    if record.decision is not None:
        shown["chosen"] = record.candidate(record.decision.candidate)
    known = [c for c in record.candidates if c.trainings and any(row.gradients for row in c.trainings[0].curve)]
    deepest = max(known, key=lambda c: c.depth, default=None)
    if deepest is not None and deepest.name != getattr(shown.get("chosen"), "name", None):
        shown["deepest"] = deepest
    made = {}
    for key, title in (("gradients", "gradient norm"), ("activations", "activation scale")):
        grids = {who: grid for who, candidate in shown.items() if (grid := _grid(candidate, key))}
        values = [v for grid in grids.values() for row in grid for v in row if v is not None]
        for who, grid in grids.items() if values else ():
            made[f"{key}-{who}"] = _strength(shown[who], grid, title, min(values), max(values))
    return made


def _grid(candidate: Candidate, key: str) -> list[list[float | None]]:
    """Powers of ten by layer and epoch; None for zero and for what is no number."""
    curve = [getattr(row, key) for row in candidate.trainings[0].curve] if candidate.trainings else []
    if not curve or any(len(values) != len(candidate.layers) for values in curve) or not candidate.layers:
        return []
    return [[round(math.log10(v), 3) if v else None for v in layer] for layer in zip(*curve, strict=True)]


def _strength(candidate: Candidate, grid: list[list[float | None]], title: str, low: float, high: float) -> Figure:
    epochs = [row.epoch for row in candidate.trainings[0].curve]
    names = [_safe(path) for path in candidate.layers]
    numbers = list(range(1, len(names) + 1))
    trace: Figure = {
        "type": "heatmap",
        "x": epochs,
        "y": numbers,
        "z": grid,
        "zmin": low,
        "zmax": high if high > low else low + 1,
        "customdata": [
            [
                f"{name}, epoch {epoch:g}: " + ("none" if power is None else f"{10**power:.2g}")
                for epoch, power in zip(epochs, row, strict=True)
            ]
            for name, row in zip(names, grid, strict=True)
        ],
        "hovertemplate": "%{customdata}<extra></extra>",
        "colorscale": [[0, "--heat1"], [1, "--heat2"]],
        "showscale": False,
    }
    span = f"{title}<br>from {10**low:.1g} (pale) to {10**high:.1g} (dark)"
    layout = _layout("epoch", "weighted layer", margin={"l": 52, "r": 14, "t": 44, "b": 48})
    layout["yaxis"] |= {"ticksuffix": "", "autorange": "reversed", "tickvals": numbers[:: -(-len(names) // 12)]}
    layout["title"] = {"text": f"{_safe(candidate.name)}: {span}", "font": {"size": 13}, "x": 0.02, "y": 0.98}
    return {"data": [trace], "layout": layout}


def confusion(record: Record) -> Figure | None:
    """True classes down, predicted ones across; shade is the share of the true class."""
    if record.test is None or not record.test.top1.count:
        return None
    counts, names = record.test.confusion, [_safe(_short(name)) for name in record.data.classes]
    shares = [[100 * n / (sum(row) or 1) for n in row] for row in counts]
    size = len(names)
    step = 1 if size <= NAMED else -(-size // NAMED)
    ticks = {"tickmode": "array", "tickvals": list(range(0, size, step)), "ticktext": names[::step]}
    trace: Figure = {
        "type": "heatmap",
        "z": [[round(share, 1) for share in row] for row in shares],
        "x": list(range(size)),
        "y": list(range(size)),
        "zmin": 0,
        "zmax": 100,
        "customdata": [
            [f"{_safe(a)} taken for {_safe(b)}: {n:,}" for b, n in zip(record.data.classes, row, strict=True)]
            for a, row in zip(record.data.classes, counts, strict=True)
        ]
        if size <= 100
        else None,
        "hovertemplate": ("%{customdata}" if size <= 100 else "row %{y}, column %{x}") + " (%{z}%)<extra></extra>",
        "colorscale": [[0, "--panel"], [0.02, "--heat1"], [1, "--heat2"]],
        "colorbar": {"ticksuffix": "%", "thickness": 10, "outlinewidth": 0, "len": 0.6},
        "xgap": 1 if size <= NAMED else 0,
        "ygap": 1 if size <= NAMED else 0,
    }
    if size <= LABELLED:
        trace |= {"text": [[str(n) if n else "" for n in row] for row in counts], "texttemplate": "%{text}"}
    layout = _layout("predicted", "true")
    layout["xaxis"] |= {**ticks, "showgrid": False, "side": "bottom", "tickangle": 0 if size <= 10 and
                        max(map(len, names)) < 8 else -60}  # fmt: skip
    layout["yaxis"] |= {**ticks, "showgrid": False, "ticksuffix": "", "autorange": "reversed"}
    layout["height"] = 560 if size <= NAMED else 720
    return {"data": [trace], "layout": layout}


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:21]}…"
