"""The first layers of a network, up to a place where it can be cut, by their share of its cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from deepenough.nets.cut import cuts
from deepenough.nets.network import Network
from deepenough.nets.shapes import visits


@dataclass(frozen=True)
class Prefix:
    """The first layers of a network: their module paths in the order of computation, and the multiply-accumulates of
    their forward pass."""

    paths: tuple[str, ...] = ()
    macs: int = 0


@lru_cache(maxsize=256)
def prefix(network: Network, share: float) -> Prefix:
    """The longest prefix of whole blocks (`cuts`) with at most this share of the network's multiply-accumulates; empty
    where the first block has more."""
    if share <= 0:
        return Prefix()
    visited = list(visits(network))
    costs = [visit.layer.macs(visit.input) for visit in visited]
    longest = 0
    for cut in cuts(network):
        end = max(n for n, visit in enumerate(visited, 1) if f"{visit.path}.".startswith(f"{cut.path}."))
        if sum(costs[:end]) <= share * sum(costs):
            longest = max(longest, end)
    return Prefix(tuple(visit.path for visit in visited[:longest]), sum(costs[:longest]))
