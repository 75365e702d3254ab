"""The calibration cache of TensorRT: a text with the scale of each tensor, which `trtexec --calib` reads."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

HEADER = "TRT-100000-EntropyCalibration2"
"""The version and the calibrator's name, which `trtexec` compares with its own: `build.sh` puts its version in.

The calibrator of `trtexec` has this name whatever the scales were computed from.
"""
LEVELS = 127


def largest_values(made: Any, pixels: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Return the largest absolute value of each tensor that a graph computes, over images uint8 (N, H, W, C)."""
    import onnx
    import onnxruntime

    watched = onnx.ModelProto()
    watched.CopyFrom(made)
    names = [name for node in watched.graph.node for name in node.output]
    del watched.graph.output[:]
    watched.graph.output.extend(
        onnx.helper.make_tensor_value_info(each, onnx.TensorProto.FLOAT, None) for each in names
    )
    options = onnxruntime.SessionOptions()
    # Optimised graphs lack tensors between layers that were fused.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    largest = dict.fromkeys(names, 0.0)
    for image in pixels:
        found = session.run(names, {"images": np.ascontiguousarray(image[None].transpose(0, 3, 1, 2))})
        for name, values in zip(names, found, strict=True):
            largest[name] = max(largest[name], float(np.abs(values).max()))
    return largest


def calibration_cache(largest: dict[str, float]) -> str:
    """Write the scales of tensors as the cache has them: the bits of float32 as eight hexadecimal digits.

    The largest value becomes 127. TensorRT takes no scale of zero, so a tensor that is always zero gets that of one.
    """
    lines = [f"{name}: {struct.pack('>f', (value or 1.0) / LEVELS).hex()}" for name, value in largest.items()]
    return "\n".join([HEADER, *lines, ""])
