"""Activations that graphs have as one operation or as several, found by the table that exports are written by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deepenough.nets.activation import Activation, Node, PRelu
from deepenough.nets.layer import LAYER_KINDS

KINDS: tuple[type[Activation], ...] = tuple(
    kind
    for kind in LAYER_KINDS.values()
    if issubclass(kind, Activation) and kind not in (Activation, PRelu) and not kind.parameter
)
"""Every activation that has neither a number of its own nor weights."""


@dataclass(frozen=True, eq=False)
class Written:
    """A node of a file: its kind, the names of the values it reads and gives, attributes and constant numbers."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: str
    attributes: Mapping[str, Any] = field(default_factory=dict)
    constants: tuple[float, ...] = ()


Same = Callable[[Written, Node], bool]
"""A function that tells whether a node of a file has the attributes and constants of one in the table."""


@dataclass(frozen=True, eq=False)
class Pattern:
    """An activation as nodes, the last of which gives what it gives."""

    kind: type[Activation]
    nodes: Sequence[Node]


def match_pattern(pattern: Pattern, last: Written, makers: Mapping[str, Written], same: Same) -> str | None:
    """The name of the value that an activation is applied to, where `last` ends the nodes of its pattern.

    `makers` are the nodes that give the values, by name. Inputs of a sum or product may come in any order.
    """
    bound: dict[int, str] = {}

    def fits(number: int, value: str) -> bool:
        if number in bound:
            return bound[number] == value
        if number == 0:
            bound[0] = value
            return True
        node, written = pattern.nodes[number - 1], makers.get(value)
        if written is None or written.kind != node.kind or len(written.inputs) != len(node.inputs):
            return False
        if not same(written, node):
            return False
        before = dict(bound)
        for order in _orders(node):
            bound.clear()
            bound.update(before | {number: value})
            # Deeper nodes first: what they read says what the activation is given.
            wanted = sorted(zip(node.inputs, (written.inputs[place] for place in order), strict=True), reverse=True)
            if all(fits(each, given) for each, given in wanted):
                return True
        bound.clear()
        bound.update(before)
        return False

    return bound.get(0) if fits(len(pattern.nodes), last.output) else None


def _orders(node: Node) -> list[tuple[int, ...]]:
    """The orders in which a node may read its inputs for the same result."""
    commutes = node.kind in ("Add", "Mul") or (node.kind == "Eltwise" and "coeff" not in str(node.attributes))
    return [(0, 1), (1, 0)] if commutes and len(node.inputs) == 2 else [tuple(range(len(node.inputs)))]
