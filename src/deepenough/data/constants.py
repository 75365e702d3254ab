"""Numbers that stay the same from step to step, put on a device once."""

from __future__ import annotations

from functools import lru_cache

import torch


@lru_cache(maxsize=64)
def constant(values: tuple[float, ...], device: torch.device, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """`values` as a tensor, not to be written to. Copying them anew would have each step wait for the device."""
    with torch.inference_mode(False):  # else a first use in a prediction would bar gradients later
        return torch.tensor(values, dtype=dtype, device=device)
