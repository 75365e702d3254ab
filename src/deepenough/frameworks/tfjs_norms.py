"""Norms in TensorFlow.js' operators, which has one for batch norms alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from deepenough.nets.layers import GroupNorm
from deepenough.nets.shapes import Visit

if TYPE_CHECKING:
    from deepenough.frameworks.tfjs import TfjsGraph


def batch_norm(graph: TfjsGraph, visit: Visit, eps: float, value: str) -> str:
    """A norm of channels; features are maps of one position for it."""
    path, features = visit.path, len(visit.input) == 1
    if features:
        value = graph.reshaped(path, "map", value, [-1, 1, 1, visit.input[0]])
    given = [value, *(graph.tensor(path, part) for part in ("weight", "bias", "running_mean", "running_var"))]
    stated = {"U": "DT_FLOAT", "epsilon": float(eps), "is_training": False}
    normed = graph.node("FusedBatchNormV3", path, "norm" if features else "", given, **stated)
    return graph.reshaped(path, "", normed, [-1, visit.input[0]]) if features else normed


def layer_norm(graph: TfjsGraph, visit: Visit, eps: float, value: str) -> str:
    """A norm over the channels of each position, token or image."""
    return _scaled(graph, visit.path, _standardised(graph, visit.path, value, [-1], eps))


def group_norm(graph: TfjsGraph, visit: Visit, layer: GroupNorm, value: str) -> str:
    """A norm over each group of channels, which have an axis of their own for it: (N, H * W, groups, rest)."""
    path, (channels, height, width) = visit.path, visit.input
    groups = graph.reshaped(path, "groups", value, [-1, height * width, layer.groups, channels // layer.groups])
    normed = _standardised(graph, path, groups, [1, 3], layer.eps)
    return _scaled(graph, path, graph.reshaped(path, "map", normed, [-1, height, width, channels]))


def _standardised(graph: TfjsGraph, path: str, value: str, axes: Sequence[int], eps: float) -> str:
    """(value - mean) / sqrt(variance + eps) over some axes."""
    over = graph.constant(path, "axes", axes)
    mean = graph.node("Mean", path, "mean", [value, over], keep_dims=True)
    centred = graph.node("Sub", path, "centred", [value, mean])
    squares = graph.node("Square", path, "squares", [centred])
    variance = graph.node("Mean", path, "variance", [squares, over], keep_dims=True)
    above_zero = graph.node("AddV2", path, "above_zero", [variance, graph.constant(path, "eps", float(eps))])
    return graph.node("Mul", path, "normed", [centred, graph.node("Rsqrt", path, "factor", [above_zero])])


def _scaled(graph: TfjsGraph, path: str, value: str) -> str:
    """Apply a norm's factors and shifts of the channels."""
    product = graph.node("Mul", path, "scaled", [value, graph.tensor(path, "weight")])
    return graph.node("AddV2", path, "", [product, graph.tensor(path, "bias")])
