"""The frameworks by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from deepenough.errors import unknown
from deepenough.frameworks import caffe, keras, litert, onnx, paddle, tensorflow, torch
from deepenough.frameworks.target import Target

TARGETS: Mapping[str, Target] = MappingProxyType(
    {each.TARGET.name: each.TARGET for each in (torch, onnx, keras, tensorflow, litert, paddle, caffe)}
)


def named(name: str) -> Target:
    """The target of that name; another name is an error with the nearest."""
    if name not in TARGETS:
        raise unknown("target", name, TARGETS)
    return TARGETS[name]
