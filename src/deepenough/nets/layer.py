"""The base of all layers: frozen dataclasses, data and not code, that say of themselves what walks over a network ask.

Every layer has a keyword `name`, its element of the module path. Without one it is called after its kind
(`conv`, or `conv1`, `conv2` ... where a stack has several). `repr` leaves out what is default, and can be evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from keyword import iskeyword
from typing import Any, ClassVar, NamedTuple

from deepenough.errors import DeepenoughError

Shape = tuple[int, ...]
"""`(C, H, W)` of an image or feature map, `(T, C)` of tokens, `(F,)` after `Flatten` or a global pool.

The batch is left out.
"""

Stack = tuple["Layer", ...]
"""Layers one after another. The empty stack is the identity."""

LAYER_KINDS: dict[str, type[Layer]] = {}
"""Every kind of layer by its name."""

STATISTICS = ("running_mean", "running_var")
"""Tensors that are measured, not trained."""

_AT_LEAST = dict.fromkeys(
    ("out", "kernel", "stride", "dilation", "groups", "size", "heads", "rows", "columns", "stop"), 1
)
_AT_LEAST |= dict.fromkeys(("padding", "eps", "k", "weight", "start"), 0)


class ShapeError(DeepenoughError):
    """A layer got a shape that it can't take. A layer raises it with what it needs."""


class Window(NamedTuple):
    """A square that slides over an image. `padding` is in pixels on each side, `kernel` the pixels that it covers."""

    kernel: int
    stride: int
    padding: int


@dataclass(frozen=True, repr=False)
class Layer:
    """The base of all layers. The class attributes are what a kind says of itself."""

    name: str = field(default="", kw_only=True)

    called: ClassVar[str] = ""  # in a stack, where it has no name; its kind in lower case unless given
    depth: ClassVar[int] = 0  # that it adds to a path
    remembered: ClassVar[int] = 1  # tensors of its output's size that a training step keeps for its backward pass
    sees_all: ClassVar[bool] = False  # each of its outputs depends on all positions of its input
    nonnegative: ClassVar[bool] = False  # it never gives anything negative
    keeps_sign: ClassVar[bool] = True  # it gives nothing negative where it is given nothing negative
    missing: ClassVar[Mapping[str, str]] = {}  # targets that have nothing like it, each with the reason

    def __init_subclass__(cls, *, base: bool = False, **others: Any) -> None:
        """Register a kind of layer, unless it is a `base` of kinds."""
        super().__init_subclass__(**others)
        if not base:
            LAYER_KINDS[cls.__name__] = cls

    def __post_init__(self) -> None:
        if self.name and not is_name(self.name):
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

    @property
    def window(self) -> Window | None:
        """The window that it slides over its input, if any."""
        return None

    @property
    def stacks(self) -> Sequence[tuple[str, Stack]]:
        """The stacks inside it, each with its label: the element between its path and those of their layers, or ""."""
        return ()

    def with_stacks(self, stacks: Sequence[Stack]) -> Layer:
        """The same layer with other stacks, in the order of `stacks`."""
        raise NotImplementedError(f"{self.kind} is not made of stacks")

    @property
    def starts_as_identity(self) -> bool:
        """True where an untrained one gives what it is given, bit for bit."""
        return False

    def output(self, shape: Shape) -> Shape:
        """The shape that it gives. One that does not fit is a `ShapeError`."""
        return shape

    def tensors(self, shape: Shape) -> dict[str, Shape]:
        """The shapes of its tensors for an input of that shape, by the names that torch gives them."""
        return {}

    def parameters(self, shape: Shape) -> int:
        """Trained numbers."""
        return sum(math.prod(given) for name, given in self.tensors(shape).items() if name not in STATISTICS)

    def macs(self, shape: Shape) -> int:
        """Multiply-accumulates for one input of that shape."""
        return 0

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


def is_name(word: str) -> bool:
    """Tell whether Python, and so every framework's own code, can use it as a name."""
    return word.isidentifier() and word.isascii() and not iskeyword(word)


def joined_path(*names: str) -> str:
    """Join elements of a module path; empty ones are left out."""
    return ".".join(filter(None, names))


def named(stack: Iterable[Layer]) -> list[tuple[str, Layer]]:
    """The layers of a stack with their element of the module path.

    >>> named((Conv(8), Relu(), Conv(8), Dense(2, name="classifier")))
    [('conv1', Conv(8)), ('relu', Relu()), ('conv2', Conv(8)), ('classifier', Dense(2, name='classifier'))]
    """
    layers = list(stack)
    words = [layer.called or layer.kind.lower() for layer in layers]
    unnamed = [word for word, layer in zip(words, layers, strict=True) if not layer.name]
    counts: dict[str, int] = {}
    names = []
    for word, layer in zip(words, layers, strict=True):
        if layer.name:
            names.append(layer.name)
            continue
        counts[word] = counts.get(word, 0) + 1
        names.append(f"{word}{counts[word]}" if unnamed.count(word) > 1 else word)
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DeepenoughError(f"two layers of one stack are called {', '.join(twice)}; give each a name of its own")
    return list(zip(names, layers, strict=True))
