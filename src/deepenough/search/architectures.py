"""The search space: the networks that a question looks at, fixed before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from deepenough.errors import DeepenoughError, unknown
from deepenough.nets import FAMILIES, Network, depth, macs, parameters, receptive_field, weight_bytes
from deepenough.search.latency import Latency, interpolated_latency
from deepenough.search.question import Measure

MOST_BLOCKS = 16  # blocks a level of the deepest architecture, unless a largest depth is given


@dataclass(frozen=True)
class Architecture:
    """One network of a family: `blocks` blocks a level at a width factor; or a pretrained one cut after `place`.

    Learning from a `teacher` makes it another one, with a name of its own. `latency` is None where it was not measured.
    """

    family: str
    width: float
    blocks: int
    network: Network
    place: str = ""
    teacher: Architecture | None = None
    latency: Latency | None = None

    @property
    def name(self) -> str:
        """`residual-7`, or `residual-7-w1.5` at another width than 1, or `squeezenet1_1-fire7`; with `-distilled` where
        it has a teacher."""
        distilled = "-distilled" if self.teacher else ""
        if self.place:
            return f"{self.family}-{self.place}{distilled}"
        width = "" if self.width == 1 else f"-w{self.width:g}"
        return f"{self.family}-{self.depth}{width}{distilled}"

    @property
    def curve(self) -> tuple[str, float, bool]:
        """Those that differ in depth alone have equal ones: family, width, and if it has a teacher."""
        return self.family, self.width, self.teacher is not None

    def distilled_from(self, teacher: Architecture) -> Architecture:
        """The same network, learning from a teacher."""
        return replace(self, teacher=teacher)

    @property
    def undistilled(self) -> Architecture:
        """The same network without a teacher."""
        return replace(self, teacher=None)

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

    @cached_property
    def weight_bytes(self) -> int:
        """Of its weights and its norms' statistics in float32."""
        return weight_bytes(self.network)

    @cached_property
    def receptive_field(self) -> int:
        return receptive_field(self.network)

    def measure(self, minimize: Measure) -> tuple[float, ...]:
        """The size that the search minimises, ties broken by the multiply-accumulates; of latencies that can't be told
        apart by the depth before."""
        if minimize == Measure.LATENCY:
            assert self.latency is not None, f"the latency of {self.name} was not measured"
            return self.latency.told_apart, self.depth, self.macs
        return int(getattr(self, minimize)), self.macs


def architecture(family: str, width: float, blocks: int, shape: tuple[int, int, int], classes: int) -> Architecture:
    """The network with that many blocks a level for images of `shape` (C, H, W)."""
    rule = FAMILIES[family]
    network = rule.network(input=shape, classes=classes, depth=rule.depth_of(blocks, shape), width=width)
    return Architecture(family, width, blocks, network)


def search_space(
    families: Sequence[str],
    widths: Sequence[float],
    shape: tuple[int, int, int],
    classes: int,
    *,
    max_depth: int | None = None,
    minimize: Measure = Measure.DEPTH,
) -> tuple[Architecture, ...]:
    """Take each family's shallowest network, then double its block counts up to the maximum.

    Args:
        families: all of them are in the search space.
        widths: factors of the channels; each family comes in every one.
        shape: of an image, (C, H, W).
        classes: the number of them.
        max_depth: of the deepest network; by default it has 16 blocks a level.
        minimize: the architectures are sorted by it, small to large; by depth where it is the latency, which is yet to
            be measured.
    """
    if minimize not in list(Measure):
        raise unknown("measure to minimise", minimize, Measure)
    for family in families:
        if family not in FAMILIES:
            raise unknown("family", family, FAMILIES)
    architectures = []
    for family in dict.fromkeys(families):
        for width in dict.fromkeys(widths):
            blocks = fewest = FAMILIES[family].fewest
            while blocks <= MOST_BLOCKS or max_depth is not None:
                step = architecture(family, width, blocks, shape, classes)
                if max_depth is not None and step.depth > max_depth:
                    if blocks == fewest:
                        raise DeepenoughError(
                            f"--max-depth {max_depth}: the shallowest network of family {family!r} for images of "
                            f"{'x'.join(map(str, shape))} has depth {step.depth}; give at least that"
                        )
                    break
                architectures.append(step)
                blocks = max(1, 2 * blocks)
    known = Measure.DEPTH if minimize == Measure.LATENCY else minimize
    return tuple(sorted(architectures, key=lambda step: step.measure(known)))


def cut_architectures(family: str, cut_networks: Sequence[tuple[str, Network]]) -> tuple[Architecture, ...]:
    """The search space of a pretrained network: its places and the networks cut there, shallow to deep."""
    return tuple(
        Architecture(family, 1.0, number, network, place) for number, (place, network) in enumerate(cut_networks)
    )


def between(failed: Architecture, passed: Architecture) -> Architecture | None:
    """The architecture halfway between two of the same family and width, or None where there is none, as between
    networks that learn from a teacher.

    Its latency is interpolated where theirs were measured.
    """
    if failed.curve != passed.curve or passed.teacher:
        return None
    blocks = (failed.blocks + passed.blocks) // 2
    if blocks in (failed.blocks, passed.blocks):
        return None
    network = passed.network
    middle = architecture(passed.family, passed.width, blocks, network.input, network.classes)
    if failed.latency is None or passed.latency is None:
        return middle
    latency = interpolated_latency(middle.macs, (failed.macs, failed.latency), (passed.macs, passed.latency))
    return replace(middle, latency=latency)
