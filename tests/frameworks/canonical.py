"""Networks as far as a file can tell them: without what serves in training only, and with all names written out."""

from __future__ import annotations

from dataclasses import replace

from deepenough.nets import (
    BatchNorm,
    Branches,
    Conv,
    Dropout,
    Group,
    LayerScale,
    Network,
    Shape,
    Stack,
)
from deepenough.nets.layer import named
from deepenough.nets.layers import Pool


def canonical(network: Network, *, kept: tuple[type, ...] = ()) -> Stack:
    """The stack of a network; dropouts are left out, but those of the kinds `kept`.

    Of two layers that compute the same on this network's images, such as a pool that rounds down and one that rounds
    up where nothing is left over, it has one.
    """
    return _canonical(network.stack, network.input, kept)[0]


def _canonical(stack: Stack, shape: Shape, kept: tuple[type, ...]) -> tuple[Stack, Shape]:
    layers = []
    for name, layer in named(stack):
        output = shape
        match layer:
            case Dropout() if type(layer) not in kept:
                continue
            case Group():
                inside, output = _canonical(layer.stack, shape, kept)
                if not inside:
                    continue
                made = Group(inside)
            case Branches():
                parts = [_canonical(branch, shape, kept) for branch in layer.branches]
                output = layer.joined([end for _, end in parts])
                stacks = tuple(part for part, _ in parts)
                labels = tuple(
                    label if stack else f"empty{place}"  # a branch without layers leaves no name in a file
                    for place, ((label, _), stack) in enumerate(zip(layer.stacks, stacks, strict=True))
                )
                made = replace(layer, branches=stacks, labels=labels)
            case Conv():
                output = layer.output(shape)
                sides = {side for pair in layer.pads(shape) for side in pair}
                made = replace(layer, same=len(sides) > 1, padding=sides.pop() if len(sides) == 1 else None)
            case Pool():
                output = layer.output(shape)
                down = replace(layer, ceil=False, stride=layer.step)
                made = down if down.output(shape) == output else replace(layer, stride=layer.step)
            case BatchNorm(eps=eps):
                made = BatchNorm(eps)
            case LayerScale():
                made = LayerScale()
            case _:
                output, made = layer.output(shape), layer
        layers.append(replace(made, name=name))
        shape = output
    return tuple(layers), shape
