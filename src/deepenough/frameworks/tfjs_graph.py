"""A graph of TensorFlow in the JSON that TensorFlow.js reads, with its weights. Neither of them is needed to write it.

A node is a message `NodeDef` in Protocol Buffers' JSON; numbers stand in files beside it (TensorFlow.js' manifest).
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

TYPES = {"float32": "DT_FLOAT", "int32": "DT_INT32"}
GRAPH_VERSION = 2474
"""The version of TensorFlow 2.21's graphs, which it is proven with; TensorFlow.js does not look at it."""
SHARD = 4 << 20
"""The most bytes of a file of weights: browsers cache small files, and fetch several at once."""
UNTYPED = ("Placeholder", "Const", "Cast")
"""Operators that don't have the type of their values as `T`."""


class TensorflowGraph:
    """Nodes and their numbers, in the order of computation."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.numbers: list[tuple[str, npt.NDArray[Any]]] = []

    def node(self, kind: str, name: str, inputs: Sequence[str] = (), **attributes: Any) -> str:
        """Add an operator of float32 values, and return its name."""
        stated = ({} if kind in UNTYPED else {"T": "DT_FLOAT"}) | attributes
        attr = {key: _attribute(value) for key, value in stated.items()}
        self.nodes.append({"name": name, "op": kind, "input": list(inputs), "attr": attr})
        return name

    def constant(self, name: str, values: Any, half: bool = False) -> str:
        """Add numbers: integers, or floats, which are stored in float16 with `half`. They are computed with in float32.

        Their message has type and shape; TensorFlow.js finds the numbers by the name.
        """
        array = np.asarray(values)
        kind = "int32" if array.dtype.kind == "i" else "float32"
        stored = "float16" if half else kind
        self.numbers.append((name, array.astype(np.dtype(stored).newbyteorder("<"), order="C")))
        content = {"tensor": {"dtype": TYPES[kind], "tensorShape": _shape(array.shape)}}
        self.nodes.append({"name": name, "op": "Const", "attr": {"dtype": {"type": TYPES[kind]}, "value": content}})
        return name

    def to_json(self) -> dict[str, Any]:
        """Return the message `GraphDef`."""
        return {"node": self.nodes, "library": {}, "versions": {"producer": GRAPH_VERSION}}

    def manifest(self) -> list[dict[str, Any]]:
        """Return what says where each node's numbers are."""
        return [{"paths": [name for name, _ in self.shards()], "weights": list(map(_entry, self.numbers))}]

    def shards(self) -> Iterator[tuple[str, bytes]]:
        """Go through the files of numbers with their names, `group1-shard1of2.bin`, ..."""
        data = b"".join(array.tobytes() for _, array in self.numbers)
        count = -(-len(data) // SHARD)
        for number in range(count):
            yield f"group1-shard{number + 1}of{count}.bin", data[number * SHARD : (number + 1) * SHARD]


def ends(name: str, kind: str, shape: Sequence[int]) -> dict[str, Any]:
    """Return a signature's entry of an input or output, for any batch size."""
    return {"name": f"{name}:0", "dtype": TYPES[kind], "tensorShape": _shape((-1, *shape))}


def _entry(numbers: tuple[str, npt.NDArray[Any]]) -> dict[str, Any]:
    name, array = numbers
    if array.dtype == np.float16:
        packed = {"quantization": {"dtype": "float16", "original_dtype": "float32"}}
        return {"name": name, "shape": list(array.shape), "dtype": "float32", **packed}
    return {"name": name, "shape": list(array.shape), "dtype": array.dtype.name}


def _shape(sides: Sequence[int]) -> dict[str, Any]:
    return {"dim": [{"size": str(side)} for side in sides]}


def _attribute(value: Any) -> dict[str, Any]:
    """Return the message `AttrValue`: of types ("DT_..."), shapes (tuples), lists of integers, and single values."""
    match value:
        case bool():
            return {"b": value}
        case int():
            return {"i": str(value)}
        case float():
            return {"f": value}
        case str() if value.startswith("DT_"):
            return {"type": value}
        case str():
            return {"s": base64.b64encode(value.encode()).decode()}
        case tuple():
            return {"shape": _shape(value)}
    return {"list": {"i": [str(number) for number in value]}}
