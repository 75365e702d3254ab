"""Other people's names for the layers of a network, by our module paths."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from deepenough.nets.network import Network
from deepenough.nets.shapes import Visit, visits

NameLayers = Callable[[Network], Mapping[str, str]]
"""A function that gives a format's name for each layer with tensors, by our module path."""


def tensor_layers(network: Network) -> list[Visit]:
    """List the layers that have tensors, in the order of computation, those of auxiliary branches too."""
    return [visit for visit in visits(network, training=True) if visit.layer.tensors(visit.input)]


class BlockLayer(NamedTuple):
    """A convolution or norm inside a block of a ResNet. Levels and blocks count from 1; a shortcut's number is 0."""

    path: str
    level: int
    block: int
    kind: str
    number: int


def block_layers(network: Network) -> list[BlockLayer]:
    """List the layers with tensors inside the blocks of a ResNet of the zoo."""
    paths = (visit.path for visit in tensor_layers(network))
    found = (re.fullmatch(r"level(\d)\.block(\d+)\.(main|shortcut)\.(conv|norm)(\d?)", path) for path in paths)
    return [BlockLayer(part[0], int(part[1]), int(part[2]), part[4], int(part[5] or 0)) for part in found if part]


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
