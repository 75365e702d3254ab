"""Learning rate, batch and decay matter, and the defaults are near the best found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from deepenough.lab.record import Effect, Line, Point, Result
from deepenough.lab.text import said
from deepenough.lab.trials import Trials, leave_one_seed_out

FACTORS = {"lr": (0.1, 0.3, 1.0, 3.0, 10.0), "batch": (0.25, 1.0, 4.0), "weight_decay": (0.0, 1.0, 10.0)}
NAMES = {"lr": "learning rate", "batch": "batch size", "weight_decay": "weight decay"}
MARGIN = 0.01  # how far from the best is still near


def measure(trials: Trials) -> Result:
    """Accuracy with each changed alone, by factors of its default; the default learning rate is the range test's.

    For every seed the best and the worst are those of the other seeds.
    """
    network = trials.residual(1)
    default = replace(trials.recipe, lr=None)
    usual = trials.hits(network, recipe=default)
    found = [trials.train(network, seed, recipe=default).lr for seed in trials.seeds]
    default = replace(default, lr=float(np.median(found)))
    lines, tried = [], [usual]
    for name, factors in FACTORS.items():
        points = []
        for factor in factors:
            value = factor * getattr(default, name)
            recipe = replace(default, **{name: max(round(value), 2) if name == "batch" else value})
            hits = usual if factor == 1 else trials.hits(network, recipe=recipe)
            tried += [] if factor == 1 else [hits]
            points.append(
                Point.from_hits(
                    hits,
                    x=factor,
                    note=said("%(option)s %(value)s", option=NAMES[name], value=f"{getattr(recipe, name):.3g}"),
                )
            )
        lines.append(Line(name=said(NAMES[name]), points=points))
    best, worst = leave_one_seed_out(tried, np.argmax), leave_one_seed_out(tried, np.argmin)
    return Result(
        x=said("times the default"),
        y=said("accuracy"),
        lines=lines,
        effects=[
            Effect.from_hits(usual - best, what=said("accuracy with the defaults minus the best found"), bound=-MARGIN),
            Effect.from_hits(best - worst, what=said("best minus worst of all settings"), bound=MARGIN),
        ],
        notes=[
            said("The best and the worst setting are chosen by the other seeds, so that a lucky seed does not decide.")
        ],
    )
