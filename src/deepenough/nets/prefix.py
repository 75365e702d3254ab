"""The first layers of a network, up to a place where it can be cut, by their share of its cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from deepenough.nets.cost import macs
from deepenough.nets.cut import cuts
from deepenough.nets.network import Network
from deepenough.nets.shapes import visits


@dataclass(frozen=True)
class Prefix:
    """The first layers of a network: their module paths in the order of computation, the multiply-accumulates of their
    forward pass, and the place of the cut that they end at."""

    paths: tuple[str, ...] = ()
    macs: int = 0
    place: str = ""


def prefix(network: Network, share: float) -> Prefix:
    """The longest prefix of whole blocks with at most this share of the network's multiply-accumulates; empty where the
    first block has more."""
    return _longest(network, share) if share > 0 else Prefix()  # a network's hash takes as long as a walk over it


@lru_cache(maxsize=256)
def _longest(network: Network, share: float) -> Prefix:
    most = share * macs(network)
    return next((each for each in reversed(prefixes(network)) if each.macs <= most), Prefix())


def prefixes(network: Network) -> list[Prefix]:
    """The first layers up to each place where the network can be cut (`cuts`), short to long."""
    visited = list(visits(network))
    costs = list(accumulate(visit.layer.macs(visit.input) for visit in visited))
    found = []
    for cut in cuts(network):
        end = max(n for n, visit in enumerate(visited, 1) if f"{visit.path}.".startswith(f"{cut.path}."))
        found.append(Prefix(tuple(visit.path for visit in visited[:end]), costs[end - 1], cut.place))
    return sorted(found, key=lambda each: len(each.paths))
