"""The precision that steps are computed in, behind one object; in float32 its parts do nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

from deepenough.errors import DeepenoughError

HALF_PRECISION = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@contextmanager
def matmul_precision(name: str) -> Iterator[None]:
    """Matrix products of float32 numbers in TensorFloat-32 with "tf32", else in full, on devices that know both."""
    backends: list[Any] = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    for backend in backends:
        backend.fp32_precision = "tf32" if name == "tf32" else "ieee"
    try:
        yield
    finally:
        for backend, old in zip(backends, before, strict=True):
            backend.fp32_precision = old


class Precision:
    """Autocast around the forward pass, and the scaler that keeps float16 gradients from vanishing."""

    def __init__(self, name: str, device: torch.device) -> None:
        if name == "tf32" and device.type != "cuda":
            raise DeepenoughError(f"precision tf32: only NVIDIA's GPUs know it, and this trains on {device.type}")
        if name == "float64" and device.type == "mps":
            raise DeepenoughError("precision float64: Apple's GPUs don't know it; give float32, or --device cpu")
        self.name = name
        self.device = device
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "float16")

    def autocast(self) -> AbstractContextManager[object]:
        """The context of a forward pass."""
        if self.name not in HALF_PRECISION:
            return nullcontext()
        return torch.autocast(self.device.type, HALF_PRECISION[self.name])

    @property
    def dtype(self) -> torch.dtype:
        """The type that weights and images are kept in."""
        return torch.float64 if self.name == "float64" else torch.float32

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of a loss, scaled."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]

    def update(self, optimizer: torch.optim.Optimizer, clip: Callable[[], object] = lambda: None) -> None:
        """Unscale, clip, step, zero."""
        self.scaler.unscale_(optimizer)
        clip()
        self.scaler.step(optimizer)
        self.scaler.update()
        optimizer.zero_grad(set_to_none=True)

    def forget(self) -> None:
        """Forget a step that broke off between unscaling its gradients and the end of its update; the scale stays."""
        scaler = torch.amp.GradScaler(self.device.type, enabled=self.scaler.is_enabled())
        scaler.load_state_dict(self.scaler.state_dict())
        self.scaler = scaler

    @property
    def forgives(self) -> bool:
        """True if a loss that is not finite is no end: the scaler left that step out, and can still scale down."""
        return self.scaler.is_enabled() and self.scaler.get_scale() > 1
