"""The operators of torch that take values apart, put them together or move them, as nodes of ONNX."""

from __future__ import annotations

import numpy as np
from torch.fx import Node

from deepenough.weights.graphs.onnx_file import OnnxNode
from deepenough.weights.graphs.torch_program import Operators, args_of, give_same, operator_of, shape_of, writes

_PARTS = ("chunk", "narrow", "slice", "split", "split_with_sizes", "tensor_split")

MOVE_REASONS = dict.fromkeys(
    (f"aten.{operator}" for operator in _PARTS),
    "it takes a part of the rows, columns or tokens, or of the channels of tokens; known are parts of the channels of "
    "maps and vectors",
)
"""Reasons against operators, where there is more to say than that they are not known."""


@writes("cat", "concat")
def _concatenated(writer: Operators, node: Node) -> None:
    values = args_of(node)[0]
    if len(values) == 1:
        writer.called[node] = writer.value(node, values[0])
        return
    axis = int(writer.given(node, 1, 0, "dim")) % len(shape_of(node))
    writer.emit(node, "Concat", [writer.value(node, each) for each in values], axis=axis)


@writes("flatten", "reshape", "squeeze", "unflatten", "unsqueeze", "view", "_unsafe_view", "view_as")
def _reshaped(writer: Operators, node: Node) -> None:
    """Reshape to the shape that the graph was traced with, for any number of images."""
    if node.users and {operator_of(each) for each in (node, *node.users)} == {"unsqueeze"}:
        give_same(writer, node)  # as in x[:, :, None, None], where the last makes the whole shape
        return
    first, *others = shape_of(node)
    if first != writer.batch:
        raise writer.refusal(node, f"it makes {first} rows of {writer.batch} images; known is a row for an image")
    shape = writer.constant(f"{node.name}.shape", np.array([0, *others]))
    writer.emit(node, "Reshape", [writer.value(node, args_of(node)[0]), shape])


@writes("channel_shuffle", "native_channel_shuffle")
def _shuffled(writer: Operators, node: Node) -> None:
    """Put the groups of channels apart, turn them round, and join them again."""
    image, groups = args_of(node)[:2]
    _, channels, height, width = shape_of(node)
    sides = np.array([0, groups, channels // groups, height, width])
    given = [writer.value(node, image), writer.constant(f"{node.name}.groups", sides)]
    apart = writer.emit(node, "Reshape", given, f"{node.name}.apart")
    across = writer.emit(node, "Transpose", [apart], f"{node.name}.across", perm=[0, 2, 1, 3, 4])
    shape = writer.constant(f"{node.name}.shape", np.array([0, channels, height, width]))
    writer.emit(node, "Reshape", [across, shape])


@writes("permute", "transpose", "swapaxes", "swapdims", "mT", "t")
def _transposed(writer: Operators, node: Node) -> None:
    sides = len(shape_of(node))
    if operator_of(node) == "permute":
        perm = [int(axis) % sides for axis in args_of(node)[1]]
    else:
        one, other = (int(axis) % sides for axis in args_of(node)[1:3] or (-2, -1))
        perm = list(range(sides))
        perm[one], perm[other] = perm[other], perm[one]
    writer.emit(node, "Transpose", [writer.value(node, args_of(node)[0])], perm=perm)


@writes("expand", "expand_as")
def _expanded(writer: Operators, node: Node) -> None:
    """Leave a gate as it is: products of a map and a number a channel need no copies of it."""
    image = args_of(node)[0]
    products = all(operator_of(user) == "mul" for user in node.users)
    if shape_of(image) == shape_of(node) or (products and shape_of(image) == (*shape_of(node)[:2], 1, 1)):
        give_same(writer, node)
    else:
        writer.emit(node, f"aten.{operator_of(node)}", [writer.value(node, image)])


@writes("select")
def _selected(writer: Operators, node: Node) -> None:
    image, axis, place = args_of(node)
    _taken(writer, node, writer.value(node, image), int(axis), int(place), node.name)


def _taken(writer: Operators, node: Node, given: str, axis: int, place: int, output: str) -> str:
    where = writer.constant(f"{output}.place", np.array(place))
    return writer.emit(node, "Gather", [given, where], output, axis=axis)


@writes("unbind")
def _unbound(writer: Operators, node: Node) -> None:
    image, axis = args_of(node)[0], int(writer.given(node, 1, 0, "dim"))
    given, count = writer.value(node, image), len(node.meta["val"])
    parts = (_taken(writer, node, given, axis, place, f"{node.name}.{place}") for place in range(count))
    writer.parts[node] = tuple(parts)


@writes("getitem")
def _part(writer: Operators, node: Node) -> None:
    many, place = args_of(node)
    parts = writer.parts.get(many, ())
    if isinstance(place, int) and place < len(parts):
        writer.called[node] = parts[place]
    else:
        writer.emit(node, f"aten.{operator_of(many)}", [writer.name_of(many)])


@writes("slice", "narrow")
def _sliced(writer: Operators, node: Node) -> None:
    image, axis = args_of(node)[0], int(writer.given(node, 1, 0, "dim")) % len(shape_of(node))
    start = int(writer.given(node, 2, 0, "start") or 0)
    step = 1 if operator_of(node) == "narrow" else int(writer.given(node, 4, 1, "step"))
    sides, kept = shape_of(image), shape_of(node)
    if sides == kept:
        give_same(writer, node)
    elif _may_be_channels(axis, sides):
        _channels(writer, node, writer.value(node, image), (axis, start % sides[axis], kept[axis], step), node.name)
    else:
        writer.emit(node, f"aten.{operator_of(node)}", [writer.value(node, image)])


def _may_be_channels(axis: int, sides: tuple[int, ...]) -> bool:
    """Tell whether an axis can be that of the channels of maps, where they come last too, or of vectors."""
    return len(sides) != 3 and (axis == 1 or (axis == 3 and len(sides) == 4))


def _channels(writer: Operators, node: Node, given: str, part: tuple[int, int, int, int], output: str) -> str:
    """Take a part of the channels: their axis, the first of them, how many, and how far they are apart."""
    axis, start, count, step = part
    ends = {"start": start, "stop": start + (count - 1) * step + 1, "axis": axis, "step": step}
    places = [writer.constant(f"{output}.{word}", np.array([place])) for word, place in ends.items()]
    return writer.emit(node, "Slice", [given, *places], output)


@writes("chunk", "split", "split_with_sizes", "tensor_split")
def _apart(writer: Operators, node: Node) -> None:
    """Take all parts of the channels, one after another."""
    image, axis = args_of(node)[0], int(writer.given(node, 2, 0, "dim"))
    sides, start, parts = shape_of(image), 0, list[str]()
    shapes = {tuple(each.shape) for each in node.meta["val"]}
    if len(sides) == 3 and axis % 3 == 2 and shapes == {(*sides[:2], sides[2] // 3)}:  # queries, keys and values
        outputs = tuple(f"{node.name}.{place}" for place in range(3))
        given = (writer.value(node, image),)
        writer.nodes.append(OnnxNode(writer.module_path(node), "Split", given, outputs, {"axis": 2}))
        writer.parts[node] = outputs
        return
    axis %= len(sides)
    if not _may_be_channels(axis, sides):
        writer.emit(node, f"aten.{operator_of(node)}", [writer.value(node, image)])
        return
    for place, each in enumerate(node.meta["val"]):
        count = int(each.shape[axis])
        output = f"{node.name}.{place}"
        parts.append(_channels(writer, node, writer.value(node, image), (axis, start, count, 1), output))
        start += count
    writer.parts[node] = tuple(parts)


@writes("pad", "constant_pad_nd")
def _padded(writer: Operators, node: Node) -> None:
    image, amounts = args_of(node)[:2]
    is_constant = operator_of(node) == "constant_pad_nd"
    mode = "constant" if is_constant else writer.given(node, 2, "constant", "mode")
    number = writer.given(node, 2 if is_constant else 3, 0.0, "value") or 0.0
    left, right, above, below = (*map(int, amounts), 0, 0, 0, 0)[:4]
    if mode != "constant" or len(amounts) > 4:
        raise writer.refusal(node, f"it pads by {mode}; known are constants around images")
    pads = writer.constant(f"{node.name}.pads", np.array([0, 0, above, left, 0, 0, below, right]))
    edge = writer.constant(f"{node.name}.edge", np.float32(number))
    writer.emit(node, "Pad", [writer.value(node, image), pads, edge])
