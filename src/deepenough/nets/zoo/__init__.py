"""Published networks by name, each exactly as published, with source and variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from deepenough.errors import unknown
from deepenough.nets.network import Network
from deepenough.nets.zoo.alexnet import alexnet, alexnet_bvlc, alexnet_torchvision
from deepenough.nets.zoo.convnext import CONVNEXT_NETWORKS
from deepenough.nets.zoo.densenet import densenet121
from deepenough.nets.zoo.efficientnet import EFFICIENTNETS
from deepenough.nets.zoo.googlenet import googlenet, googlenet_bn
from deepenough.nets.zoo.mobilenet import MOBILENETS
from deepenough.nets.zoo.regnet import REGNET_NETWORKS
from deepenough.nets.zoo.resnet import RESNET_NETWORKS
from deepenough.nets.zoo.resnext import RESNEXTS
from deepenough.nets.zoo.squeezenet import squeezenet1_1, squeezenet1_1_paddle
from deepenough.nets.zoo.timm_models import TIMM_MODELS
from deepenough.nets.zoo.vgg import VGG_NETWORKS
from deepenough.nets.zoo.vit import VIT_NETWORKS

NETWORKS: Mapping[str, Callable[[], Network]] = MappingProxyType(
    {
        "alexnet": alexnet,
        "alexnet_bvlc": alexnet_bvlc,
        "alexnet_torchvision": alexnet_torchvision,
        **VGG_NETWORKS,
        "googlenet": googlenet,
        "googlenet_bn": googlenet_bn,
        **RESNET_NETWORKS,
        "squeezenet1_1": squeezenet1_1,
        "squeezenet1_1_paddle": squeezenet1_1_paddle,
        **RESNEXTS,
        "densenet121": densenet121,
        **MOBILENETS,
        **EFFICIENTNETS,
        **REGNET_NETWORKS,
        **CONVNEXT_NETWORKS,
        **VIT_NETWORKS,
    }
)
"""The functions that give the networks, by name."""


_ALIASES = {
    **{theirs.casefold(): ours for theirs, ours in TIMM_MODELS.items()},
    "vit_b_16": "vit_base_patch16_224",  # torchvision's
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
