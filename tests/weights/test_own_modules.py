"""Modules that this package has built come back as the networks they were made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from deepenough.errors import DeepenoughError
from deepenough.model import Model, load
from deepenough.nets import (
    FAMILIES,
    NETWORKS,
    BatchNorm,
    Conv,
    Dense,
    GlobalAvgPool,
    MaxPool,
    Network,
    Relu,
    depth,
)
from deepenough.nets.build import build
from deepenough.nets.inverted_residual import RELU_GATE, squeeze_excitation
from deepenough.weights.graphs.torch_module import read_module

SHAPE = (3, 32, 32)
GATE = squeeze_excitation(8, 4, RELU_GATE)
SMALL_CNN = (Conv(6, 3), BatchNorm(), Relu(), MaxPool(2), Conv(8, 3), Relu(), GlobalAvgPool(), Dense(7))
OWN: dict[str, Callable[[], Network]] = {
    "a small CNN": lambda: Network("small", SHAPE, SMALL_CNN),
    **{
        name: partial(each.network, SHAPE, 7, depth=each.depth_of(each.fewest, SHAPE), width=0.5)
        for name, each in FAMILIES.items()
    },
    "a gate": lambda: Network("gate", SHAPE, (Conv(8, 3), GATE, GlobalAvgPool(), Dense(7))),
    "squeezenet1_1": lambda: replace(NETWORKS["squeezenet1_1"](), input=(3, 64, 64)),
}


@pytest.mark.parametrize("name", OWN)
def test_a_network_of_ours_comes_back_from_its_module(name: str, tmp_path: Path) -> None:
    network = OWN[name]()
    module = build(network, 0)
    module(torch.rand(4, *network.input))  # for statistics that are not those of a new one
    model = Model.from_module(module, [str(n) for n in range(network.classes)], input=network.input)
    assert model.unread == ""
    assert (model.network.input, depth(model.network)) == (network.input, depth(network))
    images = torch.rand(2, *network.input, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(model.module(images), module.eval()(images), rtol=1e-4, atol=1e-5)
    assert load(model.save(tmp_path / "model")).classes == model.classes


class Averaging(nn.Module):
    def __init__(self, apply: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.head, self.apply_ = nn.Conv2d(3, 8, 3), nn.Linear(8, 7), apply

    def forward(self, x: Tensor) -> Tensor:
        found = self.apply_(self.conv(x))
        return self.head(found.mean((2, 3)) if found.dim() == 4 else found)  # type: ignore[no-any-return]


AVERAGES: dict[str, tuple[Callable[[Tensor], Tensor], bool]] = {
    "of all positions": (lambda x: x.sum((2, 3)) / (x.shape[2] * x.shape[3]), True),
    "with its axes": (lambda x: (x.sum((-1, -2), keepdim=True) / (x.shape[2] * x.shape[3])).flatten(1), True),
    "of another number": (lambda x: x.sum((2, 3)) / 100, False),
    "of rows": (lambda x: x.sum((2,)).sum(2) / (x.shape[2] * x.shape[3]), False),
    "of channels": (lambda x: x + x.sum((1,), keepdim=True) / (x.shape[2] * x.shape[3]), False),
    "rounded": (lambda x: torch.div(x.sum((2, 3)), x.shape[2] * x.shape[3], rounding_mode="floor"), False),
    "read as a sum, too": (lambda x: x.sum((2, 3)) / (x.shape[2] * x.shape[3]) + x.sum((2, 3)).relu(), False),
    "whose sum is read": (lambda x: (lambda s: s / (x.shape[2] * x.shape[3]) + s)(x.sum((2, 3))), False),
}


@pytest.mark.parametrize("name", AVERAGES)
def test_a_sum_is_read_where_it_is_an_average(name: str) -> None:
    apply, known = AVERAGES[name]
    module = Averaging(apply)
    if known:
        assert any(isinstance(each, GlobalAvgPool) for each in read_module(module, SHAPE).network.stack)
        return
    with pytest.raises(DeepenoughError, match=r"of kind aten\.(sum|div)"):
        read_module(module, SHAPE)
