"""The content of a `.caffemodel`: layers in order with names, kinds, parameters and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.errors import DeepenoughError
from deepenough.weights.caffe_messages import V1_TYPES, message

_SHORT = {"INNER_PRODUCT": "InnerProduct", "LRN": "LRN", "RELU": "ReLU", "TANH": "TanH", "MVN": "MVN", "BNLL": "BNLL",
          "SOFTMAX_LOSS": "SoftmaxWithLoss"}  # fmt: skip

V0_KINDS = {
    "conv": "Convolution", "pool": "Pooling", "innerproduct": "InnerProduct", "lrn": "LRN", "relu": "ReLU",
    "dropout": "Dropout", "softmax": "Softmax", "softmax_loss": "SoftmaxWithLoss", "concat": "Concat",
    "flatten": "Flatten", "split": "Split", "data": "Data", "images": "ImageData", "hdf5_data": "HDF5Data",
    "sigmoid": "Sigmoid", "tanh": "TanH", "accuracy": "Accuracy", "padding": "Padding", "power": "Power",
}  # fmt: skip
"""The kinds of before 2014-04 as those that were given names later. "Padding" became a number of the convolution."""

V1_KINDS = {number: _SHORT.get(word, word.title().replace("_", "")) for number, word in enumerate(V1_TYPES)}
"""V1LayerParameter.LayerType as the kinds that were given names later."""

PARAMETERS = {
    "Convolution": "convolution_param", "LRN": "lrn_param", "Pooling": "pooling_param", "BatchNorm": "batch_norm_param",
}  # fmt: skip
"""The fields with the definitions of the kinds of layers whose definitions are compared."""

PARAMETERS_OF_WEIGHTED = {"Convolution": "convolution_param", "InnerProduct": "inner_product_param"}
"""The fields in which the kinds of layers with weights state whether they have a bias."""


LARGEST_FILE = 2**31
"""Bytes of the largest message that protocol buffers know."""

MOST_NAMES = 1_000
"""Values that a layer may read and give, or a net be given."""

MOST_LAYERS, MOST_BLOBS, MOST_PIECES, MOST_SIDES = 10_000, 16, 1_000, 32
"""Layers of a file, blobs of a layer, pieces in which a blob's numbers are written, sides of a blob. ResNet-152 has
about 670 layers, and a batch norm three blobs."""


@dataclass(frozen=True, eq=False)
class CaffeLayer:
    """One layer. `arrays` are its blobs; `parameters` is a message, None where the file states none.

    `bottoms` and `tops` are the names of what it reads and gives, `stated` is its whole message without blobs.
    """

    name: str
    kind: str
    arrays: tuple[npt.NDArray[np.float32], ...]
    parameters: Any | None
    bottoms: tuple[str, ...] = ()
    tops: tuple[str, ...] = ()
    stated: Any = None


@dataclass(frozen=True, eq=False)
class CaffeNet:
    """The layers of a net in order, its name, and the names and shapes of what it is given, where it says so."""

    name: str
    layers: tuple[CaffeLayer, ...]
    inputs: tuple[str, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()


def layers(path: Path) -> list[CaffeLayer]:
    """Read the layers of a file in its order. A file that is no whole `NetParameter` is an error."""
    return list(read_net(path).layers)


def read_net(path: Path) -> CaffeNet:
    """Read a whole file, as `layers` does."""
    from google.protobuf.message import DecodeError

    try:
        if path.stat().st_size >= LARGEST_FILE:
            raise ValueError(f"it has {path.stat().st_size:,} bytes, and the format ends at {LARGEST_FILE:,}")
        net = message("NetParameter").FromString(path.read_bytes())
        _check_count("layers", len(net.layers) + len(net.layer), MOST_LAYERS)
        _check_count("inputs", len(net.input) + len(net.input_dim) + len(net.input_shape), MOST_NAMES)
        old = (_v1_layer(message("V1LayerParameter").FromString(entry)) for entry in net.layers)
        new = (_layer(message("LayerParameter").FromString(entry)) for entry in net.layer)
        shapes = [tuple(message("BlobShape").FromString(shape).dim) for shape in net.input_shape]
        return CaffeNet(text_of(net.name), (*old, *new), tuple(map(text_of, net.input)), input_shapes(net, shapes))
    except (DecodeError, ValueError) as error:
        raise DeepenoughError(f"{path} is not a whole .caffemodel file: {error}; fetch it again") from None


def input_shapes(net: Any, shapes: list[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """The shapes of what a net is given: `shapes`, or four numbers for each, as before 2015."""
    sides = list(net.input_dim)
    return tuple(shapes) or tuple(tuple(sides[first : first + 4]) for first in range(0, len(sides), 4))


def text_of(name: bytes) -> str:
    """A name, whatever its encoding."""
    return name.decode("utf-8", "replace")


def _check_count(things: str, count: int, most: int) -> None:
    if count > most:
        raise ValueError(f"it has {count:,} {things}, and at most {most:,} are read")


def _v1_layer(entry: Any) -> CaffeLayer:
    """Read a layer of before 2014-12, whose kind is a number, or of before 2014-04."""
    if entry.HasField("layer"):
        return v0_layer(message("V0LayerParameter").FromString(entry.layer), entry.bottom, entry.top)
    return _of_kind(entry, V1_KINDS.get(entry.type, str(entry.type)))


def _layer(entry: Any) -> CaffeLayer:
    return _of_kind(entry, text_of(entry.type))


def _of_kind(entry: Any, kind: str) -> CaffeLayer:
    name, arrays = text_of(entry.name), _arrays(entry)
    entry.ClearField("blobs")  # which would stay in memory beside the arrays
    stated, parameters = PARAMETERS.get(kind), None
    # A layer may leave every value at its default, and then its message is not written.
    if stated and (entry.HasField(stated) or kind in ("LRN", "BatchNorm")):
        parameters = getattr(entry, stated)
    _check_count(f"inputs and outputs in layer {name}", len(entry.bottom) + len(entry.top), MOST_NAMES)
    return CaffeLayer(
        name, kind, arrays, parameters, tuple(map(text_of, entry.bottom)), tuple(map(text_of, entry.top)), entry
    )


def v0_layer(old: Any, bottoms: Sequence[bytes], tops: Sequence[bytes]) -> CaffeLayer:
    """Read a layer of before 2014-04, whose parameters are not sorted by kind, as a later one."""
    word = text_of(old.type)
    kind = V0_KINDS.get(word, word)
    entry = message("LayerParameter")(name=old.name, bottom=bottoms, top=tops)
    match kind:
        case "Convolution":
            entry.convolution_param.num_output = old.num_output
            entry.convolution_param.group = old.group or 1
            for key, value in (("kernel_size", old.kernelsize), ("stride", old.stride), ("pad", old.pad)):
                getattr(entry.convolution_param, key).append(value)
        case "Pooling":
            for key, value in (("pool", old.pool), ("kernel_size", old.kernelsize), ("stride", old.stride)):
                setattr(entry.pooling_param, key, value)
            entry.pooling_param.pad = old.pad
        case "InnerProduct":
            entry.inner_product_param.num_output = old.num_output
        case "LRN":
            for key in ("local_size", "alpha", "beta", "k"):
                setattr(entry.lrn_param, key, getattr(old, key))
        case "Padding":
            entry.convolution_param.pad.append(old.pad)
        case "Dropout":
            entry.dropout_param.dropout_ratio = old.dropout_ratio
        case "Concat":
            entry.concat_param.concat_dim = old.concat_dim
    if kind in ("Convolution", "InnerProduct") and old.HasField("biasterm"):
        getattr(entry, PARAMETERS_OF_WEIGHTED[kind]).bias_term = old.biasterm
    if old.HasField("scale") or old.HasField("meanfile") or old.HasField("cropsize"):
        entry.transform_param.scale, entry.transform_param.crop_size = old.scale, old.cropsize
        if old.meanfile:
            entry.transform_param.mean_file = old.meanfile
    read = _of_kind(entry, kind)
    return replace(read, arrays=_arrays(old)) if hasattr(old, "blobs") else read


def _arrays(entry: Any) -> tuple[npt.NDArray[np.float32], ...]:
    name = text_of(entry.name)
    _check_count(f"blobs in layer {name}", len(entry.blobs), MOST_BLOBS)
    return tuple(_array(message("BlobProto").FromString(blob), name) for blob in entry.blobs)


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
