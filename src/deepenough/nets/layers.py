"""The single layers that a network is made of. Activations are in `activation`, what joins stacks in `combinators`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from deepenough.errors import DeepenoughError
from deepenough.nets.layer import Layer, Shape, ShapeError, Window

__all__ = [
    "AvgPool",
    "BatchNorm",
    "ChannelShuffle",
    "ChannelSlice",
    "Conv",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "GlobalPool",
    "GroupNorm",
    "LayerNorm",
    "LayerScale",
    "Lrn",
    "MaxPool",
    "Pool",
    "StochasticDepth",
    "Weighted",
]


@dataclass(frozen=True, repr=False)
class Weighted(Layer, base=True):
    """A layer whose outputs are weighted sums: what depth counts."""

    out: int

    depth = 1
    keeps_sign = False

    def macs(self, shape: Shape) -> int:
        """A multiply-accumulate for each value that an output is a sum of."""
        return prod(self.output(shape)) * prod(self.tensors(shape)["weight"][1:])


@dataclass(frozen=True, repr=False)
class Conv(Weighted):
    """Convolution with a square kernel. `padding` None is half its extent, which keeps the size at stride 1.

    With as many `groups` as channels it is depthwise. `same` pads as TensorFlow's "same" does: as little as gives
    size / stride values, and where that is uneven, more at the end; `padding` is then left out. With a `dilation` of d,
    neighbours in the kernel are d pixels apart (Yu & Koltun 2015, arXiv 1511.07122).
    """

    kernel: int = 3
    stride: int = 1
    padding: int | None = None
    groups: int = 1
    bias: bool = True
    same: bool = False
    dilation: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.same and self.padding is not None:
            raise DeepenoughError(f"{self!r}: same=True fixes the padding; leave out padding={self.padding}")

    @property
    def extent(self) -> int:
        """Pixels along a side that the kernel covers."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def pad(self) -> int:
        """Pixels of zeros on each side; with `same` those before an image that the stride divides."""
        if self.same:
            return max(self.extent - self.stride, 0) // 2
        return self.extent // 2 if self.padding is None else self.padding

    def pads(self, shape: Shape) -> tuple[tuple[int, int], tuple[int, int]]:
        """Pixels of zeros around an image (C, H, W): ((above, below), (left, right))."""
        if not self.same:
            return ((self.pad, self.pad),) * 2
        height, width = (max((-(-side // self.stride) - 1) * self.stride + self.extent - side, 0) for side in shape[1:])
        return (height // 2, height - height // 2), (width // 2, width - width // 2)

    def depthwise(self, shape: Shape) -> bool:
        """Tell whether each channel of (C, H, W) has filters of its own."""
        return self.groups == shape[0] > 1

    @property
    def window(self) -> Window:
        return Window(self.extent, self.stride, self.pad)

    def output(self, shape: Shape) -> Shape:
        if _image(shape)[0] % self.groups or self.out % self.groups:
            raise ShapeError(f"channels in and out ({self.out}) that {self.groups} groups divide")
        if self.same:
            return self.out, *(-(-side // self.stride) for side in shape[1:])
        return self.out, *_slide(shape, self.window)

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        weight = {"weight": (self.out, shape[0] // self.groups, self.kernel, self.kernel)}
        return weight | ({"bias": (self.out,)} if self.bias else {})


@dataclass(frozen=True, repr=False)
class Dense(Weighted):
    """Fully connected layer on (F,), or on each token of (T, C)."""

    bias: bool = True

    def output(self, shape: Shape) -> Shape:
        if len(shape) > 2:
            raise ShapeError("(features,): put Flatten() or a global pool before it")
        return (*shape[:-1], self.out)

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        return {"weight": (self.out, shape[-1])} | ({"bias": (self.out,)} if self.bias else {})


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """Batch normalisation (Ioffe & Szegedy 2015). `zero_init` starts the scale at zero: its branch adds nothing yet."""

    eps: float = 1e-5
    momentum: float = 0.1
    zero_init: bool = False

    called = "norm"
    keeps_sign = False

    def output(self, shape: Shape) -> Shape:
        if len(shape) == 2:
            raise ShapeError("(channels, height, width) or (features,): tokens take LayerNorm()")
        return shape

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), shape[:1])


@dataclass(frozen=True, repr=False)
class LayerNorm(Layer):
    """Layer normalisation over the channels of each position or token (Ba et al. 2016, arXiv 1607.06450)."""

    eps: float = 1e-6

    called = "norm"
    keeps_sign = False
    missing: ClassVar[Mapping[str, str]] = {
        "caffe": "Caffe 1.0 normalises whole maps (MVN), not the channels of each position"
    }

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        return dict.fromkeys(("weight", "bias"), (channels(shape),))


@dataclass(frozen=True, repr=False)
class GroupNorm(Layer):
    """Normalisation of each image over the positions and channels of each of `groups` equal parts of the channels.

    Wu & He 2018, arXiv 1803.08494. With as many groups as channels it is instance normalisation.
    """

    groups: int
    eps: float = 1e-5

    called = "norm"
    keeps_sign = False
    missing: ClassVar[Mapping[str, str]] = {"caffe": "Caffe 1.0 normalises whole maps (MVN), not groups of channels"}

    def output(self, shape: Shape) -> Shape:
        if _image(shape)[0] % self.groups:
            raise ShapeError(f"channels that {self.groups} groups divide")
        return shape

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        return dict.fromkeys(("weight", "bias"), shape[:1])


@dataclass(frozen=True, repr=False)
class ChannelShuffle(Layer):
    """The first channel of each of `groups` equal parts of the channels, then the second of each, and so on.

    It mixes what grouped convolutions keep apart (Zhang et al. 2017, arXiv 1707.01083, section 3.1).
    """

    groups: int

    called = "shuffle"
    missing: ClassVar[Mapping[str, str]] = {
        "caffe": "Caffe 1.0 has no layer that changes the order of channels, as a channel shuffle does"
    }

    def output(self, shape: Shape) -> Shape:
        if _image(shape)[0] % self.groups:
            raise ShapeError(f"channels that {self.groups} groups divide")
        return shape

    def apart(self, shape: Shape) -> tuple[int, int, int, int]:
        """The shape of a map (C, H, W) with its groups apart: (groups, channels of each, height, width)."""
        return self.groups, shape[0] // self.groups, shape[1], shape[2]


@dataclass(frozen=True, repr=False)
class ChannelSlice(Layer):
    """The channels of (C, H, W) or (F,) from `start` up to, but not, `stop`.

    Branches that begin with it read some of the channels only, as ShuffleNetV2's do (Ma et al. 2018, arXiv 1807.11164,
    section 3). Like any path, they count in depth and receptive field by what they have behind it.
    """

    start: int
    stop: int

    called = "slice"

    def output(self, shape: Shape) -> Shape:
        if len(shape) == 2:
            raise ShapeError("(channels, height, width) or (features,), not tokens")
        if not self.start < self.stop <= shape[0]:
            raise ShapeError(f"channels up to {self.stop}, and a stop behind the start, {self.start}")
        return self.stop - self.start, *shape[1:]

    def begin(self, shape: Shape) -> tuple[int, ...]:
        """The first place that it keeps of a value of that shape, on each axis."""
        return (self.start, *[0] * (len(shape) - 1))


@dataclass(frozen=True, repr=False)
class LayerScale(Layer):
    """A trained factor for each channel, at first `start` (Touvron et al. 2021, arXiv 2103.17239, section 2.1)."""

    start: float = 1e-6

    called = "scale"
    keeps_sign = False

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        return {"weight": (channels(shape),)}


@dataclass(frozen=True, repr=False)
class Lrn(Layer):
    """Local response normalisation over `size` neighbouring channels (Krizhevsky et al. 2012, section 3.3).

    x / (k + alpha / size * sum of squares) ** beta: alpha is divided by `size`, as in PyTorch and Caffe. The paper's
    alpha stands before the sum, so the paper's 1e-4 with five channels is 5e-4 here.
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def output(self, shape: Shape) -> Shape:
        return _image(shape)


@dataclass(frozen=True, repr=False)
class Pool(Layer, base=True):
    """A pool over windows."""

    kernel: int
    stride: int | None = None
    padding: int = 0
    ceil: bool = False

    called = "pool"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.padding > self.kernel // 2:
            raise DeepenoughError(
                f"{self.kind}({self.kernel}, padding={self.padding}): padding is at most half the kernel, "
                f"here {self.kernel // 2}"
            )

    @property
    def step(self) -> int:
        """The stride: that of the kernel unless given."""
        return self.kernel if self.stride is None else self.stride

    @property
    def window(self) -> Window:
        return Window(self.kernel, self.step, self.padding)

    def output(self, shape: Shape) -> Shape:
        return _image(shape)[0], *_slide(shape, self.window, ceil=self.ceil)


@dataclass(frozen=True, repr=False)
class MaxPool(Pool):
    """Largest value of each window. `ceil` rounds the output size up, as Caffe does."""


@dataclass(frozen=True, repr=False)
class AvgPool(Pool):
    """Mean of each window, padding counted. `ceil` rounds the output size up, as Caffe does."""


@dataclass(frozen=True, repr=False)
class GlobalPool(Layer, base=True):
    """A pool over all positions or tokens: (C, H, W) or (T, C) to (C,)."""

    called = "pool"
    sees_all = True

    def output(self, shape: Shape) -> Shape:
        return (shape[-1],) if len(shape) == 2 else _image(shape)[:1]


@dataclass(frozen=True, repr=False)
class GlobalAvgPool(GlobalPool):
    """Mean over all positions or tokens: (C, H, W) or (T, C) to (C,). With `keep` a map of one position, (C, 1, 1)."""

    keep: bool = False

    def output(self, shape: Shape) -> Shape:
        return (_image(shape)[0], 1, 1) if self.keep else super().output(shape)


@dataclass(frozen=True, repr=False)
class GlobalMaxPool(GlobalPool):
    """Largest value over all positions or tokens: (C, H, W) or (T, C) to (C,)."""


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """In training, sets each value to zero with probability `p` and scales the others by 1 / (1 - p)."""

    p: float = 0.5

    remembered = 2  # its mask, too

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.p < 1:
            raise DeepenoughError(f"{self.kind}(p={self.p}): p is a probability from 0 up to, but not, 1")


@dataclass(frozen=True, repr=False)
class StochasticDepth(Dropout):
    """In training, sets all values of an image to zero with probability `p`, and scales the others by 1 / (1 - p).

    It stands at the end of a residual branch (Huang et al. 2016, arXiv 1603.09382).
    """

    called = "drop"
    remembered = 1


@dataclass(frozen=True, repr=False)
class Flatten(Layer):
    """(C, H, W) to (C * H * W,), channels slowest."""

    remembered = 0
    sees_all = True

    def output(self, shape: Shape) -> Shape:
        return (prod(shape),)


def window_count(size: int, kernel: int, stride: int, padding: int, *, ceil: bool = False) -> int:
    """Count the windows that fit in `size` pixels. With `ceil` the last may hang over, but starts inside.

    >>> window_count(112, 3, 2, 1), window_count(112, 3, 2, 0), window_count(112, 3, 2, 0, ceil=True)
    (56, 55, 56)
    """
    room = size + 2 * padding - kernel
    if not ceil:
        return room // stride + 1
    count = -(-room // stride) + 1
    return count - 1 if (count - 1) * stride >= size + padding else count


def channels(shape: Shape) -> int:
    """Channels of an image (C, H, W) or of tokens (T, C), features of (F,)."""
    return shape[-1] if len(shape) == 2 else shape[0]


def _image(shape: Shape) -> Shape:
    if len(shape) != 3:
        raise ShapeError("(channels, height, width): put it before Flatten() and global pools")
    return shape


def _slide(shape: Shape, window: Window, *, ceil: bool = False) -> Shape:
    """Height and width of what a window gives that slides over an image."""
    if min(shape[1:]) + 2 * window.padding < window.kernel:
        least = window.kernel - 2 * window.padding
        raise ShapeError(f"height and width of at least {least}: give the network larger images")
    return tuple(window_count(side, *window, ceil=ceil) for side in shape[1:])
