"""A network by the name that a user gives: one of the zoo, or of a family with a depth and a width."""

from __future__ import annotations

from deepenough.errors import DeepenoughError, unknown
from deepenough.nets import FAMILIES, NETWORKS, Network
from deepenough.nets.zoo import zoo_name

FAMILY_INPUT = (3, 32, 32)
FAMILY_CLASSES = 10


def choose_network(
    name: str,
    *,
    shape: tuple[int, int, int] | None = None,
    classes: int | None = None,
    depth: int | None = None,
    width: float | None = None,
) -> Network:
    """The network `name` for images of `shape` (C, H, W). A family's depth is its shallowest unless given.

    timm's and torchvision's names of networks are taken, too (`zoo_name`).
    """
    if name in FAMILIES:
        family = FAMILIES[name]
        size = shape or FAMILY_INPUT
        return family.network(
            input=size,
            classes=classes or FAMILY_CLASSES,
            depth=family.depth_of(family.fewest, size) if depth is None else depth,
            width=1.0 if width is None else width,
        )
    given, name = name, zoo_name(name)
    if name not in NETWORKS:
        raise unknown("network", given, [*NETWORKS, *FAMILIES])
    for option, value in (("--depth", depth), ("--width", width)):
        if value is not None:
            raise DeepenoughError(
                f"{option} {value}: {name} is one network; families have a choice: {', '.join(FAMILIES)}"
            )
    network = NETWORKS[name]()
    if classes is not None:
        network = network.with_classes(classes)
    return network if shape is None else network.with_input(shape)
