"""The heat maps of the page: confusion of classes, and the signals of every layer over training."""

from __future__ import annotations

import math

from deepenough.language import gettext as _
from deepenough.record import Record
from deepenough.record.schema import CandidateRecord
from deepenough.report.plotting import Plot, axes, epoch_ticks, safe

LABELLED_CLASSES = 20  # classes up to which the cells of the confusion matrix carry their numbers
NAMED_CLASSES = 40  # classes up to which all of them are named on the axes


def signal_maps(record: Record) -> dict[str, Plot]:
    """Gradient norm and activation scale of every layer over training: of the chosen network, and of the deepest."""
    shown = {}
    if record.decision is not None:
        shown["chosen"] = record.candidate(record.decision.chosen)
    known = [c for c in record.candidates if c.trainings and any(row.gradients for row in c.trainings[0].curve)]
    deepest = max(known, key=lambda c: c.depth, default=None)
    if deepest is not None and deepest.name != getattr(shown.get("chosen"), "name", None):
        shown["deepest"] = deepest
    made = {}
    for key, title in (("gradients", _("gradient norm")), ("activations", _("activation scale"))):
        grids = {who: grid for who, candidate in shown.items() if (grid := _grid(candidate, key))}
        values = [v for grid in grids.values() for row in grid for v in row if v is not None]
        for who, grid in grids.items() if values else ():
            made[f"{key}-{who}"] = _signal(shown[who], grid, title, min(values), max(values))
    return made


def _grid(candidate: CandidateRecord, key: str) -> list[list[float | None]]:
    """Powers of ten by layer and epoch; None for zero and for what is no number."""
    curve = [getattr(row, key) for row in candidate.trainings[0].curve] if candidate.trainings else []
    if not curve or any(len(values) != len(candidate.layers) for values in curve) or not candidate.layers:
        return []
    return [[round(math.log10(v), 3) if v else None for v in layer] for layer in zip(*curve, strict=True)]


def _signal(candidate: CandidateRecord, grid: list[list[float | None]], title: str, low: float, high: float) -> Plot:
    epochs = [row.epoch for row in candidate.trainings[0].curve]
    names = [safe(path) for path in candidate.layers]
    numbers = list(range(1, len(names) + 1))
    trace: Plot = {
        "type": "heatmap",
        "x": epochs,
        "y": numbers,
        "z": grid,
        "zmin": low,
        "zmax": high if high > low else low + 1,
        "customdata": [
            [
                _(
                    "%(layer)s, epoch %(epoch)s: %(value)s",
                    layer=name,
                    epoch=f"{epoch:g}",
                    value=_("none") if power is None else f"{10**power:.2g}",
                )
                for epoch, power in zip(epochs, row, strict=True)
            ]
            for name, row in zip(names, grid, strict=True)
        ],
        "hovertemplate": "%{customdata}<extra></extra>",
        "colorscale": [[0, "--heat1"], [1, "--heat2"]],
        "showscale": False,
    }
    low_text, high_text = f"{10**low:.2g}", f"{10**high:.2g}"
    span = title + "<br>" + _("from %(low)s (pale) to %(high)s (dark)", low=low_text, high=high_text)
    layout = axes(_("epoch"), _("weighted layer"), margin={"l": 52, "r": 14, "t": 44, "b": 48})
    layout["xaxis"] |= epoch_ticks(epochs)
    layout["yaxis"] |= {"ticksuffix": "", "autorange": "reversed", "tickvals": numbers[:: -(-len(names) // 12)]}
    # Plotly moves a title up by as much as its second line takes.
    place = {"x": 0.02, "y": 1, "yref": "container", "yanchor": "top", "pad": {"t": 20}}
    layout["title"] = {"text": f"{safe(candidate.name)}: {span}", "font": {"size": 13}, **place}
    return {"data": [trace], "layout": layout}


def confusion(record: Record) -> Plot | None:
    """True classes down, predicted ones across; shade is the share of the true class."""
    if record.test is None or not record.test.top1.count:
        return None
    counts, names = record.test.confusion, [safe(_short(name)) for name in record.data.classes]
    shares = [[100 * n / (sum(row) or 1) for n in row] for row in counts]
    size = len(names)
    step = 1 if size <= NAMED_CLASSES else -(-size // NAMED_CLASSES)
    ticks = {"tickmode": "array", "tickvals": list(range(0, size, step)), "ticktext": names[::step]}
    trace: Plot = {
        "type": "heatmap",
        "z": [[round(share, 1) for share in row] for row in shares],
        "x": list(range(size)),
        "y": list(range(size)),
        "zmin": 0,
        "zmax": 100,
        "customdata": [
            [
                _("%(true)s taken for %(predicted)s: %(count)s", true=safe(a), predicted=safe(b), count=f"{n:,}")
                for b, n in zip(record.data.classes, row, strict=True)
            ]
            for a, row in zip(record.data.classes, counts, strict=True)
        ]
        if size <= 100
        else None,
        "hovertemplate": (
            "%{customdata}" if size <= 100 else _("row %(row)s, column %(column)s", row="%{y}", column="%{x}")
        )
        + " (%{z}%)<extra></extra>",
        "colorscale": [[0, "--panel"], [0.02, "--heat1"], [1, "--heat2"]],
        "colorbar": {"ticksuffix": "%", "thickness": 10, "outlinewidth": 0, "len": 0.6},
        "xgap": 1 if size <= NAMED_CLASSES else 0,
        "ygap": 1 if size <= NAMED_CLASSES else 0,
    }
    if size <= LABELLED_CLASSES:
        trace |= {"text": [[str(n) if n else "" for n in row] for row in counts], "texttemplate": "%{text}"}
    layout = axes(_("predicted"), _("true"))
    layout["xaxis"] |= {**ticks, "showgrid": False, "side": "bottom", "tickangle": 0 if size <= 10 and
                        max(map(len, names)) < 8 else -60}  # fmt: skip
    layout["yaxis"] |= {**ticks, "showgrid": False, "ticksuffix": "", "autorange": "reversed"}
    layout["height"] = 560 if size <= NAMED_CLASSES else 720
    return {"data": [trace], "layout": layout}


def _short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:21]}…"
