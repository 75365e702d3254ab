"""Start a deeper network from a shallower one's weights, where the blocks between start as identities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from deepenough.errors import DeepenoughError
from deepenough.nets.activation import Activation
from deepenough.nets.combinators import Group
from deepenough.nets.layer import Layer, Stack
from deepenough.nets.network import Network

if TYPE_CHECKING:
    from torch import Tensor


def grows(shallow: Network, deep: Network) -> bool:
    """Tell whether `deep` is `shallow` with layers at the end of its groups that change nothing before training."""
    return shallow.input == deep.input and _extends(shallow.stack, deep.stack)


def grow(state: Mapping[str, Tensor], shallow: Network, deep: Network, seed: int = 0) -> dict[str, Tensor]:
    """The state dict of `deep` that computes exactly what `shallow` computes with `state`.

    What is new starts as `build(deep, seed)` does. Two networks of which `grows` is not true are an error.
    """
    from deepenough.nets.build import build

    if not grows(shallow, deep):
        raise DeepenoughError(
            f"{deep.name} can't start from {shallow.name}: it has to be the same family, input, classes and width, "
            "with blocks added that start as identities; train it from scratch"
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
    if len(shallow) != len(deep):
        return False
    for old, new in zip(shallow, deep, strict=True):
        if old == new:
            continue
        if not (isinstance(old, Group) and isinstance(new, Group) and old.name == new.name):
            return False
        count = len(old.stack)
        if new.stack[:count] != old.stack or not _identity(new.stack[count:], old.stack[-1:]):
            return False
    return True


def _identity(added: Stack, before: Stack) -> bool:
    """Tell whether layers give at first what they are given, which is what the last of those before them gives.

    They carry their names: one from its kind could depend on how many of that kind a group has.
    """
    return all(layer.name and (layer.starts_as_identity or _changes_nothing(layer, before)) for layer in added)


def _changes_nothing(layer: Layer, before: Stack) -> bool:
    """Tell whether it is an activation on what has been through the same activation already: a ReLU behind a ReLU."""
    return isinstance(layer, Activation) and layer.idempotent and bool(before) and before[-1].kind == layer.kind
