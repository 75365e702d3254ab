"""Beyond some depth a plain network gets worse in training error; a residual one does not."""

from __future__ import annotations

from deepenough.lab.bench import Bench, less
from deepenough.lab.record import Effect, Line, Point, Seen
from deepenough.nets import FAMILIES

DEPTHS = {"plain": (5, 19, 67), "residual": (5, 19, 67)}
MARGIN = 0.01  # a loss of training accuracy that is none


def measure(bench: Bench) -> Seen:
    """Training accuracy by depth, plain and residual (He et al. 2015, fig. 1)."""
    width = 0.25 if bench.quick else 0.5
    lines = []
    for name in ("plain", "residual"):
        points = []
        for depth in DEPTHS[name][: None if not bench.quick else 3]:
            network = FAMILIES[name].network(bench.input, bench.classes, depth=depth, width=width)
            runs = [bench.train(network, seed) for seed in bench.seeds]
            points.append(Point(x=depth, values=[run.curve[-1].train_top1 for run in runs]))
        lines.append(Line(name=name, points=points))
    plain, residual = (less(line.points[-2].values, line.points[-1].values) for line in lines)
    return Seen(
        x="depth",
        y="training accuracy",
        log_x=True,
        lines=lines,
        effects=[
            Effect(what="training accuracy that the plain network loses by the last step in depth", values=plain),
            Effect(
                what="what the residual one loses, counted down from a loss that matters",
                values=[MARGIN - r for r in residual],
            ),
        ],
    )
