"""Torch modules of layers that torch has not, or not in this form."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepenough.nets.layer import Shape
from deepenough.nets.layers import Conv
from deepenough.nets.tokens import Tokens


class PaddedConv2d(nn.Conv2d):
    """A convolution of images of `shape` (C, H, W) behind zeros that differ from side to side."""

    def __init__(self, layer: Conv, shape: Shape) -> None:
        super().__init__(shape[0], layer.out, layer.kernel, layer.stride, 0, layer.dilation, layer.groups, layer.bias)
        (above, below), (left, right) = layer.pads(shape)
        self.pads = [left, right, above, below]

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, self.pads))


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of (N, C, H, W), (N, T, C) or (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4:
            return super().forward(x)
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # no copy where x is channels-last


class ChannelScale(nn.Module):
    """A factor for each channel of (N, C, H, W), (N, T, C) or (N, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels))

    def forward(self, x: Tensor) -> Tensor:
        return x * (self.weight[:, None, None] if x.ndim == 4 else self.weight)


class ChannelSliceOf(nn.Module):
    """The channels of (N, C, ...) from `start` up to, but not, `stop`."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.start : self.stop]

    def extra_repr(self) -> str:
        return f"{self.start}, {self.stop}"


class DropPath(nn.Module):
    """Stochastic depth: in training, whole images of a batch become zero with probability `p`."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return x * self.kept(x, x.shape[0]) if self.training and self.p else x

    def kept(self, x: Tensor, images: int) -> Tensor:
        """Draw the factor of each of so many images: (images, 1, ...)."""
        mask = torch.empty((images, *[1] * (x.ndim - 1)), dtype=x.dtype, device=x.device)
        return mask.bernoulli_(1 - self.p).div_(1 - self.p)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class TokensOf(nn.Module):
    """Maps of `shape` (C, H, W) as tokens (N, T, C): class token and positions, each with its embedding, if any."""

    class_token: nn.Parameter | None
    position: nn.Parameter | None

    def __init__(self, layer: Tokens, shape: Shape) -> None:
        super().__init__()
        self.grid = layer.grid
        wanted = layer.tensors(shape)
        for name in ("class_token", "position"):
            self.register_parameter(name, nn.Parameter(torch.empty(wanted[name])) if name in wanted else None)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        if self.class_token is not None:
            tokens = torch.cat((self.class_token.expand(x.shape[0], -1, -1), tokens), 1)
        if self.position is None:
            return tokens
        return tokens + interpolated(self.position, self.grid, (x.shape[2], x.shape[3]))


def interpolated(position: Tensor, grid: tuple[int, int], wanted: tuple[int, int]) -> Tensor:
    """The position embedding (1, 1 + rows * columns, C) of a `grid` (rows, columns) for another one.

    Bicubic, and smoothed where it becomes smaller, as in timm's `resample_abs_pos_embed`. The class token's, the first
    where there is one, stays as it is.
    """
    if grid == wanted:
        return position
    before = position.shape[1] - grid[0] * grid[1]
    first, rest = position[:, :before], position[:, before:]
    plane = rest.reshape(1, *grid, -1).permute(0, 3, 1, 2).float()
    plane = F.interpolate(plane, wanted, mode="bicubic", antialias=True)
    return torch.cat((first, plane.permute(0, 2, 3, 1).flatten(1, 2).to(position.dtype)), 1)


class SelfAttentionOf(nn.Module):
    """Attention between tokens: queries, keys and values side by side, (N, T, 3 C), to (N, T, C)."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def forward(self, x: Tensor) -> Tensor:
        images, tokens, width = x.shape
        parts = x.reshape(images, tokens, 3, self.heads, width // (3 * self.heads)).permute(2, 0, 3, 1, 4)
        queries, keys, values = parts.unbind(0)
        found = F.scaled_dot_product_attention(queries, keys, values)
        return found.transpose(1, 2).flatten(2)

    def extra_repr(self) -> str:
        return f"heads={self.heads}"


class FirstTokenOf(nn.Module):
    """The first of (N, T, C): (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]
