"""The head of a network as files have it: of another number of classes, in another place, of another kind, or none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch

from deepenough.nets.layers import Dense, Flatten, GlobalAvgPool
from deepenough.nets.network import Network
from deepenough.weights.match import FileLayout, last_layer
from deepenough.weights.patterns import tensor_layers
from deepenough.weights.torch_file import AnyTensors


@dataclass(frozen=True, eq=False)
class WithHead:
    """A layout with the head that a file has; without one, `layout` names no tensors for it.

    `tensors` are those to be compared with the layout, `head` says where the head was found, `aside` are the names of
    tensors that belong to another one.
    """

    layout: FileLayout
    tensors: AnyTensors
    headless: bool = False
    head: str = ""
    aside: tuple[str, ...] = ()


def with_head(layout: FileLayout, inside: AnyTensors, outside: AnyTensors) -> Iterator[WithHead]:
    """The ways to take a file's head, best first.

    A classifier in its place; the only dense layer of the right width beside the body, wherever it is; none, where
    there are several, or none at all, or a norm between.

    Args:
        layout: of a network with its own head.
        inside: tensors by names as in `layout`.
        outside: the other tensors that lie with them, by their names in the file.
    """
    network = layout.network
    path = last_layer(network)
    place = layout.names[f"{path}.weight"]
    expected, found = layout.shapes[f"{path}.weight"], inside.get(place)
    if found is not None and found.ndim == len(expected) and tuple(found.shape[1:]) == expected[1:]:
        yield WithHead(_for_classes(layout, found.shape[0]), inside)
        if not _has_more_beside(place, inside, layout):
            return
    for body in (_without_head(layout), _without_dense_layers(layout)):
        if body is None:
            continue
        kept, beside = _apart(body, inside, place.rpartition(".")[0])
        beside = {**beside, **outside}
        weight = _only_linear(beside, expected[1:])
        if weight is not None and body.network is network:
            linear, classes = weight.rpartition(".")[0], beside[weight].shape[0]
            bias = beside.get(f"{linear}.bias", torch.zeros(classes))
            moved = {place: beside[weight], layout.names[f"{path}.bias"]: bias}
            aside = tuple(name for name in beside if name not in (weight, f"{linear}.bias"))
            yield WithHead(_for_classes(layout, classes), {**kept, **moved}, head=linear, aside=aside)
        yield WithHead(body, kept, headless=True, aside=tuple(beside))
    yield WithHead(layout, inside)


def _has_more_beside(place: str, inside: AnyTensors, layout: FileLayout) -> bool:
    """Tell whether other tensors lie with the classifier in a module: it is the first layer of a longer head then."""
    around = place.rpartition(".")[0].rpartition(".")[0]
    named = set(layout.names.values())
    return around != "" and any(name.startswith(f"{around}.") and name not in named for name in inside)


def _for_classes(layout: FileLayout, classes: int) -> FileLayout:
    """Give the layout as many classes as the file's classifier has outputs."""
    if classes in (0, layout.network.classes):
        return layout
    return replace(layout, network=layout.network.with_classes(classes))


def _without_head(layout: FileLayout) -> FileLayout:
    """The layout without the tensors of the last layer."""
    path = last_layer(layout.network)
    names = {key: name for key, name in layout.names.items() if key.rpartition(".")[0] != path}
    return replace(layout, names=names)


def _without_dense_layers(layout: FileLayout) -> FileLayout | None:
    """The layout of what is before the dense layers, where there are several: they go, and means of channels come."""
    stack = layout.network.stack
    last = last_layer(layout.network)
    ends = (number for number, layer in enumerate(stack) if isinstance(layer, (Flatten, GlobalAvgPool)))
    end = next(ends, None)
    if end is None or sum(isinstance(layer, Dense) for layer in stack[end:]) < 2:
        return None
    body: Network = replace(
        layout.network,
        stack=(*stack[:end], GlobalAvgPool(name="pool"), Dense(layout.network.classes, name="classifier")),
        variant=f"{layout.network.variant}; without its dense layers",
    )
    kept = {visit.path for visit in tensor_layers(body)} - {last}
    names = {key: name for key, name in layout.names.items() if key.rpartition(".")[0] in kept}
    return FileLayout(body, names, layout.source, layout.evident)


def _apart(body: FileLayout, inside: AnyTensors, head: str) -> tuple[AnyTensors, AnyTensors]:
    """Tensors of the body, or in it; and those of another head. The first word of a name tells what is in the body."""
    named = set(body.names.values())
    words = {_word(name) for name in named}
    beside = {
        name: tensor
        for name, tensor in inside.items()
        if name not in named and (name.startswith(f"{head}.") or _word(name) not in words)
    }
    return {name: tensor for name, tensor in inside.items() if name not in beside}, beside


def _word(name: str) -> str:
    return re.split(r"[._/]", name.lstrip("_"), maxsplit=1)[0]


def _only_linear(beside: AnyTensors, width: tuple[int, ...]) -> str | None:
    """The weight of the only layer among these, where it is dense, of the right width, and without a norm."""
    weights = [name for name, tensor in beside.items() if tensor.ndim > 1]
    if len(weights) != 1 or any(name.endswith(("running_mean", "moving_mean", "_mean")) for name in beside):
        return None
    module, _, kind = weights[0].rpartition(".")
    weight, bias = beside[weights[0]], beside.get(f"{module}.bias")
    fits = tuple(weight.shape[1:]) == width and weight.is_floating_point()
    right = bias is None or tuple(bias.shape) == tuple(weight.shape[:1])
    return weights[0] if kind in ("weight", "kernel") and fits and right else None
