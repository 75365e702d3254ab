"""OpenVINO as an engine."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.engines.engine import channels_first, thread_count


class OpenvinoEngine:
    """The ONNX file of a model in OpenVINO, on the processor."""

    name = "openvino"

    def __init__(self, graph: bytes) -> None:
        import openvino

        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # some processors would take bfloat16
            "INFERENCE_NUM_THREADS": thread_count(),
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
        }
        core = openvino.Core()
        self.title = f"OpenVINO {openvino.__version__.partition('-')[0]}"
        self._request: Any = core.compile_model(core.read_model(graph), "CPU", settings).create_infer_request()
        self._turn = threading.Lock()  # a request takes one thread at a time

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Preprocessed pixels uint8 (N, H, W, C) -> logits float32 (N, classes)."""
        images = channels_first(pixels)
        with self._turn:
            return np.array(self._request.infer({0: images}, share_inputs=True)[0], np.float32)
