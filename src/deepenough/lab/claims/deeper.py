"""Accuracy rises with depth."""

from __future__ import annotations

from deepenough.lab.bench import Bench
from deepenough.lab.record import Effect, Line, Point, Seen, judged
from deepenough.nets import FAMILIES, parameters
from deepenough.nets.summary import eight_json

BLOCKS = (0, 1, 2, 4, 8)
# Top-5 errors (%) on ImageNet's validation images, one crop, of torchvision's first weights: one protocol for all.
ERRORS = {
    "alexnet": 20.93, "vgg16": 9.62, "vgg19": 9.12, "googlenet": 10.47, "resnet34": 8.58, "resnet50": 7.14,
    "resnet101": 6.45, "resnet152": 5.95,
}  # fmt: skip


def measure(bench: Bench) -> Seen:
    """The search space of the residual family, and the published errors of the eight networks."""
    family = FAMILIES["residual"]
    width = 0.25 if bench.quick else 1.0
    found, points = [], []
    for blocks in BLOCKS[: 4 if bench.quick else None]:
        depth = family.depth_of(blocks, bench.input)
        network = family.network(bench.input, bench.classes, depth=depth, width=width)
        found.append(bench.hits(network))
        points.append(Point(x=depth, note=f"{parameters(network):,} parameters", **judged(found[-1])))
    published = [
        Point(
            x=row["depth"],
            values=[1 - ERRORS[row["name"]] / 100],
            note=f"{row['name']}: {row['parameters']:,} parameters",
            kind="published",
        )
        for row in eight_json()
    ]
    return Seen(
        x="depth",
        y="accuracy (top-1 here, top-5 on ImageNet)",
        log_x=True,
        lines=[
            Line(name="here, top-1", points=points),
            Line(name="ImageNet, published, top-5, one crop", points=published),
        ],
        effects=[
            Effect(
                what=f"accuracy at depth {points[-1].x:g} less that at depth {points[0].x:g}",
                **judged(found[-1] - found[0]),
            )
        ],
    )
