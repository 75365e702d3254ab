"""Other people's names for the layers of a network, by patterns of our module paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from deepenough.nets.network import Network
from deepenough.weights.match import tensor_layers


def name_by_patterns(network: Network, patterns: Mapping[str, str], first: int = 0) -> dict[str, str]:
    """Name layers, and tensors with names of their own, by the first pattern that their path or key fits.

    In a pattern `#` stands for a number. It fills the next `{}` of the name; ours count from 1, theirs from `first`.
    """
    compiled = [(re.compile(re.escape(key).replace(r"\#", r"(\d+)")), name) for key, name in patterns.items()]
    places: dict[str, str] = {}
    for visit in tensor_layers(network):
        for path in (visit.path, *(f"{visit.path}.{tensor}" for tensor in visit.layer.tensors(visit.input))):
            for pattern, name in compiled:
                if found := pattern.fullmatch(path):
                    places[path] = name.format(*(int(number) - 1 + first for number in found.groups()))
                    break
    return places


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
