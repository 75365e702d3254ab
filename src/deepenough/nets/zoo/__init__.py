"""Published networks by name, each exactly as published, with source and variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from deepenough.errors import unknown
from deepenough.nets.network import Network
from deepenough.nets.zoo import resnet, vgg
from deepenough.nets.zoo.alexnet import alexnet, alexnet_bvlc, alexnet_torchvision
from deepenough.nets.zoo.googlenet import googlenet, googlenet_bn
from deepenough.nets.zoo.squeezenet import squeezenet1_1, squeezenet1_1_paddle

NETWORKS: Mapping[str, Callable[[], Network]] = MappingProxyType(
    {
        "alexnet": alexnet,
        "alexnet_bvlc": alexnet_bvlc,
        "alexnet_torchvision": alexnet_torchvision,
        **{f"vgg{depth}": vgg.published_vgg(depth) for depth in vgg.VGGS},
        **{f"vgg{depth}_bn": vgg.published_vgg(depth, norm=True) for depth in vgg.VGGS},
        "googlenet": googlenet,
        "googlenet_bn": googlenet_bn,
        **{f"resnet{depth}": resnet.paper(depth) for depth in resnet.RESNETS},
        "resnet18_torchvision": resnet.torchvision(18),
        "resnet34_torchvision": resnet.torchvision(34),
        **{f"resnet{depth}_v1_5": resnet.torchvision(depth) for depth in (50, 101, 152)},
        **{f"resnet{depth}_keras": resnet.keras(depth) for depth in (50, 101, 152)},
        "squeezenet1_1": squeezenet1_1,
        "squeezenet1_1_paddle": squeezenet1_1_paddle,
    }
)
"""The functions that give the networks, by name."""


def network(name: str) -> Network:
    """The published network of that name; another name is an error with the nearest."""
    if name not in NETWORKS:
        raise unknown("network", name, NETWORKS)
    return NETWORKS[name]()
