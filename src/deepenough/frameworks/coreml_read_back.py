"""A package of Core ML read from its files and compared with the network, where no Core ML runs it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.errors import DeepenoughError
from deepenough.frameworks.export import Export
from deepenough.nets.combinators import Branches
from deepenough.nets.layers import Dropout
from deepenough.nets.network import Network
from deepenough.nets.shapes import visits

ENDS = ("images", "logits", "probabilities", "classLabel", "classLabel_probs")
"""Names that no layer can have beside the program's own."""
ARGUMENTS: Mapping[str, Mapping[str, str]] = {
    "conv": {"weight": "weight", "bias": "bias"},
    "linear": {"weight": "weight", "bias": "bias"},
    "batch_norm": {"gamma": "weight", "beta": "bias", "mean": "running_mean", "variance": "running_var"},
    "layer_norm": {"gamma": "weight", "beta": "bias"},
}
"""The tensor of a layer that each argument of an operation is."""


class ReadBackError(DeepenoughError):
    """What was written is not what the network says."""

    exit_status = 1


def layer_names(network: Network) -> dict[str, str]:
    """Return a name for each layer's last operation: its path, of letters, digits and single `_`."""
    taken = set(ENDS)
    names = {}
    for visit in visits(network):
        name = plain = re.sub(r"\W+|__+", "_", visit.path)
        number = 1
        while name in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name)
        names[visit.path] = name
    return names


def read_program(package: Path) -> Any:
    """Return the program of a package, with its weights, as coremltools reads it from the files."""
    from coremltools.converters.mil.frontend.milproto.load import load
    from coremltools.models import MLModel
    from coremltools.models.utils import load_spec

    spec = load_spec(str(package))
    weights = MLModel(str(package), skip_model_load=True).weights_dir
    return load(spec, spec.specificationVersion, file_weights_dir=weights or "")


def operations(program: Any) -> list[Any]:
    """Return the operations in order, without constants."""
    return [each for each in program.functions["main"].operations if each.op_type != "const"]


def compare_with_network(package: Path, export: Export) -> None:
    """Raise the error where a layer's operation is missing, has another shape, or has weights that are not its own."""
    found = {each.name: each for each in operations(read_program(package))}
    names = layer_names(export.network)
    used: set[str] = set()
    for visit in export.walk:
        if isinstance(visit.layer, Dropout):
            continue
        last = found.get(names[visit.path])
        if last is None:
            raise ReadBackError(f"{package}: there is no operation for {visit.path}; please report this")
        shape = tuple(last.outputs[0].shape)
        if shape != (1, *visit.output):
            raise ReadBackError(f"{package}: {visit.path} gives {shape}, not {(1, *visit.output)}; please report this")
        if not isinstance(visit.layer, Branches):
            parts = [each for name, each in found.items() if name.partition("__")[0] == names[visit.path]]
            used |= _same_tensors(package, visit.path, parts, export)
    if missing := set(export.state) - used:
        raise ReadBackError(f"{package}: weights are missing: {', '.join(sorted(missing)[:5])}; please report this")


def _same_tensors(package: Path, path: str, parts: Iterable[Any], export: Export) -> set[str]:
    """Return the keys of a layer's tensors that its operations have; another value is the error."""
    same = set()
    wanted = {key: value for key, value in export.state.items() if key.rpartition(".")[0] == path}
    for part in parts:
        given = {key: each.val for key, each in part.inputs.items() if hasattr(each, "val") and each.val is not None}
        for argument, name in ARGUMENTS.get(part.op_type, {}).items():
            key = f"{path}.{name}"
            value = given.get(argument, np.zeros(0, np.float32))
            if not (_equal(value, wanted[key]) if key in wanted else not np.any(value)):  # no bias can be one of zeros
                raise ReadBackError(f"{package}: {key} is not the network's own; please report this")
            same |= {key} & set(wanted)
        if part.op_type in ("add", "mul", "concat"):
            joined = [each.val for each in part.inputs.get("values", ()) if each.val is not None]
            values = [given["y"]] if "y" in given else joined
            same |= {key for key, tensor in wanted.items() for value in values if _equal(value, tensor)}
    return same


def _equal(value: Any, tensor: Any) -> bool:
    """Tell whether numbers are the same bits, whatever the axes of length 1."""
    array = np.asarray(value)
    return array.dtype == np.float32 and np.array_equal(array.ravel().view(np.uint32), tensor.ravel().view(np.uint32))
