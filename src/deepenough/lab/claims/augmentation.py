"""The fewer the images, the more augmentation helps."""

from __future__ import annotations

from dataclasses import replace

from deepenough.data.augment import Augment
from deepenough.lab.record import Effect, Line, Result, SeedHits
from deepenough.lab.text import said
from deepenough.lab.trials import Trials

ONE_AT_A_TIME = {
    "rotation": Augment(rotation=10.0),
    "shift": Augment(shift=0.1),
    "zoom": Augment(zoom=0.15),
    "brightness": Augment(brightness=0.2),
}
ALL_TOGETHER = Augment(rotation=10.0, shift=0.1, zoom=0.15, brightness=0.2)
SIZES = (250, 1_000, 4_000)  # and all, each for as many steps


def measure(trials: Trials) -> Result:
    """The gain over no augmentation, each kind alone and all together, by the number of images."""
    network = trials.residual(1)
    together = {"all together": replace(ALL_TOGETHER, flip=trials.images.mirror)}
    tried = together | ({"shift": ONE_AT_A_TIME["shift"]} if trials.quick else ONE_AT_A_TIME)
    gains: dict[str, list[SeedHits]] = {name: [] for name in tried}
    sizes = trials.sizes(SIZES[: 1 if trials.quick else None])
    for size in sizes:
        recipe = trials.with_equal_steps(trials.recipe, size)
        plain = trials.hits(network, recipe=replace(recipe, augment=Augment()), count=size)
        for name, policy in tried.items():
            gains[name].append(trials.hits(network, recipe=replace(recipe, augment=policy), count=size) - plain)
    all_of_them = gains["all together"]
    return Result(
        x=said("training images"),
        y=said("accuracy gained over no augmentation"),
        log_x=True,
        lines=[Line.from_hits(said(name), sizes, found) for name, found in gains.items()],
        effects=[
            Effect.from_hits(
                all_of_them[0] - all_of_them[-1],
                what=said("gain on %(few)s images minus that on %(many)s", few=f"{sizes[0]:,}", many=f"{sizes[-1]:,}"),
            )
        ],
    )
