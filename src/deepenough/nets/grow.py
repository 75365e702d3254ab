"""Start a deeper residual network from a shallower one's weights: the inserted blocks are identities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deepenough.errors import DeepenoughError
from deepenough.nets.activation import Relu
from deepenough.nets.combinators import Group, Sum
from deepenough.nets.layer import Layer, Stack
from deepenough.nets.layers import BatchNorm
from deepenough.nets.network import Network

if TYPE_CHECKING:
    from torch import Tensor


def grow(state: Mapping[str, Tensor], shallow: Network, deep: Network, seed: int = 0) -> dict[str, Tensor]:
    """The state dict of `deep` that computes exactly what `shallow` computes with `state`.

    `deep` is `shallow` with blocks added at the end of its levels. Each added block comes after a ReLU, and the scale
    of its last norm starts at zero: it adds nothing, and the ReLU behind it changes nothing. What is new starts as
    `build(deep, seed)` does. Two networks of which this does not hold are an error.
    """
    from deepenough.nets.build import build

    if shallow.input != deep.input or not _extends(shallow.stack, deep.stack):
        raise DeepenoughError(
            f"{deep.name} can't start from {shallow.name}: it has to be the same residual family, input, classes and "
            "width, with blocks added; train it from scratch"
        )
    grown = build(deep, seed).state_dict()
    for path, values in state.items():
        if path not in grown or grown[path].shape != values.shape:
            raise DeepenoughError(
                f"the weights given for {shallow.name} have {path} {tuple(values.shape)}, which it has not"
            )
        grown[path] = values.detach().clone()
    return grown


def _extends(shallow: Stack, deep: Stack) -> bool:
    """Whether `deep` is `shallow`, with identity blocks after the last layer of some groups."""
    if len(shallow) != len(deep):
        return False
    for old, new in zip(shallow, deep, strict=True):
        if old == new:
            continue
        if not (isinstance(old, Group) and isinstance(new, Group) and old.name == new.name):
            return False
        kept, added = new.stack[: len(old.stack)], new.stack[len(old.stack) :]
        # Names in the shallower group may depend on how many layers of a kind it has: blocks carry theirs.
        if kept != old.stack or not isinstance(kept[-1], Relu) or not _identities(added):
            return False
    return True


def _identities(added: Stack) -> bool:
    if len(added) % 2:
        return False
    return all(_identity(block, relu) for block, relu in zip(added[::2], added[1::2], strict=True))


def _identity(block: Layer, relu: Layer) -> bool:
    match block:
        case Sum(branches=((*_, BatchNorm(zero_init=True)), ())):
            return bool(block.name) and isinstance(relu, Relu) and bool(relu.name)
    return False
