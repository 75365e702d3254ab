"""A package of Core ML read from its files and compared with the network, where no Core ML runs it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.errors import DeepenoughError
from deepenough.frameworks.coreml_expected import ExpectedOperations, Operation, Variable, Weight
from deepenough.frameworks.export import Export
from deepenough.frameworks.names import coreml_names
from deepenough.nets.layers import Dropout


class ReadBackError(DeepenoughError):
    """A package has something else than the network."""

    exit_status = 1


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
    """Raise the error where an operation, its arguments, its shape, the input's image or a class is another.

    Every operation has to be there, be fed by the right ones, and have its own constants and weights, and no other may
    be there.
    """
    found = {each.name: each for each in operations(read_program(package))}
    names = coreml_names(export.network)
    try:
        _same_shapes(found, names, export)
        expected = ExpectedOperations(export, names).all
        for operation in expected:
            _same_operation(found.get(operation.name), operation, export.state)
        if others := sorted(set(found) - {each.name for each in expected}):
            raise ReadBackError(f"there are operations that the network lacks: {', '.join(others[:5])}")
        weights = {part.key for each in expected for part in _parts(each) if isinstance(part, Weight)}
        if missing := set(export.state) - weights:
            raise ReadBackError(f"weights are missing: {', '.join(sorted(missing)[:5])}")
        _same_description(package, export)
    except ReadBackError as error:
        raise ReadBackError(f"{package}: {error}; please report this") from None


def _same_shapes(found: Mapping[str, Any], names: Mapping[str, str], export: Export) -> None:
    """Compare what each layer's last operation gives."""
    for visit in export.walk:
        if isinstance(visit.layer, Dropout):
            continue
        last = found.get(names[visit.path])
        if last is None:
            raise ReadBackError(f"there is no operation for {visit.path}")
        shape = tuple(last.outputs[0].shape)
        if shape != (1, *visit.output):
            raise ReadBackError(f"{visit.path} gives {shape}, not {(1, *visit.output)}")


def _parts(operation: Operation) -> list[Any]:
    """List the arguments of an operation, those of a tuple one by one."""
    listed = (_each(given) for given in operation.given.values())
    return [part for parts in listed for part in parts]


def _each(given: Any) -> tuple[Any, ...]:
    return given if isinstance(given, tuple) and not isinstance(given, Weight) else (given,)


def _same_operation(found: Any, expected: Operation, state: Mapping[str, Any]) -> None:
    """Compare an operation's kind and arguments. Those that are not stated may be off only: false, or zeros."""
    name = expected.name
    if found is None:
        raise ReadBackError(f"there is no operation {name}")
    if found.op_type != expected.kind:
        raise ReadBackError(f"{name} is {found.op_type}, not {expected.kind}")
    given = {key: value for key, value in found.inputs.items() if value is not None}
    for key, wanted in expected.given.items():
        parts = _each(wanted)
        values = given.get(key, ())
        values = tuple(values) if isinstance(values, (list, tuple)) else (values,)
        if len(parts) != len(values):
            raise ReadBackError(f"{name} has {len(values)} of {key}, not {len(parts)}")
        for value, part in zip(values, parts, strict=True):
            _same_argument(f"{key} of {name}", value, part, state)
    for key in set(given) - set(expected.given):
        if given[key].val is None or np.any(given[key].val):
            raise ReadBackError(f"{name} has {key}, which the network does not say")


def _same_argument(place: str, value: Any, wanted: Any, state: Mapping[str, Any]) -> None:
    """Compare a variable by its name, a weight or another constant by its numbers."""
    if isinstance(wanted, Variable):
        if value.name != wanted:
            raise ReadBackError(f"{place} is {value.name}, not {wanted}")
    elif isinstance(wanted, Weight):
        tensor = state[wanted.key]
        if not _equal(value.val, tensor if wanted.shape is None else tensor.reshape(wanted.shape)):
            raise ReadBackError(f"{wanted.key} is not the network's own")
    elif not _equal(value.val, wanted):
        raise ReadBackError(f"{place} is {value.val!s:.200}, not {wanted!s:.200}")


def _equal(value: Any, wanted: Any) -> bool:
    """Tell whether constants are of one shape and equal, those in floating point the same bits in float32."""
    if value is None:  # it is no constant
        return False
    found, ours = np.asarray(value), np.asarray(wanted)
    if found.shape != ours.shape:
        return False
    if ours.dtype.kind != "f":
        return bool(found.dtype.kind == ours.dtype.kind and found.tolist() == ours.tolist())
    bits, own = (np.ascontiguousarray(each, np.float32).view(np.uint32) for each in (found, ours))
    return bool(found.dtype == np.float32) and np.array_equal(bits, own)


def _same_description(package: Path, export: Export) -> None:
    """Compare the image that the model takes, and the names of what it gives."""
    from coremltools.models.utils import load_spec

    description = load_spec(str(package)).description
    channels, *size = export.network.input
    order = "GRAYSCALE" if channels == 1 else export.input.order
    images = [(each.name, each.type.imageType) for each in description.input]
    taken = [(name, type(each).ColorSpace.Name(each.colorSpace), each.height, each.width) for name, each in images]
    if taken != [("images", order, *size)]:
        raise ReadBackError(f"it takes {taken}, not {[('images', order, *size)]}")
    given = {each.name for each in description.output}
    if given != {"logits", "classLabel", "classLabel_probs"}:
        raise ReadBackError(f"it gives {', '.join(sorted(given))}, not logits, classLabel and classLabel_probs")
