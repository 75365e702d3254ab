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
        self._pairs = [(average[name], source[name]) for name in floating] if decay else []
        self._counters = [(average[n], source[n]) for n in source.keys() - set(floating)] if decay else []

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the model's weights after step number `step`, counted from 1."""
        if not self._pairs:
            return
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_([a for a, _ in self._pairs], [s for _, s in self._pairs], 1 - decay)
        if self._counters:
            torch._foreach_copy_([a for a, _ in self._counters], [s for _, s in self._counters])
