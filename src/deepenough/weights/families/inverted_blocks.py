"""Names of the layers of MobileNets and EfficientNets, which are made of inverted residuals."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from deepenough.nets.network import Network
from deepenough.weights.patterns import tensor_layers


class InvertedBlock(NamedTuple):
    """An inverted residual of a network. `level`, and `block` in it, count from 1, `number` from 1 over all levels.

    `convolutions` are the names of its two or three, each with a norm behind it; `gated` is one with a gate.
    """

    path: str
    level: int
    block: int
    number: int
    convolutions: tuple[str, ...]
    gated: bool


NameConvolution = Callable[[InvertedBlock, int], tuple[str, str]]
"""A function that gives the names of a block's convolution (by its place, from 0) and of the norm behind it."""

NameGate = Callable[[InvertedBlock], tuple[str, str]]
"""A function that gives the names of the two layers of a block's gate."""


def inverted_blocks(network: Network) -> list[InvertedBlock]:
    """List the inverted residuals of a network of the zoo."""
    parts: dict[str, list[str]] = {}
    for visit in tensor_layers(network):
        if found := re.fullmatch(r"(level\d+\.block\d+(?:\.main)?)\.(.+)", visit.path):
            parts.setdefault(found[1], []).append(found[2])
    blocks = []
    for number, (path, layers) in enumerate(parts.items(), 1):
        level, block = map(int, re.findall(r"\d+", path))
        convolutions = tuple(layer for layer in layers if layer in ("expand", "depthwise", "project"))
        blocks.append(InvertedBlock(path, level, block, number, convolutions, "se.gate.reduce" in layers))
    return blocks


def name_inverted_blocks(
    network: Network, convolution: NameConvolution, gate: NameGate | None = None
) -> dict[str, str]:
    """Name the layers inside the inverted residuals of a network; without `gate`, none of them has one."""
    places: dict[str, str] = {}
    for block in inverted_blocks(network):
        for place, ours in enumerate(block.convolutions):
            conv, norm = convolution(block, place)
            places |= {f"{block.path}.{ours}": conv, f"{block.path}.norm{place + 1}": norm}
        if gate and block.gated:
            reduce, expand = gate(block)
            places |= {f"{block.path}.se.gate.reduce": reduce, f"{block.path}.se.gate.expand": expand}
    return places


def name_torchvision_gated_blocks(network: Network, place_of: Callable[[InvertedBlock], str]) -> dict[str, str]:
    """Blocks whose parts are numbered, a gate among them before the last convolution: it has `fc1` and `fc2`."""

    def convolution(block: InvertedBlock, place: int) -> tuple[str, str]:
        is_last = place == len(block.convolutions) - 1
        inside = f"{place_of(block)}.{place + (block.gated and is_last)}"
        return f"{inside}.0", f"{inside}.1"

    def gate(block: InvertedBlock) -> tuple[str, str]:
        inside = f"{place_of(block)}.{len(block.convolutions) - 1}"
        return f"{inside}.fc1", f"{inside}.fc2"

    return name_inverted_blocks(network, convolution, gate)


def name_torchvision_ends(last: int) -> dict[str, str]:
    """The stem, and the last convolution, which is `features.LAST`."""
    stem = {"stem.conv": "features.0.0", "stem.norm": "features.0.1"}
    return stem | {"last.conv": f"features.{last}.0", "last.norm": f"features.{last}.1"}


def name_timm_inverted_blocks(network: Network) -> dict[str, str]:
    """`blocks.L.B.conv_pw`, `conv_dw`, `conv_pwl`, `bnN`, `se.conv_reduce`; a block of two has `conv_dw`, `conv_pw`."""

    def convolution(block: InvertedBlock, place: int) -> tuple[str, str]:
        kinds = ("conv_dw", "conv_pw") if len(block.convolutions) == 2 else ("conv_pw", "conv_dw", "conv_pwl")
        inside = f"blocks.{block.level - 1}.{block.block - 1}"
        return f"{inside}.{kinds[place]}", f"{inside}.bn{place + 1}"

    def gate(block: InvertedBlock) -> tuple[str, str]:
        inside = f"blocks.{block.level - 1}.{block.block - 1}.se"
        return f"{inside}.conv_reduce", f"{inside}.conv_expand"

    places = name_inverted_blocks(network, convolution, gate)
    return places | {"stem.conv": "conv_stem", "stem.norm": "bn1", "classifier": "classifier"}


def name_timm_efficientnet(network: Network) -> dict[str, str]:
    """EfficientNet's and MobileNetV2's: `conv_head` and `bn2` come last."""
    return name_timm_inverted_blocks(network) | {"last.conv": "conv_head", "last.norm": "bn2"}
