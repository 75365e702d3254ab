"""The frameworks of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deepenough.frameworks.target import absent
from deepenough.runtimes.worker import WORKERS, Worker

_LR = 0.01


@dataclass(frozen=True)
class Framework:
    """A framework, or Keras on one backend.

    Args:
        name: in the tables.
        target: the export that it takes.
        worker: the program in `runtimes/workers` that runs it.
        packages: that the export and the worker need.
        extra: of deepenough that installs them.
        argument: of the worker.
        environment: variables of the worker's process.
        whole_float64: asked for float64, it computes everything in it.
    """

    name: str
    target: str
    worker: str
    packages: tuple[str, ...]
    extra: str
    argument: str = str(_LR)
    environment: Mapping[str, str] = field(default_factory=dict)
    whole_float64: bool = True

    @property
    def missing(self) -> list[str]:
        """Its packages that are not installed here."""
        return absent(self.packages)

    def start(self, folder: Path, log: Path) -> Worker:
        """Start its process, for the export in a folder."""
        return Worker([str(WORKERS / self.worker), str(folder), self.argument], folder, log, self.environment)


FRAMEWORKS = (
    Framework("PyTorch", "torch", "torch_worker.py", ("torch", "safetensors"), ""),
    Framework("Keras, TensorFlow", "keras", "keras_worker.py", ("keras", "tensorflow"), "tensorflow",
              environment={"KERAS_BACKEND": "tensorflow"}),
    # Keras computes batch norms in float32 on JAX, whatever it is asked.
    Framework("Keras, JAX", "keras", "keras_worker.py", ("keras", "jax"), "jax",
              environment={"KERAS_BACKEND": "jax"}, whole_float64=False),
    Framework("PaddlePaddle", "paddle", "paddle_worker.py", ("paddle",), "paddle"),
    Framework("ONNX Runtime", "onnx", "runtime_worker.py", ("onnx", "onnxruntime"), "onnx", "onnxruntime"),
    Framework("OpenVINO", "onnx", "runtime_worker.py", ("onnx", "openvino"), "openvino", "openvino"),
    Framework("Caffe (OpenCV)", "caffe", "runtime_worker.py", ("cv2",), "caffe", "opencv"),
)  # fmt: skip
"""In the order of the table."""
