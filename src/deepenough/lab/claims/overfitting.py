"""On few images, the gap between training and validation grows with depth."""

from __future__ import annotations

from dataclasses import replace

from deepenough.data.augment import Augment
from deepenough.lab.bench import Bench, less
from deepenough.lab.record import Effect, Line, Point, Seen
from deepenough.nets import FAMILIES

BLOCKS = (0, 1, 4)


def measure(bench: Bench) -> Seen:
    """Training less validation accuracy by depth, on few images and on all for as many steps, not augmented."""
    family, lines = FAMILIES["residual"], []
    recipe = replace(bench.recipe, augment=Augment())
    most = len(bench.images.split.train)
    for count in (200, most):
        points = []
        for blocks in BLOCKS:
            depth = family.depth_of(blocks, bench.input)
            network = family.network(bench.input, bench.classes, depth=depth, width=0.25 if bench.quick else 1.0)
            long = bench.as_long(recipe, count)
            ends = [bench.train(network, s, recipe=long, rows=bench.some(count, s)).curve[-1] for s in bench.seeds]
            points.append(Point(x=depth, values=[end.train_top1 - end.top1 for end in ends], note=f"{count} images"))
        lines.append(Line(name=f"{count:,} images", points=points))
    few = lines[0].points
    return Seen(
        x="depth",
        y="training less validation accuracy",
        log_x=True,
        lines=lines,
        effects=[
            Effect(
                what=f"gap at depth {few[-1].x:g} less that at depth {few[0].x:g}, on 200 images",
                values=less(few[-1].values, few[0].values),
            )
        ],
    )
