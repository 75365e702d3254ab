"""The graph of a foreign file while it is read: operations that are layers of ours, or join what others give."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.errors import DeepenoughError, first_few
from deepenough.nets.activation import Activation
from deepenough.nets.combinators import Branches, Concat, Product
from deepenough.nets.layer import Layer, Shape, ShapeError
from deepenough.nets.layers import (
    BatchNorm,
    ChannelSlice,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    LayerScale,
)

Array = npt.NDArray[Any]

MOST_OPERATIONS = 20_000
"""Operations of a graph that are read; the largest of the zoo has about 1,500."""

MOST_BEHIND = 6
"""Operations between a pool and where its map of one position becomes a vector."""

EACHWISE = (Activation, BatchNorm, ChannelSlice, Dropout, LayerScale)
"""Layers that are the same on a map of one position and on a vector."""

LARGEST_SIDE = 8_192
"""Pixels along a side of the images that a described network may take."""

SHOWN = 3
"""The most layers of a kind that an error names."""


class GraphError(DeepenoughError):
    """A graph that can't be read as layers of ours; it names the layer and says why."""


@dataclass(eq=False)
class Operation:
    """A layer of ours as a file has it, or with `join` the place where branches meet; the images have neither.

    `shape` is what it gives, without the batch. `tensors` are by the names that our layer gives them.
    """

    name: str
    shape: Shape
    inputs: tuple[Operation, ...] = ()
    layer: Layer | None = None
    join: type[Branches] | None = None
    tensors: Mapping[str, Array] = field(default_factory=dict)
    flattened: Layer | None = None
    """The layer that gives the same as a vector, where this one keeps a map of one position."""

    @cached_property
    def nonnegative(self) -> bool:
        """True where nothing that it gives is negative."""
        if self.layer is not None and self.layer.nonnegative:
            return True
        passes = self.join is not None or (self.layer is not None and self.layer.keeps_sign)
        return passes and all(given.nonnegative for given in self.inputs)


class Graph:
    """Makes the operations of a file, each behind those that it reads, and knows their shapes."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.count = 0
        self._concats: dict[tuple[Operation, ...], Operation] = {}

    def refusal(self, name: str, kind: str, why: str) -> GraphError:
        """The error for one layer of the file."""
        return GraphError(f"{self.file}: layer {plain_name(name)!r} of kind {plain_name(kind)}: {why}")

    def images(self, shape: Sequence[int]) -> Operation:
        """Begin with images of a shape (C, H, W)."""
        sides = tuple(map(int, shape))
        if len(sides) != 3 or sides[0] not in (1, 3) or not all(1 <= side <= LARGEST_SIDE for side in sides[1:]):
            raise GraphError(
                f"{self.file}: it takes values of the shape {' x '.join(map(str, sides))}; read are networks of images "
                f"with 1 or 3 channels and at most {LARGEST_SIDE:,} pixels a side"
            )
        return self._made(Operation("images", sides))

    def layer(
        self, name: str, kind: str, layer: Layer, value: Operation, tensors: Mapping[str, Array] | None = None
    ) -> Operation:
        """Add a layer of ours; `kind` is the file's own word for it. Its tensors have to have their shapes."""
        if isinstance(layer, Flatten):
            if len(value.shape) == 1:
                return value
            if (flat := self._flat(value, 0)) is not None:
                return flat
        given = dict(tensors or {})
        try:
            shape, wanted = layer.output(value.shape), layer.tensors(value.shape)
        except ShapeError as error:
            raise self.refusal(name, kind, f"it is given {_text(value.shape)}; it needs {error}") from None
        for key, sides in wanted.items():
            if key not in given:
                raise self.refusal(name, kind, f"it has no {key}, which has the shape {_text(sides)}")
            if given[key].shape != sides:
                found = _text(given[key].shape)
                raise self.refusal(name, kind, f"its {key} has the shape {found}; expected {_text(sides)}")
            if given[key].dtype.kind != "f":
                raise self.refusal(name, kind, f"its {key} is of type {given[key].dtype}; expected floating point")
            if not np.isfinite(given[key]).all():
                raise self.refusal(name, kind, f"its {key} holds NaN or infinite values")
        made = Operation(name, shape, (value,), layer, tensors={key: given[key] for key in wanted})
        if isinstance(layer, GlobalAvgPool) and layer.keep:
            made.flattened = GlobalAvgPool()
        return self._made(made)

    def _flat(self, value: Operation, count: int) -> Operation | None:
        """Make a vector of a map of one position where it comes from: its pools, and what works on each value."""
        name, kind = value.name.removesuffix(".map"), "Flatten"
        if value.flattened is not None:
            return self.layer(name, kind, value.flattened, value.inputs[0])
        eachwise = value.join is not None or isinstance(value.layer, EACHWISE)
        if value.shape[1:] != (1, 1) or not eachwise or count > MOST_BEHIND:
            return None
        given = [self._flat(each, count + 1) for each in value.inputs]
        found = [each for each in given if each is not None]
        if len(found) < len(given):
            return None
        if value.join is not None:
            return self.join(name, kind, value.join, found)
        assert value.layer is not None
        return self.layer(name, kind, value.layer, found[0], value.tensors)

    def unflattened(self, value: Operation, count: int = 0) -> Operation | None:
        """Make a map of one position of a vector where it comes from: its pool, and the dense layers behind it, which
        are convolutions there. So gates of squeeze-and-excitation are written as vectors; None for other vectors."""
        name, layer = value.name, value.layer
        if len(value.shape) != 1 or layer is None or count > MOST_BEHIND:
            return None
        (before,) = value.inputs
        if isinstance(layer, Flatten):
            return before if before.shape[1:] == (1, 1) else None
        if isinstance(layer, GlobalAvgPool):
            return self.layer(name, layer.kind, GlobalAvgPool(keep=True), before)
        if isinstance(layer, GlobalMaxPool):
            return self.whole_maximum(name, layer.kind, before)
        given = self.unflattened(before, count + 1)
        if given is None:
            return None
        if isinstance(layer, Dense):
            tensors = {**value.tensors, "weight": value.tensors["weight"][:, :, None, None]}
            return self.layer(name, layer.kind, Conv(layer.out, 1, bias=layer.bias), given, tensors)
        return self.layer(name, layer.kind, layer, given, value.tensors) if isinstance(layer, EACHWISE) else None

    def whole_maximum(self, name: str, kind: str, value: Operation) -> Operation:
        """Add a largest value over all positions that keeps one of them, which we have only as a vector."""
        if len(value.shape) != 3:
            raise self.refusal(name, kind, f"it is given {_text(value.shape)}; it needs (channels, height, width)")
        made = Operation(name, (value.shape[0], 1, 1), (value,), GlobalMaxPool(), flattened=GlobalMaxPool())
        return self._made(made)

    def join(self, name: str, kind: str, how: type[Branches], values: Sequence[Operation]) -> Operation:
        """Join values: `how` is `Sum`, `Product` or `Concat`."""
        ends = self._shortened(values) if how is Concat else tuple(values)
        if len(ends) == 1:
            return ends[0]
        shapes = [end.shape for end in ends]
        if how is Product and shapes[0] != shapes[1] and shapes[0][1:] == (1, 1):  # the gate comes first
            ends, shapes = ends[::-1], shapes[::-1]
        try:
            shape = how(((),) * len(ends), tuple(f"b{n}" for n in range(len(ends)))).joined(shapes)
        except ShapeError as error:
            given = ", ".join(map(_text, shapes))
            raise self.refusal(name, kind, f"it is given {given}; it needs {error}") from None
        made = self._made(Operation(name, shape, ends, join=how))
        if how is Concat:
            self._concats[tuple(values)] = made
        return made

    def _shortened(self, values: Sequence[Operation]) -> tuple[Operation, ...]:
        """Take the longest start of these values that was put side by side before for one value (DenseNet)."""
        for count in range(len(values), 1, -1):
            if (known := self._concats.get(tuple(values[:count]))) is not None:
                return known, *values[count:]
        return tuple(values)

    def _made(self, made: Operation) -> Operation:
        self.count += 1
        if self.count > MOST_OPERATIONS:
            raise GraphError(f"{self.file}: its graph has more than {MOST_OPERATIONS:,} operations, which are not read")
        return made


def check_kinds(file: str, layers: Iterable[tuple[str, str]], known: Iterable[str], why: Mapping[str, str]) -> None:
    """Raise the error that lists all kinds of layers (name, kind) that are not among those `known`, each once."""
    all_known, strangers = set(known), dict[str, list[str]]()
    for name, kind in layers:
        if kind not in all_known:
            strangers.setdefault(kind, []).append(name)
    if not strangers:
        return
    lines = []
    for kind, names in strangers.items():
        shown = first_few([repr(plain_name(name)) for name in names], SHOWN)
        reason = why.get(kind, "no layer here does what it does")
        lines.append(f"\n  layer {shown} of kind {plain_name(kind)}: {reason}")
        if len(lines) == 10 and len(strangers) > 10:
            lines.append(f"\n  and {len(strangers) - 10} more kinds")
            break
    raise GraphError(
        f"{file} describes a network with layers of {'a kind that is' if len(strangers) == 1 else 'kinds that are'} "
        f"not known here:{''.join(lines)}"
    )


def plain_name(text: str) -> str:
    """A name of a file for a message: in one line, without controls, not too long."""
    shown = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return shown if len(shown) <= 80 else f"{shown[:79]}…"


def decimal(value: Any) -> float:
    """A number that a file holds in single precision, as the shortest decimal that is the same there: 1e-05."""
    return float(str(np.float32(value)))


def _text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape)) or "one number"
