"""The frameworks by name. Nothing of theirs is imported before one is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from deepenough.errors import DeepenoughError, unknown

if TYPE_CHECKING:
    from deepenough.frameworks.target import Target
    from deepenough.nets.network import Network

TARGET_NAMES = (
    *("torch", "onnx", "keras", "tensorflow", "litert", "paddle", "caffe"),
    *("openvino", "executorch", "coreml", "ncnn", "tfjs", "tensorrt", "timm"),
)
"""Each is a module of this package with one class: `onnx.OnnxTarget`, `caffe.CaffeTarget`, ..."""


class _Targets(Mapping[str, "Target"]):
    def __getitem__(self, name: str) -> Target:
        if name not in TARGET_NAMES:
            raise KeyError(name)
        made: type[Target] = getattr(import_module(f"deepenough.frameworks.{name}"), f"{name.capitalize()}Target")
        return made()

    def __iter__(self) -> Iterator[str]:
        return iter(TARGET_NAMES)

    def __len__(self) -> int:
        return len(TARGET_NAMES)


TARGETS: Mapping[str, Target] = _Targets()


def target_named(name: str) -> Target:
    """Return the target of that name; another name is an error with the nearest."""
    if name not in TARGET_NAMES:
        raise unknown("target", name, TARGET_NAMES)
    return TARGETS[name]


def check_layers(target: Target, network: Network) -> None:
    """Raise the error for a network with a layer that the target has nothing like."""
    if reason := target.refusal(network):
        others = [name for name, each in TARGETS.items() if not each.refusal(network)]
        instead = f". What can be written is --to {', '.join(others)}" if others else ""
        raise DeepenoughError(f"--to {target.name}: {network.name} can't be written: {reason}{instead}")
