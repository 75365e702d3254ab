"""The base of walks, which go through a network in the order of computation, and a function that rewrites stacks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from deepenough.nets.combinators import Branches, Group
from deepenough.nets.layer import Layer, Stack, joined_path, named

Value = TypeVar("Value")


class Walk(Generic[Value]):
    """Carries a value through stacks. A walk says what becomes of it at a single layer, and where branches join.

    `Auxiliary` branches are single layers to it.
    """

    def through(self, stack: Stack, value: Value, path: str = "") -> Value:
        """The value behind a stack that is given one."""
        for name, layer in named(stack):
            here = joined_path(path, name)
            match layer:
                case Group():
                    value = self.group(layer, value, here)
                case Branches():
                    ends = [
                        self.through(branch, self.branch(label, value), f"{here}.{label}")
                        for label, branch in layer.stacks
                    ]
                    value = self.joined(layer, value, ends, here)
                case _:
                    value = self.single(layer, value, here)
        return value

    def single(self, layer: Layer, value: Value, path: str) -> Value:
        """The value behind a layer that is not made of stacks."""
        return value

    def joined(self, layer: Branches, value: Value, ends: Sequence[Value], path: str) -> Value:
        """The value behind branches: `value` is what they were given, `ends` what they give."""
        return value

    def branch(self, label: str, value: Value) -> Value:
        """The value that a branch begins with."""
        return value

    def group(self, layer: Group, value: Value, path: str) -> Value:
        """The value behind a group."""
        return self.through(layer.stack, value, path)


def rewritten(stack: Stack, change: Callable[[Stack, str], Stack], path: str = "") -> Stack:
    """Rewrite a stack and all stacks inside its layers.

    `change(stack, path)` is called for each, innermost first, so the layers that it gets are rewritten inside already.
    Paths are those of the given network.
    """
    layers = []
    for name, layer in named(stack):
        inside = [rewritten(part, change, joined_path(path, name, label)) for label, part in layer.stacks]
        layers.append(layer.with_stacks(inside) if inside else layer)
    return change(tuple(layers), path)
