"""The protocol of what computes the logits of a model: torch itself, or a runtime that takes the ONNX file of it."""

from __future__ import annotations

import os
from typing import Protocol

import numpy as np
import numpy.typing as npt

from deepenough.machine import cores


class Engine(Protocol):
    """Computes logits. Several threads may ask at once."""

    @property
    def name(self) -> str:
        """Its name, one of `GRAPH_ENGINES` or "torch"."""

    @property
    def title(self) -> str:
        """The name and version of the library that computes."""

    def logits(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Preprocessed pixels uint8 (N, H, W, C), any N above 0 -> logits float32 (N, classes)."""


def thread_count() -> int:
    """The number of threads that an engine computes with: OMP_NUM_THREADS, as torch takes it, else the cores."""
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(given) if given.isdecimal() and int(given) > 0 else cores()


def channels_first(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """(N, H, W, C) as the (N, C, H, W) that an ONNX file of ours takes."""
    return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
