"""Stacks rewritten from the inside out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deepenough.nets import NETWORKS, Conv, Dense, Dropout, GlobalAvgPool, Network, Relu, Sum
from deepenough.nets.combinators import Auxiliary, Group
from deepenough.nets.layer import Stack, joined_path, named
from deepenough.nets.shapes import visits
from deepenough.nets.walk import rewritten

BLOCK = Group((Sum(((Conv(4), Dropout(0.1)), ())), Relu()), name="block")
HEAD: Stack = (GlobalAvgPool(), Dense(2))
NESTED = Network("nested", (3, 8, 8), (Conv(4), BLOCK, Auxiliary(HEAD, name="aside"), *HEAD))


def test_it_goes_from_the_inside_out_by_module_paths() -> None:
    seen: list[str] = []

    def note(stack: Stack, path: str) -> Stack:
        seen.append(path)
        return stack

    assert rewritten(NESTED.stack, note) == NESTED.stack
    assert seen == ["block.sum.main", "block.sum.shortcut", "block", "aside", ""]


def test_what_is_changed_inside_is_there_outside() -> None:
    def without_dropout(stack: Stack, path: str) -> Stack:
        assert all(layer != BLOCK for layer in stack)
        return tuple(layer for layer in stack if not isinstance(layer, Dropout))

    found = replace(NESTED, stack=rewritten(NESTED.stack, without_dropout))
    kept = [visit.path for visit in visits(NESTED, training=True) if not isinstance(visit.layer, Dropout)]
    assert [visit.path for visit in visits(found, training=True)] == kept


@pytest.mark.parametrize("name", ["googlenet", "efficientnet_b0", "vit_tiny_patch16_224", "densenet121"])
def test_layers_are_met_under_the_paths_that_they_are_built_with(name: str) -> None:
    network, met = NETWORKS[name](), set()

    def note(stack: Stack, path: str) -> Stack:
        met.update(joined_path(path, name) for name, _ in named(stack))
        return stack

    assert rewritten(network.stack, note) == network.stack
    assert {visit.path for visit in visits(network, training=True)} <= met


def test_layers_that_are_not_made_of_stacks_take_none() -> None:
    assert not Conv(4).stacks
    with pytest.raises(NotImplementedError, match="Conv"):
        Conv(4).with_stacks([()])
