"""How much learning rate, batch and decay matter, and that the defaults are near the best found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deepenough.lab.bench import Bench, left_out
from deepenough.lab.record import Effect, Line, Point, Seen, judged
from deepenough.nets import FAMILIES

FACTORS = {"lr": (0.1, 0.3, 1.0, 3.0, 10.0), "batch": (0.25, 1.0, 4.0), "weight_decay": (0.0, 1.0, 10.0)}
NAMES = {"lr": "learning rate", "batch": "batch", "weight_decay": "weight decay"}
MARGIN = 0.01  # how far from the best is still near


def measure(bench: Bench) -> Seen:
    """Each changed alone, by factors of the default; the default's rate is what the range test finds.

    For every seed the best and the worst are those of the other seeds.
    """
    family = FAMILIES["residual"]
    depth = family.depth_of(1, bench.input)
    network = family.network(bench.input, bench.classes, depth=depth, width=0.25 if bench.quick else 1.0)
    default = replace(bench.recipe, lr=None)
    usual = bench.hits(network, recipe=default)
    found = [bench.train(network, seed, recipe=default).lr for seed in bench.seeds]
    default = replace(default, lr=float(np.median(found)))
    lines, tried = [], [usual]
    for name, factors in FACTORS.items():
        points = []
        for factor in factors:
            value = factor * getattr(default, name)
            recipe = replace(default, **{name: max(round(value), 2) if name == "batch" else value})
            hits = usual if factor == 1 else bench.hits(network, recipe=recipe)
            tried += [] if factor == 1 else [hits]
            points.append(Point(x=factor, note=f"{NAMES[name]} {getattr(recipe, name):.3g}", **judged(hits)))
        lines.append(Line(name=NAMES[name], points=points))
    best, worst = left_out(tried, np.argmax), left_out(tried, np.argmin)
    return Seen(
        x="times the default",
        y="accuracy",
        lines=lines,
        effects=[
            Effect(what="accuracy with the defaults less the best found", bound=-MARGIN, **judged(usual - best)),
            Effect(what="best less worst of all settings", bound=MARGIN, **judged(best - worst)),
        ],
        notes=["The best and the worst setting are chosen by the other seeds, so that luck is not taken for merit."],
    )
