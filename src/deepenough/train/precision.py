"""Half precision behind one object; in float32 its parts do nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch

DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Precision:
    """Autocast around the forward pass, and the scaler that keeps float16 gradients from vanishing."""

    def __init__(self, name: str, device: torch.device) -> None:
        self.name = name
        self.device = device
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "float16")

    def autocast(self) -> AbstractContextManager[object]:
        """The context of a forward pass."""
        if self.name == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, DTYPES[self.name])

    def step(
        self, loss: torch.Tensor, optimizer: torch.optim.Optimizer, clip: Callable[[], object] = lambda: None
    ) -> None:
        """Scale, backward, unscale, clip, step, zero."""
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.unscale_(optimizer)
        clip()
        self.scaler.step(optimizer)
        self.scaler.update()
        optimizer.zero_grad(set_to_none=True)

    @property
    def forgives(self) -> bool:
        """Whether a loss that is not finite is no end: the scaler left that step out, and can still scale down."""
        return self.scaler.is_enabled() and self.scaler.get_scale() > 1
