"""The base of walks: it goes through a network in the order of computation. And stacks with each layer changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from deepenough.nets.combinators import Auxiliary, Branches, Group
from deepenough.nets.layer import Layer, Stack, named

Value = TypeVar("Value")


class Walk(Generic[Value]):
    """Carries a value through stacks. A walk says what becomes of it at a single layer, and where branches join.

    `Auxiliary` branches are single layers to it.
    """

    def through(self, stack: Stack, value: Value, path: str = "") -> Value:
        """The value behind a stack that is given one."""
        for name, layer in named(stack):
            here = f"{path}.{name}" if path else name
            match layer:
                case Group():
                    value = self.group(layer, value, here)
                case Branches():
                    ends = [
                        self.through(branch, self.branch(label, value), f"{here}.{label}")
                        for label, branch in layer.labelled()
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


def with_each(stack: Stack, change: Callable[[Layer], Layer]) -> Stack:
    """The stack with each layer that is not made of stacks as `change` gives it."""
    found: list[Layer] = []
    for layer in stack:
        match layer:
            case Group() | Auxiliary():
                found.append(replace(layer, stack=with_each(layer.stack, change)))
            case Branches():
                found.append(replace(layer, branches=tuple(with_each(branch, change) for branch in layer.branches)))
            case _:
                found.append(change(layer))
    return tuple(found)
