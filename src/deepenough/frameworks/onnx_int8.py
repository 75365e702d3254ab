"""ONNX in int8: batch norms folded into what they follow, and ranges from calibration images."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.frameworks.export import Export

WEIGHTED = ("Conv", "Gemm", "MatMul")
"""The operators of weighted layers."""
FOLDABLE = ("Conv", "Gemm")
"""Operators whose first axis of weights is the channels of what they give, as our graphs write them."""


def quantised(made: Any, export: Export, *, symmetric: bool = False) -> bytes:
    """Weights and activations in int8, the weights' ranges by output channel; normalisation stays in float32.

    `symmetric` is what TensorRT takes: zero points are 0, only what weighted layers are given is rounded, so that a
    layer can be fused with what follows it, and biases stay in float32.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    pixels: Any = export.calibration

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rest = iter(pixels)

        def get_next(self) -> dict[str, Any] | None:
            image = next(self.rest, None)
            return None if image is None else {"images": np.ascontiguousarray(image[None].transpose(0, 3, 1, 2))}

    logging.getLogger().setLevel(logging.ERROR)  # it advises of preprocessing that our graph does not need
    fold_batch_norms(made)
    kept = [node.name for node in made.graph.node if node.name.startswith("normalise.")]
    kinds: list[str] | None = None
    more: dict[str, Any] = {"ActivationSymmetric": symmetric}
    if symmetric:
        kept += _products_of_activations(made)
        kinds = list(WEIGHTED)
        more |= {"WeightSymmetric": True, "QuantizeBias": False, "OpTypesToExcludeOutputQuantization": kinds}
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "model.onnx"
        quantize_static(
            made,
            str(file),
            Images(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            op_types_to_quantize=kinds,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=kept,
            extra_options=more,
        )
        return file.read_bytes()


def _products_of_activations(made: Any) -> list[str]:
    """The names of the products without weights, those of attention."""
    weights = {each.name for each in made.graph.initializer}
    return [node.name for node in made.graph.node if node.op_type == "MatMul" and not weights & set(node.input)]


def fold_batch_norms(made: Any) -> None:
    """Put batch norms into the weights and biases of the convolutions or dense layers before them, in place.

    A norm that is left would be computed in float32 between two roundings, on weights rounded before its factors.
    """
    from onnx import numpy_helper

    graph = made.graph
    tensors = {each.name: each for each in graph.initializer}
    makers = {node.output[0]: node for node in graph.node}
    readers = Counter(name for node in graph.node for name in node.input)

    def values(name: str) -> npt.NDArray[np.float64]:
        return numpy_helper.to_array(tensors[name]).astype(np.float64)

    def store(name: str, given: npt.NDArray[np.float64]) -> str:
        made_tensor = numpy_helper.from_array(np.ascontiguousarray(given, np.float32), name)
        if name in tensors:
            tensors[name].CopyFrom(made_tensor)
        else:
            graph.initializer.append(made_tensor)
            tensors[name] = graph.initializer[-1]  # a second norm folds into it
        return name

    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        before = makers.get(norm.input[0])
        if before is None or before.op_type not in FOLDABLE or readers[norm.input[0]] > 1:
            continue
        weight = values(before.input[1])
        scale, shift, mean, variance = (values(name) for name in norm.input[1:])
        (epsilon,) = (each.f for each in norm.attribute if each.name == "epsilon")
        factor = scale / np.sqrt(variance + epsilon)
        bias = values(before.input[2]) if len(before.input) > 2 else np.zeros(len(factor))
        store(before.input[1], weight * factor.reshape(-1, *[1] * (weight.ndim - 1)))
        name = store(f"{before.output[0]}.bias", (bias - mean) * factor + shift)
        del before.input[2:]
        before.input.append(name)
        before.output[0] = norm.output[0]
        makers[norm.output[0]] = before
        graph.node.remove(norm)
    used = {name for node in graph.node for name in node.input}
    for each in [each for each in graph.initializer if each.name not in used]:
        graph.initializer.remove(each)
