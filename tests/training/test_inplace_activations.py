"""Writing over activations changes no number."""

from __future__ import annotations

import pytest
import torch
from export_cases import CASES
from torch import nn

from deepenough.nets import Conv, Dense, GlobalAvgPool, Network, Relu, Sum
from deepenough.nets.build import build
from deepenough.training.inplace_activations import use_inplace_activations
from deepenough.training.loss import Objective


def step(network: Network, model: nn.Module) -> list[torch.Tensor]:
    """Loss and gradients of one training step."""
    torch.manual_seed(0)  # dropout
    images = torch.randn(4, *network.input, generator=torch.Generator().manual_seed(1))
    loss = Objective()(model(images), torch.eye(network.classes)[:4])
    loss.backward()
    return [loss.detach(), *(p.grad for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradients_stay_bit_for_bit(name: str) -> None:
    network = CASES[name]()
    plain, saving = step(network, build(network)), step(network, use_inplace_activations(build(network)))
    assert len(plain) == len(saving)
    assert all(torch.equal(a, b) for a, b in zip(plain, saving, strict=True))


def test_a_relu_keeps_what_others_need() -> None:
    block = Sum(((Relu(), Conv(8)), ()))
    network = Network("preactivated", (3, 8, 8), (Conv(8), block, Relu(), GlobalAvgPool(), Dense(4)))
    model = use_inplace_activations(build(network))
    inside, after = (layer.inplace for layer in model.modules() if isinstance(layer, nn.ReLU))
    assert not inside
    assert after
    assert all(torch.equal(a, b) for a, b in zip(step(network, build(network)), step(network, model), strict=True))
