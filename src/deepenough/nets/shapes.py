"""The walk for shapes: what every layer gets and gives, by module path."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from math import prod
from typing import NoReturn

from deepenough.errors import DeepenoughError
from deepenough.nets.layers import (
    Auxiliary,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    Group,
    Layer,
    Lrn,
    MaxPool,
    Relu,
    Shape,
    Sigmoid,
    Stack,
    Sum,
    named,
)
from deepenough.nets.network import Network


class ShapeError(DeepenoughError):
    """A layer got a shape that it can't take."""


@dataclass(frozen=True)
class Visit:
    """One layer of a walk: its module path, the shapes it gets and gives. Groups are not visited, their layers are."""

    path: str
    layer: Layer
    input: Shape
    output: Shape


def visits(network: Network, *, training: bool = False) -> Iterator[Visit]:
    """Every layer in the order of computation; a `Sum` or `Concat` after its branches.

    Layers of `Auxiliary` branches come only with `training`. A shape that does not fit is a `ShapeError`.
    """
    return iter(_stack(network.stack, network.input, "", training))


def output_shape(network: Network) -> Shape:
    """The shape that comes out, without the batch: `(classes,)`."""
    shape: Shape = network.input
    for visit in visits(network):
        shape = visit.output
    return shape


def windows(size: int, kernel: int, stride: int, padding: int, *, ceil: bool = False) -> int:
    """How many windows fit in `size` pixels. With `ceil` the last may hang over, but starts inside.

    >>> windows(112, 3, 2, 1), windows(112, 3, 2, 0), windows(112, 3, 2, 0, ceil=True)
    (56, 55, 56)
    """
    room = size + 2 * padding - kernel
    if not ceil:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


Walk = Generator[Visit, None, Shape]


def _stack(stack: Stack, shape: Shape, path: str, training: bool) -> Walk:
    for name, layer in named(stack):
        shape = yield from _layer(layer, shape, f"{path}.{name}" if path else name, training)
    return shape


def _layer(layer: Layer, shape: Shape, path: str, training: bool) -> Walk:
    match layer:
        case Group(stack=stack):
            return (yield from _stack(stack, shape, path, training))
        case Auxiliary(stack=stack):
            if training:
                yield from _stack(stack, shape, path, training)
            return shape
        case Sum() | Concat():
            outputs = []
            for label, branch in layer.labelled():
                outputs.append((yield from _stack(branch, shape, f"{path}.{label}", training)))
            output = _joined(layer, outputs, path)
        case _:
            output = _output(layer, shape, path)
    yield Visit(path, layer, shape, output)
    return output


def _joined(layer: Sum | Concat, outputs: list[Shape], path: str) -> Shape:
    first = outputs[0]
    given = ", ".join(f"{label} {shape}" for (label, _), shape in zip(layer.labelled(), outputs, strict=True))
    if isinstance(layer, Sum):
        if any(shape != first for shape in outputs):
            raise ShapeError(f"{path}: Sum got {given}; it needs branches of one shape")
        return first
    if any(shape[1:] != first[1:] for shape in outputs):
        raise ShapeError(f"{path}: Concat got {given}; it needs branches of one height and width")
    return (sum(shape[0] for shape in outputs), *first[1:])


def _output(layer: Layer, shape: Shape, path: str) -> Shape:
    match layer:
        case Conv():
            channels = _image(layer, shape, path)[0]
            if channels % layer.groups or layer.out % layer.groups:
                _fail(path, layer, shape, f"channels in and out ({layer.out}) that {layer.groups} groups divide")
            return (layer.out, *_slide(layer, shape, path, layer.kernel, layer.stride, layer.pad))
        case MaxPool() | AvgPool():
            channels = _image(layer, shape, path)[0]
            sides = _slide(layer, shape, path, layer.kernel, layer.step, layer.padding, ceil=layer.ceil)
            return (channels, *sides)
        case GlobalAvgPool() | GlobalMaxPool():
            channels, *_ = _image(layer, shape, path)
            return (channels,)
        case Lrn():
            return _image(layer, shape, path)
        case Flatten():
            return (prod(shape),)
        case Dense(out=out):
            if len(shape) != 1:
                _fail(path, layer, shape, "(features,): put Flatten() or a global pool before it")
            return (out,)
        case BatchNorm() | Relu() | Sigmoid() | Dropout():
            return shape
    raise DeepenoughError(f"{path}: {layer.kind} is not a layer that has a shape")


def _image(layer: Layer, shape: Shape, path: str) -> tuple[int, int, int]:
    if len(shape) != 3:
        _fail(path, layer, shape, "(channels, height, width): put it before Flatten() and global pools")
    channels, height, width = shape
    return channels, height, width


def _slide(
    layer: Layer, shape: Shape, path: str, kernel: int, stride: int, padding: int, *, ceil: bool = False
) -> tuple[int, int]:
    height, width = shape[1:]
    if min(height, width) + 2 * padding < kernel:
        least = kernel - 2 * padding
        _fail(path, layer, shape, f"height and width of at least {least}: give the network larger images")
    rows, columns = (windows(side, kernel, stride, padding, ceil=ceil) for side in (height, width))
    return rows, columns


def _fail(path: str, layer: Layer, shape: Shape, needs: str) -> NoReturn:
    raise ShapeError(f"{path}: {layer!r} got {shape}; it needs {needs}")
