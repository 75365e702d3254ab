"""The frameworks of a comparison, and the processes that measure them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from deepenough.frameworks.target import absent

_WORKERS = Path(__file__).with_name("workers")
_LR = 0.01


@dataclass(frozen=True)
class Framework:
    """A framework, or Keras on one backend.

    Args:
        name: in the tables.
        target: the export that it takes.
        worker: the program in `workers` that runs it.
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
        return Worker([str(_WORKERS / self.worker), str(folder), self.argument], folder, log, self.environment)


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


def _compiler_caches(folder: Path) -> dict[str, str]:
    """Variables that keep the caches of compilers in the export's folder, so that a first step really is one."""
    return {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"), "TRITON_CACHE_DIR": str(folder / "triton")}


class WorkerError(Exception):
    """A worker that ended, or could not do what it was asked."""


class Worker:
    """A process that measures; `program` is its file and arguments, `folder` holds the caches of its compilers.

    Its other output goes to the file `log`, whose end explains a failure.
    """

    def __init__(self, program: Sequence[str], folder: Path, log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, *program],
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **_compiler_caches(folder), **environment},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        begun = self._answer()
        self.version: str = begun["name"]
        self.tasks = [(str(task), str(mode)) for task, mode in begun["tasks"]]
        self.gradients: bool = begun["gradients"]

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command and wait for its answer."""
        stream: IO[str] | None = self.process.stdin
        assert stream is not None
        try:
            stream.write(json.dumps(command) + "\n")
            stream.flush()
        except BrokenPipeError:
            raise WorkerError(self._ended()) from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise WorkerError(self._ended())
        content: dict[str, Any] = json.loads(line)
        if "error" in content:
            raise WorkerError(content["error"])
        return content

    def _ended(self) -> str:
        status = self.process.wait()
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        killed = " (killed: out of memory?)" if status == -9 else ""
        return f"its process ended with status {status}{killed}: {lines[-1] if lines else 'no output'}"[:400]

    def close(self) -> None:
        """End the process."""
        if self.process.stdin is not None and not self.process.stdin.closed:
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
