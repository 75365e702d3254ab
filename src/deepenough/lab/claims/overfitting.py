"""On few images, the gap between training and validation grows with depth."""

from __future__ import annotations

from dataclasses import replace

from deepenough.data.augment import Augment
from deepenough.lab.record import Effect, Line, Point, Result, SeedHits
from deepenough.lab.text import said
from deepenough.lab.trials import Trials
from deepenough.nets import depth

BLOCKS = (0, 1, 4)
FEW = 200


def measure(trials: Trials) -> Result:
    """Training minus validation accuracy by depth, on few images and on all for as many steps, not augmented.

    Both are judged with the weights at the end.
    """
    lines: list[Line] = []
    recipe = replace(trials.recipe, augment=Augment())
    most = len(trials.images.split.train)
    few: list[list[SeedHits]] = []  # with the fewest images: hits on training images, minus those on validation images
    for count in sorted({min(FEW, most), most}):
        points = []
        for blocks in BLOCKS:
            network = trials.residual(blocks)
            long = trials.with_equal_steps(recipe, count)
            gap = [sign * trials.hits(network, recipe=long, count=count, training=sign > 0) for sign in (1, -1)]
            points.append(Point.from_hits(*gap, x=depth(network), note=said("%(count)s images", count=f"{count:,}")))
            few += [gap] if not lines else []
        lines.append(Line(name=said("%(count)s images", count=f"{count:,}"), points=points))
    ends, grown = lines[0].points, [deep - shallow for deep, shallow in zip(few[-1], few[0], strict=True)]
    return Result(
        x=said("depth"),
        y=said("training minus validation accuracy"),
        log_x=True,
        lines=lines,
        effects=[
            Effect.from_hits(
                *grown,
                what=said(
                    "gap at depth %(deep)s minus that at depth %(shallow)s, on %(count)s images",
                    deep=f"{ends[-1].x:g}",
                    shallow=f"{ends[0].x:g}",
                    count=f"{min(FEW, most):,}",
                ),
            )
        ],
    )
