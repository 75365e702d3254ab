"""The ladder: the networks that a question looks at, fixed before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from deepenough.errors import DeepenoughError, unknown
from deepenough.nets import FAMILIES, Network, depth, macs, parameters

MOST_BLOCKS = 16  # blocks a level of the deepest rung, unless a largest depth is given
MEASURES = ("depth", "parameters", "macs")


@dataclass(frozen=True)
class Rung:
    """One network of a family: `blocks` blocks a level at a width factor; or a pretrained one cut after `place`."""

    family: str
    width: float
    blocks: int
    network: Network
    place: str = ""

    @property
    def name(self) -> str:
        """`residual-7`, or `residual-7-w1.5` at another width than 1, or `squeezenet1_1-fire7`."""
        if self.place:
            return f"{self.family}-{self.place}"
        width = "" if self.width == 1 else f"-w{self.width:g}"
        return f"{self.family}-{self.depth}{width}"

    @cached_property
    def depth(self) -> int:
        return depth(self.network)

    @cached_property
    def parameters(self) -> int:
        return parameters(self.network)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one image's forward pass."""
        return macs(self.network)

    def measure(self, minimize: str) -> tuple[int, int]:
        """What the search keeps small, ties broken by the multiply-accumulates."""
        return int(getattr(self, minimize)), self.macs


def rung(family: str, width: float, blocks: int, shape: tuple[int, int, int], classes: int) -> Rung:
    """The network with that many blocks a level for images of `shape` (C, H, W)."""
    rule = FAMILIES[family]
    network = rule.network(input=shape, classes=classes, depth=rule.depth_of(blocks, shape), width=width)
    return Rung(family, width, blocks, network)


def ladder(
    families: Sequence[str],
    widths: Sequence[float],
    shape: tuple[int, int, int],
    classes: int,
    *,
    max_depth: int | None = None,
    minimize: str = "depth",
) -> tuple[Rung, ...]:
    """The family's shallowest network, then block counts doubling to the maximum, small to large by `minimize`.

    With several families or widths the ladder holds the rungs of them all.
    """
    if minimize not in MEASURES:
        raise unknown("measure to minimise", minimize, MEASURES)
    for family in families:
        if family not in FAMILIES:
            raise unknown("family", family, FAMILIES)
    rungs = []
    for family in dict.fromkeys(families):
        for width in dict.fromkeys(widths):
            blocks = fewest = FAMILIES[family].fewest
            while blocks <= MOST_BLOCKS or max_depth is not None:
                step = rung(family, width, blocks, shape, classes)
                if max_depth is not None and step.depth > max_depth:
                    if blocks == fewest:
                        raise DeepenoughError(
                            f"--max-depth {max_depth}: the shallowest network of family {family!r} for images of "
                            f"{'x'.join(map(str, shape))} has depth {step.depth}; give at least that"
                        )
                    break
                rungs.append(step)
                blocks = max(1, 2 * blocks)
    return tuple(sorted(rungs, key=lambda step: step.measure(minimize)))


def cut_rungs(family: str, cut_networks: Sequence[tuple[str, Network]]) -> tuple[Rung, ...]:
    """The ladder of a pretrained network: its places and the networks cut there, shallow to deep."""
    return tuple(Rung(family, 1.0, number, network, place) for number, (place, network) in enumerate(cut_networks))


def between(failed: Rung, passed: Rung) -> Rung | None:
    """The rung halfway between two of the same family and width, or None where there is none."""
    if (failed.family, failed.width) != (passed.family, passed.width):
        return None
    blocks = (failed.blocks + passed.blocks) // 2
    if blocks in (failed.blocks, passed.blocks):
        return None
    network = passed.network
    return rung(passed.family, passed.width, blocks, network.input, network.classes)
