"""Numbers on their way to a device, without a step that waits for it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """`values` as a tensor, not to be written to. Copying them anew would have each step wait for the device."""
    with torch.inference_mode(False):  # else a first use in a prediction would bar gradients later
        return torch.tensor(values, dtype=dtype, device=device)


def pinned(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """An array in memory that a GPU can copy from while it computes; for other devices as it is."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory() if device.type == "cuda" else tensor


def sent(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """An array on the device."""
    tensor = pinned(array, device)
    return tensor.to(device, non_blocking=tensor.is_pinned())
