"""Graphs of `torch.export` as nodes of ONNX, which the reader of ONNX knows."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export.graph_signature import InputKind, OutputKind
from torch.fx import Node

from deepenough.weights.graphs.graph import Array, GraphError, plain_name
from deepenough.weights.graphs.onnx_file import OnnxFile, OnnxNode

if TYPE_CHECKING:
    from torch.export import ExportedProgram

OPSET = 20
"""The version of ONNX's operators that nodes are written in."""

VIEWS = frozenset({"alias", "chunk", "contiguous", "detach", "expand", "flatten", "getitem", "mT", "narrow", "permute",
                   "reshape", "select", "slice", "split", "split_with_sizes", "squeeze", "swapaxes", "swapdims", "t",
                   "tensor_split", "transpose", "unbind", "unflatten", "unsqueeze", "view", "view_as"})  # fmt: skip
"""Operators whose result may share its memory with what they are given."""


class Operators:
    """The nodes that one operator of torch is written as, and the constants that they are given.

    `batch` is the number of images that the graph was traced with. Values are called as the nodes of the graph that
    give them, constants after the parameters and buffers that they are.
    """

    def __init__(self, program: ExportedProgram, file: str, batch: int) -> None:
        self.program = program
        self.file = file
        self.batch = batch
        self.nodes: list[OnnxNode] = []
        self.constants: dict[str, Array] = {}
        self.tensors: dict[str, Tensor] = {}
        self.called: dict[Node, str] = {}
        self.parts: dict[Node, tuple[str, ...]] = {}

    def emit(self, node: Node, kind: str, inputs: Sequence[str], output: str = "", **attributes: Any) -> str:
        """Add a node of ONNX that stands for `node`, or for a step of it, and return the name of what it gives."""
        output = output or self.name_of(node)
        kept = {key: value for key, value in attributes.items() if value is not None}
        self.nodes.append(OnnxNode(self.module_path(node), kind, tuple(inputs), (output,), kept))
        return output

    def name_of(self, node: Node) -> str:
        """The name of the value that a node of the graph gives."""
        return self.called.get(node, node.name)

    def attend(self, node: Node, parts: Sequence[str], scale: float, output: str = "") -> str:
        """Add attention step by step: the scores of queries and keys, their softmax, and the values that it weighs."""
        query, key, value = parts
        across = self.emit(node, "Transpose", [key], f"{node.name}.across", perm=[0, 1, 3, 2])
        scores = self.emit(node, "MatMul", [query, across], f"{node.name}.scores")
        factor = self.constant(f"{node.name}.scale", np.float32(scale))
        scaled = self.emit(node, "Mul", [scores, factor], f"{node.name}.scaled")
        weights = self.emit(node, "Softmax", [scaled], f"{node.name}.weights", axis=-1)
        return self.emit(node, "MatMul", [weights, value], output)

    def constant(self, name: str, value: Any) -> str:
        """Add a constant, and return its name."""
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        self.constants[name] = array
        return name

    def given(self, node: Node, place: int, default: Any = None, key: str = "") -> Any:
        """The argument of a node at a place, or by its name."""
        if place < len(node.args):
            return node.args[place]
        return node.kwargs.get(key, default) if key else default

    def value(self, node: Node, argument: Any) -> str:
        """The name of a value or number that a node is given."""
        if isinstance(argument, Node):
            name = self.name_of(argument)
            if name in self.tensors and name not in self.constants:
                self.constant(name, self.tensors[name].float())
            return name
        if isinstance(argument, (bool, int, float)):
            return self.constant(f"{node.name}.{argument}", np.float32(argument))
        raise self.refusal(node, f"it is given {type(argument).__name__}")

    def is_constant(self, argument: Any) -> bool:
        """Tell whether an argument is a parameter, a buffer or what is computed of them."""
        return isinstance(argument, Node) and self.name_of(argument) in self.tensors

    def refusal(self, node: Node, why: str) -> GraphError:
        """The error for one node."""
        return GraphError(
            f"{self.file}: layer {plain_name(self.module_path(node))!r} of kind aten.{operator_of(node)}: {why}"
        )

    def module_path(self, node: Node) -> str:
        """The path of the module that an operator is the whole of, else that of the module around it with its name."""
        stack = node.meta.get("nn_module_stack") or {}
        path, kind = list(stack.values())[-1] if stack else ("", "")
        if path and (_is_leaf(kind) or node is self.last_joins.get(path)):
            return str(path)
        return f"{path}.{node.name}" if path else node.name

    @cached_property
    def last_joins(self) -> Mapping[str, Node]:
        """The last sum, product or concatenation that each module makes itself: where its branches end."""
        found: dict[str, Node] = {}
        for node in self.program.graph.nodes:
            if operator_of(node) in ("add", "mul", "cat") and (stack := node.meta.get("nn_module_stack")):
                found[next(reversed(stack.values()))[0]] = node
        return found


Writer = Callable[[Operators, Node], None]
"""A function that writes one operator."""

WRITERS: dict[str, Writer] = {}
"""The function that writes each operator; `torch_operators` and `torch_moves` have them."""


def writes(*names: str) -> Callable[[Writer], Writer]:
    """Note a function as the one that writes these operators."""

    def note(function: Writer) -> Writer:
        WRITERS.update(dict.fromkeys(names, function))
        return function

    return note


@writes("alias", "clone", "contiguous", "detach", "to", "_to_copy", "lift_fresh_copy", "feature_dropout")
def give_same(writer: Operators, node: Node) -> None:
    """Give what is given."""
    writer.called[node] = writer.value(node, args_of(node)[0])


def _is_leaf(kind: Any) -> bool:
    """Tell whether a class of modules is one of torch's layers and not a container."""
    name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    return name.startswith("torch.nn.modules.") and ".container." not in name


def operator_of(node: Node) -> str:
    """The operator of a node, without its overload and the underscore of operators that work in place."""
    if node.target is operator.getitem:
        return "getitem"
    name = str(getattr(node.target, "_opname", "") or getattr(node.target, "__name__", node.target))
    return name.rstrip("_") if not name.startswith("_") else name


def args_of(node: Node) -> tuple[Any, ...]:
    """The arguments of a node by their places."""
    return node.args


def shape_of(node: Node) -> tuple[int, ...]:
    """The shape of what a node gives, the batch too."""
    return tuple(map(int, node.meta["val"].shape))


def program_content(program: ExportedProgram, module: nn.Module, file: str, batch: int) -> OnnxFile:
    """The nodes and constants of a graph that `torch.export` took of a module, of images (N, C, H, W), N being
    `batch`."""
    from deepenough.weights.graphs.torch_attention import attention_calls, write_attention

    writer = Operators(program, file, batch)
    images = _inputs(writer)
    graph = program.graph
    attention = attention_calls(writer)
    written = {node for nodes in attention.values() for node in nodes}
    order = {node: place for place, node in enumerate(graph.nodes)}
    roots: dict[Node, Node] = {}
    for node in graph.nodes:
        if node in attention:
            write_attention(writer, attention[node], module)
        if node.op != "call_function" or node in written:
            continue
        kind = operator_of(node)
        first = node.args[0] if node.args and isinstance(node.args[0], Node) else None
        roots[node] = roots.get(first, first) if first is not None and kind in VIEWS else node
        if not _computed(writer, node):
            WRITERS.get(kind, _unknown)(writer, node)
        if first is not None and str(getattr(node.target, "_opname", "")) == f"{kind}_":
            _check_views(writer, node, first, roots, order)
            writer.called[first] = writer.name_of(node)
            roots[node] = roots.get(first, first)
    outputs = [spec.arg.name for spec in program.graph_signature.output_specs if spec.kind is OutputKind.USER_OUTPUT]
    ends = {node.name: writer.name_of(node) for node in graph.nodes}
    return OnnxFile(
        type(module).__name__, OPSET, tuple(writer.nodes), writer.constants, (images.name, shape_of(images)), False,
        tuple(ends.get(output, output) for output in outputs), {},
    )  # fmt: skip


def _inputs(writer: Operators) -> Node:
    """Note parameters and buffers by their paths, and return the node of the images."""
    program = writer.program
    nodes = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    images: list[Node] = []
    for spec in program.graph_signature.input_specs:
        node = nodes[spec.arg.name]
        if spec.kind is InputKind.USER_INPUT:
            images.append(node)
            continue
        found = program.state_dict.get(spec.target, program.constants.get(spec.target))
        if not isinstance(found, Tensor):
            raise GraphError(f"{writer.file}: it is given {plain_name(str(spec.target))}, which is no tensor")
        writer.tensors[str(spec.target)] = found.detach().cpu()
        writer.called[node] = str(spec.target)
    if len(images) != 1:
        raise GraphError(f"{writer.file}: it has {len(images)} inputs; expected one, the images")
    return images[0]


def _computed(writer: Operators, node: Node) -> bool:
    """Compute what depends on parameters and buffers alone: weights that are normalised, positions that are moved."""
    nodes = [each for each in node.all_input_nodes if isinstance(each.meta.get("val"), Tensor)]
    if operator_of(node) == "getitem" or not isinstance(node.meta.get("val"), Tensor):
        return False
    if not all(map(writer.is_constant, nodes)):
        return False
    if operator_of(node) in ("expand", "repeat") and shape_of(node) == (writer.batch, *shape_of(nodes[0])[1:]):
        writer.called[node] = writer.name_of(nodes[0])  # one for all images
        return True
    if not nodes and "rand" in operator_of(node):
        raise _random(writer, node)

    def tensor(each: Node) -> Tensor:
        return writer.tensors[writer.name_of(each)]

    args, kwargs = torch.fx.map_arg((node.args, dict(node.kwargs)), tensor)
    kwargs = {key: value for key, value in kwargs.items() if key not in ("device", "pin_memory")}
    with torch.no_grad():
        writer.tensors[node.name] = node.target(*args, **kwargs)  # type: ignore[operator]
    return True


def _check_views(
    writer: Operators, node: Node, changed: Node, roots: Mapping[Node, Node], order: Mapping[Node, int]
) -> None:
    """Raise where a value that is changed in place is read later by another view of the same memory."""
    root = roots.get(changed, changed)
    for other in [root, *(each for each, of in roots.items() if of is root)]:
        if other in (changed, node):
            continue
        if any(order[user] > order[node] for user in other.users):
            raise writer.refusal(node, "it changes in place what is read again under another shape")


def _random(writer: Operators, node: Node) -> GraphError:
    return writer.refusal(
        node, "it draws random numbers, in evaluation, too; leave it out where `self.training` is off"
    )


def _unknown(writer: Operators, node: Node) -> None:
    """Write an operator that is not known; what reads it says so with all others."""
    if "rand" in operator_of(node) or "bernoulli" in operator_of(node):
        raise _random(writer, node)
    if not isinstance(node.meta.get("val"), Tensor):
        if any(isinstance(user.meta.get("val"), Tensor) for user in node.users):
            writer.emit(node, f"aten.{operator_of(node)}", [writer.value(node, each) for each in node.all_input_nodes])
        return
    inputs = [each for each in node.all_input_nodes if isinstance(each.meta.get("val"), Tensor)]
    writer.emit(node, f"aten.{operator_of(node)}", [writer.value(node, each) for each in inputs])
