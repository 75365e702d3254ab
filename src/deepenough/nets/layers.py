"""The single layers that a network is made of. Activations are in `activation`, what joins stacks in `combinators`."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from deepenough.errors import DeepenoughError
from deepenough.nets.layer import Layer, Shape, ShapeError, Window

__all__ = [
    "AvgPool",
    "BatchNorm",
    "Conv",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "GlobalPool",
    "Lrn",
    "MaxPool",
    "Pool",
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
    """Convolution with a square kernel. `padding` None is `kernel // 2`, which keeps the size at stride 1."""

    kernel: int = 3
    stride: int = 1
    padding: int | None = None
    groups: int = 1
    bias: bool = True

    @property
    def pad(self) -> int:
        """Pixels of zeros on each side."""
        return self.kernel // 2 if self.padding is None else self.padding

    @property
    def window(self) -> Window:
        return Window(self.kernel, self.stride, self.pad)

    def output(self, shape: Shape) -> Shape:
        channels = _image(shape)[0]
        if channels % self.groups or self.out % self.groups:
            raise ShapeError(f"channels in and out ({self.out}) that {self.groups} groups divide")
        return self.out, *_slide(shape, self.window)

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        weight = {"weight": (self.out, shape[0] // self.groups, self.kernel, self.kernel)}
        return weight | ({"bias": (self.out,)} if self.bias else {})


@dataclass(frozen=True, repr=False)
class Dense(Weighted):
    """Fully connected layer on (F,)."""

    bias: bool = True

    def output(self, shape: Shape) -> Shape:
        if len(shape) != 1:
            raise ShapeError("(features,): put Flatten() or a global pool before it")
        return (self.out,)

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        return {"weight": (self.out, shape[0])} | ({"bias": (self.out,)} if self.bias else {})


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """Batch normalisation (Ioffe & Szegedy 2015). `zero_init` starts the scale at zero: its branch adds nothing yet."""

    eps: float = 1e-5
    momentum: float = 0.1
    zero_init: bool = False

    called = "norm"
    keeps_sign = False

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), shape[:1])


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
        channels = _image(shape)[0]
        return channels, *_slide(shape, self.window, ceil=self.ceil)


@dataclass(frozen=True, repr=False)
class MaxPool(Pool):
    """Largest value of each window. `ceil` rounds the output size up, as Caffe does."""


@dataclass(frozen=True, repr=False)
class AvgPool(Pool):
    """Mean of each window, padding counted. `ceil` rounds the output size up, as Caffe does."""


@dataclass(frozen=True, repr=False)
class GlobalPool(Layer, base=True):
    """A pool over all positions: (C, H, W) to (C,)."""

    called = "pool"
    sees_all = True

    def output(self, shape: Shape) -> Shape:
        return _image(shape)[:1]


@dataclass(frozen=True, repr=False)
class GlobalAvgPool(GlobalPool):
    """Mean over all positions: (C, H, W) to (C,)."""


@dataclass(frozen=True, repr=False)
class GlobalMaxPool(GlobalPool):
    """Largest value over all positions: (C, H, W) to (C,)."""


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """In training, sets each value to zero with probability `p` and scales the others by 1 / (1 - p)."""

    p: float = 0.5

    remembered = 2  # its mask, too

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.p < 1:
            raise DeepenoughError(f"Dropout(p={self.p}): p is a probability from 0 up to, but not, 1")


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
