"""The statements that each file of the zoo makes about its networks, beside the functions that give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deepenough.nets.network import Network


@dataclass(frozen=True)
class ZooFamily:
    """Published networks of one family and year; `networks` are the functions that give them, by name.

    `errors` are top-1 and top-5 of one crop, in percent, and the pixels of that crop. They are those of torchvision's
    first weights, or of the weights of timm that `weights_of_timm` names: what is published for neither is left out.

    `torchvision` and `timm` have the networks by what these libraries call their models; torchvision's only where that
    is another name. Of two names of timm's for one network, the last one is taken.
    """

    name: str
    year: int
    networks: Mapping[str, Callable[[], Network]]
    errors: Mapping[str, tuple[float, float, int]] = field(default_factory=dict)
    weights_of_timm: Mapping[str, str] = field(default_factory=dict)
    torchvision: Mapping[str, str] = field(default_factory=dict)
    timm: Mapping[str, str] = field(default_factory=dict)
