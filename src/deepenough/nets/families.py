"""Families: rules that give a network for any depth and width, for images from 8x8 up and any number of channels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from deepenough.errors import DeepenoughError
from deepenough.nets.activation import Relu
from deepenough.nets.combinators import Concat, Group, Sum
from deepenough.nets.layer import Layer, Stack
from deepenough.nets.layers import BatchNorm, Conv, Dense, GlobalAvgPool, MaxPool
from deepenough.nets.mobile import mobile_levels
from deepenough.nets.network import Network

BASE_WIDTH = 32
"""Channels of the first level at width 1. Each level doubles them."""

SMALLEST = 8
"""Pixels of the shorter side that a family needs."""


@dataclass(frozen=True)
class InputPlan:
    """The first convolution, a pool and the levels for images with a shorter side of at least `side` pixels."""

    side: int
    kernel: int
    stride: int
    pool: bool
    levels: int


# The first level runs at 8 to 28 pixels for images up to 100, at most 56 for 224: what a CPU can bear.
INPUT_PLANS = (
    InputPlan(side=192, kernel=7, stride=2, pool=True, levels=4),  # 224: 56, 28, 14, 7
    InputPlan(side=96, kernel=3, stride=2, pool=True, levels=3),  # 128: 32, 16, 8
    InputPlan(side=48, kernel=3, stride=2, pool=True, levels=3),  # 64: 16, 8, 4
    InputPlan(side=24, kernel=3, stride=1, pool=True, levels=2),  # 28: 14, 7
    InputPlan(side=SMALLEST, kernel=3, stride=1, pool=False, levels=2),  # 8: 8, 4
)


def input_plan(input: tuple[int, int, int]) -> InputPlan:
    """Choose the plan for images (C, H, W), by their shorter side."""
    shorter = min(input[1:])
    for candidate in INPUT_PLANS:
        if shorter >= candidate.side:
            return candidate
    raise DeepenoughError(
        f"images of {input[1]}x{input[2]} pixels: families take {SMALLEST}x{SMALLEST} and up; enlarge the images"
    )


@dataclass(frozen=True)
class Family:
    """One rule. `block` is the weighted layers of a block, `base(levels)` those outside the levels' bodies.

    `stack(plan, layers, widths, classes)` gives the network with so many weighted layers in each level's body; what
    is left over from whole blocks it makes of single convolutions. `fewest` blocks a level make its shallowest network.
    """

    name: str
    source: str
    block: int
    base: Callable[[int], int]
    stack: Callable[[InputPlan, tuple[int, ...], tuple[int, ...], int], Stack]
    fewest: int = 1

    def depth_of(self, blocks: int, input: tuple[int, int, int]) -> int:
        """The depth with that many blocks a level, for images (C, H, W)."""
        if blocks < self.fewest:
            raise DeepenoughError(f"{blocks} blocks a level: a {self.name} network has {self.fewest} or more")
        levels = input_plan(input).levels
        return self.block * levels * blocks + self.base(levels)

    def layers_of(self, depth: int, input: tuple[int, int, int]) -> tuple[int, ...]:
        """The weighted layers of each level at this depth: as many blocks in all, what is left over in the last."""
        shallowest, levels = self.depth_of(self.fewest, input), input_plan(input).levels
        if depth < shallowest:
            raise DeepenoughError(
                f"--depth {depth}: the shallowest {self.name} network for images of "
                f"{'x'.join(map(str, input))} has depth {shallowest}; give at least that"
            )
        blocks, rest = divmod(depth - self.base(levels), self.block)
        each, more = divmod(blocks, levels)
        layers = [self.block * (each + (level >= levels - more)) for level in range(levels)]
        layers[-1] += rest
        return tuple(layers)

    def network(
        self, input: tuple[int, int, int] = (3, 32, 32), classes: int = 10, *, depth: int, width: float = 1.0
    ) -> Network:
        """The network of this depth for images (C, H, W). `width` multiplies the channels, in multiples of 8."""
        if not 0 < width < 1000:
            raise DeepenoughError(f"--width {width}: it is a factor above 0 and below 1000; 1 is the usual width")
        plan, layers = input_plan(input), self.layers_of(depth, input)
        first = max(8, round(BASE_WIDTH * width / 8) * 8)
        widths = tuple(first * 2**level for level in range(plan.levels))
        return Network(
            name=f"{self.name}-{depth}" + (f"-w{width:g}" if width != 1 else ""),
            input=input,
            stack=self.stack(plan, layers, widths, classes),
            source=self.source,
            variant=f"family {self.name}: levels of {'-'.join(map(str, layers))} layers, {first} channels in the first",
        )


def _conv_bn_relu(out: int, kernel: int = 3, stride: int = 1) -> Stack:
    """Convolution, batch norm, ReLU."""
    return Conv(out, kernel, stride, bias=False), BatchNorm(), Relu()


def _stem(plan: InputPlan, width: int) -> Layer:
    """Pooled before the norm and the ReLU, which then have a quarter of the work (Jordan 2024, arXiv 2404.00498)."""
    convolution, *norm_and_relu = _conv_bn_relu(width, plan.kernel, plan.stride)
    pool = (MaxPool(2),) if plan.pool else ()
    return Group((convolution, *pool, *norm_and_relu), name="stem")


def _head(classes: int) -> Stack:
    return GlobalAvgPool(name="pool"), Dense(classes, name="classifier")


def residual_block(width: int, number: int, layers: int = 2) -> Stack:
    """Two convolutions, or one, around an identity shortcut (He et al. 2015, fig. 2). It starts as the identity."""
    before = _conv_bn_relu(width) if layers == 2 else ()
    main = (*before, Conv(width, bias=False), BatchNorm(zero_init=True))
    return Sum((main, ()), name=f"block{number}"), Relu(name=f"relu{number}")


def _residual(plan: InputPlan, layers: tuple[int, ...], widths: tuple[int, ...], classes: int) -> Stack:
    """A convolution opens each level (the stem the first), so that every block keeps its shape.

    Without blocks the openings are left: the family's shallowest network.
    """
    levels = []
    for number, (width, count) in enumerate(zip(widths, layers, strict=True), 1):
        opening = () if number == 1 else _conv_bn_relu(width, 3, 2)
        sizes = [2] * (count // 2) + [1] * (count % 2)
        body = [layer for block, size in enumerate(sizes, 1) for layer in residual_block(width, block, size)]
        levels.append(Group((*opening, *body), name=f"level{number}"))
    return _stem(plan, widths[0]), *levels, *_head(classes)


def _plain(plan: InputPlan, layers: tuple[int, ...], widths: tuple[int, ...], classes: int) -> Stack:
    """3x3 convolutions with pools between the levels; the stem is the first level's first convolution."""
    stack: list[Layer] = [_stem(plan, widths[0])]
    for number, (width, count) in enumerate(zip(widths, layers, strict=True), 1):
        opening = () if number == 1 else (MaxPool(2),)
        body = _conv_bn_relu(width) * (count - 1 if number == 1 else count)
        if opening or body:
            stack.append(Group((*opening, *body), name=f"level{number}"))
    return *stack, *_head(classes)


def inception_module(width: int, number: int) -> Layer:
    """Four branches side by side, in GoogLeNet's shares: 1/4, 1/2, 1/8, 1/8 (Szegedy et al. 2014, table 1, row 3a).

    With batch norm, and the 5x5 as two 3x3 (Szegedy et al. 2015, fig. 5).
    """
    branches = (
        _conv_bn_relu(width // 4, 1),
        (*_conv_bn_relu(width * 3 // 8, 1), *_conv_bn_relu(width // 2, 3)),
        (*_conv_bn_relu(width // 8, 1), *_conv_bn_relu(width // 8, 3), *_conv_bn_relu(width // 8, 3)),
        (MaxPool(3, 1, 1), *_conv_bn_relu(width // 8, 1)),
    )
    return Concat(branches, ("one", "three", "five", "pool"), name=f"module{number}")


def _inception(plan: InputPlan, layers: tuple[int, ...], widths: tuple[int, ...], classes: int) -> Stack:
    """Modules of three layers on their longest path; one or two layers that are left over are 3x3 convolutions."""
    levels = []
    for number, (width, count) in enumerate(zip(widths, layers, strict=True), 1):
        opening = () if number == 1 else (MaxPool(2),)
        modules = tuple(inception_module(2 * width, module) for module in range(1, count // 3 + 1))
        levels.append(Group((*opening, *modules, *(_conv_bn_relu(2 * width) * (count % 3))), name=f"level{number}"))
    return _stem(plan, widths[0]), *levels, *_head(classes)


def _mobile(plan: InputPlan, layers: tuple[int, ...], widths: tuple[int, ...], classes: int) -> Stack:
    return _stem(plan, widths[0]), *mobile_levels(layers, widths), *_head(classes)


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        "residual": Family(
            "residual",
            "He et al. 2015, arXiv 1512.03385, section 4.2, with identity shortcuts only",
            block=2,
            base=lambda levels: levels + 1,
            stack=_residual,
            fewest=0,
        ),
        "inception": Family(
            "inception",
            "Szegedy et al. 2014, arXiv 1409.4842; 2015, arXiv 1512.00567",
            block=3,
            base=lambda levels: 2,
            stack=_inception,
        ),
        "plain": Family(
            "plain",
            "Simonyan & Zisserman 2014, arXiv 1409.1556, with batch norm",
            block=1,
            base=lambda levels: 1,
            stack=_plain,
        ),
        "mobile": Family(
            "mobile",
            "Sandler et al. 2018, arXiv 1801.04381, with an expansion of 4",
            block=3,
            base=lambda levels: 3 * levels,
            stack=_mobile,
            fewest=0,
        ),
    }
)
"""The families by name. The first is the default."""
