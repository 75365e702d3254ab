"""Every network that is to be exported: the whole zoo, every family, cuts, grey images, and layers in odd places.

The zoo's are narrow, take small images, and have few blocks here; at full size they run in `benchmarks/exports.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch

from deepenough.frameworks.export import Export, lopsided, overhang
from deepenough.frameworks.target import absent
from deepenough.frameworks.targets import TARGETS
from deepenough.frameworks.writer import run_writer
from deepenough.nets import (
    FAMILIES,
    LAYER_KINDS,
    NETWORKS,
    Activation,
    Auxiliary,
    AvgPool,
    BatchNorm,
    Branches,
    ChannelShuffle,
    ChannelSlice,
    Concat,
    Conv,
    Dense,
    Dropout,
    Elu,
    FirstToken,
    Flatten,
    Gelu,
    GlobalAvgPool,
    GlobalMaxPool,
    Group,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    LayerNorm,
    LayerScale,
    LeakyRelu,
    Lrn,
    MaxPool,
    Network,
    PRelu,
    Product,
    Relu,
    Relu6,
    SelfAttention,
    Sigmoid,
    Stack,
    StochasticDepth,
    Sum,
    Tokens,
)
from deepenough.nets.build import build
from deepenough.nets.cut import cut_at, cuts
from deepenough.nets.layers import Pool
from deepenough.nets.shapes import visits
from deepenough.preprocessing import Preprocessing
from deepenough.weights.presets import HALVES, preset

CLASSES = 10
ALIKE = {
    "wide_resnet50_2", "mobilenet_v3_large", "mobilenetv3_small_100", "mobilenetv3_large_100",
    "mobilenetv3_small_100_tf", "mobilenetv3_large_100_tf",
    "mobilenet_v2_keras",
    *(f"efficientnet_{scale}{publisher}" for scale in ("b1", "b2", "b3", "b4") for publisher in ("", "_tf")),
    "efficientnet_b0_tf", "efficientnet_lite1", "efficientnet_lite2", "efficientnet_lite1_tf", "regnet_y_1_6gf",
    "convnext_tiny", "convnext_small", "vit_small_patch16_224", "vit_base_patch16_224",
}  # fmt: skip
"""Networks of the layers of others here, in other numbers and with other widths."""

BLOCKS = {"resnet34": (1, 2, 1, 1), "resnet50": (1, 2, 1, 1), "resnet101": (1, 1, 2, 1), "resnet152": (2, 1, 1, 1)}
BLOCKS_OF_TWO_DIGITS = {"resnet152": (1, 1, 11, 1)}
"""How many blocks of each level stay of the deep networks and their variants: all are alike but the first, and have a
number, which has two digits in one of them."""


def narrow(network: Network, factor: int, shape: tuple[int, int, int]) -> Network:
    """The network with a `factor`-th of its channels, for images of another shape."""

    def less(wide: int) -> int:
        return max(4, wide // factor // 4 * 4)

    def thin(stack: Stack) -> Stack:
        out: list = []
        for layer in stack:
            match layer:
                case Conv(out=wide, groups=groups) if groups > 2:  # depthwise convolutions stay so
                    groups = less(wide) if groups == wide else math.gcd(groups, less(wide))
                    out.append(replace(layer, out=less(wide), groups=groups))
                case Conv(out=wide) | Dense(out=wide):
                    out.append(replace(layer, out=less(wide)))
                case Branches():
                    out.append(replace(layer, branches=tuple(map(thin, layer.branches))))
                case Group() | Auxiliary():
                    out.append(replace(layer, stack=thin(layer.stack)))
                case _:
                    out.append(layer)
        return tuple(out)

    return replace(network, stack=thin(network.stack)).with_classes(CLASSES).with_input(shape)


def shortened(network: Network, blocks: tuple[int, ...]) -> Network:
    """A ResNet with only the first blocks of each level."""
    stem, *levels = (layer for layer in network.stack if isinstance(layer, Group))
    kept = (replace(level, stack=level.stack[: 2 * count]) for level, count in zip(levels, blocks, strict=True))
    return replace(network, stack=(stem, *kept, *network.stack[1 + len(levels) :]))


def few_blocks(stack: Stack) -> Stack:
    """A stack without the third and later blocks of its levels, which are like those before."""
    kept = (x for x in stack if not re.fullmatch(r"(block|relu|layer)([3-9]|\d\d)", x.name))
    return tuple(replace(layer, stack=few_blocks(layer.stack)) if isinstance(layer, Group) else layer for layer in kept)


def small(name: str) -> Network:
    """A network of the zoo, narrow, for small images."""
    network = NETWORKS[name]()
    if blocks := BLOCKS_OF_TWO_DIGITS.get(name, BLOCKS.get(name.partition("_")[0])):
        network = shortened(network, blocks)
    if any(isinstance(layer, Auxiliary) for layer in network.stack):  # whose heads need a map of 14x14
        network = replace(network, stack=tuple(x for x in network.stack if not isinstance(x, Auxiliary)))
    network = replace(network, stack=few_blocks(network.stack))
    side = 99 if name.startswith("alexnet") else 65 if name.startswith("squeezenet") else 64
    return narrow(network, 8, (3, side, side))


def odd() -> Network:
    """Layers in places where no published network has them: pools of what is negative, branches in branches."""
    inner = Sum(((Conv(6, 3), BatchNorm()), ()), ("main", "shortcut"))
    branches = Concat(
        ((inner, Sigmoid()), (MaxPool(3, 1, 1), Conv(4, 1)), (Relu(), AvgPool(3, 1, 1))), ("a", "b", "c"), name="x"
    )
    stack: Stack = (
        Conv(6, 4, 1, padding=1, bias=False, groups=3), BatchNorm(eps=1e-3, momentum=0.2),
        MaxPool(3, 2, 1, name="lowest"), branches, MaxPool(2, 2, ceil=True), Lrn(3, 0.3, 0.5, 2.0), Conv(8, 5, 2, 1),
        MaxPool(2, 1, 1), AvgPool(2, 2), Dropout(), BatchNorm(), Flatten(), Dense(7, bias=False), BatchNorm(), Relu(),
        Dense(CLASSES),
    )  # fmt: skip
    return Network("odd", (3, 31, 29), stack, source='a "test"')


def pools() -> Network:
    """Global pools side by side, as the head of a cut has them, after pools that round up and down."""
    head = Concat(((GlobalAvgPool(),), (GlobalMaxPool(),)))
    stack: Stack = (
        Conv(8), Relu(), MaxPool(3, 2), Conv(8, 1), MaxPool(3, 2, 1, ceil=True), Conv(8), Relu(),
        MaxPool(3, 2, 0, ceil=True), AvgPool(3, 2, 1), head, BatchNorm(), Dense(CLASSES),
    )  # fmt: skip
    return Network("pools", (1, 40, 37), stack)


def gates() -> Network:
    """Products, scales, norms and lopsided padding in places where no published network has them."""
    gate = (GlobalAvgPool(keep=True), Conv(3, 1), HardSigmoid(), Conv(6, 1, bias=False), Sigmoid())
    both = Product(((Conv(6), HardSwish()), gate, (Conv(6, 1), Sigmoid())), ("main", "gate", "mask"))
    stack: Stack = (
        Conv(6, 3, 2, same=True), Conv(12, 3, 2, same=True, groups=6, bias=False), Relu6(), Conv(6, 5, 3, same=True),
        both, StochasticDepth(0.2), LayerScale(0.5), Sum(((Conv(6), BatchNorm(), StochasticDepth(0.3)), ())),
        MaxPool(2), GlobalAvgPool(), LayerScale(2.0), Dense(CLASSES),
    )  # fmt: skip
    return Network("gates", (3, 49, 40), stack)


def spread() -> Network:
    """Convolutions with dilation: plain, depthwise, in groups, and with lopsided padding."""
    stack: Stack = (
        Conv(6, 3, dilation=2), Relu(), Conv(6, 3, groups=6, dilation=3), Conv(9, 2, same=True, dilation=3, bias=False),
        Conv(6, 3, padding=1, groups=3, dilation=2, bias=False), Relu(), MaxPool(2), GlobalAvgPool(), Dense(CLASSES),
    )  # fmt: skip
    return Network("spread", (3, 22, 19), stack)


def spread_with_a_stride() -> Network:
    """A convolution with a stride and a dilation."""
    stack: Stack = (Conv(6, 3, 2, dilation=2), Relu(), GlobalAvgPool(), Dense(CLASSES))
    return Network("spread_with_a_stride", (3, 19, 22), stack)


def norms() -> Network:
    """Norms of groups of channels, of all together, and of each by itself."""
    stack: Stack = (
        Conv(6), GroupNorm(3), Relu(), MaxPool(2), Sum(((Conv(6), GroupNorm(6, 1e-3)), ())), Relu(), Conv(8, 3, 2),
        GroupNorm(1), Relu(), GlobalAvgPool(), Dense(CLASSES),
    )  # fmt: skip
    return Network("norms", (3, 20, 18), stack)


def shuffled() -> Network:
    """Channel shuffles: of images, between grouped convolutions, in a branch."""
    branch = (Conv(12, 1, groups=3), Relu(), ChannelShuffle(3), Conv(12, 3, groups=12), BatchNorm())
    stack: Stack = (
        ChannelShuffle(3), Conv(12, 3, 2), Relu(), ChannelShuffle(4), Sum((branch, ())), Relu(), MaxPool(2),
        ChannelShuffle(2), Conv(8, 1, groups=2), Relu(), GlobalAvgPool(), Dense(CLASSES),
    )  # fmt: skip
    return Network("shuffled", (3, 21, 18), stack)


def parts() -> Network:
    """Branches of some of the channels, of images and of features, at the ends and from the middle."""
    unit = Concat(((ChannelSlice(0, 4),), (ChannelSlice(4, 8), Conv(4, 1), BatchNorm(), Relu())))
    nested = Sum(((ChannelSlice(2, 7), Conv(8)), (Sum(((ChannelSlice(1, 6), Relu6(), Conv(8)), ())), Relu())))
    head = Concat(((ChannelSlice(0, 3), Dense(6)), (ChannelSlice(5, 8), Relu()), ()))
    stack: Stack = (
        Concat(((ChannelSlice(1, 3),), ())), Conv(8), unit, nested, MaxPool(2), unit, GlobalAvgPool(), Dense(8),
        head, Dense(CLASSES),
    )  # fmt: skip
    return Network("parts", (3, 14, 11), stack)


def slopes() -> Network:
    """Activations with numbers other than the usual ones, and with trained slopes."""
    sloped = (Conv(6), PRelu(shared=True), BatchNorm(), PRelu())
    stack: Stack = (
        Conv(6), LeakyRelu(0.2), Conv(6), Elu(0.7), Sum((sloped, (PRelu(),))), GlobalAvgPool(), Dense(8),
        LeakyRelu(1.5), Dense(8), Elu(0.4), Dense(8), PRelu(), Dense(8), PRelu(shared=True), Dense(CLASSES),
    )  # fmt: skip
    return Network("slopes", (3, 9, 8), stack)


def tokens() -> Network:
    """Tokens of an image that is not square, with positions for another, and what they allow beside transformers'."""
    attention = (
        LayerNorm(1e-3),
        Dense(24, bias=False),
        PRelu(shared=True),
        SelfAttention(2),
        Dense(8),
        LayerScale(0.1),
        StochasticDepth(0.2),
    )
    head = Concat(((GlobalAvgPool(),), (GlobalMaxPool(),), (FirstToken(), Gelu())))
    inside = Group((Conv(8, 4, 4, 0), Tokens(3, 3), LayerNorm(), Sum((attention, ())), Relu()), name="inside")
    return Network("tokens", (3, 22, 17), (LayerNorm(), inside, head, LayerNorm(), Dense(CLASSES)))


def patches() -> Network:
    """Tokens without a class token, without positions, and without both, of positions for another size of images."""
    patch = Conv(8, 4, 4, 0)
    kinds = (
        (patch, Tokens(3, 3, class_token=False), LayerNorm(), Dense(24), SelfAttention(2), GlobalAvgPool()),
        (patch, Tokens(3, 3, position=False), Dense(8), Sum(((LayerNorm(), Dense(8)), ())), FirstToken()),
        (patch, Tokens(3, 3, class_token=False, position=False), Relu(), GlobalMaxPool()),
    )
    return Network("patches", (3, 22, 17), (Concat(kinds), LayerNorm(), Dense(CLASSES)))


def active(kind: type[Activation]) -> Network:
    """An activation behind a convolution, as a branch beside what it is given, and between dense layers."""
    stack: Stack = (
        Conv(6), kind(), Conv(4), Sum(((kind(),), ())), GlobalAvgPool(), Dense(8), kind(), Dense(CLASSES),
    )  # fmt: skip
    return Network(kind.__name__.lower(), (3, 9, 8), stack)


def cut_of(name: str, place: int) -> Network:
    network = small(name)
    return cut_at(network, cuts(network)[place].place, CLASSES)


CASES: Mapping[str, Callable[[], Network]] = {
    **{name: (lambda name=name: small(name)) for name in NETWORKS if name not in ALIKE},
    **{
        f"{name}-{shape[0]}x{shape[1]}": (
            lambda family=family, shape=shape, blocks=blocks, width=width: family.network(
                input=shape, classes=CLASSES, depth=family.depth_of(blocks, shape) + 1, width=width
            )
        )
        for name, family in FAMILIES.items()
        for shape, blocks, width in (((1, 28, 28), 1, 0.5), ((3, 41, 33), 2, 0.75))
    },
    **{
        f"{name}-cut{place}": (lambda name=name, place=place: cut_of(name, place))
        for name, place in (
            ("squeezenet1_1", 3),
            ("squeezenet1_1", -1),
            ("resnet50_v1_5", 2),
            ("googlenet", 5),
            ("mobilenet_v3_small", 3),
            ("vit_tiny_patch16_224", 0),
        )
    },
    "odd": odd,
    "pools": pools,
    "gates": gates,
    "tokens": tokens,
    "patches": patches,
    "shuffled": shuffled,
    "parts": parts,
    "slopes": slopes,
    "spread": spread,
    "norms": norms,
    "spread_with_a_stride": spread_with_a_stride,
    **{
        name.lower(): (lambda kind=kind: active(kind))
        for name, kind in LAYER_KINDS.items()
        if issubclass(kind, Activation)
    },
}
"""The networks by name."""

REPRESENTATIVES = (
    "odd", "pools", "gates", "tokens", "patches", "shuffled", "parts", "slopes", "spread", "norms", "tanh", "mish",
    "residual-1x28", "inception-1x28", "plain-1x28", "mobile-1x28",
    "resnext50_32x4d", "efficientnet_lite0_tf", "convnext_atto", "silu", "vit_tiny_patch16_224-cut0", "alexnet",
    "googlenet_bn", "mobilenet_v3_small", "sigmoid", "relu6", "hardsigmoid",
)  # fmt: skip
"""Networks that together have all `features` of the others; without any of them one would be missing."""


def features(name: str) -> set[object]:
    """Everything that a framework's file tells apart in a network: kinds of layers, by axes, and their options."""
    found: set[object] = {"cut"} if "-cut" in name else {name} if name.endswith("-1x28") else set()
    for visit in visits(CASES[name]()):
        layer = visit.layer
        found.add((layer.kind, len(visit.input)))
        if isinstance(layer, Conv):
            depthwise, strided = layer.depthwise(visit.input), layer.stride > 1
            found.add(("dilation", layer.dilation > 1, layer.depthwise(visit.input)))
            options = (layer.groups > 1, depthwise, layer.bias, layer.same, strided, layer.kernel == 1)
            found |= {("Conv", *options), ("lopsided", lopsided(visit))}
        elif isinstance(layer, Tokens):
            found.add(("Tokens", layer.class_token, layer.position))
        elif isinstance(layer, Pool):
            beyond = tuple(overhang(visit, axis) > 0 for axis in (1, 2))
            found.add((layer.kind, layer.padding > 0, layer.ceil, beyond))
    return found


def state_of(network: Network) -> dict[str, torch.Tensor]:
    """Weights and running statistics that leave nothing at its default."""
    generator = torch.Generator().manual_seed(0)
    state = build(network).state_dict()
    for name, tensor in state.items():
        if name.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
        elif name.endswith(("running_mean", "bias")):
            tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
        elif tensor.ndim == 1:
            tensor.copy_(0.4 + 0.4 * torch.rand(tensor.shape, generator=generator))
    return state


def input_of(name: str, network: Network) -> Preprocessing:
    """Preprocessing as in Caffe for one half of the networks, as in torchvision for the other."""
    channels, height, width = network.input
    if channels == 1:
        return Preprocessing((height, width), mean=(0.3,), std=(0.2,))
    if list(CASES).index(name) % 2:
        return replace(preset("caffe-bgr", name), size=(height, width), shorter=None)
    return Preprocessing((height, width), mean=HALVES)


def export_of(name: str, network: Network) -> Export:
    classes = tuple(f"class {number}" for number in range(network.classes))
    return Export.of(network, state_of(network), input_of(name, network), classes)


def pixels_of(network: Network, count: int = 15) -> np.ndarray:
    channels, height, width = network.input
    return np.random.default_rng(0).integers(0, 256, (count, height, width, channels), dtype=np.uint8)


def write_case(
    target: str, name: str, folder: Path, precision: str = "float32"
) -> tuple[Network, npt.NDArray[np.uint8]]:
    """Write a network of the cases, and return it with pixels, which calibrate int8.

    The export's own network has positions that were interpolated, and other weights.
    """
    network = CASES[name]()
    pixels = pixels_of(network, 21)
    export = replace(export_of(name, network), precision=precision, calibration=pixels if precision == "int8" else None)
    run_writer([export], TARGETS[target], [folder], trained=True, reading_side=[64])
    return network, pixels


def wanted_of(name: str, network: Network, pixels: np.ndarray) -> np.ndarray:
    """The logits of our own module, on images that are normalised here, in NumPy."""
    prepared = input_of(name, network)
    turned = pixels[..., ::-1] if prepared.order == "BGR" else pixels
    images = ((turned / 255 - np.array(prepared.mean)) / np.array(prepared.std)).astype(np.float32)
    module = build(network).eval()
    module.load_state_dict(state_of(network))
    with torch.no_grad():
        return module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()


ANY_NETWORK = [name for name, target in TARGETS.items() if target.any_network]
"""The targets that write every network of layers that they have; timm's is proven in tests/reference."""

OPTIONAL = ("executorch", "coreml")
"""Targets that `make test-frameworks` does not install: ExecuTorch's packages bring many others of fixed versions,
coremltools is not there for every system."""

RUN_HERE = [name for name in ANY_NETWORK if any(runtime.exists_here for runtime in TARGETS[name].runtimes)]
"""Those whose runtime exists for this system: Core ML's does on macOS."""


def skip_where_absent(target: str) -> None:
    """Skip the test where an optional target's packages are not installed."""
    if target in OPTIONAL and (missing := absent(TARGETS[target].packages)):
        pytest.skip(f"{', '.join(missing)} is not installed: pip install 'deepenough[{TARGETS[target].extra}]'")
