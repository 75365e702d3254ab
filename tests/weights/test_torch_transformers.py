"""Transformers of torch's own layers: what of them is a block, and what is missing where they can't be read."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from deepenough.errors import DeepenoughError
from deepenough.nets.cut import cuts
from deepenough.weights.graphs.torch_module import read_module

SHAPE = (3, 32, 32)


class Encoder(nn.Module):
    """A transformer of torch's own layers, in a `nn.TransformerEncoder` or a list."""

    def __init__(self, layers: int, *, listed: bool) -> None:
        super().__init__()
        self.patches, self.norm, self.fc = nn.Conv2d(3, 16, 16, 16), nn.LayerNorm(16), nn.Linear(16, 7)
        self.cls, self.pos = nn.Parameter(torch.zeros(1, 1, 16)), nn.Parameter(torch.randn(1, 5, 16))
        layer = nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.blocks = self.encoder.layers if listed else nn.ModuleList([self.encoder])
        if listed:
            del self.encoder

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls.expand(len(tokens), -1, -1), tokens], 1) + self.pos
        for block in self.blocks:
            tokens = block(tokens)
        return self.fc(self.norm(tokens)[:, 0])  # type: ignore[no-any-return]


class WithoutToken(nn.Module):
    """Attention between patches alone, whose mean is classified."""

    def __init__(self, *, positions: bool) -> None:
        super().__init__()
        self.patches, self.fc = nn.Conv2d(3, 16, 16, 16), nn.Linear(16, 7)
        self.pos = nn.Parameter(torch.randn(1, 4, 16)) if positions else None
        self.block = nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", batch_first=True, norm_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return self.fc(self.block(tokens if self.pos is None else tokens + self.pos).mean(1))  # type: ignore[no-any-return]


@pytest.mark.parametrize("positions", [True, False])
def test_attention_without_a_class_token_is_refused_with_what_is_missing(*, positions: bool) -> None:
    with pytest.raises(DeepenoughError, match=r"with a class token before the patches and a learnt position for each"):
        read_module(WithoutToken(positions=positions), SHAPE)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("listed", [True, False])
def test_torchs_own_transformer_layers_are_blocks(layers: int, *, listed: bool) -> None:
    network = read_module(Encoder(layers, listed=listed), SHAPE).network
    place = "blocks_{}" if listed else "blocks_0_layers_{}"
    assert [cut.place for cut in cuts(network)] == [place.format(number) for number in range(layers)]
