"""A moving average of the weights: the model that is judged and kept."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Ema:
    """An exponential moving average of a model's weights and buffers.

    The decay warms up as (1 + step) / (10 + step), so that a short training is not held back by its first
    weights. Running means and variances of batch norms are averaged like weights, since they have to fit
    the averaged weights; counters are copied. With a decay of 0 the average is the model itself.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = model
        if decay:
            self.model = copy.deepcopy(model).eval().requires_grad_(False)
        source, average = model.state_dict(), self.model.state_dict()
        floating = [name for name, tensor in source.items() if tensor.is_floating_point()]
        counters = [name for name, tensor in source.items() if not tensor.is_floating_point()]
        self._floating, self._counters = (
            ([average[name] for name in names], [source[name] for name in names]) for names in (floating, counters)
        )

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the model's weights after step number `step`, counted from 1."""
        if not self.decay:
            return
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(*self._floating, 1 - decay)
        if self._counters[0]:
            torch._foreach_copy_(*self._counters)
