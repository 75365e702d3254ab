"""A network as source code of frameworks whose modules nest: PyTorch and PaddlePaddle.

The code reads like the network: `stack(conv=..., norm=...)`, `Sum(main=..., shortcut=...)`, with the shape that comes
out of each layer beside it.
"""

from __future__ import annotations

from collections.abc import Callable

from deepenough.nets.combinators import Branches, Elementwise, Group
from deepenough.nets.layer import LAYER_KINDS, Layer, Stack, joined_path, named
from deepenough.nets.network import Network
from deepenough.nets.shapes import Visit, visits

INDENT = "    "


def nested(network: Network, expression: Callable[[Visit], str]) -> str:
    """The expression that makes the network, to stand behind `return`. `expression` gives that of a single layer."""
    at = {visit.path: visit for visit in visits(network)}
    lines = _stack(network.stack, "", 1, at, expression)
    return "\n".join(["stack(", *lines, f"{INDENT})"])


def _stack(stack: Stack, path: str, level: int, at: dict[str, Visit], expression: Callable[[Visit], str]) -> list[str]:
    lines = []
    for name, layer in named(stack):
        lines += _layer(layer, name, joined_path(path, name), level + 1, at, expression)
    return lines


def _layer(
    layer: Layer, name: str, path: str, level: int, at: dict[str, Visit], expression: Callable[[Visit], str]
) -> list[str]:
    space = INDENT * level
    match layer:
        case Group(stack=stack):
            return [f"{space}{name}=stack(", *_stack(stack, path, level, at, expression), f"{space}),"]
        case Branches():
            lines = [f"{space}{name}={layer.kind}("]
            for label, branch in layer.stacks:
                inner = _stack(branch, f"{path}.{label}", level + 1, at, expression)
                closed = [f"{space}{INDENT}{label}=stack(", *inner, f"{space}{INDENT}),"]
                lines += closed if branch else [f"{space}{INDENT}{label}=nn.Identity(),"]
            return [*lines, f"{space}),"]
    visit = at[path]
    shape = f"  # {'x'.join(map(str, visit.output))}" if visit.output != visit.input else ""
    return [f"{space}{name}={expression(visit)},{shape}"]


def joins(network: Network, framework: str, concat: str) -> str:
    """Source code of the network's combinators.

    `concat` is the expression that puts the channels of `parts` side by side.
    """
    there = {visit.layer.kind for visit in visits(network)}
    classes = []
    for kind in LAYER_KINDS.values():
        if issubclass(kind, Branches) and kind.__name__ in there:
            about = (kind.__doc__ or "").partition(".")[0]
            join = f"reduce({framework}.{getattr(kind, framework)}, parts)" if issubclass(kind, Elementwise) else concat
            classes.append(
                f'\n\nclass {kind.__name__}(Branches):\n    """{about}."""\n\n'
                f"    def join(self, parts: list[Tensor]) -> Tensor:\n        return {join}\n"
            )
    return "".join(classes)


def call(kind: str, *given: object, **named_given: object) -> str:
    """Source code of a call.

    >>> call("nn.Conv2d", 3, 64, bias=False)
    'nn.Conv2d(3, 64, bias=False)'
    """
    parts = [repr(value) for value in given] + [f"{key}={value!r}" for key, value in named_given.items()]
    return f"{kind}({', '.join(parts)})"
