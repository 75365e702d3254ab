"""Tokens and attention in ncnn's layers. Tokens (T, C) are T rows; heads are the channels of ncnn's maps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepenough.frameworks.export import Array
from deepenough.nets.shapes import Visit

if TYPE_CHECKING:
    from deepenough.frameworks.ncnn import NcnnGraph

TRANSPOSED, ROWS_AND_CHANNELS = 1, 2
"""Orders of `Permute` that swap rows and columns, and rows and channels."""
SUM, PRODUCT = 0, 2
"""Operations of `BinaryOp`."""


def class_token_and_positions(graph: NcnnGraph, visit: Visit, value: str) -> str:
    """A map as rows, the class token above them, and the positions added."""
    path, (channels, height, width) = visit.path, visit.input
    parts: dict[str, Array] = {
        word: graph.export.state[f"{path}.{word}"][0] for word in visit.layer.tensors(visit.input)
    }
    names = iter([*[f"{path}.patches", f"{path}.rows"][: len(parts)], path])
    flat = graph.reshaped(f"{path}.flat", value, height * width, channels)
    tokens = graph.layer("Permute", next(names), [flat], {0: TRANSPOSED})
    if "class_token" in parts:
        token = graph.constant(f"{path}.class_token", parts["class_token"])
        tokens = graph.layer("Concat", next(names), [token, tokens], {0: 0})
    if "position" in parts:
        positions = graph.constant(f"{path}.position", parts["position"])
        tokens = graph.layer("BinaryOp", next(names), [tokens, positions], {0: SUM})
    return tokens


def attention(graph: NcnnGraph, visit: Visit, heads: int, value: str) -> str:
    """softmax(q k' / sqrt(width)) v for each head."""
    path, (count, channels) = visit.path, visit.output
    width = channels // heads
    parts = tuple(f"{path}.{name}" for name in ("queries", "keys", "values"))
    graph.layer("Slice", f"{path}.parts", [value], {0: [channels, channels, -233], 1: 1}, tops=parts)
    queries, keys, values = (
        graph.layer(
            "Permute",
            f"{part}.heads",
            [graph.reshaped(f"{part}.apart", part, width, heads, count)],
            {0: ROWS_AND_CHANNELS},
        )
        for part in parts
    )
    scaled = graph.layer("BinaryOp", f"{path}.scaled", [queries], {0: PRODUCT, 1: 1, 2: width**-0.5})
    scores = graph.layer("MatMul", f"{path}.scores", [scaled, keys], {0: 1})
    weights = graph.layer("Softmax", f"{path}.weights", [scores], {0: 2, 1: 1})
    found = graph.layer("MatMul", f"{path}.found", [weights, values])
    rows = graph.layer("Permute", f"{path}.rows", [found], {0: ROWS_AND_CHANNELS})
    return graph.reshaped(path, rows, channels, count)
