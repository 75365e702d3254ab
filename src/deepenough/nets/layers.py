"""The layers that a network is made of: frozen dataclasses, data and not code.

Every layer has a keyword `name`, its element of the module path. Without one it is called after its kind
(`conv`, or `conv1`, `conv2` ... where a stack has several). `repr` leaves out what is default, and can be evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, dataclass, field, fields
from keyword import iskeyword

from deepenough.errors import DeepenoughError

Shape = tuple[int, ...]
"""`(C, H, W)` of an image or feature map, `(F,)` after `Flatten` or a global pool. The batch is left out."""

Stack = tuple["Layer", ...]
"""Layers one after another. The empty stack is the identity."""

_AT_LEAST = {"out": 1, "kernel": 1, "stride": 1, "groups": 1, "size": 1, "padding": 0, "eps": 0, "k": 0, "weight": 0}


@dataclass(frozen=True, repr=False)
class Layer:
    """What all layers share."""

    name: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if self.name and not _is_name(self.name):
            raise DeepenoughError(f"layer name {self.name!r}: a name is letters, digits and _, as in 'level1'")
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not isinstance(value, (int, float)):
                continue
            if not math.isfinite(value) or value < _AT_LEAST.get(entry.name, -math.inf):
                least = _AT_LEAST.get(entry.name)
                wanted = "a finite number" if least is None else f"a finite number of at least {least}"
                raise DeepenoughError(f"{self.kind}({entry.name}={value}): {entry.name} has to be {wanted}")

    @property
    def kind(self) -> str:
        """The layer's kind, as in JSON and in tables: `Conv`, `BatchNorm`, ..."""
        return type(self).__name__

    def __repr__(self) -> str:
        positional, keyword = [], []
        for entry in fields(self):
            value = getattr(self, entry.name)
            required = entry.default is MISSING
            if required:
                positional.append(repr(value))
            elif value != entry.default:
                keyword.append(f"{entry.name}={value!r}")
        return f"{self.kind}({', '.join(positional + keyword)})"


@dataclass(frozen=True, repr=False)
class Conv(Layer):
    """Convolution with a square kernel. `padding` None is `kernel // 2`, which keeps the size at stride 1."""

    out: int
    kernel: int = 3
    stride: int = 1
    padding: int | None = None
    groups: int = 1
    bias: bool = True

    @property
    def pad(self) -> int:
        """Pixels of zeros on each side."""
        return self.kernel // 2 if self.padding is None else self.padding


@dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """Batch normalisation (Ioffe & Szegedy 2015). `zero_init` starts the scale at zero: its branch adds nothing yet."""

    eps: float = 1e-5
    momentum: float = 0.1
    zero_init: bool = False


@dataclass(frozen=True, repr=False)
class Relu(Layer):
    """max(x, 0)."""


@dataclass(frozen=True, repr=False)
class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""


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


@dataclass(frozen=True, repr=False)
class _Pool(Layer):
    kernel: int
    stride: int | None = None
    padding: int = 0
    ceil: bool = False

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


@dataclass(frozen=True, repr=False)
class MaxPool(_Pool):
    """Largest value of each window. `ceil` rounds the output size up, as Caffe does."""


@dataclass(frozen=True, repr=False)
class AvgPool(_Pool):
    """Mean of each window, padding counted. `ceil` rounds the output size up, as Caffe does."""


@dataclass(frozen=True, repr=False)
class GlobalAvgPool(Layer):
    """Mean over all positions: (C, H, W) to (C,)."""


@dataclass(frozen=True, repr=False)
class GlobalMaxPool(Layer):
    """Largest value over all positions: (C, H, W) to (C,)."""


@dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """In training, sets each value to zero with probability `p` and scales the others by 1 / (1 - p)."""

    p: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.p < 1:
            raise DeepenoughError(f"Dropout(p={self.p}): p is a probability from 0 up to, but not, 1")


@dataclass(frozen=True, repr=False)
class Flatten(Layer):
    """(C, H, W) to (C * H * W,), channels slowest."""


@dataclass(frozen=True, repr=False)
class Dense(Layer):
    """Fully connected layer on (F,)."""

    out: int
    bias: bool = True


@dataclass(frozen=True, repr=False)
class Group(Layer):
    """A named part of a stack. It computes what its layers compute, and gives their module paths a common start."""

    stack: Stack


@dataclass(frozen=True, repr=False)
class Auxiliary(Layer):
    """A side branch that exists only in training; its input passes through unchanged.

    `stack` ends in logits whose loss counts `weight` times (0.3 in GoogLeNet). It stands in a network's outermost
    stack only.
    """

    stack: Stack
    weight: float = 0.3


@dataclass(frozen=True, repr=False)
class Sum(Layer):
    """The sum of its branches (residual block). A branch `()` is the identity."""

    branches: tuple[Stack, ...]
    labels: tuple[str, ...] = ("main", "shortcut")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_branches(self, self.branches, self.labels)

    def labelled(self) -> Iterator[tuple[str, Stack]]:
        """Branches with their element of the module path."""
        return zip(self.labels, self.branches, strict=True)


@dataclass(frozen=True, repr=False)
class Concat(Layer):
    """Its branches' channels side by side (inception module). Without labels: `branch1`, `branch2`, ..."""

    branches: tuple[Stack, ...]
    labels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_branches(self, self.branches, self.labels or tuple(f"branch{n + 1}" for n in range(len(self.branches))))

    def labelled(self) -> Iterator[tuple[str, Stack]]:
        """Branches with their element of the module path."""
        labels = self.labels or tuple(f"branch{number + 1}" for number in range(len(self.branches)))
        return zip(labels, self.branches, strict=True)


def _is_name(word: str) -> bool:
    """Whether Python, and so every framework's own code, can use it as a name."""
    return word.isidentifier() and word.isascii() and not iskeyword(word)


def _check_branches(layer: Layer, branches: tuple[Stack, ...], labels: tuple[str, ...]) -> None:
    if len(branches) < 2 or len(branches) != len(labels):
        raise DeepenoughError(
            f"{layer.kind}: {len(branches)} branches and {len(labels)} labels; it takes two or more, one label each"
        )
    if len(set(labels)) < len(labels) or not all(_is_name(label) for label in labels):
        raise DeepenoughError(f"{layer.kind}: labels {labels}; labels differ, and are letters, digits and _")


KINDS: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        Conv, BatchNorm, Relu, Sigmoid, Lrn, MaxPool, AvgPool, GlobalAvgPool, GlobalMaxPool, Dropout, Flatten, Dense,
        Group, Auxiliary, Sum, Concat,
    )
}  # fmt: skip
"""Every kind of layer by its name."""

_SHORT = {
    "BatchNorm": "norm", "MaxPool": "pool", "AvgPool": "pool", "GlobalAvgPool": "pool", "GlobalMaxPool": "pool",
}  # fmt: skip


def named(stack: Iterable[Layer]) -> list[tuple[str, Layer]]:
    """The layers of a stack with their element of the module path.

    >>> named((Conv(8), Relu(), Conv(8), Dense(2, name="classifier")))
    [('conv1', Conv(8)), ('relu', Relu()), ('conv2', Conv(8)), ('classifier', Dense(2, name='classifier'))]
    """
    layers = list(stack)
    kinds = [_SHORT.get(layer.kind, layer.kind.lower()) for layer in layers]
    unnamed = [kind for kind, layer in zip(kinds, layers, strict=True) if not layer.name]
    counts: dict[str, int] = {}
    names = []
    for kind, layer in zip(kinds, layers, strict=True):
        if layer.name:
            names.append(layer.name)
            continue
        counts[kind] = counts.get(kind, 0) + 1
        names.append(f"{kind}{counts[kind]}" if unnamed.count(kind) > 1 else kind)
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DeepenoughError(f"two layers of one stack are called {', '.join(twice)}; give each a name of its own")
    return list(zip(names, layers, strict=True))
