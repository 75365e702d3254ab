"""Transformers of torch's own layers: what of them is a block, and what is missing where they can't be read."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deepenough.errors import DeepenoughError
from deepenough.nets import SelfAttention, Tokens, depth, dumps, loads
from deepenough.nets.build import build
from deepenough.nets.cut import cuts
from deepenough.nets.shapes import visits
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


class Small(nn.Module):
    """A small transformer with or without a class token and positions, whose tokens' mean is classified."""

    def __init__(self, *, token: bool, positions: str, last: bool = False) -> None:
        super().__init__()
        self.patches, self.fc, self.last = nn.Conv2d(3, 16, 8, 8), nn.Linear(16, 7), last
        self.cls = nn.Parameter(torch.randn(1, 1, 16)) if token else None
        self.positions = positions
        if positions:
            shapes = {"all": (1, 16 + token, 16), "patches": (1, 16, 16), "one for all": (1, 1, 16)}
            self.pos = nn.Parameter(torch.randn(shapes[positions]))
        self.block = nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", batch_first=True, norm_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x)
        x = x.permute(0, 2, 3, 1).flatten(1, 2) if self.last else x.flatten(2).mT
        if self.positions == "patches":
            x = x + self.pos
        if self.cls is not None:
            x = torch.cat([self.cls.expand(len(x), -1, -1), x], 1)
        if self.positions in ("all", "one for all"):
            x = x + self.pos
        return self.fc(self.block(x).mean(1))  # type: ignore[no-any-return]


KINDS = {
    "patches alone": {"token": False, "positions": ""},
    "patches alone, from a map with channels last": {"token": False, "positions": "", "last": True},
    "positions": {"token": False, "positions": "all"},
    "a class token": {"token": True, "positions": ""},
    "a class token without a position": {"token": True, "positions": "patches"},
    "both": {"token": True, "positions": "all"},
    "the same for each token": {"token": False, "positions": "one for all"},
    "the same for each token, and a class token": {"token": True, "positions": "one for all"},
}


@pytest.mark.parametrize("kind", KINDS)
def test_tokens_with_a_class_token_and_positions_or_without(kind: str) -> None:
    torch.manual_seed(0)
    module = Small(**KINDS[kind]).eval()
    found = read_module(module, SHAPE)
    (tokens,) = (visit.layer for visit in visits(found.network) if isinstance(visit.layer, Tokens))
    stated = KINDS[kind]
    assert (tokens.class_token, tokens.position) == (stated["token"], bool(stated["positions"]))
    network = build(found.network)
    network.load_state_dict(dict(found.state))
    images = torch.randn(3, *SHAPE)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(images), module(images), rtol=1e-4, atol=1e-5)
    shared = "weights that it uses in several places"
    assert any(shared in note for note in found.notes) is (stated["positions"] == "one for all")
    assert loads(dumps(found.network)) == found.network
    assert depth(found.network) == 1 + 4 + 1
    assert [cut.place for cut in cuts(found.network)] == ["block"]


class Chunked(Small):
    """Attention that takes queries, keys and values apart by `chunk`, as most people write it."""

    def __init__(self) -> None:
        super().__init__(token=False, positions="all")
        del self.block
        self.qkv = nn.Linear(16, 48, bias=False)

    def block(self, x: Tensor) -> Tensor:
        images, count, width = x.shape
        parts = (part.view(images, count, 4, width // 4).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        queries, keys, values = parts
        scores = (queries @ keys.transpose(-2, -1)) * (width // 4) ** -0.5
        return x + (scores.softmax(-1) @ values).transpose(1, 2).reshape(images, count, width)


def test_attention_whose_projections_are_chunks() -> None:
    torch.manual_seed(0)
    network = read_module(Chunked(), SHAPE).network  # which compares the logits
    assert [visit.layer.heads for visit in visits(network) if isinstance(visit.layer, SelfAttention)] == [4]


class Separate(Small):
    """Attention whose queries, keys and values three dense layers give."""

    def __init__(self, *, heads: int = 4, joined: bool = False) -> None:
        super().__init__(token=False, positions="all")
        del self.block
        self.heads, self.joined = heads, joined
        self.qkv, self.parts = nn.Linear(16, 48), nn.ModuleList(nn.Linear(16, 16) for _ in range(3))

    def block(self, x: Tensor) -> Tensor:
        parts = self.qkv(x).chunk(3, -1)[::-1] if self.joined else [part(x) for part in self.parts]
        if self.heads > 1:
            parts = [part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts]
        found = nn.functional.scaled_dot_product_attention(*parts)
        return x + (found.transpose(1, 2).flatten(2) if self.heads > 1 else found)


@pytest.mark.parametrize(
    "options", [{}, {"heads": 1}, {"joined": True}], ids=["three dense layers", "no heads", "another order"]
)
def test_other_attention_is_refused_with_what_is_known(options: dict[str, Any]) -> None:
    with pytest.raises(DeepenoughError, match=r"known is attention whose .* one dense layer gives.* put their weights"):
        read_module(Separate(**options), SHAPE)


class Registered(Small):
    """Several tokens before the patches."""

    def __init__(self) -> None:
        super().__init__(token=True, positions="")
        self.cls = nn.Parameter(torch.randn(1, 3, 16))


def test_several_tokens_before_the_patches_are_refused() -> None:
    with pytest.raises(DeepenoughError, match="it puts 3 tokens before the patches; known is one, the class token"):
        read_module(Registered(), SHAPE)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("listed", [True, False])
def test_torchs_own_transformer_layers_are_blocks(layers: int, *, listed: bool) -> None:
    network = read_module(Encoder(layers, listed=listed), SHAPE).network
    place = "blocks_{}" if listed else "blocks_0_layers_{}"
    assert [cut.place for cut in cuts(network)] == [place.format(number) for number in range(layers)]
