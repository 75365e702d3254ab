"""The blocks of a torch module: the parts that its author repeats or has given a class of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from torch import nn

WEIGHTED = (nn.modules.conv._ConvNd, nn.Linear)
"""Layers that count in a network's depth."""

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)

BLOCKS = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
"""Blocks of torch's own, which are never levels of blocks."""


def block_paths(module: nn.Module) -> tuple[str, ...]:
    """The module paths of the blocks, in the order in which they are defined.

    A block is the outermost module of a class that has weighted layers and is not torch's own, or is one of torch's
    that has modules with weighted layers in it, as `nn.TransformerEncoderLayer` has. Modules that are levels of blocks
    are none themselves: torch's containers, what holds several blocks of one class, and what holds more than half of
    all weighted layers, unless it is one of torch's `BLOCKS`.
    """
    return tuple(_blocks(module, "", _weighted(module)))


def _blocks(module: nn.Module, prefix: str, total: int) -> Iterator[str]:
    for name, child in module.named_children():
        if _is_single_layer(child):
            continue
        level = type(child) in CONTAINERS or _is_level(child) or 2 * _weighted(child) > total
        if level and not isinstance(child, BLOCKS):
            yield from _blocks(child, f"{prefix}{name}.", total)
        elif _weighted(child):
            yield f"{prefix}{name}"


def _is_single_layer(module: nn.Module) -> bool:
    """Tell whether a module is one of torch's own that is a single layer, attention included."""
    torchs = type(module).__module__.startswith("torch.nn.") and type(module) not in CONTAINERS
    return torchs and (isinstance(module, nn.MultiheadAttention) or _weighted(module) == isinstance(module, WEIGHTED))


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
