"""ONNX graphs as layers of ours."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from deepenough.nets.activation import Gelu, HardSigmoid, HardSwish, Mish, Node
from deepenough.weights.graphs.activations import KINDS, Pattern, Written, match_pattern
from deepenough.weights.graphs.described import Described, Stated, described
from deepenough.weights.graphs.graph import Array, Graph, GraphError, check_kinds, plain_name
from deepenough.weights.graphs.images import stated_input
from deepenough.weights.graphs.onnx_constants import folded
from deepenough.weights.graphs.onnx_file import OnnxFile, OnnxNode, read_onnx
from deepenough.weights.graphs.onnx_layers import READ, OnnxBuilder
from deepenough.weights.graphs.values import Value

OLDEST_OPSET = 7
"""Before it, sums and products said by an attribute along which axis they are."""

MOST_COMPUTED = 2**26
"""Numbers in all that are computed of constants: shapes, and weights that are turned."""

REASONS = {
    "ConvTranspose": "a transposed convolution makes maps larger, which no classifier here does",
    "If": "which layers are computed depends on the image",
    "Loop": "which layers are computed depends on the image",
    "LSTM": "it is recurrent",
    "GRU": "it is recurrent",
    "QuantizeLinear": "the network is quantised; give the file from before that",
    "DequantizeLinear": "the network is quantised; give the file from before that",
    "QLinearConv": "the network is quantised; give the file from before that",
}
"""Reasons against kinds, where there is more to say than that they are not known."""

ROOT_2 = 2**0.5

PATTERNS = (
    *(Pattern(kind, kind.onnx) for kind in KINDS if kind.onnx),
    Pattern(HardSwish, (Node("HardSigmoid", attributes={"alpha": 1 / 6, "beta": 0.5}), Node("Mul", (0, 1)))),
    *(
        Pattern(HardSwish, (Node("Add", constants=(3.0,)), Node("Clip", (1,), constants=(0.0, 6.0)), *end))
        for end in (
            (Node("Mul", (0, 2)), Node("Div", (3,), constants=(6.0,))),
            (Node("Div", (2,), constants=(6.0,)), Node("Mul", (0, 3))),
        )
    ),
    Pattern(
        HardSigmoid,
        (Node("Add", constants=(3.0,)), Node("Clip", (1,), constants=(0.0, 6.0)), Node("Div", (2,), constants=(6.0,))),
    ),
    Pattern(Mish, (Node("Softplus"), Node("Tanh", (1,)), Node("Mul", (0, 2)))),
    *(
        Pattern(
            Gelu,
            (Node("Div", constants=(ROOT_2,)), Node("Erf", (1,)), Node("Add", (2,), constants=(1.0,)), *end),
        )
        for end in (
            (Node("Mul", (0, 3)), Node("Mul", (4,), constants=(0.5,))),
            (Node("Mul", constants=(0.5,)), Node("Mul", (4, 3))),
        )
    ),
)
"""Activations as PyTorch and others write them, beside the operators that they are in ONNX."""


def read_onnx_graph(path: Path) -> Described:
    """The network that an ONNX file describes."""
    content = read_onnx(path)
    file = f"{path} (ONNX)"
    if content.opset < OLDEST_OPSET:
        raise GraphError(f"{file}: it is of opset {content.opset}; from {OLDEST_OPSET} on they are read")
    name = plain_name(content.name.strip() or path.stem)
    name = path.stem if name in ("main_graph", "torch-jit-export", "torch_jit") else name
    return described_content(content, file, name, REASONS)


def described_content(
    content: OnnxFile, file: str, name: str, reasons: Mapping[str, str], blocks: tuple[str, ...] = ()
) -> Described:
    """The network of a graph.

    Args:
        content: nodes in order, and the numbers that they are given.
        file: where it is from, for errors.
        name: what the network is called.
        reasons: why kinds of nodes are not read, where there is more to say.
        blocks: starts of names of nodes that are one block each.
    """
    graph = Graph(file)
    reading = _Reading(graph, content, reasons)
    builder = reading.builder
    notes = [f"of its outputs, {plain_name(each)!r} is left out" for each in content.outputs[1:]]
    output = builder.value(reading.output, "output")
    wanted, more = stated_input(graph, builder.given, whole_bytes=content.whole_bytes)
    return described(graph, builder.images, builder.vector(output), Stated(name, wanted, (*notes, *more), blocks))


class _Reading:
    """Goes through the nodes of a graph in order: constants are computed, others become operations."""

    def __init__(self, graph: Graph, content: OnnxFile, reasons: Mapping[str, str]) -> None:
        self.constants: dict[str, Array] = dict(content.constants)
        images, shape = content.images
        self.output = content.outputs[0] if content.outputs else ""
        self.written: dict[str, Written] = {}
        self.computed = 0
        self.known = {images}
        self._check_order(graph, content)
        needed, self.activations = self._needed(content)
        strangers = [node for node in needed if node.outputs[0] not in self.activations]
        check_kinds(graph.file, _of_maps(strangers, content.constants), READ, reasons)
        self.builder = OnnxBuilder(graph, images, _images(graph, images, shape), content.constants)
        for node in needed:
            if found := self.activations.get(node.outputs[0]):
                self.builder.activation(node, *found)
            else:
                self._add(node)

    def _check_order(self, graph: Graph, content: OnnxFile) -> None:
        """Raise where a node reads what none before it gives: graphs of ONNX are sorted, and so have no cycles."""
        known = {content.images[0], "", *content.constants}
        for node in content.nodes:
            for name in node.inputs:
                if name not in known:
                    raise graph.refusal(
                        node.name, node.kind, f"it reads {plain_name(name)!r}, which no node before it gives"
                    )
            known.update(node.outputs)
        if not self.output or self.output not in known:
            raise GraphError(f"{graph.file}: none of its nodes gives its output, {plain_name(self.output)!r}")

    def _needed(self, content: OnnxFile) -> tuple[list[OnnxNode], dict[str, tuple[type, str]]]:
        """The nodes that the output depends on, in order; and which of them are activations of a value."""
        constants = content.constants
        makers = {node.outputs[0]: _written(node, constants) for node in content.nodes if node.outputs}
        wanted, kept = {self.output}, []
        activations: dict[str, tuple[type, str]] = {}
        for node in reversed(content.nodes):
            if not wanted.intersection(node.outputs):
                continue
            kept.append(node)
            found = _activation(makers[node.outputs[0]], makers)
            if found is not None:
                activations[node.outputs[0]] = found
                wanted.add(found[1])
            else:
                wanted.update(node.inputs)
        return kept[::-1], activations

    def _add(self, node: OnnxNode) -> None:
        builder = self.builder
        given = [name for name in node.inputs if name]
        if node.kind == "Shape" and given and given[0] not in builder.constants:
            shape = np.array([0, *builder.shape(given[0], node.name)])
            start, end = node.attributes.get("start", 0), node.attributes.get("end", len(shape))
            builder.constants[node.outputs[0]] = shape[start:end]
            return
        if given and all(name in builder.constants for name in given):
            found = folded(node.kind, [builder.constants[name] for name in given], node.attributes)
            if found is None:
                raise builder.graph.refusal(node.name, node.kind, "what it computes of constants is not known here")
            self.computed += found.size
            if self.computed > MOST_COMPUTED:
                raise GraphError(f"{builder.graph.file}: it computes more than {MOST_COMPUTED:,} constants")
            builder.constants[node.outputs[0]] = found
            return
        builder.add(node)


def _of_maps(nodes: Sequence[OnnxNode], constants: Collection[str]) -> Iterator[tuple[str, str]]:
    """Names and kinds of the nodes that are given what the images lead to, not only constants and shapes."""
    known = {"", *constants}
    for node in nodes:
        if node.kind == "Shape" or known.issuperset(node.inputs):
            known.update(node.outputs)
        else:
            yield node.name, node.kind


def _images(graph: Graph, name: str, shape: tuple[int | None, ...]) -> Value:
    """The images, channels first or last."""
    if len(shape) != 4:
        raise GraphError(
            f"{graph.file}: its input {plain_name(name)!r} has {len(shape)} sides; images have 4, the batch too"
        )
    last = shape[3] in (1, 3) and shape[1] not in (1, 3)
    sides = (shape[3], shape[1], shape[2]) if last else shape[1:]
    if None in sides:
        raise GraphError(
            f"{graph.file}: it doesn't say the size of its images ({' x '.join(str(side or '?') for side in sides)}); "
            "export it for images of one size"
        )
    return Value(graph.images([side for side in sides if side is not None]), last)


def _written(node: OnnxNode, constants: Mapping[str, Array]) -> Written:
    """A node for patterns: single numbers among its inputs apart."""
    values = tuple(name for name in node.inputs if name and name not in constants)
    arrays = [constants[name] for name in node.inputs if name in constants]
    numbers = tuple(float(array.reshape(-1)[0]) for array in arrays if array.size == 1 and array.dtype.kind in "fiu")
    reversed_ = node.kind not in ("Add", "Mul") and bool(node.inputs) and node.inputs[0] in constants
    if len(numbers) < len(arrays) or reversed_:  # 6 / x is not x / 6
        numbers = (float("nan"),)
    if node.kind == "Clip" and not numbers:
        numbers = tuple(float(node.attributes[key]) for key in ("min", "max") if key in node.attributes)
    return Written(node.name, node.kind, values, node.outputs[0], node.attributes, numbers)


def _same(written: Written, node: Node) -> bool:
    if len(written.constants) != len(node.constants) or not all(map(_close, written.constants, node.constants)):
        return False
    usual = {"alpha": 0.2, "beta": 0.5} if node.kind == "HardSigmoid" else {}
    attributes = {**usual, **written.attributes}
    if node.kind == "Gelu" and attributes.get("approximate", "none") != "none":
        return False
    return all(key in attributes and _close(attributes[key], value) for key, value in node.attributes.items())


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-6 * max(abs(one), abs(other))


def _activation(node: Written, makers: Mapping[str, Written]) -> tuple[type, str] | None:
    for pattern in sorted(PATTERNS, key=lambda each: -len(each.nodes)):
        if pattern.nodes[-1].kind == node.kind:
            given = match_pattern(pattern, node, makers, _same)
            if given is not None:
                return pattern.kind, given
    return None
