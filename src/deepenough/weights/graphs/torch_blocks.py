"""The blocks of a torch module: the parts that its author repeats or has given a class of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from torch import nn

WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)
"""Layers that count in a network's depth."""

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


def block_paths(module: nn.Module) -> tuple[str, ...]:
    """The module paths of the blocks, in the order in which they are defined.

    A block is the outermost module of a class that is not torch's own, and has weighted layers. Modules that are levels
    of blocks are none themselves: torch's containers, what holds several blocks of one class, and what holds more than
    half of all weighted layers.
    """
    return tuple(_blocks(module, "", _weighted(module)))


def _blocks(module: nn.Module, prefix: str, total: int) -> Iterator[str]:
    for name, child in module.named_children():
        if type(child).__module__.startswith("torch.nn.") and type(child) not in CONTAINERS:
            continue
        if type(child) in CONTAINERS or _is_level(child) or 2 * _weighted(child) > total:
            yield from _blocks(child, f"{prefix}{name}.", total)
        elif _weighted(child):
            yield f"{prefix}{name}"


def _is_level(module: nn.Module) -> bool:
    """Tell whether a module holds several of one class that have two weighted layers or more each."""
    holders = [module, *(child for child in module.children() if type(child) in CONTAINERS)]
    kinds = Counter(
        type(child)
        for holder in holders
        for child in holder.children()
        if type(child) not in CONTAINERS and not isinstance(child, WEIGHTED) and _weighted(child) > 1
    )
    return any(count > 1 for count in kinds.values())


def _weighted(module: nn.Module) -> int:
    return sum(isinstance(each, WEIGHTED) for each in module.modules())
