"""Accuracy rises with depth."""

from __future__ import annotations

from deepenough.lab.record import Effect, Line, Point, Result
from deepenough.lab.text import said
from deepenough.lab.trials import Trials
from deepenough.nets import depth, parameters
from deepenough.nets.summary import eight_json

BLOCKS = (0, 1, 2, 4, 8)
# Top-5 errors (%) on ImageNet's validation images, one crop, of torchvision's first weights: one protocol for all.
ERRORS = {
    "alexnet": 20.93, "vgg16": 9.62, "vgg19": 9.12, "googlenet": 10.47, "resnet34": 8.58, "resnet50": 7.14,
    "resnet101": 6.45, "resnet152": 5.95,
}  # fmt: skip


def measure(trials: Trials) -> Result:
    """Accuracy of residual networks by depth, and the published errors of the eight networks."""
    found, points = [], []
    for blocks in BLOCKS[: 4 if trials.quick else None]:
        network = trials.residual(blocks)
        found.append(trials.hits(network))
        points.append(
            Point.from_hits(
                found[-1], x=depth(network), note=said("%(count)s parameters", count=f"{parameters(network):,}")
            )
        )
    published = [
        Point(
            x=row["depth"],
            values=[1 - ERRORS[row["name"]] / 100],
            note=said("%(network)s: %(count)s parameters", network=row["name"], count=f"{row['parameters']:,}"),
            kind="published",
            unit="share",
        )
        for row in eight_json()
    ]
    return Result(
        x=said("depth"),
        y=said("accuracy (top-1 here, top-5 on ImageNet)"),
        log_x=True,
        lines=[
            Line(name=said("here, top-1"), points=points),
            Line(name=said("ImageNet, published, top-5, one crop"), points=published),
        ],
        effects=[
            Effect.from_hits(
                found[-1] - found[0],
                what=said(
                    "accuracy at depth %(deep)s minus that at depth %(shallow)s",
                    deep=f"{points[-1].x:g}",
                    shallow=f"{points[0].x:g}",
                ),
            )
        ],
    )
