"""Tokens and attention in Core ML's operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepenough.nets.shapes import Visit

if TYPE_CHECKING:
    from deepenough.frameworks.coreml import CoremlGraph


def class_token_and_positions(graph: CoremlGraph, visit: Visit, value: Any) -> Any:
    """A map as rows, the class token above them, and the positions added."""
    path, mb, (channels, height, width) = visit.path, graph.mb, visit.input
    parts = visit.layer.tensors(visit.input)
    names = iter([graph.name(path, part) for part in ("patches", "rows")[: len(parts)]] + [graph.name(path)])
    flat = mb.reshape(x=value, shape=[1, channels, height * width], name=graph.name(path, "flat"))
    tokens = mb.transpose(x=flat, perm=[0, 2, 1], name=next(names))
    if "class_token" in parts:
        tokens = mb.concat(values=[graph.weight(f"{path}.class_token"), tokens], axis=1, name=next(names))
    if "position" in parts:
        tokens = mb.add(x=tokens, y=graph.weight(f"{path}.position"), name=next(names))
    return tokens


def attention(graph: CoremlGraph, visit: Visit, heads: int, value: Any) -> Any:
    """softmax(q k' / sqrt(width)) v for each head."""
    path, mb, (count, channels) = visit.path, graph.mb, visit.output
    width = channels // heads

    def of_heads(name: str, part: Any) -> Any:
        apart = mb.reshape(x=part, shape=[1, count, heads, width], name=graph.name(path, f"{name}_apart"))
        return mb.transpose(x=apart, perm=[0, 2, 1, 3], name=graph.name(path, name))

    parts = mb.split(x=value, num_splits=3, axis=2, name=graph.name(path, "parts"))
    queries, keys, values = map(of_heads, ("queries", "keys", "values"), parts)
    scaled = mb.mul(x=queries, y=np.float32(width**-0.5), name=graph.name(path, "scaled"))
    scores = mb.matmul(x=scaled, y=keys, transpose_y=True, name=graph.name(path, "scores"))
    weights = mb.softmax(x=scores, axis=-1, name=graph.name(path, "weights"))
    found = mb.matmul(x=weights, y=values, name=graph.name(path, "found"))
    rows = mb.transpose(x=found, perm=[0, 2, 1, 3], name=graph.name(path, "back"))
    return mb.reshape(x=rows, shape=[1, count, channels], name=graph.name(path))
