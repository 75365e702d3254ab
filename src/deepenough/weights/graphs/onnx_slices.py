"""Parts of the channels, which graphs of ONNX take with `Slice` and `Split`."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from deepenough.nets.layers import ChannelSlice
from deepenough.weights.graphs.onnx_file import OnnxNode
from deepenough.weights.graphs.values import Value

if TYPE_CHECKING:
    from deepenough.weights.graphs.onnx_base import OnnxBase


def sliced(builder: OnnxBase, node: OnnxNode, value: Value) -> Value:
    """The part of a value that a `Slice` keeps."""
    starts, stops, axes, steps = (
        _integers(builder, node, place, word) for place, word in enumerate(("starts", "ends", "axes", "steps"), 1)
    )
    axes = axes or list(range(len(starts)))
    steps = steps or [1] * len(starts)
    sides = (1, *value.shape)
    for start, stop, axis, step in zip(starts, stops, axes, steps, strict=True):
        if step != 1:
            raise builder.refused(node, f"it takes one of {step} values, in steps; known are neighbouring channels")
        place = axis % len(sides)
        start, stop, _ = slice(start, stop).indices(sides[place])
        if (start, stop) != (0, sides[place]):
            value = part(builder, node, value, (place, start, stop))
    return value


def split(builder: OnnxBase, node: OnnxNode, value: Value) -> list[Value]:
    """The parts that a `Split` makes of a value."""
    axis = node.attributes.get("axis", 0) % (1 + len(value.shape))
    whole, count = (1, *value.shape)[axis], len(node.outputs)
    each = -(-whole // count)
    sizes = _integers(builder, node, 1, "split") or [min(each, whole - each * place) for place in range(count)]
    if len(sizes) != count or sum(sizes) != whole:
        raise builder.refused(node, f"it makes {count} parts of {whole} values, of the sizes {sizes}")
    ends = pairwise([0, *accumulate(sizes)])
    return [part(builder, node, value, (axis, start, stop)) for start, stop in ends]


def part(builder: OnnxBase, node: OnnxNode, value: Value, kept: tuple[int, int, int]) -> Value:
    """The values on one axis, the batch's being 0, from one place up to another; only channels are known."""
    axis, start, stop = kept
    sides = value.shape
    if len(sides) == 2 or axis != (len(sides) if value.last else 1) or value.order is not None:
        what = "tokens" if len(sides) == 2 else "rows, columns or images"
        raise builder.refused(node, f"it takes a part of the {what}; known are parts of the channels")
    return builder.made(node, ChannelSlice(start, stop), value)


def _integers(builder: OnnxBase, node: OnnxNode, place: int, word: str) -> list[int]:
    """The numbers of an input, or of the attribute that they were before opsets 10 and 13."""
    found = builder.weight(node, place).tolist() if place < len(node.inputs) and node.inputs[place] else None
    stated: list[int] = list(node.attributes.get(word) or ()) if found is None else found
    return [int(number) for number in stated]
