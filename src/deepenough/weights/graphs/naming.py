"""From steps to a stack with module paths: those that deepenough wrote, or names made of the file's own."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from torch import nn

from deepenough.errors import DeepenoughError
from deepenough.nets.combinators import Branches, Concat, Group, Product, Sum
from deepenough.nets.cut import HEAD, POOLED, SCALE
from deepenough.nets.layer import Layer, Stack, is_name, named
from deepenough.nets.layers import Weighted
from deepenough.nets.walk import rewritten
from deepenough.weights.graphs.branches import Step
from deepenough.weights.graphs.graph import Operation

Paths = dict[Operation, str]
"""The module path of each operation."""

LONGEST_NAME = 60
"""Characters of a name that is made of a foreign one."""

_LABELS: Mapping[type[Branches], tuple[str, ...]] = {Sum: ("main", "shortcut"), Product: ("main", "gate")}


class _NoPathsError(DeepenoughError):
    """The names in a file are not the module paths of its network."""


def named_stack(steps: Sequence[Step], blocks: Collection[str] = ()) -> tuple[Stack, Paths]:
    """The stack of a network and the module path of every operation in it.

    Where the names are paths, as in files that deepenough wrote, they tell the groups and the labels of branches.
    `blocks` are starts of names whose layers are one block each.
    """
    if blocks:
        return _by_blocks(steps, blocks)
    try:
        stack, paths = _by_paths(steps, "")
        _check_names(stack)
        if {POOLED, SCALE, HEAD}.intersection(layer.name for layer in stack) and stack[-1].name != HEAD:
            raise _NoPathsError  # these names are for the heads of cuts, which end a network
    except _NoPathsError:
        return _by_kinds(steps, "", {POOLED, SCALE, HEAD})  # which are for the heads of cuts
    return rewritten(stack, _without_defaults), paths


def _by_paths(steps: Sequence[Step], prefix: str) -> tuple[Stack, Paths]:
    layers: list[Layer] = []
    paths: Paths = {}
    firsts = iter(_first_parts(steps, prefix))
    for (first, inside), together in groupby(steps, lambda _: next(firsts)):
        members = list(together)
        here = f"{prefix}{first}"
        if inside:
            stack, found = _by_paths(members, f"{here}.")
            layers.append(Group(stack, name=first))
            paths |= found
            continue
        for step in members:
            layer, found = _layer_by_paths(step, first, here)
            layers.append(layer)
            paths |= found if first else {}
    return tuple(layers), paths


def _first_parts(steps: Sequence[Step], prefix: str) -> list[tuple[str, bool]]:
    """The part of each step's path behind the prefix, and whether more follows; a step without a name has its
    neighbours', where they agree."""
    found = [_first_part(step, prefix) if step.operation.name else None for step in steps]
    parts = []
    for place, part in enumerate(found):
        before = next((each for each in reversed(found[:place]) if each is not None), None)
        after = next((each for each in found[place + 1 :] if each is not None), None)
        parts.append(part or (before if before is not None and before == after and before[1] else ("", False)))
    return parts


def _first_part(step: Step, prefix: str) -> tuple[str, bool]:
    """The part of a path behind the prefix, and whether more follows."""
    name = step.operation.name
    first, dot, _ = name.removeprefix(prefix).partition(".")
    if not name.startswith(prefix) or not is_name(first) or hasattr(nn.Sequential, first):
        raise _NoPathsError(name)
    return first, bool(dot)


def _layer_by_paths(step: Step, name: str, path: str) -> tuple[Layer, Paths]:
    operation = step.operation
    if operation.layer is not None:
        return replace(operation.layer, name=name), {operation: path}
    assert operation.join is not None
    paths: Paths = {operation: path}
    labels, branches = [], []
    for number, branch in enumerate(step.branches):
        label = _label_of(operation.join, number)
        leading = next((each for each in branch if each.operation.name), None)
        if leading is not None:
            label, more = _first_part(leading, f"{path}.")
            if not more:
                raise _NoPathsError(path)
        stack, found = _by_paths(branch, f"{path}.{label}.")
        labels.append(label)
        branches.append(stack)
        paths |= found
    if len(set(labels)) < len(labels):
        raise _NoPathsError(path)
    return _joined(operation.join, branches, labels, name), paths


def _label_of(join: type[Branches], number: int) -> str:
    usual = _LABELS.get(join, ())
    return usual[number] if number < len(usual) else f"branch{number + 1}"


def _joined(join: type[Branches], branches: Sequence[Stack], labels: Sequence[str], name: str) -> Branches:
    usual = list(_LABELS.get(join, ())) or [f"branch{number + 1}" for number in range(len(branches))]
    given = {} if list(labels) == usual else {"labels": tuple(labels)}
    return join(tuple(branches), name=name, **given)


def _check_names(stack: Stack) -> None:
    """Raise where two layers of a stack have one name."""
    names = [layer.name for layer in stack if layer.name]
    if len(set(names)) < len(names):
        raise _NoPathsError
    for layer in stack:
        for _, inside in layer.stacks:
            _check_names(inside)


def _without_defaults(stack: Stack, path: str) -> Stack:
    """The same layers without the names that they would have anyway, where all of a stack have them."""
    bare = tuple(replace(layer, name="") for layer in stack)
    return bare if [name for name, _ in named(bare)] == [name for name, _ in named(stack)] else stack


def _by_blocks(steps: Sequence[Step], blocks: Collection[str]) -> tuple[Stack, Paths]:
    """Layers as by their kinds, those of each block together in a group; a block of one layer needs none."""
    layers: list[Layer] = []
    paths: Paths = {}
    taken = {POOLED, SCALE, HEAD}
    for block, together in groupby(steps, lambda step: _block_of(step.operation.name, blocks)):
        members = list(together)
        whole = bool(block) and len(members) > 1 and any(_weighs(step) for step in members)
        name = _unused(_usable(_word(block), "block"), taken) if whole else ""
        prefix = f"{name}." if whole else ""
        stack, found = _by_kinds(members, prefix, set() if whole else taken, block if whole else "")
        layers += [Group(stack, name=name, block=True)] if whole else stack
        paths |= found
    return tuple(layers), paths


def _block_of(name: str, blocks: Collection[str]) -> str:
    """The block that a name is in; none where it is empty."""
    parts = name.split(".")
    starts = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((start for start in starts if start in blocks), "")


def _weighs(step: Step) -> bool:
    """Tell whether a step, or one in its branches, is a layer with weights that counts in the depth."""
    return isinstance(step.operation.layer, Weighted) or any(_weighs(each) for part in step.branches for each in part)


def _by_kinds(steps: Sequence[Step], prefix: str, taken: set[str], block: str = "") -> tuple[Stack, Paths]:
    """Layers with tensors, and joins, are called after their names in the file; others after their kind.

    Names in `taken` are left out, and those that are given are added. Those in a `block` are without its own.
    """
    layers: list[Layer] = []
    paths: Paths = {}
    for step in steps:
        operation = step.operation
        name = _unused(_readable(operation, block), taken)
        path = f"{prefix}{name}"
        paths[operation] = path
        if operation.layer is not None:
            layers.append(replace(operation.layer, name=name))
            continue
        assert operation.join is not None
        parts = step.branches
        if operation.join is Sum and len(parts) == 2 and _weight(parts[1]) > _weight(parts[0]):
            parts = parts[::-1]  # a sum of two is the same either way
        usual = _LABELS.get(operation.join, ())
        exact = len(parts) == len(usual) or operation.join is Product
        labels = [_label_of(operation.join if exact else Concat, number) for number in range(len(parts))]
        branches = []
        for label, part in zip(labels, parts, strict=True):
            stack, found = _by_kinds(part, f"{path}.{label}.", set(), block)
            branches.append(stack)
            paths |= found
        layers.append(_joined(operation.join, branches, labels, name))
    return tuple(layers), paths


def _weight(branch: Sequence[Step]) -> int:
    return sum(1 + sum(map(_weight, step.branches)) for step in branch)


def _word(name: str) -> str:
    """A foreign name with underscores for what can't stand in one."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", name)[:LONGEST_NAME].strip("_")


def _readable(operation: Operation, block: str = "") -> str:
    """A name that Python can use, from the file's where it is worth keeping; in a block without the block's own."""
    kept = (operation.tensors or operation.join is not None) and operation.name != block
    word = _word(operation.name.removeprefix(f"{block}.")) if kept else ""
    layer, join = operation.layer, operation.join
    usual = (layer.called or layer.kind.lower()) if layer is not None else str(join and join.__name__).lower()
    return _usable(word, usual)


def _usable(word: str, usual: str) -> str:
    """A word as a name of a layer: the `usual` one where it is empty."""
    word = word or usual
    if word[0].isdigit():
        word = f"{usual}_{word}"
    return word if is_name(word) and not hasattr(nn.Sequential, word) else f"{word}_"


def _unused(word: str, taken: set[str]) -> str:
    """The word, with a number where it is taken."""
    name, number = word, 1
    while name in taken:
        number += 1
        name = f"{word}_{number}" if word[-1:].isdigit() else f"{word}{number}"
    taken.add(name)
    return name
