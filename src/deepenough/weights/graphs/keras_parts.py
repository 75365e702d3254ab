"""Computations of Keras networks in steps: response normalisation, channel shuffle, tokens, attention between them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepenough.nets.layer import Layer as OurLayer
from deepenough.nets.layers import ChannelShuffle, ChannelSlice, Lrn
from deepenough.nets.tokens import FirstToken, SelfAttention, Tokens
from deepenough.weights.graphs.graph import Array, Graph, Operation
from deepenough.weights.graphs.values import Value

KINDS = ("Cast", "Embedding", "GetItem", "Matmul", "Power", "Split", "Square", "Transpose", "ZerosLike")
"""Kinds of operations and layers that are read as a part of these."""

SAME = 1e-5
"""Relative difference up to which a factor is that of attention."""


@dataclass(frozen=True, eq=False)
class Part:
    """A step of a computation, and the `value` that it is made of. The numbers say what was seen so far."""

    step: str
    value: Value
    starts: tuple[int, ...] = ()
    number: float = 1.0
    k: float = 0.0
    beta: float = 0.0
    heads: int = 0
    array: Array | None = None
    name: str = ""


@dataclass(frozen=True, eq=False)
class Call:
    """A call of an operation: its kind and name, what it reads, which output of each, and other arguments."""

    kind: str
    name: str
    given: Sequence[Value | Part]
    outputs: Sequence[int]
    config: dict[str, Any]
    arguments: Sequence[Any]
    arrays: Sequence[Array]


Consume = Callable[[Value], Operation]


def read_part(graph: Graph, call: Call, consumed: Consume) -> Value | Part | None:
    """The result of a call; None where it has nothing to do with these computations."""
    first = call.given[0]
    values = [each for each in call.given if isinstance(each, Value)]

    def layer(made: OurLayer, value: Value, **tensors: Array) -> Value:
        """A layer of ours, which has no name in the file unless its tensors have."""
        name = call.name if tensors else ""
        return Value(graph.layer(name, call.kind, made, consumed(value), tensors), value.last and len(value.shape) == 3)

    if len(values) == len(call.given):
        return _begun(graph, call, values[0], layer) if len(values) == 1 else None
    if isinstance(first, Value):
        second = call.given[1]
        same = isinstance(second, Part) and second.step == "root" and second.value.operation is first.operation
        if same and call.kind in ("TrueDivide", "Divide") and isinstance(second, Part):
            size = len(second.starts)
            return layer(Lrn(size, _rounded(second.number * size), second.beta, second.k), first)
        return None
    parts = [each for each in call.given if isinstance(each, Part)]
    if len(parts) == len(call.given) == 2:
        return _of_two(call, parts, layer)
    return _of_one(call, first, layer) if len(call.given) == 1 else None


def _begun(graph: Graph, call: Call, value: Value, layer: Callable[..., Value]) -> Value | Part | None:
    shape = value.shape
    match call.kind:
        case "Square" if len(shape) == 3 and value.last:
            return Part("squares", value)
        case "Reshape" if len(shape) == 3 and value.last:
            if list(call.config.get("target_shape", ())) == [shape[0] * shape[1], shape[2]]:
                return Part("patches", value, name=call.name)
            wanted = list(call.config.get("target_shape", ()))
            if len(wanted) == 4 and wanted[:2] == list(shape[:2]) and wanted[2] > 0:
                return Part("groups apart", value, heads=wanted[2])
        case "Split" if len(shape) == 2 and call.config.get("indices_or_sections") == 3:
            if call.config.get("axis") in (-1, 2):
                return Part("projections", value)
        case "GetItem" if len(shape) == 2 and _item(call) == [(None, None), 0]:
            return Value(graph.layer("", call.kind, FirstToken(), value.operation))
        case "GetItem" if value.last or len(shape) == 1:
            if (ends := _part_of_last(_item(call), shape)) is not None and value.order is None:
                return value if ends == (0, shape[-1]) else layer(ChannelSlice(*ends), value)
    return None


def _part_of_last(item: list[Any], shape: tuple[int, ...]) -> tuple[int, int] | None:
    """The first and the end of the places that an item takes of the last axis, where it takes all of the others."""
    if not item or not isinstance(item[-1], tuple) or any(each not in (None, (None, None)) for each in item[:-1]):
        return None
    if None not in item[:-1] and len(item) != 1 + len(shape):
        return None
    start, stop, _ = slice(*item[-1]).indices(shape[-1])
    return start, stop


def _item(call: Call) -> list[Any]:
    """The items that a GetItem takes: for each axis first and last, one number, or None for those in between."""
    stated = call.arguments[0] if call.arguments else []
    found: list[Any] = []
    for part in stated if isinstance(stated, list) else [stated]:
        kind = part.get("class_name") if isinstance(part, dict) else ""
        config = part["config"] if kind == "__slice__" else {}
        ends = (config.get("start"), config.get("stop")) if config.get("step") in (None, 1) else "steps"
        found.append(ends if kind == "__slice__" else None if kind else part)
    return found


def _of_one(call: Call, part: Part, layer: Callable[..., Value]) -> Value | Part | None:
    number = next((float(each) for each in call.arguments if isinstance(each, (int, float))), None)
    axes, shape = list(call.config.get("axes") or ()), list(call.config.get("newshape") or ())
    if part.step == "projections" and call.outputs[0] in (0, 1, 2):
        part = replace(part, step=("queries", "keys", "values")[call.outputs[0]])
    channels = part.value.shape[-1]
    match part.step, call.kind:
        case "squares", "Pad":
            sides = call.config.get("pad_width") or [[0, 0]]
            return replace(part, step="squares around", number=float(sides[-1][0]))
        case "squares around", "GetItem":
            start, stop = (_item(call) or [(0, 0)])[-1]
            first = start or 0
            return replace(part, step="windows", starts=(first,)) if stop == first + channels else None
        case "windows", "Multiply" if number is not None and _is_centred(part):
            return replace(part, step="mean", number=number)
        case "mean", "Add" if number is not None:
            return replace(part, step="base", k=number)
        case "base", "Power" if number is not None:
            return replace(part, step="root", beta=number)
        case (("patches" | "zero places"), ("GetItem" | "ZerosLike" | "Cast")):
            return replace(part, step="zero places")
        case "zero places", "Add":
            return replace(part, step="places")
        case "places", "GetItem":
            return replace(part, step="first place")
        case (("places" | "first place"), "Embedding") if len(call.arrays) == 1:
            step = "positions" if part.step == "places" else "class token"
            return replace(part, step=step, array=call.arrays[0], name=call.name)
        case "groups apart", "Permute" if list(call.config.get("dims", ())) == [1, 2, 4, 3]:
            return replace(part, step="groups across")
        case "groups across", "Reshape" if list(call.config.get("target_shape", ())) == list(part.value.shape):
            return layer(ChannelShuffle(part.heads), part.value)
        case (("queries" | "keys" | "values"), "Reshape") if len(shape) == 4:
            return replace(part, heads=int(shape[2]))
        case (("queries" | "keys" | "values"), "Transpose") if axes == [0, 2, 1, 3] and part.heads:
            return replace(part, step=f"{part.step} of heads")
        case "keys of heads", "Transpose" if axes == [0, 1, 3, 2]:
            return replace(part, step="keys across")
        case "scores", ("TrueDivide" | "Divide" | "Multiply") if number:
            return replace(part, number=part.number * (number if call.kind == "Multiply" else 1 / number))
        case "scores", "Softmax":
            return replace(part, step="weights")
        case "found", "Transpose" if axes == [0, 2, 1, 3]:
            return replace(part, step="rows")
        case "rows", "Reshape" if len(shape) == 3:
            wanted = (channels / (3 * part.heads)) ** -0.5
            if abs(part.number - wanted) <= SAME * wanted:
                return layer(SelfAttention(part.heads), part.value)
    return None


def _is_centred(part: Part) -> bool:
    """Tell whether neighbours on both sides were added, those before a channel as exports have them."""
    size = len(part.starts)
    return sorted(part.starts) == list(range(size)) and part.number == size // 2


def _of_two(call: Call, parts: Sequence[Part], layer: Callable[..., Value]) -> Value | Part | None:
    one, other = parts
    if one.value.operation is not other.value.operation:
        return None
    match call.kind, one.step, other.step:
        case "Add", "windows", "windows":
            return replace(one, starts=(*one.starts, *other.starts))
        case "Concatenate", "class token", "patches" if call.config.get("axis") == 1:
            return replace(one, step="tokens")
        case "Add", ("tokens" | "patches"), "positions":
            return made_tokens(one, other, layer)
        case "Matmul", "queries of heads", "keys across":
            return replace(one, step="scores", number=1.0)
        case "Matmul", "weights", "values of heads":
            return replace(one, step="found")
    return None


def made_tokens(part: Part, positions: Part | None, layer: Callable[..., Value]) -> Value:
    """Tokens of a map, with a class token and positions where they have some."""
    height, width, _ = part.value.shape
    given = {"class_token": part.array, "position": positions and positions.array}
    tensors = {key: np.asarray(array)[None] for key, array in given.items() if array is not None}
    made = layer(Tokens(height, width, "class_token" in tensors, "position" in tensors), part.value, **tensors)
    name = positions.name if positions is not None else part.name
    made.operation.name = re.sub(r"-(position|class_token|patches)$", "", name).replace("-", ".")
    return made


def _rounded(value: float) -> float:
    return float(f"{value:.12g}")
