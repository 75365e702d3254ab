"""The content of an `.onnx` file: nodes in order, and the numbers that they are given."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.errors import DeepenoughError, first_line
from deepenough.weights.graphs.graph import Array, GraphError, plain_name

LARGEST_FILE = 2**31
"""Bytes of the largest message that protocol buffers know."""

MOST_FIELDS = 1_000_000
"""Fields of a file that are parsed, numbers in arrays not counted; a ResNet-152 has about 20,000."""

DEEPEST = 30
"""Messages in messages that are parsed."""

_TREE: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 8: "Leaf", 14: "Leaf", 25: "Leaf"},
    "Graph": {1: "Node", 5: "Tensor", 11: "Leaf", 12: "Leaf", 13: "Leaf", 14: "Leaf", 15: "Leaf", 16: "Leaf"},
    "Node": {5: "Attribute", 9: "Leaf"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 15: "Leaf", 20: "Leaf", 22: "Leaf", 23: "Leaf"},
    "Tensor": {13: "Leaf", 16: "Leaf"},
    "Leaf": {},
}
"""Messages of ONNX that a file can repeat without end, by the numbers of their fields."""


@dataclass(frozen=True, eq=False)
class OnnxNode:
    """A node: its name, kind, inputs and outputs by name, and attributes as Python's values or arrays."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A graph. `images` are name and shape (N, ...) of the one input, None or a name for sides that vary."""

    name: str
    opset: int
    nodes: tuple[OnnxNode, ...]
    constants: Mapping[str, Array]
    images: tuple[str, tuple[int | None, ...]]
    whole_bytes: bool
    outputs: tuple[str, ...]
    metadata: Mapping[str, str]


def read_onnx(path: Path) -> OnnxFile:
    """Read a whole file. Numbers may lie in a file beside it, as PyTorch writes large networks; nowhere else."""
    try:
        onnx = import_module("onnx")
        helper = import_module("onnx.numpy_helper")
    except ImportError:
        raise DeepenoughError(
            f"{path} is an ONNX file, and reading it needs the package onnx: pip install 'deepenough[onnx]'"
        ) from None
    try:
        if path.stat().st_size >= LARGEST_FILE:
            raise ValueError(f"it has {path.stat().st_size:,} bytes, and the format ends at {LARGEST_FILE:,}")
        content = path.read_bytes()
        _check_fields(content)
        model = onnx.ModelProto.FromString(content)
        del content
        return _file(path, model, onnx, helper)
    except GraphError:
        raise
    except Exception as error:  # the parser's own, NumPy's of arrays without their bytes, of names that are no text
        raise GraphError(f"{path} is not a whole ONNX file: {plain_name(first_line(error))}; fetch it again") from None


def _file(path: Path, model: Any, onnx: Any, helper: Any) -> OnnxFile:
    graph = model.graph
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    _check_beside(path, [*graph.initializer, *(each.t for node in graph.node for each in node.attribute)])
    constants = {tensor.name: _array(path, tensor, helper) for tensor in graph.initializer}
    nodes = []
    for number, node in enumerate(graph.node):
        attributes = {entry.name: _attribute(path, entry, onnx, helper) for entry in node.attribute}
        kind = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        name = node.name or (node.output[0] if node.output else f"{kind}_{number}")
        if kind == "Constant" and node.output:
            constants[node.output[0]] = _constant(name, attributes)
        else:
            nodes.append(OnnxNode(name, kind, tuple(node.input), tuple(node.output), attributes))
    given = [entry for entry in graph.input if entry.name not in constants]
    if len(given) != 1:
        names = ", ".join(repr(plain_name(entry.name)) for entry in given[:5]) or "none"
        raise GraphError(f"{path}: it has {len(given)} inputs ({names}); expected one, the images")
    kind = given[0].type.tensor_type
    shape = tuple(dim.dim_value if dim.dim_value > 0 else None for dim in kind.shape.dim)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    outputs = tuple(entry.name for entry in graph.output)
    whole_bytes = kind.elem_type == onnx.TensorProto.UINT8
    images = (given[0].name, shape)
    found = OnnxFile(graph.name, opset, tuple(nodes), constants, images, whole_bytes, outputs, metadata)
    _check_names(found)
    return found


def _check_names(found: OnnxFile) -> None:
    """Raise where a name is no text: the parser gives bytes for those that are not UTF-8."""
    names = [found.name, found.images[0], *found.constants, *found.outputs, *found.metadata, *found.metadata.values()]
    for node in found.nodes:
        names += [node.name, node.kind, *node.inputs, *node.outputs, *node.attributes]
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"the name {name!r:.80} is not UTF-8")


def _array(path: Path, tensor: Any, helper: Any) -> Array:
    """The numbers of a tensor, half precision as float32."""
    if math.prod(tensor.dims) > LARGEST_FILE or any(side < 0 for side in tensor.dims):
        raise ValueError(f"tensor {tensor.name} has the shape {' x '.join(map(str, tensor.dims[:8]))}")
    if tensor.external_data or tensor.data_location == 1:
        tensor.raw_data = _beside(path, {entry.key: entry.value for entry in tensor.external_data})
        tensor.data_location = 0
        del tensor.external_data[:]
    found: Array = helper.to_array(tensor)
    return found.astype(np.float32) if found.dtype == np.float16 else found


def _check_beside(path: Path, tensors: Iterable[Any]) -> None:
    """Raise where tensors would take more from a file beside the graph than it has: one range read again and again."""
    taken: dict[str, int] = {}
    for entries in ({each.key: each.value for each in tensor.external_data} for tensor in tensors):
        if not entries:
            continue
        place = entries.get("location", "")
        file = path.with_name(Path(place).name or "?")
        size = file.stat().st_size if file.is_file() else 0  # a file that is missing is named when it is read
        taken[place] = taken.get(place, 0) + int(entries.get("length", size))
        if file.is_file() and taken[place] > size:
            raise GraphError(f"{path}: its tensors overlap in {plain_name(place)!r} beside it, which is not read")


def _beside(path: Path, entries: Mapping[str, str]) -> bytes:
    """The bytes of a tensor in a file beside the graph."""
    place = entries.get("location", "")
    file = path.with_name(Path(place).name or "?")
    if place != Path(place).name or "\\" in place or file.is_symlink() or not file.is_file():
        raise GraphError(f"{path}: its weights are in {plain_name(place)!r}, which is no file beside it; put it there")
    start, size = int(entries.get("offset", 0)), int(entries.get("length", file.stat().st_size))
    if min(start, size) < 0 or start + size > file.stat().st_size:
        raise GraphError(f"{path}: {place} beside it ends before the weights do; fetch both again")
    with file.open("rb") as opened:
        opened.seek(start)
        return opened.read(size)


def _attribute(path: Path, entry: Any, onnx: Any, helper: Any) -> Any:
    if entry.type == onnx.AttributeProto.TENSOR:
        return _array(path, entry.t, helper)
    if entry.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
        return "graph"
    value = onnx.helper.get_attribute_value(entry)
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


_CONSTANTS = {
    "value": None, "value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64,
}  # fmt: skip
"""The attributes that a constant's numbers may be in."""


def _constant(name: str, attributes: Mapping[str, Any]) -> Array:
    for key, kind in _CONSTANTS.items():
        if key in attributes:
            return np.asarray(attributes[key], kind)
    raise ValueError(f"constant {name} has no numbers")


def _check_fields(content: bytes) -> None:
    """Count what a parser would make an object of, each of which takes a hundred times its bytes in the file."""
    waiting = [(memoryview(content), "Model", 0)]
    seen = 0
    while waiting:
        part, kind, depth = waiting.pop()
        if depth > DEEPEST:
            raise ValueError(f"its messages are nested more than {DEEPEST} deep")
        inside = _TREE[kind]
        for number, value in _fields(part):
            seen += 1
            if seen > MOST_FIELDS:
                raise ValueError(f"it has more than {MOST_FIELDS:,} fields")
            if value is not None and number in inside:
                waiting.append((value, inside[number], depth + 1))


def _fields(part: memoryview) -> Iterator[tuple[int, memoryview | None]]:
    """The fields of a message: their numbers, and the bytes of those that have a length."""
    place = 0
    while place < len(part):
        key, place = _varint(part, place)
        wire = key & 7
        if wire == 2:
            size, place = _varint(part, place)
            if place + size > len(part):
                raise ValueError("it ends too early")
            yield key >> 3, part[place : place + size]
            place += size
        elif wire in (0, 1, 5):
            place = _varint(part, place)[1] if wire == 0 else place + (8 if wire == 1 else 4)
            yield key >> 3, None
        else:
            raise ValueError("its bytes are no message of ONNX")


def _varint(part: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(part) or shift > 63:
            raise ValueError("it ends too early")
        byte = part[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
