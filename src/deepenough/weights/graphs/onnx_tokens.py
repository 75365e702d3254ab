"""Tokens, attention between them, and norms of groups of channels, as graphs of ONNX compute them step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from deepenough.nets.layers import ChannelShuffle, GlobalAvgPool, GlobalMaxPool, GroupNorm
from deepenough.nets.tokens import FirstToken, SelfAttention, Tokens
from deepenough.weights.graphs.graph import Array, decimal
from deepenough.weights.graphs.onnx_file import OnnxNode
from deepenough.weights.graphs.values import ATTENTION_READ, Value

if TYPE_CHECKING:
    from deepenough.weights.graphs.onnx_base import OnnxBase

PARTS = ("queries", "keys", "values")
"""The parts that attention is given, in the order in which our layers have them side by side."""

SAME = 1e-5
"""Relative difference up to which a factor is that of attention."""


@dataclass(frozen=True, eq=False)
class Tokenised:
    """A value on the way into tokens, or between queries, keys and values and what attention gives.

    `step` says how far it came. `value` is the map, or what the projections give; `factor` is what scores were
    multiplied by, `first` the class token, for which `padded` leaves room; `name` is that of the node that made tokens
    of the map. Of groups of channels `heads` is their number, and `factor` what their norm
    adds to the variance.
    """

    step: str
    value: Value
    heads: int = 0
    factor: float = 1.0
    first: Array | None = None
    padded: bool = False
    name: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that a map's patches have, without the batch."""
        channels, *rest = self.value.operation.shape
        return (prod(rest), channels) if self.step == "patches" else (channels, *rest)


Given = Sequence[Value | Tokenised | None]


class TokenReader:
    """Reads the nodes that `Tokens`, `SelfAttention`, `FirstToken`, `GroupNorm` and `ChannelShuffle` are made of."""

    def __init__(self, builder: OnnxBase) -> None:
        self._builder = builder

    def read(self, node: OnnxNode, given: Given) -> list[Value | Tokenised] | None:
        """The values that a node gives, in the order of its outputs; None where it has nothing to do with tokens."""
        given = self._settled(node, given)
        known = [each for each in given if each is not None]
        steps = [each.step if isinstance(each, Tokenised) else "" for each in known]
        if not known:
            return None
        found = self._of_value(node, known[0]) if isinstance(known[0], Value) else None
        if found is not None and len(known) == 1:
            return [found]
        if node.kind == "Split" and isinstance(known[0], Value) and self._is_of_projections(node, known[0]):
            return [Tokenised(f"{part} in rows", known[0]) for part in PARTS]
        if not any(steps):
            return None
        parts = [each for each in known if isinstance(each, Tokenised)]
        if len(parts) < len(known):
            raise self._builder.refused(node, "it mixes parts of an attention with other values")
        many = self._split(node, parts[0]) if node.kind == "Split" else None
        if many is not None:
            return many
        one = self._of_two(node, parts) if len(parts) == 2 else self._of_one(node, parts[0])
        if one is None:
            read = f": {ATTENTION_READ}" if parts[0].step.split()[0] in PARTS else ""
            raise self._builder.refused(node, f"what it does to {parts[0].step} is not known here{read}")
        return [one]

    def _settled(self, node: OnnxNode, given: Given) -> list[Value | Tokenised | None]:
        """The same values, with tokens for patches that go on here without a class token, or without positions."""
        found = list(given)
        for place, each in enumerate(given):
            if isinstance(each, Tokenised) and not self._goes_on(node, each):
                found[place] = self.settled(node, node.inputs[place])
        return found

    def settled(self, node: OnnxNode, name: str) -> Value | Tokenised | None:
        """The value called `name`, which is tokens where it was patches, or those behind a class token."""
        found = self._builder.values.get(name)
        if isinstance(found, Tokenised) and found.step in ("patches", "tokens"):
            found = self._builder.values[name] = self._tokens(node, found, None)
        return found

    def _goes_on(self, node: OnnxNode, given: Tokenised) -> bool:
        """Tell whether a node puts a class token before patches, or adds positions to tokens."""
        constant = self._first_constant(node)
        match node.kind:
            case "Pad":
                return given.step == "patches" and self._integers(node, 1) == [0, 1, 0, 0, 0, 0]
            case "Concat":
                return given.step == "patches" and constant is not None and node.inputs[0] in self._builder.constants
        return node.kind == "Add" and constant is not None

    def _first_constant(self, node: OnnxNode) -> Array | None:
        places = range(len(node.inputs))
        return next((found for place in places if (found := self._builder.constant(node, place)) is not None), None)

    def _integers(self, node: OnnxNode, place: int) -> list[int]:
        found = self._builder.constant(node, place)
        return [] if found is None else [int(number) for number in found.reshape(-1)]

    def _goes_along(self, node: OnnxNode) -> bool:
        """Tell whether a node goes over the last of three axes, and leaves it out."""
        axes = self._integers(node, 1) or list(node.attributes.get("axes") or ())
        return axes in ([2], [-1]) and not node.attributes.get("keepdims", 1)

    def _of_value(self, node: OnnxNode, value: Value) -> Value | Tokenised | None:
        shape = value.operation.shape
        match node.kind:
            case "Reshape" if len(shape) == 3 and not value.last:
                wanted = self._integers(node, 1)
                flat = shape[1] * shape[2]
                if len(wanted) == 3 and wanted[1] in (0, shape[0]) and wanted[2] in (-1, flat):
                    return Tokenised("a map in one row", value, shape[0])
                if len(wanted) == 3 and wanted[1] > 0 and wanted[2] in (-1, shape[0] * flat // wanted[1]):
                    return Tokenised("groups in rows", value, wanted[1])
                if len(wanted) == 5 and wanted[1] > 0 and wanted[3:] == list(shape[1:]):
                    return Tokenised("groups apart", value, wanted[1])
            case "Reshape" if len(shape) == 2:
                wanted = self._integers(node, 1)
                if len(wanted) == 5 and wanted[2] == 3 and wanted[3] > 0:
                    return Tokenised("projections apart", value, wanted[3])
            case "Reshape" if len(shape) == 3 and value.last:
                if self._integers(node, 1)[1:] in ([shape[1] * shape[2], shape[0]], [-1, shape[0]]):
                    return Tokenised("patches", value, name=node.name)
            case "Concat" if len(shape) == 2 and isinstance(value.operation.layer, Tokens):
                constant = self._first_constant(node)
                if constant is not None and node.inputs[0] in self._builder.constants and node.attributes["axis"] == 1:
                    return self._with_class_token(node, value, constant)
            case "Gather" if len(shape) == 2 and node.attributes.get("axis", 0) == 1:
                if self._integers(node, 1) == [0]:
                    return Value(self._builder.graph.layer(node.name, node.kind, FirstToken(), value.operation))
        return None

    def _split(self, node: OnnxNode, given: Tokenised) -> list[Value | Tokenised] | None:
        axis = node.attributes.get("axis", 0)
        if given.step != "projections of heads" or axis != 0 or len(node.outputs) != 3:
            return None
        return [replace(given, step=step) for step in PARTS]

    def _is_of_projections(self, node: OnnxNode, value: Value) -> bool:
        """Tell whether tokens are split into queries, keys and values, which lie side by side."""
        shape = value.operation.shape
        sizes = self._integers(node, 1) or [int(each) for each in node.attributes.get("split") or ()]
        equal = not sizes or (len(set(sizes)) == 1 and len(sizes) == 3)
        along = node.attributes.get("axis", 0) in (2, -1)
        return len(shape) == 2 and len(node.outputs) == 3 and along and equal and shape[1] % 3 == 0

    def _of_one(self, node: OnnxNode, given: Tokenised) -> Value | Tokenised | None:
        perm = list(node.attributes.get("perm") or ())
        constant = self._first_constant(node)
        match given.step, node.kind:
            case "a map in one row", "Transpose" if perm == [0, 2, 1]:
                return replace(given, step="patches", name=node.name)
            case "a map in one row", ("ReduceMean" | "ReduceMax") if self._goes_along(node):
                pool = GlobalAvgPool() if node.kind == "ReduceMean" else GlobalMaxPool()
                before = self._builder.consumed(given.value)
                return Value(self._builder.graph.layer(node.name, node.kind, pool, before))
            case (("a map in one row" | "groups in rows"), "InstanceNormalization"):
                return self._normed_groups(node, given)
            case "normalised groups", "Reshape" if self._integers(node, 1)[1:] == list(given.value.operation.shape):
                return self._group_norm(node, given)
            case "patches", "Pad" if self._integers(node, 1) == [0, 1, 0, 0, 0, 0]:
                channels = given.value.operation.shape[0]
                return replace(given, step="tokens", first=np.zeros((1, 1, channels), np.float32), padded=True)
            case "patches", "Concat" if constant is not None and node.attributes.get("axis") == 1:
                return replace(given, step="tokens", first=self._class_token(node, given.value, constant))
            case (("patches" | "tokens"), "Add") if constant is not None:
                return self._tokens(node, given, constant)
            case "groups apart", "Transpose" if perm == [0, 2, 1, 3, 4]:
                return replace(given, step="groups across")
            case "groups across", "Reshape":
                channels, *sides = given.value.operation.shape
                if self._integers(node, 1)[1:] in ([channels, *sides], [-1, *sides]):
                    before = self._builder.consumed(given.value)
                    return Value(self._builder.graph.layer(node.name, node.kind, ChannelShuffle(given.heads), before))
            case "projections apart", "Transpose" if perm == [2, 0, 3, 1, 4]:
                return replace(given, step="projections of heads")
            case (("queries in rows" | "keys in rows" | "values in rows"), "Reshape"):
                wanted = self._integers(node, 1)
                return replace(given, heads=wanted[2]) if len(wanted) == 4 and wanted[2] > 0 else None
            case (("queries in rows" | "keys in rows" | "values in rows"), "Transpose") if given.heads:
                step = given.step.removesuffix(" in rows")
                if step == "keys" and perm == [0, 2, 3, 1]:
                    return replace(given, step="keys across")
                return replace(given, step=step) if perm == [0, 2, 1, 3] else None
            case "projections of heads", "Gather" if node.attributes.get("axis", 0) == 0:
                places = self._integers(node, 1)
                if len(places) == 1 and 0 <= places[0] < 3:
                    return replace(given, step=PARTS[places[0]])
            case (("queries" | "keys" | "values"), "Squeeze"):
                return given
            case "keys", "Transpose" if perm == [0, 1, 3, 2]:
                return replace(given, step="keys across")
            case (("queries" | "keys" | "keys across" | "scores"), ("Mul" | "Div")) if _is_number(constant):
                assert constant is not None
                number = float(constant.reshape(-1)[0])
                return replace(given, factor=given.factor * (number if node.kind == "Mul" else 1 / number))
            case "scores", "Softmax" if node.attributes.get("axis", -1) in (-1, 3):
                return replace(given, step="weights")
            case "found", "Transpose" if perm == [0, 2, 1, 3]:
                return replace(given, step="rows")
            case "rows", "Reshape" if len(self._integers(node, 1)) == 3:
                return self._attention(node, given)
        return None

    def _of_two(self, node: OnnxNode, parts: Sequence[Tokenised]) -> Tokenised | None:
        if node.kind != "MatMul" or parts[0].value.operation is not parts[1].value.operation:
            return None
        match [part.step for part in parts]:
            case ["queries", "keys across"]:
                return replace(parts[0], step="scores", factor=parts[0].factor * parts[1].factor)
            case ["weights", "values"]:
                return replace(parts[0], step="found")
        return None

    def _tokens(self, node: OnnxNode, given: Tokenised, position: Array | None) -> Value:
        """Tokens of a map, with a class token and positions where they have some."""
        _, rows, columns = given.value.operation.shape
        tensors = {} if given.first is None else {"class_token": given.first}
        if position is not None:
            position = self._for_each(node, given, position)
            if given.padded and not position[:, 1:].any():  # room that is filled by the class token alone
                tensors["class_token"], position = position[:, :1], None
        tensors |= {} if position is None else {"position": position}
        layer = Tokens(rows, columns, class_token=given.first is not None, position=position is not None)
        name = node.name if node.kind == "Add" and tensors else given.name
        before = self._builder.consumed(given.value)
        return Value(self._builder.graph.layer(name, node.kind, layer, before, tensors))

    def _for_each(self, node: OnnxNode, given: Tokenised, added: Array) -> Array:
        """The positions that are added to tokens, a row for each of them, also where the file has one row for all."""
        channels, rows, columns = given.value.operation.shape
        count = rows * columns + (given.first is not None)
        if added.shape[:-2] not in ((), (1,)):
            raise self._builder.refused(node, f"it adds other positions to each of {added.shape[0]} images")
        try:
            return np.array(np.broadcast_to(added, (1, count, channels)))
        except ValueError:
            raise self._builder.refused(
                node,
                f"it adds {' x '.join(map(str, added.shape))} to {count} tokens of {channels} channels; known are "
                "positions, a row for each token or one for all",
            ) from None

    def _class_token(self, node: OnnxNode, value: Value, constant: Array) -> Array:
        channels = value.operation.shape[-1 if len(value.operation.shape) == 2 else 0]
        if constant.size != channels:
            count = constant.size / channels
            raise self._builder.refused(
                node, f"it puts {count:g} tokens before the patches; known is one, the class token"
            )
        return constant.reshape(1, 1, -1)

    def _with_class_token(self, node: OnnxNode, value: Value, constant: Array) -> Value:
        """Tokens that have positions already, with a class token before them, whose own position is none: zero."""
        before = value.operation
        assert isinstance(before.layer, Tokens)
        if before.layer.class_token:
            raise self._builder.refused(
                node, "it puts a second token before the patches; known is one, the class token"
            )
        first = self._class_token(node, value, constant)
        tensors = {"class_token": first, **before.tensors}
        if "position" in tensors:
            tensors["position"] = np.concatenate((np.zeros_like(first), tensors["position"]), axis=1)
        layer = replace(before.layer, class_token=True)
        return Value(self._builder.graph.layer(before.name, node.kind, layer, before.inputs[0], tensors))

    def _normed_groups(self, node: OnnxNode, given: Tokenised) -> Tokenised | None:
        """Groups of channels that are normalised, without factors and shifts of their own."""
        scale, shift = self._builder.weight(node, 1), self._builder.weight(node, 2)
        eps = decimal(node.attributes.get("epsilon", 1e-5))
        return replace(given, step="normalised groups", factor=eps) if (scale == 1).all() and not shift.any() else None

    def _group_norm(self, node: OnnxNode, given: Tokenised) -> Value:
        value = given.value
        weight = np.ones(value.operation.shape[0], np.float32)
        made = self._builder.made(node, GroupNorm(given.heads, given.factor), value, weight=weight, bias=0 * weight)
        self._builder.plain_norms.add(made.operation)
        return made

    def _attention(self, node: OnnxNode, given: Tokenised) -> Value:
        _, wide = given.value.operation.shape
        width = wide / (3 * given.heads)
        wanted = width**-0.5
        if abs(given.factor - wanted) > SAME * wanted:
            raise self._builder.refused(node, f"its scores are multiplied by {given.factor:.4g}; known is {wanted:.4g}")
        layer = SelfAttention(given.heads)
        return Value(self._builder.graph.layer(node.name, node.kind, layer, given.value.operation))


def _is_number(constant: Array | None) -> bool:
    return constant is not None and constant.size == 1 and bool(constant.reshape(-1)[0])
