"""The fewer the images, the more augmentation gives."""

from __future__ import annotations

from dataclasses import replace

from deepenough.data.augment import Augment
from deepenough.lab.bench import Bench
from deepenough.lab.record import Effect, Hits, Line, Point, Seen, judged
from deepenough.nets import FAMILIES

KINDS = {
    "rotation": Augment(rotation=10.0),
    "shift": Augment(shift=0.1),
    "zoom": Augment(zoom=0.15),
    "brightness": Augment(brightness=0.2),
}
TOGETHER = Augment(rotation=10.0, shift=0.1, zoom=0.15, brightness=0.2)
SIZES = (250, 1_000, 4_000)  # and all, each for as many steps


def measure(bench: Bench) -> Seen:
    """The gain over no augmentation, each kind alone and all together, by the number of images."""
    family = FAMILIES["residual"]
    depth = family.depth_of(1, bench.input)
    network = family.network(bench.input, bench.classes, depth=depth, width=0.25 if bench.quick else 1.0)
    together = {"all together": replace(TOGETHER, flip=bench.images.mirror)}
    tried = together | ({"shift": KINDS["shift"]} if bench.quick else KINDS)
    gains: dict[str, list[Hits]] = {name: [] for name in tried}
    sizes = bench.sizes(SIZES[: 1 if bench.quick else None])
    for size in sizes:
        recipe = bench.as_long(bench.recipe, size)
        plain = bench.hits(network, recipe=replace(recipe, augment=Augment()), count=size)
        for name, policy in tried.items():
            gains[name].append(bench.hits(network, recipe=replace(recipe, augment=policy), count=size) - plain)
    all_of_them = gains["all together"]
    return Seen(
        x="training images",
        y="accuracy gained over no augmentation",
        log_x=True,
        lines=[
            Line(name=name, points=[Point(x=size, **judged(gain)) for size, gain in zip(sizes, found, strict=True)])
            for name, found in gains.items()
        ],
        effects=[
            Effect(
                what=f"gain on {sizes[0]:,} images less that on {sizes[-1]:,}",
                **judged(all_of_them[0] - all_of_them[-1]),
            )
        ],
    )
