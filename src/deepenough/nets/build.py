"""From a network to a torch module. This file and `modules` are the only ones of this room that know torch."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

from deepenough.errors import DeepenoughError
from deepenough.nets.activation import Activation, PRelu
from deepenough.nets.combinators import Auxiliary, Branches, Concat, Elementwise, Group
from deepenough.nets.layer import Layer, Shape, Stack, joined_path, named
from deepenough.nets.layers import (
    AvgPool,
    BatchNorm,
    ChannelShuffle,
    ChannelSlice,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    GroupNorm,
    LayerNorm,
    LayerScale,
    Lrn,
    MaxPool,
    StochasticDepth,
    Weighted,
    channels,
)
from deepenough.nets.modules import (
    ChannelNorm,
    ChannelScale,
    ChannelSliceOf,
    DropPath,
    FirstTokenOf,
    PaddedConv2d,
    SelfAttentionOf,
    TokensOf,
)
from deepenough.nets.network import Network
from deepenough.nets.shapes import output_shape, visits
from deepenough.nets.tokens import FirstToken, SelfAttention, Tokens


class BranchesOf(nn.Module):
    """Modules that read the same; one without layers gives its input."""

    def __init__(self, branches: list[tuple[str, nn.Module]]) -> None:
        super().__init__()
        for label, branch in branches:
            self.add_module(label, branch)


class ElementwiseOf(BranchesOf):
    """Joins what its branches give by a function of torch: `add` for a sum."""

    def __init__(self, branches: list[tuple[str, nn.Module]], function: str) -> None:
        super().__init__(branches)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        join = getattr(torch, self.function)
        first, *others = self.children()
        joined: Tensor = first(x)
        for other in others:
            joined = join(joined, other(x))
        return joined


class ConcatOf(BranchesOf):
    """Puts the channels of what its branches give side by side."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.children()], dim=1)


class GlobalAverage(nn.Module):
    """(N, C, H, W) to (N, C), or with `keep` to (N, C, 1, 1): the mean over all positions. Of tokens (N, T, C) too.

    torch's `mean` sums and divides, too; but here the gradient is divided before it is spread over the positions, and
    stays in the memory format of `x`. On the CPU the numbers are the same, bit for bit. Half precision has `mean`,
    which sums in float32.
    """

    def __init__(self, keep: bool = False) -> None:
        super().__init__()
        self.keep = keep

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 3:
            return x.mean(1)
        mean = x.mean((2, 3)) if x.element_size() < 4 else x.sum((2, 3)) / (x.shape[2] * x.shape[3])
        return mean[:, :, None, None] if self.keep else mean


class GlobalMaximum(nn.Module):
    """(N, C, H, W) to (N, C): the largest value over all positions. Of tokens (N, T, C) too."""

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 3:
            return x.amax(1)
        return nn.functional.adaptive_max_pool2d(x, 1).flatten(1)


class LocalResponse(torch.autograd.Function):
    """Local response normalization (Krizhevsky et al. 2012, section 3.3): x / (k + alpha/n sum of x^2)^beta.

    The sum is over n channels. torch's own takes it as an average pool in three dimensions, and four times as long.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
        ctx.around, ctx.alpha, ctx.beta, ctx.k = (size // 2, (size - 1) // 2), alpha / size, beta, k
        base = _channel_sums(x * x, *ctx.around).mul_(ctx.alpha).add_(k)
        scale = (root := base.rsqrt()).mul_(root.sqrt()) if beta == 0.75 else base.pow(-beta)  # in half the time
        ctx.save_for_backward(x, base, scale)
        return x * scale

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        x, base, scale = ctx.saved_tensors
        before, after = ctx.around
        if torch.is_grad_enabled():  # this is to be differentiated again, which takes what was saved for constants
            base = _channel_sums(x * x, before, after) * ctx.alpha + ctx.k
            scale = base.pow(-ctx.beta)
        others = _channel_sums(gradient * x * scale / base, after, before)
        slope = -2 * ctx.alpha * ctx.beta
        return torch.addcmul(gradient * scale, others, x, value=slope), None, None, None, None


def _channel_sums(x: Tensor, before: int, after: int) -> Tensor:
    """For each channel of (N, C, H, W) the sum from `before` channels before it to `after` behind it."""
    total = x.clone()
    for away in range(1, before + 1):
        total[:, away:] += x[:, :-away]
    for away in range(1, after + 1):
        total[:, :-away] += x[:, away:]
    return total


class LocalResponseNorm(nn.LocalResponseNorm):
    """torch's layer by other operations; half precision is computed in float32."""

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float() if x.element_size() < 4 else x
        found: Tensor = LocalResponse.apply(wide, self.size, self.alpha, self.beta, self.k)  # type: ignore[no-untyped-call]
        return found.to(x.dtype)


class AuxiliaryHead(nn.Sequential):
    """A classifier on the side, used in training only; `share` is the weight of its loss."""

    def __init__(self, layers: OrderedDict[str, nn.Module], share: float) -> None:
        super().__init__(layers)
        self.share = share


class BuiltNetwork(nn.Module):
    """The layers of a network in order. Images (N, C, H, W), normalised, to logits (N, classes).

    In training a network with auxiliary branches gives (logits, [(weight, logits), ...]).
    """

    def __init__(self, layers: OrderedDict[str, nn.Module]) -> None:
        super().__init__()
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, list[tuple[float, Tensor]]]:
        x = images
        heads: list[tuple[float, Tensor]] = []
        for layer in self.children():
            if not isinstance(layer, AuxiliaryHead):
                x = layer(x)
            elif self.training:
                heads.append((layer.share, layer(x)))
        return (x, heads) if heads else x


def build(network: Network, seed: int = 0) -> nn.Module:
    """A module in training mode, float32, on the CPU. Module paths are those of `layer_table`.

    The weights are a function of network and seed alone: torch's own random state is neither read nor changed.
    Convolutions and dense layers start as in He et al. 2015 (arXiv 1502.01852, eq. 10, by fan-in; the classifiers,
    which no ReLU follows, by half that variance), biases at zero.
    """
    shape = output_shape(network)
    if len(shape) != 1:
        raise DeepenoughError(f"network {network.name!r} gives {shape}; a classifier gives (classes,)")
    shapes = {visit.path: visit.input for visit in visits(network, training=True)}
    with torch.device("meta"):
        module = BuiltNetwork(_modules(network.stack, "", shapes))
    # As `to_empty` does it, but that imports SymPy (1 s).
    module.load_state_dict(
        {k: torch.empty(v.shape, dtype=v.dtype) for k, v in module.state_dict().items()}, assign=True
    )
    _start(module, network, seed)
    return module


def _modules(stack: Stack, path: str, shapes: dict[str, Shape]) -> OrderedDict[str, nn.Module]:
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    for name, layer in named(stack):
        if hasattr(nn.Sequential, name):
            raise DeepenoughError(
                f"{path or 'network'}: a layer can't be called {name!r}: torch's modules use that word"
            )
        modules[name] = _module(layer, joined_path(path, name), shapes)
    return modules


def _branches(layer: Branches, path: str, shapes: dict[str, Shape]) -> list[tuple[str, nn.Module]]:
    return [
        (label, nn.Sequential(_modules(branch, f"{path}.{label}", shapes)) if branch else nn.Identity())
        for label, branch in layer.stacks
    ]


def _module(layer: Layer, path: str, shapes: dict[str, Shape]) -> nn.Module:
    match layer:
        case Conv(same=True):
            return PaddedConv2d(layer, shapes[path])
        case Conv(out=out, kernel=kernel, stride=stride, dilation=dilation, groups=groups, bias=bias):
            return nn.Conv2d(shapes[path][0], out, kernel, stride, layer.pad, dilation, groups, bias)
        case BatchNorm(eps=eps, momentum=momentum):
            kind: type[nn.Module] = nn.BatchNorm2d if len(shapes[path]) == 3 else nn.BatchNorm1d
            return kind(shapes[path][0], eps=eps, momentum=momentum)
        case LayerNorm(eps=eps):
            return ChannelNorm(channels(shapes[path]), eps=eps)
        case GroupNorm(groups=groups, eps=eps):
            return nn.GroupNorm(groups, shapes[path][0], eps)
        case LayerScale():
            return ChannelScale(channels(shapes[path]))
        case PRelu(shared=shared):
            return nn.PReLU(1 if shared else shapes[path][0])
        case Activation():
            made: nn.Module = getattr(nn, layer.torch)(*layer.arguments)
            return made
        case Lrn(size=size, alpha=alpha, beta=beta, k=k):
            return LocalResponseNorm(size, alpha, beta, k)
        case MaxPool(kernel=kernel, padding=padding, ceil=ceil):
            return nn.MaxPool2d(kernel, layer.step, padding, ceil_mode=ceil)
        case AvgPool(kernel=kernel, padding=padding, ceil=ceil):
            return nn.AvgPool2d(kernel, layer.step, padding, ceil_mode=ceil)
        case GlobalAvgPool(keep=keep):
            return GlobalAverage(keep)
        case GlobalMaxPool():
            return GlobalMaximum()
        case StochasticDepth(p=p):
            return DropPath(p)
        case Dropout(p=p):
            return nn.Dropout(p)
        case ChannelShuffle(groups=groups):
            return nn.ChannelShuffle(groups)
        case ChannelSlice(start=start, stop=stop):
            return ChannelSliceOf(start, stop)
        case Flatten():
            return nn.Flatten()
        case Dense(out=out, bias=bias):
            return nn.Linear(shapes[path][-1], out, bias)
        case Tokens():
            return TokensOf(layer, shapes[path])
        case SelfAttention(heads=heads):
            return SelfAttentionOf(heads)
        case FirstToken():
            return FirstTokenOf()
        case Group(stack=stack):
            return nn.Sequential(_modules(stack, path, shapes))
        case Auxiliary(stack=stack, weight=weight):
            return AuxiliaryHead(_modules(stack, path, shapes), weight)
        case Elementwise():
            return ElementwiseOf(_branches(layer, path, shapes), layer.torch)
        case Concat():
            return ConcatOf(_branches(layer, path, shapes))
    raise DeepenoughError(f"{path}: {layer.kind} is not a layer that can be built")


def _start(module: nn.Module, network: Network, seed: int) -> None:
    classifiers = _classifiers(network)
    for visit in visits(network, training=True):
        part: Any = module.get_submodule(visit.path)
        with torch.no_grad():
            match visit.layer:
                case BatchNorm(zero_init=zero):
                    part.reset_running_stats()
                    part.weight.fill_(0.0 if zero else 1.0)
                case LayerNorm() | GroupNorm():
                    part.weight.fill_(1.0)
                case LayerScale(start=start) | PRelu(start=start):
                    part.weight.fill_(start)
                case Tokens():  # as their paper's code starts the positions
                    generator = _generator(seed, visit.path)
                    for tensor in part.parameters():
                        tensor.normal_(0.0, 0.02, generator=generator)
                case Weighted():
                    fan_in = part.weight[0].numel()
                    gain = 1.0 if visit.path in classifiers else 2.0
                    part.weight.normal_(0.0, (gain / fan_in) ** 0.5, generator=_generator(seed, visit.path))
            if getattr(part, "bias", None) is not None:
                part.bias.zero_()


def _classifiers(network: Network) -> set[str]:
    """Paths of the layers that give logits: the last weighted one of the network and of each auxiliary branch."""
    heads = {name for name, layer in named(network.stack) if isinstance(layer, Auxiliary)}
    last: dict[str, str] = {}
    for visit in visits(network, training=True):
        if isinstance(visit.layer, Weighted):
            first = visit.path.partition(".")[0]
            last[first if first in heads else ""] = visit.path
    return set(last.values())


def _generator(seed: int, path: str) -> torch.Generator:
    """A random state of each layer's own, so that no layer's weights depend on what else is in the network."""
    digest = hashlib.sha256(f"{seed}/{path}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
