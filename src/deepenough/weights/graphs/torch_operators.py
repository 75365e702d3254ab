"""The operators of torch, each as the nodes of ONNX that compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch.fx import Node

from deepenough.weights.graphs.torch_averages import is_average
from deepenough.weights.graphs.torch_program import Operators, args_of, give_same, operator_of, shape_of, writes

TORCH_REASONS = {
    "aten.conv_transpose2d": "a transposed convolution makes maps larger, which no classifier here does",
    "aten.softplus": "there is no such activation here",
    "aten.gelu(tanh)": "GELU is computed exactly here, without its approximation by tanh",
    "aten.lstm": "it is recurrent",
    "aten.gru": "it is recurrent",
}
"""Reasons against operators, where there is more to say than that they are not known."""


@writes("dropout")
def _dropout(writer: Operators, node: Node) -> None:
    share, training = float(args_of(node)[1]), args_of(node)[2]
    if training and share:
        raise writer.refusal(node, "it drops values in evaluation, too; give it `training=self.training`")
    if not share:
        give_same(writer, node)
        return
    ratio = writer.constant(f"{node.name}.ratio", np.float32(share))
    writer.emit(node, "Dropout", [writer.value(node, args_of(node)[0]), ratio])


@writes("conv2d")
def _convolution(writer: Operators, node: Node) -> None:
    image, weight = args_of(node)[:2]
    bias = writer.given(node, 2, key="bias")
    stride, padding = writer.given(node, 3, [1, 1], "stride"), writer.given(node, 4, [0, 0], "padding")
    dilation, groups = writer.given(node, 5, [1, 1], "dilation"), writer.given(node, 6, 1, "groups")
    if isinstance(padding, str):
        around = [step * (side - 1) for side, step in zip(shape_of(weight)[2:], _pair(dilation), strict=True)]
        around = [0, 0] if padding == "valid" else around
        pads = [each // 2 for each in around] + [each - each // 2 for each in around]
    else:
        pads = _pair(padding) * 2
    inputs = [writer.value(node, each) for each in (image, weight, bias) if each is not None]
    writer.emit(node, "Conv", inputs, strides=_pair(stride), pads=pads, dilations=_pair(dilation), group=groups)


@writes("batch_norm")
def _batch_norm(writer: Operators, node: Node) -> None:
    image, weight, bias, mean, variance, training = args_of(node)[:6]
    if training or mean is None or variance is None:
        raise writer.refusal(
            node, "it normalises by the batch's own statistics, in evaluation, too; known are norms with running ones"
        )
    _normed_by(writer, node, (image, weight, bias, mean, variance), args_of(node)[7])


def _normed_by(writer: Operators, node: Node, given: tuple[Any, ...], eps: float) -> None:
    """Write a norm by running statistics."""
    image, weight, bias, mean, variance = given
    channels = shape_of(mean)[0]
    scale = _or_constant(writer, node, weight, "weight", np.ones(channels, np.float32))
    shift = _or_constant(writer, node, bias, "bias", np.zeros(channels, np.float32))
    inputs = [writer.value(node, image), scale, shift, writer.value(node, mean), writer.value(node, variance)]
    writer.emit(node, "BatchNormalization", inputs, epsilon=eps)


@writes("layer_norm")
def _layer_norm(writer: Operators, node: Node) -> None:
    sides = args_of(node)[1]
    weight, bias = writer.given(node, 2, key="weight"), writer.given(node, 3, key="bias")
    eps = writer.given(node, 4, 1e-5, "eps")
    shape: Any = tuple(sides)
    scale = _or_constant(writer, node, weight, "weight", np.ones(shape, np.float32))
    shift = _or_constant(writer, node, bias, "bias", np.zeros(shape, np.float32))
    axis = -1 if len(sides) == 1 else len(shape_of(node)) - len(sides)
    writer.emit(
        node, "LayerNormalization", [writer.value(node, args_of(node)[0]), scale, shift], axis=axis, epsilon=eps
    )


@writes("group_norm")
def _group_norm(writer: Operators, node: Node) -> None:
    image, groups = args_of(node)[:2]
    weight, bias = writer.given(node, 2, key="weight"), writer.given(node, 3, key="bias")
    _normed_groups(writer, node, (image, weight, bias), groups, writer.given(node, 4, 1e-5, "eps"))


@writes("instance_norm")
def _instance_norm(writer: Operators, node: Node) -> None:
    image, weight, bias, mean, variance, of_image = args_of(node)[:6]
    if of_image:
        _normed_groups(writer, node, (image, weight, bias), shape_of(image)[1], args_of(node)[7])
    else:  # by running statistics it is what a batch norm is
        _normed_by(writer, node, (image, weight, bias, mean, variance), args_of(node)[7])


def _normed_groups(writer: Operators, node: Node, given: tuple[Any, ...], groups: int, eps: float) -> None:
    image, weight, bias = given
    channels = shape_of(image)[1]
    scale = _or_constant(writer, node, weight, "weight", np.ones(channels, np.float32))
    shift = _or_constant(writer, node, bias, "bias", np.zeros(channels, np.float32))
    inputs = [writer.value(node, image), scale, shift]
    writer.emit(node, "GroupNormalization", inputs, num_groups=groups, epsilon=eps)


def _or_constant(writer: Operators, node: Node, given: Any, key: str, default: Any) -> str:
    return writer.constant(f"{node.name}.{key}", default) if given is None else writer.value(node, given)


@writes("linear")
def _linear(writer: Operators, node: Node) -> None:
    inputs = [writer.value(node, each) for each in (*args_of(node)[:2], writer.given(node, 2, key="bias")) if each]
    writer.emit(node, "Gemm", inputs, transB=1)


@writes("matmul", "bmm")
def _matmul(writer: Operators, node: Node) -> None:
    writer.emit(node, "MatMul", [writer.value(node, each) for each in args_of(node)[:2]])


@writes("relu", "sigmoid", "hardswish", "tanh", "mish")
def _activation(writer: Operators, node: Node) -> None:
    kind = {"hardswish": "HardSwish"}.get(operator_of(node), operator_of(node).capitalize())
    writer.emit(node, kind, [writer.value(node, args_of(node)[0])])


@writes("hardsigmoid")
def _hard_sigmoid(writer: Operators, node: Node) -> None:
    writer.emit(node, "HardSigmoid", [writer.value(node, args_of(node)[0])], alpha=1 / 6, beta=0.5)


@writes("leaky_relu", "elu")
def _with_number(writer: Operators, node: Node) -> None:
    """Write an activation with a number of its own; ELU's other two are 1 in its module."""
    leaky = operator_of(node) == "leaky_relu"
    number = writer.given(node, 1, 0.01 if leaky else 1.0, "negative_slope" if leaky else "alpha")
    if not leaky and {writer.given(node, 2, 1, "scale"), writer.given(node, 3, 1, "input_scale")} != {1}:
        raise writer.refusal(node, "it scales what it computes, as SELU does; known is ELU itself")
    writer.emit(node, "LeakyRelu" if leaky else "Elu", [writer.value(node, args_of(node)[0])], alpha=float(number))


@writes("prelu")
def _with_slopes(writer: Operators, node: Node) -> None:
    """Write the slopes along the second axis, which torch takes them to stand for."""
    image, weight = args_of(node)[:2]
    if not writer.is_constant(weight):
        raise writer.refusal(node, "its slopes are computed of the images; known are slopes that are weights")
    slopes, axes = writer.tensors[writer.name_of(weight)].float(), len(shape_of(image))
    if slopes.numel() > 1 and axes == 3:
        raise writer.refusal(node, "it has a slope for each token; known are one for all, or one for each channel")
    shaped = slopes.reshape(-1, *[1] * (axes - 2)) if slopes.numel() > 1 else slopes
    writer.emit(node, "PRelu", [writer.value(node, image), writer.constant(f"{node.name}.slopes", shaped)])


@writes("silu")
def _silu(writer: Operators, node: Node) -> None:
    given = writer.value(node, args_of(node)[0])
    gate = writer.emit(node, "Sigmoid", [given], f"{node.name}.sigmoid")
    writer.emit(node, "Mul", [given, gate])


@writes("gelu")
def _gelu(writer: Operators, node: Node) -> None:
    how = writer.given(node, 1, "none", "approximate")
    writer.emit(node, "Gelu" if how == "none" else f"aten.gelu({how})", [writer.value(node, args_of(node)[0])])


@writes("hardtanh", "relu6", "clamp", "clamp_min")
def _clipped(writer: Operators, node: Node) -> None:
    given, kind = writer.value(node, args_of(node)[0]), operator_of(node)
    usual = {"hardtanh": (-1.0, 1.0), "relu6": (0.0, 6.0)}.get(kind, (None, None))
    least = writer.given(node, 1, usual[0], "min_val" if kind == "hardtanh" else "min")
    most = writer.given(node, 2, usual[1], "max_val" if kind == "hardtanh" else "max")
    if most is None and least == 0:
        writer.emit(node, "Relu", [given])
        return
    if isinstance(least, Node) or isinstance(most, Node) or least is None or most is None:
        writer.emit(node, f"aten.{kind}", [given])
        return
    ends = [writer.constant(f"{node.name}.{key}", np.float32(end)) for key, end in (("min", least), ("max", most))]
    writer.emit(node, "Clip", [given, *ends])


@writes("softmax", "log_softmax", "_softmax", "_log_softmax")
def _softmax(writer: Operators, node: Node) -> None:
    axis = int(args_of(node)[1])
    kind = "LogSoftmax" if "log" in operator_of(node) else "Softmax"
    axis = -1 if axis == len(shape_of(node)) - 1 else axis
    writer.emit(node, kind, [writer.value(node, args_of(node)[0])], axis=axis)


@writes("max_pool2d", "max_pool2d_with_indices")
def _max_pool(writer: Operators, node: Node) -> None:
    kernel = _pair(args_of(node)[1])
    stride = _pair(writer.given(node, 2, key="stride") or kernel)
    pads, dilation = _pair(writer.given(node, 3, [0, 0], "padding")), _pair(writer.given(node, 4, [1, 1], "dilation"))
    ceil = int(writer.given(node, 5, False, "ceil_mode"))
    found = writer.emit(node, "MaxPool", [writer.value(node, args_of(node)[0])], kernel_shape=kernel, strides=stride,
                        pads=pads * 2, dilations=dilation, ceil_mode=ceil)  # fmt: skip
    writer.parts[node] = (found,)


@writes("avg_pool2d")
def _average_pool(writer: Operators, node: Node) -> None:
    kernel = _pair(args_of(node)[1])
    stride, pads = _pair(writer.given(node, 2, key="stride") or kernel), _pair(writer.given(node, 3, [0, 0], "padding"))
    ceil, counts = int(writer.given(node, 4, False, "ceil_mode")), int(writer.given(node, 5, True, "count_include_pad"))
    if writer.given(node, 6, None, "divisor_override") is not None:
        raise writer.refusal(node, "it divides by a number of its own; known are averages")
    writer.emit(node, "AveragePool", [writer.value(node, args_of(node)[0])], kernel_shape=kernel, strides=stride,
                pads=pads * 2, ceil_mode=ceil, count_include_pad=counts)  # fmt: skip


@writes("adaptive_avg_pool2d", "adaptive_max_pool2d")
def _adaptive_pool(writer: Operators, node: Node) -> None:
    given, image = writer.value(node, args_of(node)[0]), args_of(node)[0]
    kind = "Average" if "avg" in operator_of(node) else "Max"
    sides, wanted = shape_of(image)[2:], tuple(_pair(args_of(node)[1]))
    if wanted == (1, 1):
        found = writer.emit(node, f"Global{kind}Pool", [given])
    elif wanted == sides:
        found = writer.emit(node, "Identity", [given])
    elif all(side % out == 0 for side, out in zip(sides, wanted, strict=True)):
        kernel = [side // out for side, out in zip(sides, wanted, strict=True)]
        found = writer.emit(node, f"{kind}Pool", [given], kernel_shape=kernel, strides=kernel)
    else:
        shapes = " and ".join(" x ".join(map(str, each)) for each in (sides, wanted))
        raise writer.refusal(node, f"its windows are of several sizes ({shapes}); known are windows of one size")
    writer.parts[node] = (found,)


@writes("mean", "amax", "sum")
def _reduced(writer: Operators, node: Node) -> None:
    if operator_of(node) == "sum" and not is_average(node):
        writer.emit(node, "aten.sum", [writer.value(node, args_of(node)[0])])
        return
    image, axes = args_of(node)[0], writer.given(node, 1, None, "dim")
    if not isinstance(axes, (list, tuple, int)):
        raise writer.refusal(node, "it goes over all values, the images of a batch, too")
    sides, over = len(shape_of(image)), [axes] if isinstance(axes, int) else list(axes)
    axes = [int(axis) % sides for axis in over]
    kind = "ReduceMax" if operator_of(node) == "amax" else "ReduceMean"
    keeps = int(writer.given(node, 2, False, "keepdim"))
    if sides == 4 and axes == [3] and not keeps:  # of rows, and then of what is left
        users = list(node.users)
        if len(users) == 1 and operator_of(users[0]) == operator_of(node):
            raise writer.refusal(node, "it goes over one axis after the other; give both at once, as in mean((2, 3))")
    places = writer.constant(f"{node.name}.axes", np.array(axes))
    writer.emit(node, kind, [writer.value(node, image), places], keepdims=keeps)


@writes("add", "sub", "mul", "div")
def _arithmetic(writer: Operators, node: Node) -> None:
    if operator_of(node) == "div" and is_average(args_of(node)[0]):  # it is one already
        give_same(writer, node)
        return
    kind = operator_of(node).capitalize()
    if writer.given(node, 2, 1, "alpha") != 1 or node.kwargs.get("rounding_mode"):
        raise writer.refusal(node, "it scales or rounds what it computes")
    writer.emit(node, kind, [writer.value(node, each) for each in args_of(node)[:2]])


@writes("scaled_dot_product_attention")
def _attention(writer: Operators, node: Node) -> None:
    """Scores, their softmax, and the values that it weighs, step by step."""
    query, key, value = (writer.value(node, each) for each in args_of(node)[:3])
    if writer.given(node, 3, None, "attn_mask") is not None or writer.given(node, 5, False, "is_causal"):
        raise writer.refusal(node, "its attention is masked; known is attention between all tokens")
    queries = args_of(node)[0]
    scale: Any = node.kwargs.get("scale") or shape_of(queries)[-1] ** -0.5
    writer.attend(node, (query, key, value), float(scale))


def _pair(numbers: Any) -> list[int]:
    """Height and width, of one number for both or of two."""
    found = [int(numbers)] if isinstance(numbers, int) else [int(number) for number in numbers]
    return found * 2 if len(found) == 1 else found
