"""Layers that frameworks compute otherwise than deepenough, or not at all, and the errors that say so."""

from __future__ import annotations

from deepenough.errors import DeepenoughError
from deepenough.frameworks.export import overhang
from deepenough.nets.layers import AvgPool, Conv, Lrn
from deepenough.nets.shapes import Visit


def has_no_centre(visit: Visit, framework: str) -> str | None:
    """The reason against a response normalisation over an even number of channels: frameworks centre it otherwise."""
    if isinstance(visit.layer, Lrn) and visit.layer.size % 2 == 0:
        return f"Lrn({visit.layer.size}) has no centre; {framework} takes an odd number of channels"
    return None


def averages_beyond(visit: Visit, framework: str) -> str | None:
    """The reason against an average over windows that reach beyond the padding, where frameworks divide otherwise."""
    pool = visit.layer
    if isinstance(pool, AvgPool) and any(overhang(visit, axis) > pool.padding for axis in (1, 2)):
        return (
            f"{pool!r} on {visit.input} has windows that reach beyond the image, whose mean {framework} takes "
            "otherwise; choose a size that they fit into"
        )
    return None


def strides_and_dilates(visit: Visit) -> str | None:
    """The reason against a convolution with a stride and a dilation, which TensorFlow and so Keras lack."""
    layer = visit.layer
    if isinstance(layer, Conv) and layer.stride > 1 and layer.dilation > 1:
        return f"{layer!r} has a stride and a dilation; Keras takes one of them"
    return None


def unknown_layer(visit: Visit, framework: str) -> DeepenoughError:
    """The error for a kind of layer that nobody has written for a framework yet."""
    return DeepenoughError(f"{visit.path}: a layer {visit.layer.kind} can't be written for {framework}")
