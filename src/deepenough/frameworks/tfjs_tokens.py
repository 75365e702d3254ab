"""Tokens and attention in TensorFlow.js' operators. Tokens are (N, T, C), heads (N, heads, T, C / heads)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepenough.nets.layers import Dense
from deepenough.nets.shapes import Visit

if TYPE_CHECKING:
    from deepenough.frameworks.tfjs import TfjsGraph


def class_token_and_positions(graph: TfjsGraph, visit: Visit, value: str) -> str:
    """Leave room for the class token, and add it with the positions."""
    path, (channels, height, width), added = visit.path, visit.input, graph.export.added_to_tokens(visit)
    tokens = graph.reshaped(path, "" if added is None else "patches", value, [-1, height * width, channels])
    if added is None:
        return tokens
    if visit.output[0] > height * width:
        pads, zero = graph.constant(path, "pads", [[0, 0], [1, 0], [0, 0]]), graph.constant(path, "edge", 0.0)
        tokens = graph.node("PadV2", path, "room", [tokens, pads, zero])
    return graph.node("AddV2", path, "", [tokens, graph.constant(path, "position", added)])


def each_token(graph: TfjsGraph, visit: Visit, layer: Dense, value: str) -> str:
    """A dense layer for each token: tokens of all images are the rows of one matrix."""
    path, (count, channels) = visit.path, visit.input
    rows = graph.reshaped(path, "rows", value, [-1, channels])
    matrix = graph.weight(path, "weight", graph.export.state[f"{path}.weight"].T)
    product = graph.node("MatMul", path, "product", [rows, matrix])
    if layer.bias:
        product = graph.node("BiasAdd", path, "biased", [product, graph.tensor(path, "bias")])
    return graph.reshaped(path, "", product, [-1, count, layer.out])


def attention(graph: TfjsGraph, visit: Visit, heads: int, value: str) -> str:
    """softmax(q k' / sqrt(width)) v for each head."""
    path, (count, channels) = visit.path, visit.output
    width = channels // heads
    split = graph.node("Split", path, "parts", [graph.constant(path, "parts.axis", 2), value], num_split=3)
    swap = graph.constant(path, "heads.axes", [0, 2, 1, 3])
    queries, keys, values = (
        graph.node(
            "Transpose", path, name, [graph.reshaped(path, f"{name}.apart", part, [-1, count, heads, width]), swap]
        )
        for name, part in (("queries", split), ("keys", f"{split}:1"), ("values", f"{split}:2"))
    )
    scaled = graph.node("Mul", path, "scaled", [queries, graph.constant(path, "factor", width**-0.5)])
    scores = graph.node("BatchMatMulV2", path, "scores", [scaled, keys], adj_x=False, adj_y=True)
    weights = graph.node("Softmax", path, "weights", [scores])
    found = graph.node("BatchMatMulV2", path, "found", [weights, values], adj_x=False, adj_y=False)
    return graph.reshaped(path, "", graph.node("Transpose", path, "rows", [found, swap]), [-1, count, channels])


def first_token(graph: TfjsGraph, visit: Visit, value: str) -> str:
    """The class token (N, C)."""
    path, (channels,) = visit.path, visit.output
    corner, size = graph.constant(path, "begin", [0, 0, 0]), graph.constant(path, "size", [-1, 1, -1])
    row = graph.node("Slice", path, "token", [value, corner, size], Index="DT_INT32")
    return graph.reshaped(path, "", row, [-1, channels])
