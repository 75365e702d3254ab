"""Constants that a graph of ONNX computes, of shapes and others, which say how values are reshaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from deepenough.weights.graphs.graph import Array

LARGEST = 1 << 26
"""Numbers of a constant that is computed."""

_OF_TWO = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Mod": np.mod, "Max": np.maximum,
    "Min": np.minimum, "Equal": np.equal, "Less": np.less, "Greater": np.greater,
}  # fmt: skip

_TYPES = {1: np.float32, 6: np.int32, 7: np.int64, 9: np.bool_, 10: np.float32, 11: np.float64}


def folded(kind: str, inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Array | None:
    """Compute a node of constants; None where that is not known here. The batch is 0, as in a `Reshape`."""
    if sum(array.size for array in inputs) > LARGEST:
        return None
    try:
        found = _computed(kind, inputs, attributes)
    except (ValueError, IndexError, TypeError, KeyError, ZeroDivisionError, OverflowError, MemoryError):
        return None
    return None if found is None or found.size > LARGEST else found


def _computed(kind: str, inputs: Sequence[Array], attributes: Mapping[str, Any]) -> Array | None:
    first = inputs[0]
    axes = attributes.get("axes", inputs[1].tolist() if len(inputs) > 1 and kind in ("Squeeze", "Unsqueeze") else None)
    match kind:
        case "Identity":
            return first
        case "Cast":
            return first.astype(_TYPES[attributes["to"]])
        case "Concat":
            return np.concatenate([np.atleast_1d(array) for array in inputs], attributes["axis"])
        case "Gather":
            return np.take(first, inputs[1], axis=attributes.get("axis", 0))
        case "Squeeze":
            return np.squeeze(first, None if axes is None else tuple(axes))
        case "Unsqueeze":
            return np.expand_dims(first, tuple(axes))
        case "Slice" if len(inputs) >= 3 and first.ndim == 1:
            step = int(inputs[4][0]) if len(inputs) > 4 else 1
            return first[int(inputs[1][0]) : int(inputs[2][0]) : step]
        case "Transpose":
            return first.transpose(attributes.get("perm"))
        case "Reshape":
            return first.reshape(inputs[1].tolist())
        case "Expand" if all(side in (0, 1) for side in inputs[1].tolist()[: max(inputs[1].size - first.ndim, 0) + 1]):
            return first  # to the batch, which every sum does by itself
        case _ if kind in _OF_TWO and len(inputs) == 2:
            return _arithmetic(kind, first, inputs[1])
        case "ConstantOfShape" if first.size < 8 and prod(first.tolist()) < LARGEST:
            return np.full(
                first.tolist(), attributes["value"].reshape(-1)[0] if "value" in attributes else np.float32(0)
            )
        case "Where" if prod(np.broadcast_shapes(*(array.shape for array in inputs))) < LARGEST:
            return np.where(*inputs)
        case "Neg" | "Floor" | "Ceil" | "Not":
            return np.asarray(
                {"Neg": np.negative, "Floor": np.floor, "Ceil": np.ceil, "Not": np.logical_not}[kind](first)
            )
        case "Clip" if len(inputs) == 3:
            return np.clip(first, inputs[1], inputs[2])
        case "Sqrt":
            return np.sqrt(first)
        case "Reciprocal":
            return np.asarray(1 / first, first.dtype)
        case "ReduceProd":
            return np.asarray(np.prod(first, keepdims=bool(attributes.get("keepdims", 1))))
    return None


def _arithmetic(kind: str, one: Array, other: Array) -> Array | None:
    if prod(np.broadcast_shapes(one.shape, other.shape)) > LARGEST:
        return None
    if kind == "Div":
        return one // other if one.dtype.kind in "iu" else np.asarray(one / other)
    return np.asarray(_OF_TWO[kind](one, other))
