"""The content of a `.caffemodel`: layers in order with names, kinds, parameters and arrays."""

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


LARGEST_FILE = 2**31
"""Bytes of the largest message that protocol buffers know."""

MOST_LAYERS, MOST_BLOBS, MOST_PIECES, MOST_SIDES = 10_000, 16, 1_000, 32
"""Layers of a file, blobs of a layer, pieces in which a blob's numbers are written, sides of a blob. ResNet-152 has
about 670 layers, and a batch norm three blobs."""


@dataclass(frozen=True, eq=False)
class CaffeLayer:
    """One layer. `arrays` are its blobs; `parameters` is a message, None where the file states none."""

    name: str
    kind: str
    arrays: tuple[npt.NDArray[np.float32], ...]
    parameters: Any | None


def layers(path: Path) -> list[CaffeLayer]:
    """Read the layers of a file in its order. A file that is no whole `NetParameter` is an error."""
    from google.protobuf.message import DecodeError

    try:
        if path.stat().st_size >= LARGEST_FILE:
            raise ValueError(f"it has {path.stat().st_size:,} bytes, and the format ends at {LARGEST_FILE:,}")
        net = message("NetParameter").FromString(path.read_bytes())
        _check_count("layers", len(net.layers) + len(net.layer), MOST_LAYERS)
        old = (_v1_layer(message("V1LayerParameter").FromString(entry)) for entry in net.layers)
        return [*old, *(_layer(message("LayerParameter").FromString(entry)) for entry in net.layer)]
    except (DecodeError, ValueError) as error:
        raise DeepenoughError(f"{path} is not a whole .caffemodel file: {error}; fetch it again") from None


def _check_count(things: str, count: int, most: int) -> None:
    if count > most:
        raise ValueError(f"it has {count:,} {things}, and at most {most:,} are read")


def _v1_layer(entry: Any) -> CaffeLayer:
    """Read a layer of before 2014-12, whose kind is a number."""
    return _of_kind(entry, V1_KINDS.get(entry.type, str(entry.type)))


def _layer(entry: Any) -> CaffeLayer:
    return _of_kind(entry, entry.type.decode("utf-8", "replace"))


def _of_kind(entry: Any, kind: str) -> CaffeLayer:
    name = entry.name.decode("utf-8", "replace")
    stated, parameters = PARAMETERS.get(kind), None
    # A layer may leave every value at its default, and then its message is not written.
    if stated and (entry.HasField(stated) or kind in ("LRN", "BatchNorm")):
        part = getattr(entry, stated)
        parameters = type(part)()
        parameters.CopyFrom(part)  # the part itself would keep the layer's blobs in memory
    _check_count(f"blobs in layer {name}", len(entry.blobs), MOST_BLOBS)
    return CaffeLayer(
        name, kind, tuple(_array(message("BlobProto").FromString(b), name) for b in entry.blobs), parameters
    )


def _array(blob: Any, layer: str) -> npt.NDArray[np.float32]:
    # Before 2014-12 every blob had four sides.
    sides = blob.shape.dim if blob.HasField("shape") else (blob.num, blob.channels, blob.height, blob.width)
    _check_count(f"sides to a blob of layer {layer}", len(sides), MOST_SIDES)
    shape, values = tuple(sides), _values(blob, layer)
    if min(shape, default=0) < 0 or prod(shape) != values.size:
        raise ValueError(f"layer {layer}: {values.size} numbers for a shape of {' x '.join(map(str, shape))}")
    return values.reshape(shape)


def _values(blob: Any, layer: str) -> npt.NDArray[np.float32]:
    for pieces, kind in ((blob.data, "<f4"), (blob.double_data, "<f8")):
        _check_count(f"pieces of a blob of layer {layer}", len(pieces), MOST_PIECES)
        if pieces:
            return np.frombuffer(b"".join(pieces), kind).astype(np.float32)
    loose = message("LooseBlob").FromString(blob.SerializeToString())
    return np.fromiter(loose.data or loose.double_data, np.float32)
