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

from deepenough.weights.messages import Fields, message_class, messages_of

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
        "stride_h": (13, "uint32"), "stride_w": (14, "uint32"), "axis": (16, "int32", "1"),
        "dilation": (18, "repeated uint32"),
    },
    "LRNParameter": {
        "local_size": (1, "uint32", "5"), "alpha": (2, "float", "1"), "beta": (3, "float", "0.75"),
        "norm_region": (4, "int32", "0"), "k": (5, "float", "1"),
    },
    "PoolingParameter": {
        "pool": (1, "enum MAX AVE STOCHASTIC"), "kernel_size": (2, "uint32"), "stride": (3, "uint32", "1"),
        "pad": (4, "uint32"), "kernel_h": (5, "uint32"), "kernel_w": (6, "uint32"), "stride_h": (7, "uint32"),
        "stride_w": (8, "uint32"), "pad_h": (9, "uint32"), "pad_w": (10, "uint32"), "global_pooling": (12, "bool"),
        "round_mode": (13, "enum CEIL FLOOR"),
    },
    "BatchNormParameter": {"use_global_stats": (1, "bool"), "eps": (3, "float", "1e-5")},
    "ScaleParameter": {"axis": (1, "int32", "1"), "num_axes": (2, "int32", "1"), "bias_term": (4, "bool")},
    "InnerProductParameter": {
        "num_output": (1, "uint32"), "bias_term": (2, "bool"), "axis": (5, "int32", "1"), "transpose": (6, "bool"),
    },
    "DropoutParameter": {"dropout_ratio": (1, "float", "0.5")},
    "PowerParameter": {"power": (1, "float", "1"), "scale": (2, "float", "1"), "shift": (3, "float")},
    "ELUParameter": {"alpha": (1, "float", "1")},
    "ParamSpec": {"decay_mult": (4, "float", "1")},
    "PReLUParameter": {"channel_shared": (2, "bool")},
    "ReLUParameter": {"negative_slope": (1, "float")},
    "SliceParameter": {"slice_dim": (1, "uint32"), "slice_point": (2, "repeated uint32"), "axis": (3, "int32", "1")},
    "EltwiseParameter": {"operation": (1, "enum PROD SUM MAX", "SUM"), "coeff": (2, "repeated float")},
    "ConcatParameter": {"concat_dim": (1, "uint32", "1"), "axis": (2, "int32", "1")},
    "FlattenParameter": {"axis": (1, "int32", "1"), "end_axis": (2, "int32", "-1")},
    "ReshapeParameter": {"shape": (1, "BlobShape"), "axis": (2, "int32"), "num_axes": (3, "int32", "-1")},
    "InputParameter": {"shape": (1, "BlobShape")},
    "NetStateRule": {"phase": (1, "enum TRAIN TEST")},
    "TransformationParameter": {
        "scale": (1, "float", "1"), "crop_size": (3, "uint32"), "mean_file": (4, "bytes"),
        "mean_value": (5, "repeated float"), "force_gray": (7, "bool"),
    },
    "ImageDataParameter": {
        "source": (1, "bytes"), "batch_size": (4, "uint32"), "shuffle": (8, "bool"), "new_height": (9, "uint32"),
        "new_width": (10, "uint32"), "is_color": (11, "bool"),
    },
    "LayerParameter": {
        "name": (1, "bytes"), "type": (2, "bytes"), "bottom": (3, "repeated bytes"), "top": (4, "repeated bytes"),
        "blobs": (7, "repeated bytes"),
        "transform_param": (100, "TransformationParameter"),
        "concat_param": (104, "ConcatParameter"),
        "convolution_param": (106, "ConvolutionParameter"), "dropout_param": (108, "DropoutParameter"),
        "eltwise_param": (110, "EltwiseParameter"), "inner_product_param": (117, "InnerProductParameter"),
        "lrn_param": (118, "LRNParameter"), "pooling_param": (121, "PoolingParameter"),
        "power_param": (122, "PowerParameter"), "relu_param": (123, "ReLUParameter"),
        "slice_param": (126, "SliceParameter"), "reshape_param": (133, "ReshapeParameter"),
        "flatten_param": (135, "FlattenParameter"), "batch_norm_param": (139, "BatchNormParameter"),
        "elu_param": (140, "ELUParameter"), "scale_param": (142, "ScaleParameter"),
        "param": (6, "repeated ParamSpec"), "prelu_param": (131, "PReLUParameter"),
        "input_param": (143, "InputParameter"),
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
        "layer": (1, "bytes"), "bottom": (2, "repeated bytes"), "top": (3, "repeated bytes"),
        "name": (4, "bytes"), "type": (5, "int32"), "blobs": (6, "repeated bytes"),
        "concat_param": (9, "ConcatParameter"), "convolution_param": (10, "ConvolutionParameter"),
        "dropout_param": (12, "DropoutParameter"), "inner_product_param": (17, "InnerProductParameter"),
        "lrn_param": (18, "LRNParameter"), "pooling_param": (19, "PoolingParameter"),
        "power_param": (21, "PowerParameter"), "eltwise_param": (24, "EltwiseParameter"),
        "relu_param": (30, "ReLUParameter"), "slice_param": (31, "SliceParameter"),
        "transform_param": (36, "TransformationParameter"),
    },
    # Before 2014-04 all parameters stood side by side in a message of its own.
    "V0LayerParameter": {
        "name": (1, "bytes"), "type": (2, "bytes"), "num_output": (3, "uint32"), "biasterm": (4, "bool"),
        "pad": (7, "uint32"), "kernelsize": (8, "uint32"), "group": (9, "uint32"), "stride": (10, "uint32", "1"),
        "pool": (11, "enum MAX AVE STOCHASTIC"), "dropout_ratio": (12, "float", "0.5"),
        "local_size": (13, "uint32", "5"), "alpha": (14, "float", "1"), "beta": (15, "float", "0.75"),
        "scale": (17, "float", "1"), "meanfile": (18, "bytes"), "cropsize": (20, "uint32"), "k": (22, "float", "1"),
        "blobs": (50, "repeated bytes"), "concat_dim": (65, "uint32", "1"),
    },
    "NetParameter": {
        "name": (1, "bytes"), "layers": (2, "repeated bytes"), "input": (3, "repeated bytes"),
        "input_dim": (4, "repeated int32"), "input_shape": (8, "repeated bytes"), "layer": (100, "repeated bytes"),
    },
}  # fmt: skip

V1_TYPES = (
    "NONE", "ACCURACY", "BNLL", "CONCAT", "CONVOLUTION", "DATA", "DROPOUT", "EUCLIDEAN_LOSS", "FLATTEN", "HDF5_DATA",
    "HDF5_OUTPUT", "IM2COL", "IMAGE_DATA", "INFOGAIN_LOSS", "INNER_PRODUCT", "LRN", "MULTINOMIAL_LOGISTIC_LOSS",
    "POOLING", "RELU", "SIGMOID", "SOFTMAX", "SOFTMAX_LOSS", "SPLIT", "TANH", "WINDOW_DATA", "ELTWISE", "POWER",
    "SIGMOID_CROSS_ENTROPY_LOSS", "HINGE_LOSS", "MEMORY_DATA", "ARGMAX", "THRESHOLD", "DUMMY_DATA", "SLICE", "MVN",
    "ABSVAL", "SILENCE", "CONTRASTIVE_LOSS", "EXP", "DECONVOLUTION",
)  # fmt: skip
"""V1LayerParameter.LayerType, by its numbers."""

_RULES = {"include": "repeated NetStateRule", "exclude": "repeated NetStateRule"}


def _as_text(title: str, numbers: tuple[int, int], **others: tuple[Any, ...]) -> Fields:
    """The fields of a layer in a definition that people write: without blobs, with the phases that it is for."""
    kept = {name: field for name, field in CAFFE_MESSAGES[title].items() if name != "blobs"}
    rules = {name: (number, kind) for (name, kind), number in zip(_RULES.items(), numbers, strict=True)}
    return {**kept, **rules, **others}


CAFFE_TEXTS: Mapping[str, Fields] = {
    "V0LayerText": {name: field for name, field in CAFFE_MESSAGES["V0LayerParameter"].items() if name != "blobs"},
    "LayerText": _as_text("LayerParameter", (8, 9)),
    "V1LayerText": _as_text(
        "V1LayerParameter", (32, 33), layer=(1, "V0LayerText"), type=(5, f"enum {' '.join(V1_TYPES)}")
    ),
    "NetText": {
        **CAFFE_MESSAGES["NetParameter"], "layers": (2, "repeated V1LayerText"),
        "input_shape": (8, "repeated BlobShape"), "layer": (100, "repeated LayerText"),
    },
}  # fmt: skip
"""The same messages as a `.prototxt` has them, where layers are parsed with it."""


def message(name: str) -> Any:
    """Return the class of a message."""
    return message_class(_pool(), f"caffe.{name}")


@lru_cache
def _pool() -> Any:
    return messages_of("caffe", {**CAFFE_MESSAGES, **CAFFE_TEXTS})
