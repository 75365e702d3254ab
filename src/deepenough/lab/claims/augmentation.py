"""The fewer the images, the more augmentation gives."""

from __future__ import annotations

from dataclasses import replace

from deepenough.data.augment import Augment
from deepenough.lab.bench import Bench, Index, less
from deepenough.lab.record import Effect, Line, Point, Seen
from deepenough.nets import FAMILIES, Network
from deepenough.train import Recipe

KINDS = {
    "rotation": Augment(rotation=10.0),
    "shift": Augment(shift=0.1),
    "zoom": Augment(zoom=0.15),
    "brightness": Augment(brightness=0.2),
}
TOGETHER = Augment(rotation=10.0, shift=0.1, zoom=0.15, brightness=0.2)
SIZES = (250, 1_000, 4_000)  # and all, each for as many steps


def top1(bench: Bench, network: Network, recipe: Recipe, rows: dict[int, Index]) -> list[float]:
    """Validation accuracy for each seed, trained on its own rows."""
    return [bench.train(network, seed, recipe=recipe, rows=rows[seed]).curve[-1].top1 for seed in bench.seeds]


def measure(bench: Bench) -> Seen:
    """The gain over no augmentation, each kind alone and all together, by the number of images."""
    family = FAMILIES["residual"]
    depth = family.depth_of(1, bench.input)
    network = family.network(bench.input, bench.classes, depth=depth, width=0.25 if bench.quick else 1.0)
    together = {"all together": replace(TOGETHER, flip=bench.images.mirror)}
    tried = together | ({"shift": KINDS["shift"]} if bench.quick else KINDS)
    gains: dict[str, list[Point]] = {name: [] for name in tried}
    most = len(bench.images.split.train)
    sizes = [*(size for size in SIZES[: 1 if bench.quick else None] if size < most), most]
    for size in sizes:
        rows = {seed: bench.some(size, seed) for seed in bench.seeds}
        recipe = bench.as_long(bench.recipe, size)
        plain = top1(bench, network, replace(recipe, augment=Augment()), rows)
        for name, policy in tried.items():
            values = top1(bench, network, replace(recipe, augment=policy), rows)
            gains[name].append(Point(x=size, values=less(values, plain)))
    all_of_them = gains["all together"]
    return Seen(
        x="training images",
        y="accuracy gained over no augmentation",
        log_x=True,
        lines=[Line(name=name, points=points) for name, points in gains.items()],
        effects=[
            Effect(
                what=f"gain on {sizes[0]:,} images less that on {sizes[-1]:,}",
                values=less(all_of_them[0].values, all_of_them[-1].values),
            )
        ],
    )
