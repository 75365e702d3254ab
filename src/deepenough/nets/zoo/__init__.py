"""Published networks by name, each exactly as published, with source and variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from deepenough.errors import unknown
from deepenough.nets.network import Network
from deepenough.nets.zoo.families import ZOO
from deepenough.nets.zoo.timm_models import TIMM_MODELS

NETWORKS: Mapping[str, Callable[[], Network]] = MappingProxyType(
    {name: make for family in ZOO for name, make in family.networks.items()}
)
"""The functions that give the networks, by name."""

TORCHVISION_MODELS: Mapping[str, str] = {theirs: ours for family in ZOO for theirs, ours in family.torchvision.items()}
"""Networks of the zoo by what torchvision calls its models, where that is another name."""

_ALIASES = {
    **{theirs.casefold(): ours for theirs, ours in (*TORCHVISION_MODELS.items(), *TIMM_MODELS.items())},
    **{ours.casefold(): ours for ours in NETWORKS},
}


def zoo_name(name: str) -> str:
    """The name here of a network that timm or torchvision calls otherwise, or in another case; else the name itself.

    A name that the zoo has itself is that one, whatever others call so.

    >>> zoo_name("regnety_004"), zoo_name("EfficientNet_B0"), zoo_name("resnet51")
    ('regnet_y_400mf', 'efficientnet_b0', 'resnet51')
    """
    return name if name in NETWORKS else _ALIASES.get(name.casefold(), name)


def network(name: str) -> Network:
    """The published network of that name (`zoo_name`); another name is an error with the nearest."""
    known = zoo_name(name)
    if known not in NETWORKS:
        raise unknown("network", name, NETWORKS)
    return NETWORKS[known]()
