"""The search space: the networks that a question looks at, fixed before anything is trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from deepenough.errors import DeepenoughError, unknown
from deepenough.nets import FAMILIES, Network, depth, macs, parameters, receptive_field, weight_bytes
from deepenough.nets.exported_size import half_bytes, int8_bytes
from deepenough.nets.zoo.catalogue import title
from deepenough.preprocessing import Preprocessing
from deepenough.search.latency import Latency, interpolated_latency
from deepenough.search.limits import StoredAs
from deepenough.search.question import Measure

MOST_BLOCKS = 16  # blocks a level of the deepest architecture, unless a largest depth is given


@dataclass(frozen=True)
class Origin:
    """The pretrained network that an architecture is a cut of: the name of its weights, the images that they take,
    whether nothing was cut off, and whether the question is about other networks too."""

    weights: str
    preprocess: Preprocessing
    whole: bool
    one_of_several: bool


@dataclass(frozen=True)
class Architecture:
    """One network of a family: `blocks` blocks a level at a width factor; or a pretrained one, its name as the family,
    cut after `place`, its place number `blocks`. `latency` is None where it was not measured.

    Learning from a `teacher` makes it another one, with a name of its own.
    """

    family: str
    width: float
    blocks: int
    network: Network
    place: str = ""
    teacher: Architecture | None = None
    latency: Latency | None = None
    origin: Origin | None = None

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

    def can_learn_from(self, teacher: Architecture) -> bool:
        """True if both take the same images: a teacher is shown what its student is."""
        return self.preprocess == teacher.preprocess

    def distilled_from(self, teacher: Architecture) -> Architecture:
        """The same network, learning from a teacher."""
        return replace(self, teacher=teacher)

    @property
    def undistilled(self) -> Architecture:
        """The same network without a teacher."""
        return replace(self, teacher=None)

    @property
    def title(self) -> str:
        """The network in words: `SqueezeNet 1.1 cut after fire7`."""
        if not self.place:
            return self.name
        whole = self.origin is not None and self.origin.whole
        return f"the whole {title(self.family)}" if whole else f"{title(self.family)} cut after {self.place}"

    @property
    def one_of_several(self) -> bool:
        """True for a cut of one of several pretrained networks, which its depth alone does not tell."""
        return self.origin is not None and self.origin.one_of_several

    @property
    def weights(self) -> str | None:
        """The name of the pretrained weights that it starts from, if any."""
        return None if self.origin is None else self.origin.weights

    @property
    def preprocess(self) -> Preprocessing | None:
        """The way of the images into it, where that is not the only one of its run."""
        return None if self.origin is None else self.origin.preprocess

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

    def bytes_as(self, stored: str) -> int:
        """The bytes of its weights in the numbers of a `StoredAs`."""
        match stored:
            case StoredAs.HALF:
                return half_bytes(self.network)
            case StoredAs.INT8:
                return int8_bytes(self.network)
        return self.weight_bytes

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


def cut_architectures(
    family: str,
    cut_networks: Sequence[tuple[str, Network]],
    weights: str = "",
    preprocess: Preprocessing | None = None,
    *,
    one_of_several: bool = False,
) -> tuple[Architecture, ...]:
    """The cuts of a pretrained network: its places and the networks cut there, shallow to deep, the whole one last.

    `weights` is the name of what it was trained to, `preprocess` the way of the images into it.
    """
    found = []
    for number, (place, network) in enumerate(cut_networks):
        whole = number + 1 == len(cut_networks)
        origin = Origin(weights, preprocess, whole, one_of_several) if preprocess else None
        found.append(Architecture(family, 1.0, number, network, place, origin=origin))
    return tuple(found)


def costliest_student(
    search_space: Sequence[Architecture], minimize: Measure, planned: Callable[[Architecture], int]
) -> Architecture | None:
    """The network whose training with a larger teacher is `planned` to cost most; None where none can have one."""
    students = []
    for student in search_space:
        larger = (each for each in search_space if student.measure(minimize) < each.measure(minimize))
        teacher = max(filter(student.can_learn_from, larger), key=lambda each: each.macs, default=None)
        if teacher is not None:
            students.append(student.distilled_from(teacher))
    return max(students, key=planned, default=None)


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
