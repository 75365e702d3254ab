"""`nn.MultiheadAttention` as a whole: between its own lines it mixes images and tokens in one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor, nn
from torch.fx import Node

from deepenough.weights.graphs.torch_program import Operators, shape_of

KIND = f"{nn.MultiheadAttention.__module__}.{nn.MultiheadAttention.__qualname__}"


def attention_calls(writer: Operators) -> Mapping[Node, Sequence[Node]]:
    """The nodes of each call of an `nn.MultiheadAttention`, by the last of them."""
    calls: dict[str, list[Node]] = {}
    for node in writer.program.graph.nodes:
        stack = (node.meta.get("nn_module_stack") or {}) if node.op == "call_function" else {}
        call = next((call for call, (_, kind) in stack.items() if _is_attention(kind)), None)
        if call is not None:
            calls.setdefault(call, []).append(node)
    return {nodes[-1]: nodes for nodes in calls.values()}


def _is_attention(kind: object) -> bool:
    """Tell whether a class of modules, or its name, is torch's attention."""
    return kind in (KIND, nn.MultiheadAttention)


def write_attention(writer: Operators, nodes: Sequence[Node], module: nn.Module) -> None:
    """Write one call: projections, the attention of each head, and the projection of what it gives.

    Known is attention of tokens (N, T, C) between themselves, without a mask.
    """
    inside, last = set(nodes), nodes[-1]
    path = next(str(path) for path, kind in last.meta["nn_module_stack"].values() if _is_attention(kind))
    layer = module.get_submodule(path)
    assert isinstance(layer, nn.MultiheadAttention)
    given = {each for node in nodes for each in node.all_input_nodes if each not in inside}
    values = [each for each in given if isinstance(each.meta.get("val"), Tensor) and not writer.is_constant(each)]
    outputs = [node for node in nodes if any(user not in inside for user in node.users)]
    own = [writer.name_of(each).startswith(f"{path}.") for each in given if writer.is_constant(each)]
    if len(values) != 1 or len(outputs) != 1 or not all(own):
        raise writer.refusal(last, "it is given several values, or a mask; known is attention of tokens to themselves")
    (tokens,), (output,) = values, outputs
    extra = layer.in_proj_weight is None or layer.bias_k is not None or layer.add_zero_attn
    sides = shape_of(tokens)
    if extra or not layer.batch_first or len(sides) != 3 or sides != shape_of(output) or sides[0] != writer.batch:
        raise writer.refusal(last, "known are queries, keys and values of one size, with `batch_first=True`")
    if any(
        node.args[5:6] == (True,) or node.kwargs.get("is_causal") for node in nodes if "scaled_dot" in str(node.target)
    ):
        raise writer.refusal(last, "its attention is masked; known is attention between all tokens")
    _write(writer, output, writer.value(output, tokens), path, layer)


def _write(writer: Operators, output: Node, tokens: str, path: str, layer: nn.MultiheadAttention) -> None:
    name, heads, (_, count, width) = output.name, layer.num_heads, shape_of(output)
    shape = writer.constant(f"{name}.shape", np.array([0, count, 3, heads, width // heads]))
    weights = [
        _weight(writer, f"{path}.{word}") for word in ("in_proj_weight", "in_proj_bias") if _has(writer, path, word)
    ]
    projected = writer.emit(output, "Gemm", [tokens, *weights], f"{name}.projected", transB=1)
    apart = writer.emit(output, "Reshape", [projected, shape], f"{name}.apart")
    heads_first = writer.emit(output, "Transpose", [apart], f"{name}.heads", perm=[2, 0, 3, 1, 4])
    parts = []
    for place, word in enumerate(("queries", "keys", "values")):
        where = writer.constant(f"{name}.{place}", np.array(place))
        parts.append(writer.emit(output, "Gather", [heads_first, where], f"{name}.{word}", axis=0))
    found = writer.attend(output, parts, (width // heads) ** -0.5, f"{name}.found")
    rows = writer.emit(output, "Transpose", [found], f"{name}.rows", perm=[0, 2, 1, 3])
    whole = writer.constant(f"{name}.whole", np.array([0, count, width]))
    joined = writer.emit(output, "Reshape", [rows, whole], f"{name}.joined")
    last = [
        _weight(writer, f"{path}.out_proj.{word}")
        for word in ("weight", "bias")
        if _has(writer, path, f"out_proj.{word}")
    ]
    writer.emit(output, "Gemm", [joined, *last], transB=1)


def _has(writer: Operators, path: str, word: str) -> bool:
    return f"{path}.{word}" in writer.tensors


def _weight(writer: Operators, name: str) -> str:
    return writer.constant(name, writer.tensors[name].float())
