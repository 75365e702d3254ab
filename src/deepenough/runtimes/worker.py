"""A process that measures a framework or runtime: it answers commands, a line each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from deepenough.nets.network import Network

WORKERS = Path(__file__).with_name("workers")
"""The programs of these processes."""


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
            with suppress(BrokenPipeError):  # it has ended by itself, which its error says
                self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def random_batch(network: Network, batch: int, seed: int, path: Path) -> str:
    """Write random images and labels to a file that workers read; its name."""
    channels, height, width = network.input
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (batch, height, width, channels), dtype=np.uint8)
    np.savez(path, pixels=pixels, labels=random.integers(0, network.classes, batch))
    return str(path)
