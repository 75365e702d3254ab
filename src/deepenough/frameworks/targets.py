"""The frameworks by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from deepenough.errors import DeepenoughError, unknown
from deepenough.frameworks import caffe, keras, litert, onnx, paddle, tensorflow, torch
from deepenough.frameworks.target import Target
from deepenough.nets.network import Network

TARGETS: Mapping[str, Target] = MappingProxyType(
    {each.TARGET.name: each.TARGET for each in (torch, onnx, keras, tensorflow, litert, paddle, caffe)}
)


def named(name: str) -> Target:
    """The target of that name; another name is an error with the nearest."""
    if name not in TARGETS:
        raise unknown("target", name, TARGETS)
    return TARGETS[name]


def check_layers(target: Target, network: Network) -> None:
    """Raise the error for a network with a layer that the target has nothing like."""
    if reason := target.refusal(network):
        others = [name for name, each in TARGETS.items() if not each.refusal(network)]
        instead = f". What can be written is --to {', '.join(others)}" if others else ""
        raise DeepenoughError(f"--to {target.name}: {network.name} can't be written: {reason}{instead}")
