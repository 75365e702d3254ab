"""Caffe's messages for protocol buffers: as much of BVLC's caffe.proto (proto2) as is read or written here.

It differs from caffe.proto in nothing that shows in a file. Layers and blobs are bytes, each of which is a message of
its own: a stranger's file may hold millions of empty ones, and a message takes a hundred times the bytes that it is
written with, so they are counted before they are parsed. A blob's numbers are the bytes of packed numbers, since a
repeated float costs 80 ns and, on the way from NumPy, 32 bytes for each of the 61 million numbers of an AlexNet. Names
are bytes, since old files have them in other encodings than UTF-8.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

Fields = Mapping[str, tuple[Any, ...]]
"""The fields of a message by name: number and type, where it matters here also the default. Others are skipped."""

CAFFE_MESSAGES: Mapping[str, Fields] = {
    "BlobShape": {"dim": (1, "repeated int64 packed")},
    "BlobProto": {
        "num": (1, "int32", "1"), "channels": (2, "int32", "1"),
        "height": (3, "int32", "1"), "width": (4, "int32", "1"),
        "data": (5, "repeated bytes"), "shape": (7, "BlobShape"), "double_data": (8, "repeated bytes"),
    },
    # Numbers that were not packed, which a parser has to accept too.
    "LooseBlob": {"data": (5, "repeated float"), "double_data": (8, "repeated double")},
    "ConvolutionParameter": {
        "num_output": (1, "uint32"), "bias_term": (2, "bool"), "pad": (3, "repeated uint32"),
        "kernel_size": (4, "repeated uint32"), "group": (5, "uint32"), "stride": (6, "repeated uint32"),
        "pad_h": (9, "uint32"), "pad_w": (10, "uint32"), "kernel_h": (11, "uint32"), "kernel_w": (12, "uint32"),
        "stride_h": (13, "uint32"), "stride_w": (14, "uint32"), "dilation": (18, "repeated uint32"),
    },
    "LRNParameter": {
        "local_size": (1, "uint32", "5"), "alpha": (2, "float", "1"), "beta": (3, "float", "0.75"),
        "norm_region": (4, "int32", "0"), "k": (5, "float", "1"),
    },
    "PoolingParameter": {
        "pool": (1, "enum MAX AVE STOCHASTIC"), "kernel_size": (2, "uint32"), "stride": (3, "uint32", "1"),
        "pad": (4, "uint32"), "global_pooling": (12, "bool"),
    },
    "BatchNormParameter": {"use_global_stats": (1, "bool"), "eps": (3, "float", "1e-5")},
    "ScaleParameter": {"axis": (1, "int32", "1"), "bias_term": (4, "bool")},
    "InnerProductParameter": {"num_output": (1, "uint32"), "bias_term": (2, "bool")},
    "DropoutParameter": {"dropout_ratio": (1, "float")},
    "PowerParameter": {"power": (1, "float"), "scale": (2, "float"), "shift": (3, "float")},
    "SliceParameter": {"slice_point": (2, "repeated uint32"), "axis": (3, "int32")},
    "EltwiseParameter": {"operation": (1, "enum PROD SUM MAX"), "coeff": (2, "repeated float")},
    "ConcatParameter": {"axis": (2, "int32")},
    "InputParameter": {"shape": (1, "BlobShape")},
    "NetStateRule": {"phase": (1, "enum TRAIN TEST")},
    "TransformationParameter": {"scale": (1, "float"), "mean_value": (5, "repeated float")},
    "ImageDataParameter": {
        "source": (1, "bytes"), "batch_size": (4, "uint32"), "shuffle": (8, "bool"), "new_height": (9, "uint32"),
        "new_width": (10, "uint32"), "is_color": (11, "bool"),
    },
    "LayerParameter": {
        "name": (1, "bytes"), "type": (2, "bytes"), "bottom": (3, "repeated bytes"), "top": (4, "repeated bytes"),
        "blobs": (7, "repeated bytes"), "include": (8, "repeated NetStateRule"),
        "concat_param": (104, "ConcatParameter"),
        "convolution_param": (106, "ConvolutionParameter"), "dropout_param": (108, "DropoutParameter"),
        "eltwise_param": (110, "EltwiseParameter"), "inner_product_param": (117, "InnerProductParameter"),
        "lrn_param": (118, "LRNParameter"), "pooling_param": (121, "PoolingParameter"),
        "power_param": (122, "PowerParameter"), "slice_param": (126, "SliceParameter"),
        "batch_norm_param": (139, "BatchNormParameter"), "scale_param": (142, "ScaleParameter"),
        "input_param": (143, "InputParameter"), "transform_param": (100, "TransformationParameter"),
        "image_data_param": (115, "ImageDataParameter"),
    },
    "SolverParameter": {
        "test_iter": (3, "repeated int32"), "test_interval": (4, "int32"), "base_lr": (5, "float"),
        "display": (6, "int32"), "max_iter": (7, "int32"), "lr_policy": (8, "bytes"), "gamma": (9, "float"),
        "momentum": (11, "float"), "weight_decay": (12, "float"), "stepsize": (13, "int32"), "snapshot": (14, "int32"),
        "snapshot_prefix": (15, "bytes"), "net": (24, "bytes"),
    },
    # Before 2014-12 a layer's type was a number.
    "V1LayerParameter": {
        "name": (4, "bytes"), "type": (5, "int32"), "blobs": (6, "repeated bytes"),
        "convolution_param": (10, "ConvolutionParameter"), "lrn_param": (18, "LRNParameter"),
        "pooling_param": (19, "PoolingParameter"),
    },
    "NetParameter": {"name": (1, "bytes"), "layers": (2, "repeated bytes"), "layer": (100, "repeated bytes")},
}  # fmt: skip


def message(name: str) -> Any:
    """Return the class of a message."""
    from google.protobuf import message_factory

    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"caffe.{name}"))


@lru_cache
def _pool() -> Any:
    """Make the descriptors when they are first asked for: no compiler is needed, and starting up costs nothing."""
    from google.protobuf import descriptor_pb2, descriptor_pool

    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for title, fields in CAFFE_MESSAGES.items():
        made = file.message_type.add(name=title)
        for field, (number, kind, *default) in fields.items():
            _add_field(made, field, number, kind.split(), *default)
    pool = descriptor_pool.DescriptorPool()  # of its own: others know a caffe.proto too
    pool.Add(file)
    return pool


def _add_field(made: Any, name: str, number: int, words: list[str], default: str | None = None) -> None:
    repeated = words[0] == "repeated"
    kind, *rest = words[repeated:]
    field = made.field.add(name=name, number=number, default_value=default)
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if kind == "enum":
        words_of = made.enum_type.add(name=name.capitalize())
        for value, word in enumerate(rest):
            words_of.value.add(name=word, number=value)
        field.type, field.type_name = field.TYPE_ENUM, f".caffe.{made.name}.{words_of.name}"
    elif kind in CAFFE_MESSAGES:
        field.type, field.type_name = field.TYPE_MESSAGE, f".caffe.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")
    if "packed" in rest:
        field.options.packed = True
