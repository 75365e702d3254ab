"""Every activation is in torch what its function says, and its table is whole."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from deepenough.frameworks.targets import TARGETS
from deepenough.nets import LAYER_KINDS, Activation, Conv, GlobalAvgPool, Network, dumps, loads
from deepenough.nets.build import build

KINDS_OF_ACTIVATION = [kind for kind in LAYER_KINDS.values() if issubclass(kind, Activation)]
VALUES = [-30.0, -6.0, -3.0, -1.5, -0.2, 0.0, 0.1, 0.5, 1.0, 2.5, 3.0, 6.0, 30.0]


@pytest.mark.parametrize("kind", KINDS_OF_ACTIVATION)
def test_torch_computes_the_function(kind: type[Activation]) -> None:
    network = Network("n", (1, 1, len(VALUES)), (Conv(1, 1), kind(), GlobalAvgPool()))
    assert loads(dumps(network)) == network
    found = build(network).double().get_submodule(kind.__name__.lower())(torch.tensor(VALUES, dtype=torch.float64))
    torch.testing.assert_close(found.tolist(), [kind.of(value) for value in VALUES], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS_OF_ACTIVATION)
def test_what_it_says_of_itself_is_so(kind: type[Activation]) -> None:
    found = [kind.of(value) for value in VALUES]
    assert kind.nonnegative == (min(found) >= 0)
    assert kind.keeps_sign == all(kind.of(value) >= 0 for value in VALUES if value >= 0)
    assert kind.idempotent == (found == [kind.of(value) for value in found])
    if kind.inplace:
        plain, over = (getattr(nn, kind.torch)(inplace=inplace) for inplace in (False, True))
        grown = []
        for module in (plain, over):
            given = torch.tensor(VALUES, requires_grad=True)
            module(given * 1).square().sum().backward()
            grown.append(given.grad)
        assert torch.equal(*grown)


@pytest.mark.parametrize("kind", KINDS_OF_ACTIVATION)
def test_every_framework_has_it_or_the_reason_why_not(kind: type[Activation]) -> None:
    written_by = {"tensorflow": "keras", "litert": "keras", "executorch": "torch", "timm": "torch"}
    written_by |= {"openvino": "onnx", "tensorrt": "onnx"}
    for name in TARGETS:
        row = getattr(kind, written_by.get(name, name))
        assert bool(row) != bool(kind.missing.get(name)), name
    assert set(kind.missing) <= set(TARGETS)
