"""A network: a name, the shape of its images, and a stack of layers. Immutable, comparable, hashable."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from deepenough.errors import DeepenoughError
from deepenough.nets.combinators import Auxiliary, Branches, Group
from deepenough.nets.layer import Layer, Shape, Stack
from deepenough.nets.layers import Weighted

if TYPE_CHECKING:
    from deepenough.nets.shapes import ShapeWalk


@dataclass(frozen=True, repr=False)
class Network:
    """A description of a network, without weights.

    `input` is (C, H, W). The stack ends in logits, (classes,). `source` names paper and table, `variant` what sets
    this one apart from others of the same name. `eval(repr(network)) == network`.
    """

    name: str
    input: tuple[int, int, int]
    stack: Stack
    source: str = ""
    variant: str = ""

    def __post_init__(self) -> None:
        if len(self.input) != 3 or any(not isinstance(side, int) or side < 1 for side in self.input):
            raise DeepenoughError(
                f"network {self.name!r}: input {self.input}; it is (channels, height, width), each 1 or more"
            )
        if not isinstance(self.stack, tuple):
            raise DeepenoughError(f"network {self.name!r}: its stack is a {type(self.stack).__name__}, not a tuple")
        for layer in self.stack:
            _check(layer, outermost=True)

    def __repr__(self) -> str:
        shown = [f"{e.name}={getattr(self, e.name)!r}" for e in fields(self) if getattr(self, e.name) != ""]
        return f"Network({', '.join(shown)})"

    @cached_property
    def walks(self) -> dict[bool, ShapeWalk]:
        """The walks over it that were made, for prediction and for training: `nets.shapes` keeps them here."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """The description alone, without the walks."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self)}

    @property
    def classes(self) -> int:
        """The number of logits. A stack that does not end in (classes,) is an error."""
        from deepenough.nets.shapes import output_shape  # shapes needs Network

        shape: Shape = output_shape(self)
        if len(shape) != 1:
            raise DeepenoughError(f"network {self.name!r} gives {shape}; a classifier gives (classes,)")
        return shape[0]

    def with_input(self, shape: tuple[int, int, int]) -> Network:
        """The same stack for images of another shape (C, H, W)."""
        return replace(self, input=shape)

    def with_classes(self, classes: int) -> Network:
        """The same network with another number of classes, in auxiliary branches too."""
        stack = tuple(
            replace(layer, stack=_ending(layer.stack, classes, self.name)) if isinstance(layer, Auxiliary) else layer
            for layer in self.stack
        )
        return replace(self, stack=_ending(stack, classes, self.name))


def _ending(stack: Stack, classes: int, name: str) -> Stack:
    """The stack with `classes` outputs of its last convolution or dense layer."""
    for place in reversed(range(len(stack))):
        match stack[place]:
            case Weighted() as layer:
                changed: Layer = replace(layer, out=classes)
            case Group(stack=inner) as layer if _weighted(inner):
                changed = replace(layer, stack=_ending(inner, classes, name))
            case Branches():
                break
            case _:
                continue
        return (*stack[:place], changed, *stack[place + 1 :])
    raise DeepenoughError(f"network {name!r} has no last Conv or Dense layer whose outputs are the classes")


def _weighted(stack: Stack) -> bool:
    return any(
        isinstance(layer, (Weighted, Branches)) or (isinstance(layer, Group) and _weighted(layer.stack))
        for layer in stack
    )


def _check(layer: Layer, *, outermost: bool) -> None:
    if not isinstance(layer, Layer):
        raise DeepenoughError(f"a stack holds layers; it was given {layer!r}")
    if isinstance(layer, Auxiliary) and not outermost:
        raise DeepenoughError("an Auxiliary branch stands in a network's outermost stack, not inside a layer")
    for part in (part for _, stack in layer.stacks for part in stack):
        _check(part, outermost=False)
