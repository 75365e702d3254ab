"""What this machine's matrix products reach: the rate that other benchmarks compare a training step with."""

from __future__ import annotations

import time

import torch


def product(side: int = 2048) -> float:
    """Operations a second of one product of two matrices, into memory that is there."""
    left, right = torch.rand(side, side), torch.rand(side, side)
    out = left @ right  # which warms up, too
    clock = time.perf_counter()
    torch.mm(left, right, out=out)
    return 2 * side**3 / (time.perf_counter() - clock)
