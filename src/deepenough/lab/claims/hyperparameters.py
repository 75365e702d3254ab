"""How much learning rate, batch and decay matter, and that the defaults are near the best found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deepenough.lab.bench import Bench, less
from deepenough.lab.record import Effect, Line, Point, Seen
from deepenough.nets import FAMILIES

FACTORS = {"lr": (0.1, 0.3, 1.0, 3.0, 10.0), "batch": (0.25, 1.0, 4.0), "weight_decay": (0.0, 1.0, 10.0)}
NAMES = {"lr": "learning rate", "batch": "batch", "weight_decay": "weight decay"}
MARGIN = 0.01  # how far from the best is still near


def measure(bench: Bench) -> Seen:
    """Each changed alone, by factors of the default; the default's rate is what the range test finds."""
    family = FAMILIES["residual"]
    depth = family.depth_of(1, bench.input)
    network = family.network(bench.input, bench.classes, depth=depth, width=0.25 if bench.quick else 1.0)
    default = replace(bench.recipe, lr=None)
    runs = [bench.train(network, seed, recipe=default) for seed in bench.seeds]
    usual = [run.curve[-1].top1 for run in runs]
    default = replace(default, lr=float(np.median([run.lr for run in runs])))
    lines, best = [], usual
    for name, factors in FACTORS.items():
        points = []
        for factor in factors:
            value = factor * getattr(default, name)
            recipe = replace(default, **{name: max(round(value), 2) if name == "batch" else value})
            values = usual if factor == 1 else bench.top1(network, recipe=recipe)
            best = max(best, values, key=np.mean)
            points.append(Point(x=factor, values=values, note=f"{NAMES[name]} {getattr(recipe, name):.3g}"))
        lines.append(Line(name=NAMES[name], points=points))
    spread = [max(v) - min(v) for v in zip(*(point.values for line in lines for point in line.points), strict=True)]
    return Seen(
        x="times the default",
        y="accuracy",
        lines=lines,
        effects=[
            Effect(what="accuracy with the defaults less the best found", values=less(usual, best), bound=-MARGIN),
            Effect(what="best less worst of all settings", values=spread, bound=MARGIN),
        ],
        notes=["The best found is chosen by the same images, so it looks a little better than it is."],
    )
