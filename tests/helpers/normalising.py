"""A torch module that normalises its images itself."""

from __future__ import annotations

import torch
from torch import nn


class Normalising(nn.Module):
    """Subtracts 0.5, divides by 0.25, and hands on to `net`."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, 3, 1, 1), 0.5))
        self.net = net

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net((x - self.mean) / 0.25)  # type: ignore[no-any-return]
