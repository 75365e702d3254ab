"""On few images, the gap between training and validation grows with depth."""

from __future__ import annotations

from dataclasses import replace

from deepenough.data.augment import Augment
from deepenough.lab.bench import Bench
from deepenough.lab.record import Effect, Hits, Line, Point, Seen, judged
from deepenough.nets import FAMILIES

BLOCKS = (0, 1, 4)
FEW = 200


def measure(bench: Bench) -> Seen:
    """Training less validation accuracy by depth, on few images and on all for as many steps, not augmented.

    Both are judged with the weights at the end.
    """
    family, lines = FAMILIES["residual"], list[Line]()
    recipe = replace(bench.recipe, augment=Augment())
    most = len(bench.images.split.train)
    few: list[list[Hits]] = []  # of the fewest images: those of training, and less those of validation
    for count in sorted({min(FEW, most), most}):
        points = []
        for blocks in BLOCKS:
            depth = family.depth_of(blocks, bench.input)
            network = family.network(bench.input, bench.classes, depth=depth, width=0.25 if bench.quick else 1.0)
            long = bench.as_long(recipe, count)
            gap = [sign * bench.hits(network, recipe=long, count=count, training=sign > 0) for sign in (1, -1)]
            points.append(Point(x=depth, note=f"{count:,} images", **judged(*gap)))
            few += [gap] if not lines else []
        lines.append(Line(name=f"{count:,} images", points=points))
    ends, grown = lines[0].points, [deep - shallow for deep, shallow in zip(few[-1], few[0], strict=True)]
    return Seen(
        x="depth",
        y="training less validation accuracy",
        log_x=True,
        lines=lines,
        effects=[
            Effect(
                what=f"gap at depth {ends[-1].x:g} less that at depth {ends[0].x:g}, on {min(FEW, most):,} images",
                **judged(*grown),
            )
        ],
    )
