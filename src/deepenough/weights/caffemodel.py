"""What is in a `.caffemodel`: layers in order with names, kinds, parameters and arrays."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.errors import DeepenoughError
from deepenough.weights.caffe_messages import message

V1_KINDS = {3: "Concat", 4: "Convolution", 6: "Dropout", 14: "InnerProduct", 15: "LRN", 17: "Pooling", 18: "ReLU"}
"""V1LayerParameter.LayerType, where the kind matters here."""


PARAMETERS = {
    "Convolution": "convolution_param", "LRN": "lrn_param", "Pooling": "pooling_param", "BatchNorm": "batch_norm_param",
}  # fmt: skip
"""Where the kinds whose definitions are compared state them."""


@dataclass(frozen=True, eq=False)
class CaffeLayer:
    """One layer. `arrays` are its blobs; `parameters` is a message, None where the file states none."""

    name: str
    kind: str
    arrays: tuple[npt.NDArray[np.float32], ...]
    parameters: Any | None


def layers(path: Path) -> list[CaffeLayer]:
    """The layers of a file in its order. A file that is no whole `NetParameter` is an error."""
    from google.protobuf.message import DecodeError

    try:
        net = message("NetParameter").FromString(path.read_bytes())
        return [_layer(entry) for entry in (*net.layers, *net.layer)]
    except (DecodeError, ValueError) as error:
        raise DeepenoughError(f"{path} is not a whole .caffemodel file: {error}; fetch it again") from None


def _layer(entry: Any) -> CaffeLayer:
    name = _text(entry.name)
    kind = V1_KINDS.get(entry.type, str(entry.type)) if isinstance(entry.type, int) else _text(entry.type)
    stated, parameters = PARAMETERS.get(kind), None
    # A layer may leave every value at its default, and then its message is not written.
    if stated and (entry.HasField(stated) or kind in ("LRN", "BatchNorm")):
        part = getattr(entry, stated)
        parameters = type(part)()
        parameters.CopyFrom(part)  # the part itself would keep the whole file in memory
    return CaffeLayer(name, kind, tuple(_array(blob, name) for blob in entry.blobs), parameters)


def _text(value: str | bytes) -> str:
    """A string, which protobuf gives as bytes where it is not UTF-8."""
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _array(blob: Any, layer: str) -> npt.NDArray[np.float32]:
    # Before 2014-12 every blob had four sides.
    sides = blob.shape.dim if blob.HasField("shape") else (blob.num, blob.channels, blob.height, blob.width)
    shape, values = tuple(sides), _values(blob)
    if min(shape, default=0) < 0 or prod(shape) != values.size:
        raise ValueError(f"layer {layer}: {values.size} numbers for a shape of {' x '.join(map(str, shape))}")
    return values.reshape(shape)


def _values(blob: Any) -> npt.NDArray[np.float32]:
    for parts, kind in ((blob.data, "<f4"), (blob.double_data, "<f8")):
        if parts:
            return np.frombuffer(b"".join(parts), kind).astype(np.float32)
    loose = message("LooseBlob").FromString(blob.SerializeToString())
    return np.fromiter(loose.data or loose.double_data, np.float32)
