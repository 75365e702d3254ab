"""Averages over the positions of a map that a module takes by a sum and a division, as our own networks do."""

from __future__ import annotations

from typing import Any

from torch.fx import Node

from deepenough.weights.graphs.torch_program import operator_of, shape_of


def is_average(given: Any) -> bool:
    """Tell whether a node is a sum over all positions of a map that is divided by their number wherever it is read."""
    if not isinstance(given, Node) or operator_of(given) != "sum" or len(given.args) < 2:
        return False
    image, axes = given.args[:2]
    assert isinstance(image, Node)
    sides = shape_of(image)
    if len(sides) != 4 or not isinstance(axes, (list, tuple)) or sorted(_place(axis) for axis in axes) != [2, 3]:
        return False
    area = sides[2] * sides[3]
    return not given.kwargs.get("dtype") and all(
        operator_of(user) == "div" and user.args == (given, area) and not user.kwargs.get("rounding_mode")
        for user in given.users
    )


def _place(axis: Any) -> int:
    """The place of an axis among those of images (N, C, H, W), which may be counted from the last."""
    return int(axis) % 4
