"""What is in a `.caffemodel`: layers in order with names, kinds, parameters and arrays."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.errors import DeepenoughError
from deepenough.weights.wire import Field, Fields, Message, WireError, decode, number, packed_floats

# Field numbers of BVLC's caffe.proto (proto2), as much of it as weights need.
SHAPE: Fields = {1: Field("dim", "int")}
BLOB: Fields = {
    1: Field("num", "int"), 2: Field("channels", "int"), 3: Field("height", "int"), 4: Field("width", "int"),
    5: Field("data", "float"), 7: Field("shape", SHAPE), 8: Field("double_data", "double"),
}  # fmt: skip
CONVOLUTION: Fields = {
    1: Field("num_output", "int"), 2: Field("bias_term", "bool"),
    3: Field("pad", "int"), 4: Field("kernel_size", "int"), 5: Field("group", "int"), 6: Field("stride", "int"),
    9: Field("pad_h", "int"), 10: Field("pad_w", "int"), 11: Field("kernel_h", "int"), 12: Field("kernel_w", "int"),
    13: Field("stride_h", "int"), 14: Field("stride_w", "int"), 18: Field("dilation", "int"),
}  # fmt: skip
LRN: Fields = {
    1: Field("local_size", "int"), 2: Field("alpha", "float"), 3: Field("beta", "float"),
    4: Field("norm_region", "int"), 5: Field("k", "float"),
}  # fmt: skip
POOLING: Fields = {
    1: Field("pool", ("MAX", "AVE", "STOCHASTIC")), 2: Field("kernel_size", "int"), 3: Field("stride", "int"),
    4: Field("pad", "int"), 12: Field("global_pooling", "bool"),
}  # fmt: skip
BATCH_NORM: Fields = {1: Field("use_global_stats", "bool"), 3: Field("eps", "float")}
SCALE: Fields = {4: Field("bias_term", "bool")}
INNER_PRODUCT: Fields = {1: Field("num_output", "int"), 2: Field("bias_term", "bool")}
DROPOUT: Fields = {1: Field("dropout_ratio", "float")}
POWER: Fields = {1: Field("power", "float"), 2: Field("scale", "float"), 3: Field("shift", "float")}
SLICE: Fields = {2: Field("slice_point", "int"), 3: Field("axis", "int")}
ELTWISE: Fields = {1: Field("operation", ("PROD", "SUM", "MAX"))}
CONCAT: Fields = {2: Field("axis", "int")}
INPUT: Fields = {1: Field("shape", SHAPE)}
LAYER: Fields = {
    1: Field("name", "text"), 2: Field("type", "text"), 3: Field("bottom", "text"), 4: Field("top", "text"),
    7: Field("blobs", BLOB), 104: Field("concat_param", CONCAT), 106: Field("convolution_param", CONVOLUTION),
    108: Field("dropout_param", DROPOUT), 110: Field("eltwise_param", ELTWISE),
    117: Field("inner_product_param", INNER_PRODUCT), 118: Field("lrn_param", LRN),
    121: Field("pooling_param", POOLING), 122: Field("power_param", POWER), 126: Field("slice_param", SLICE),
    139: Field("batch_norm_param", BATCH_NORM), 142: Field("scale_param", SCALE), 143: Field("input_param", INPUT),
}  # fmt: skip
V1_LAYER: Fields = {
    2: Field("bottom", "text"), 3: Field("top", "text"), 4: Field("name", "text"), 5: Field("type", "int"),
    6: Field("blobs", BLOB), 10: Field("convolution_param", CONVOLUTION), 18: Field("lrn_param", LRN),
    19: Field("pooling_param", POOLING),
}  # fmt: skip
NET: Fields = {1: Field("name", "text"), 2: Field("layers", V1_LAYER), 100: Field("layer", LAYER)}

V1_KINDS = {3: "Concat", 4: "Convolution", 6: "Dropout", 14: "InnerProduct", 15: "LRN", 17: "Pooling", 18: "ReLU"}
"""V1LayerParameter.LayerType, where the kind matters here."""


PARAMETERS = {
    "Convolution": "convolution_param", "LRN": "lrn_param", "Pooling": "pooling_param", "BatchNorm": "batch_norm_param",
}  # fmt: skip
"""Where the kinds whose definitions are compared state them."""


@dataclass(frozen=True, eq=False)
class CaffeLayer:
    """One layer. `arrays` are its blobs, views on the file; `parameters` is None where the file states none."""

    name: str
    kind: str
    arrays: tuple[np.ndarray[Any, Any], ...]
    parameters: Message | None


def layers(path: Path) -> list[CaffeLayer]:
    """The layers of a file in its order. A file that is no whole `NetParameter` is an error."""
    try:
        with path.open("rb") as file:
            net = decode(memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)), NET)
        return [_layer(entry) for entry in (*net.get("layers", ()), *net.get("layer", ()))]
    except WireError as error:
        raise DeepenoughError(f"{path} is not a whole .caffemodel file: {error}; fetch it again") from None


def _layer(entry: Message) -> CaffeLayer:
    kind = entry.get("type", [""])[-1]
    kind = V1_KINDS.get(kind, str(kind)) if isinstance(kind, int) else kind
    stated = PARAMETERS.get(kind, "")
    # A layer may leave every value at its default, and then its message is not written.
    parameters = entry[stated][-1] if entry.get(stated) else {} if kind in ("LRN", "BatchNorm") else None
    name = entry.get("name", [""])[-1]
    return CaffeLayer(name, kind, tuple(_array(blob, name) for blob in entry.get("blobs", ())), parameters)


def _array(blob: Message, layer: str) -> np.ndarray[Any, Any]:
    values = blob.get("data") or blob.get("double_data")
    array = packed_floats(values) if values else np.empty(0, np.float32)
    if blob.get("shape"):
        shape = tuple(blob["shape"][-1].get("dim", ()))
    else:  # before 2014-12 every blob had four sides
        shape = tuple(int(number(blob, side, 1)) for side in ("num", "channels", "height", "width"))
    if prod(shape) != array.size:
        raise WireError(f"layer {layer}: {array.size} numbers for a shape of {' x '.join(map(str, shape))}")
    return array.reshape(shape)
