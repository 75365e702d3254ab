"""ONNX Runtime as an engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deepenough.engines.engine import channels_first, thread_count


class OnnxEngine:
    """The ONNX file of a model in ONNX Runtime, on the processor."""

    name = "onnx"

    def __init__(self, graph: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = thread_count()
        options.inter_op_num_threads = 1
        # Threads that wait by spinning take the cores from those that decode and answer.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors, which are raised as well
        self.title = f"ONNX Runtime {onnxruntime.__version__}"
        self._session: Any = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Preprocessed pixels uint8 (N, H, W, C) -> logits float32 (N, classes)."""
        (found,) = self._session.run(["logits"], {"images": channels_first(pixels)})
        return np.asarray(found, np.float32)
