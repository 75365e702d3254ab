"""Layers that see the whole batch though each process has a share of it: batch norms, dropout, stochastic depth.

`torch.nn.SyncBatchNorm` refuses the CPU. This one runs wherever torch does, on torch's own fused kernels.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from deepenough.nets.modules import DropPath
from deepenough.training.process_group import BatchPosition, ProcessGroup


def synchronize(model: nn.Module, group: ProcessGroup) -> BatchPosition:
    """Have batch norms, dropouts and stochastic depths see the whole batch of a group; they ask the result for their
    rows.

    Names, parameters and buffers of the model stay as they are. Batch norms in evaluation mode take no statistics, and
    nothing to share.
    """
    position = BatchPosition()
    for part in model.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            part.__class__ = _SynchronizedBatchNorm
            part.group = group  # type: ignore[assignment]
        elif isinstance(part, nn.Dropout):
            part.__class__ = _SynchronizedDropout
            part.position = position  # type: ignore[assignment]
        elif isinstance(part, DropPath):
            part.__class__ = _SynchronizedDropPath
            part.position = position  # type: ignore[assignment]
    return position


class _SynchronizedDropout(nn.Dropout):
    """Draws the mask of the whole batch, as one process would, and uses its rows."""

    position: BatchPosition

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.p == 0:
            return x
        position = self.position
        memory = torch.channels_last if x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) else None
        mask = torch.empty(position.total, *x.shape[1:], dtype=x.dtype, device=x.device)
        mask = mask if memory is None else mask.contiguous(memory_format=memory)
        kept = 1 - self.p
        return x * mask.bernoulli_(kept).div_(kept)[position.first : position.last]


class _SynchronizedDropPath(DropPath):
    """Draws which images of the whole batch are dropped, as one process would, and uses its own."""

    position: BatchPosition

    def kept(self, x: torch.Tensor, images: int) -> torch.Tensor:
        return super().kept(x, self.position.total)[self.position.first : self.position.last]


class _SynchronizedBatchNorm(nn.BatchNorm2d):
    """Normalises with mean and variance over the images of all processes."""

    group: ProcessGroup

    def _check_input_dim(self, input: torch.Tensor) -> None:  # torch's name
        pass  # (N, C) and (N, C, H, W) alike

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        return _Normalise.apply(x, self.weight, self.bias, self)  # type: ignore[no-any-return, no-untyped-call]


class _Normalise(torch.autograd.Function):
    """Batch norm over a group (Ioffe and Szegedy 2015, algorithm 1), with one exchange in each direction."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, norm: Any) -> torch.Tensor:
        count, mean, variance = _moments(x, norm.group)
        with torch.no_grad():
            norm.num_batches_tracked.add_(1)
            norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), norm.momentum)
            unbiased = variance * (count / (count - 1).clamp(min=1))
            norm.running_var.lerp_(unbiased.to(norm.running_var.dtype), norm.momentum)
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.group, ctx.eps = norm.group, norm.eps
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, norm.eps)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (given,) = gradients
        x, weight, mean, variance, count = ctx.saved_tensors
        # The kernel for fixed statistics gives this process' sums. From those of all follows what the statistics add to
        # the gradient of x: by channel a x + b, beside weight / sigma times the given gradient.
        inverse = (variance + ctx.eps).rsqrt()  # of sigma; only CUDA's kernel looks at it
        _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            given, x, weight, mean, variance, mean, inverse, False, ctx.eps, [False, True, True]
        )
        sums = ctx.group.all_gather(torch.stack((of_weight, of_bias))).sum(dim=0)
        factor = weight * inverse
        scale = -factor / count
        through = F.batch_norm(x, mean, variance, scale * sums[0], scale * sums[1], False, 0.0, ctx.eps)
        by_channel = [1, -1] + [1] * (x.dim() - 2)
        return through.addcmul_(given, factor.view(by_channel)), of_weight, of_bias, None


def _moments(x: torch.Tensor, group: ProcessGroup) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images times positions, mean (C,) and biased variance (C,) over the whole group (Chan et al. 1979)."""
    wide = x if x.dtype == torch.float64 else x.float()
    if x.device.type == "cpu":  # batch norm's own kernel; torch.var_mean takes ten times as long over channels-last
        mean, variance = torch.ops.aten.batch_norm_update_stats(wide, None, None, 0.0)
    else:
        variance, mean = torch.var_mean(wide, [axis for axis in range(x.dim()) if axis != 1], correction=0)
    count = torch.full((1,), x.numel() / x.shape[1], dtype=mean.dtype, device=x.device)
    every = group.all_gather(torch.cat((count, mean, variance)))
    counts, means, variances = every[:, :1], *every[:, 1:].chunk(2, dim=1)
    total = counts.sum(dim=0)
    mean = (counts * means).sum(dim=0) / total
    return total, mean, (counts * (variances + (means - mean).square())).sum(dim=0) / total
