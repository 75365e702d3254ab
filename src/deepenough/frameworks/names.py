"""Names of layers in files whose graphs have names of their own beside them."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace

from deepenough.frameworks.export import Export
from deepenough.nets.layer import named
from deepenough.nets.network import Network
from deepenough.nets.shapes import visits

ENDS = ("images", "logits", "normalise")
"""Names that a graph of ONNX, ncnn or TensorFlow.js has for itself: input, output, the start of normalisation's."""
COREML_ENDS = ("images", "logits", "probabilities", "classLabel", "classLabel_probs")
"""Names that a program of Core ML has for itself. Those of normalisation have `__`, as no layer's has."""


def free_name(name: str, taken: Collection[str]) -> str:
    """Return the name, with a number where it is taken."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}_{number}"
    return free


def coreml_names(network: Network) -> dict[str, str]:
    """Return a name for each layer's last operation: its path, of letters, digits and single `_`."""
    taken = set(COREML_ENDS)
    names = {}
    for visit in visits(network):
        names[visit.path] = free_name(re.sub(r"[\W_]+", "_", visit.path), taken)
        taken.add(names[visit.path])
    return names


def renamed(export: Export) -> tuple[Export, dict[str, str]]:
    """The export without names of `ENDS` in front of paths, and its own key of each tensor's new one."""
    layers = named(export.network.stack)
    taken = {*ENDS, *(name for name, _ in layers)}
    heads = {name: free_name(name, taken) for name, _ in layers if name in ENDS}
    if not heads:
        return export, {}
    stack = tuple(replace(layer, name=heads[name]) if name in heads else layer for name, layer in layers)
    keys = {}
    for key in export.state:
        head, dot, rest = key.partition(".")
        keys[f"{heads.get(head, head)}{dot}{rest}"] = key
    state = {new: export.state[key] for new, key in keys.items()}
    return replace(export, network=replace(export.network, stack=stack), state=state), keys
