"""Torch modules as networks of ours: the same logits, their own blocks as cuts, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepenough.errors import DeepenoughError
from deepenough.experiment.options import Options
from deepenough.model import Model
from deepenough.nets import PRelu, depth, receptive_field
from deepenough.nets.build import build
from deepenough.nets.cut import cuts
from deepenough.weights.graphs.torch_module import check_module, read_module
from deepenough.weights.read import read_weights

SHAPE = (3, 32, 32)


class Plain(nn.Module):
    """A network as tutorials have it: functional activations, `view`, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, padding="same")
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 12, 5, stride=2, padding=2, bias=False)
        self.pool = nn.MaxPool2d(2)
        self.drop = nn.Dropout(0.4)
        self.fc1 = nn.Linear(12 * 8 * 8, 20)
        self.fc2 = nn.Linear(20, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.pool(F.relu6(self.conv2(x)))
        x = x.view(x.size(0), -1)
        x = F.dropout(F.relu(self.fc1(x)), 0.5, self.training)
        return self.fc2(self.drop(x))


class Block(nn.Module):
    """torchvision's BasicBlock: one activation, in place, used twice."""

    def __init__(self, inside: int, outside: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.downsample = None
        if stride > 1 or inside != outside:
            self.downsample = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += identity
        return self.relu(out)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.layer1 = nn.Sequential(Block(8, 8), Block(8, 8))
        self.layer2 = nn.Sequential(Block(8, 16, 2), Block(16, 16))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(16, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.layer2(self.layer1(self.stem(x))))
        return self.fc(torch.flatten(x, 1))


class Preactivated(nn.Module):
    """An activation in place changes what the shortcut reads, too."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)
        self.inside, self.head = nn.Conv2d(8, 8, 1), nn.Linear(8, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.first(x))
        inside = self.inside(F.relu(x, inplace=True))
        return self.head((inside + x).mean((2, 3)))


class Normalised(nn.Module):
    """The images are normalised by buffers, and its weights by what is computed of them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2, 0.3, 0.25]).view(1, 3, 1, 1))
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3, 2))
        self.head = nn.Conv2d(8, 7, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.std
        return self.head(F.silu(self.conv(x))).amax((2, 3))


class Branching(nn.Module):
    """Branches side by side, a gate, a product with one number a channel, other activations and poolings."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Hardswish(inplace=True))
        self.right = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(3, 8, 1), nn.GELU())
        self.squeeze, self.excite = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.scale = nn.Parameter(torch.full((16, 1, 1), 0.7))
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16 * 16, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([self.left(x), self.right(x)], dim=1)
        gate = self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1))))
        x = x * F.hardsigmoid(gate) * self.scale
        x = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = F.adaptive_avg_pool2d(F.pad(x, (0, 0, 0, 0)), (4, 4))
        return self.head(x.flatten(1))


class Shared(nn.Module):
    """One layer with weights in two places, one activation in all."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.act = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, padding=1), nn.SiLU()
        self.head = nn.Linear(8, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.first(x))
        x = self.act(self.again(self.act(self.again(x))))
        return self.head(x.mean(dim=(-2, -1)))


class Dilated(nn.Module):
    """Convolutions with dilation, padded by a number and by torch's "same"."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.deep = nn.Conv2d(3, 8, 3, 2, 2, dilation=2), nn.Conv2d(8, 8, 3, 1, 4, 4, groups=8)
        self.even, self.head = nn.Conv2d(8, 8, 2, padding="same", dilation=3), nn.Linear(8, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.deep(F.relu(self.first(x))))
        return self.head(F.relu(self.even(x)).mean((2, 3)))


class Grouped(nn.Module):
    """Norms of groups of channels and of single ones, by own statistics and by running ones; other activations."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 3), nn.Linear(8, 7)
        self.norm, self.each = nn.GroupNorm(2, 8, eps=1e-4), nn.InstanceNorm2d(8, affine=True)
        self.running, self.plain = nn.InstanceNorm2d(8, track_running_stats=True), nn.InstanceNorm2d(8)
        self.mish = nn.Mish(inplace=True)
        for norm in (self.norm, self.each):
            nn.init.normal_(norm.weight)
            nn.init.normal_(norm.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.norm(self.first(x)))
        x = self.mish(self.each(self.second(x)))
        return self.head(torch.tanh_(self.running(x)).mean((2, 3)) + self.plain(x).amax((2, 3)))


class Shuffling(nn.Module):
    """Channel shuffles as ShuffleNet's authors and torchvision write them and as torch has them; leaky activations."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 12, 3, 2), nn.Conv2d(12, 12, 1, groups=3)
        self.third, self.head = nn.Conv2d(12, 12, 3, groups=12), nn.Linear(12, 7)
        self.shuffle, self.elu = nn.ChannelShuffle(2), nn.ELU(0.7, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = shuffled(F.leaky_relu(self.first(x)), 3)
        x = self.shuffle(self.elu(self.second(x)))
        x = F.leaky_relu_(x + F.channel_shuffle(x, 4), 0.2)
        return self.head(F.elu(self.third(shuffled(x, 6))).mean((2, 3)))


def shuffled(x: Tensor, groups: int) -> Tensor:
    images, channels, height, width = x.size()
    x = x.view(images, groups, channels // groups, height, width)
    return torch.transpose(x, 1, 2).contiguous().view(images, -1, height, width)


class Parted(nn.Module):
    """Parts of the channels, taken in every way: of maps and vectors, in turn, from the end, read by several."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(3, 12, 3, 2), nn.Conv2d(6, 6, 3, 1, 1), nn.Conv2d(4, 4, 1)
        self.red, self.head = nn.Conv2d(1, 12, 3, 2), nn.Linear(14, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x)) + self.red(x[:, :1])
        left, right = x.chunk(2, dim=1)
        x = torch.cat([left, right, F.relu(self.second(right))], 1)  # the second half is read twice
        one, two, three = torch.split(x, [4, 10, 4], dim=1)
        x = torch.cat((self.third(one), two.narrow(1, 2, 4), three[:, -2:], F.silu(x[:, 3:7])), 1)
        one, two = x.permute(0, 2, 3, 1).split([3, 11], dim=-1)  # channels last
        x = torch.cat((two[..., 1:], one, two[..., :1]), -1).permute(0, 3, 1, 2)
        halves = x.mean((2, 3)).tensor_split(2, dim=-1)
        return self.head(torch.cat((halves[1], torch.tanh(halves[0])), 1))  # type: ignore[no-any-return]


class Rowed(nn.Module):
    """Maps in one row, as `flatten(2)` makes them, whose mean and largest values are taken."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3, 2), nn.Linear(16, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        rows = x.view(len(x), 8, -1)
        return self.head(torch.cat((rows.mean(-1), x.flatten(2).amax(2)), 1))  # type: ignore[no-any-return]


class Shuffled(nn.Module):
    """Units of ShuffleNetV2 (Ma et al. 2018, figure 3c), of which half of the channels pass unchanged."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.units = nn.Conv2d(3, 8, 3, 2), nn.ModuleList([ShuffledUnit(8), ShuffledUnit(8)])
        self.head = nn.Linear(8, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        for unit in self.units:
            x = unit(x)
        return self.head(x.mean([2, 3]))  # type: ignore[no-any-return]


class ShuffledUnit(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv = nn.Conv2d(half, half, 1)
        self.depthwise = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.norm = nn.BatchNorm2d(half)

    def forward(self, x: Tensor) -> Tensor:
        half = x.shape[1] // 2
        return shuffled(torch.cat((x[:, :half], self.norm(self.depthwise(F.relu(self.conv(x[:, half:]))))), 1), 2)


class Sloped(nn.Module):
    """PReLU: one slope and one a channel, of maps and vectors, in one place and in two, as module and function."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Conv2d(3, 8, 3, 2), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
        self.fourth, self.head = nn.Linear(8, 8), nn.Linear(8, 7)
        self.one, self.each = nn.PReLU(), nn.PReLU(8)
        self.slopes = nn.Parameter(torch.rand(8))
        nn.init.uniform_(self.each.weight, -0.5, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.each(self.second(self.one(self.first(x))))
        x = F.prelu(self.third(x), self.slopes).mean((2, 3))
        return self.head(self.each(self.fourth(x)))  # type: ignore[no-any-return]


class Squeezing(nn.Module):
    """Squeeze-and-excitation with dense layers, as most people write it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 16, 3, 2), nn.Linear(16, 7)
        self.fc = nn.Sequential(nn.Linear(16, 4, bias=False), nn.ReLU(inplace=True), nn.Linear(4, 16), nn.Sigmoid())
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        batch, channels, _, _ = x.size()
        gate = self.fc(self.pool(x).view(batch, channels)).view(batch, channels, 1, 1)
        return self.head((x * gate.expand_as(x)).mean((2, 3)))


class Attending(nn.Module):
    """torch's own encoder of a transformer, and its attention called as in its documentation."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, 16, 8, 8), nn.Linear(16, 7)
        self.first, self.positions = nn.Parameter(torch.randn(1, 1, 16)), nn.Parameter(torch.randn(1, 17, 16))
        layer = nn.TransformerEncoderLayer(16, 4, 32, activation="gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(len(x), -1, -1), x], 1) + self.positions
        x = self.encoder(x)
        return self.head((x + self.attention(x, x, x)[0])[:, 0])


MODULES: dict[str, Callable[[], nn.Module]] = {
    "plain": Plain,
    "residual": Residual,
    "preactivated": Preactivated,
    "normalised": Normalised,
    "branching": Branching,
    "shared": Shared,
    "parted": Parted,
    "maps in one row": Rowed,
    "shuffled units": Shuffled,
    "sloped": Sloped,
    "shuffling": Shuffling,
    "squeezing": Squeezing,
    "dilated": Dilated,
    "grouped": Grouped,
    "attending": Attending,
    "a sequence": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU6(), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.Flatten(), nn.LazyLinear(7)
    ),
}


def made(make: Callable[[], nn.Module]) -> nn.Module:
    """A module with running statistics that are not those of a new one."""
    torch.manual_seed(0)
    module = make()
    with torch.no_grad():
        module(torch.randn(8, *SHAPE))
    return module


def logits(found: Any, images: Tensor) -> Tensor:
    network = build(found.network)
    network.load_state_dict(dict(found.state), strict=False)
    with torch.no_grad():
        return torch.as_tensor(network.eval()(images))


@pytest.mark.parametrize("name", MODULES)
def test_it_gives_the_modules_own_logits_for_any_number_of_images(name: str) -> None:
    module = made(MODULES[name])
    before = {key: value.clone() for key, value in module.state_dict().items()}
    found = read_module(module, SHAPE)
    assert module.training
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    images = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(1))
    given = images
    if found.input is not None:
        assert isinstance(module, Normalised)
        assert found.input.mean == pytest.approx((0.5, 0.4, 0.3), rel=1e-6)
        assert found.input.std == pytest.approx((0.2, 0.3, 0.25), rel=1e-6)
        given = (images - module.mean) / module.std
    with torch.no_grad():
        wanted = module.eval()(images)
    assert wanted.std() > 0
    assert (logits(found, given) - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_it_can_be_cut_behind_each_of_its_blocks_and_keeps_their_names() -> None:
    network = read_module(made(Residual), SHAPE).network
    places = [cut.place for cut in cuts(network)]
    assert places == ["stem_0", "layer1_0", "layer1_1", "layer2_0", "layer2_1"]


class Bottleneck(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)  # type: ignore[no-any-return]


def test_there_is_no_cut_inside_a_block_of_the_modules_own() -> None:
    blocks = [Bottleneck() for _ in range(3)]
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Sequential(*blocks), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 7)
    )
    places = [cut.place for cut in cuts(read_module(module, SHAPE).network)]
    assert places == ["conv_0", "block_2_0", "block_2_1", "block_2_2"]


def test_units_that_pass_half_of_the_channels_are_blocks() -> None:
    network = read_module(made(Shuffled), SHAPE).network
    assert [cut.place for cut in cuts(network)] == ["stem", "units_0", "units_1"]
    assert depth(network) == 1 + 2 * 2 + 1
    assert receptive_field(network) == 3 + 2 * 2 * 2


def test_trained_slopes_end_a_block_as_any_activation_does() -> None:
    network = read_module(made(Sloped), SHAPE).network
    assert [layer.shared for layer in network.stack if isinstance(layer, PRelu)] == [True, False, False, False]
    assert [cut.path for cut in cuts(network)] == ["one", "each", "prelu_2", "each2"]


def test_weights_in_several_places_are_named() -> None:
    assert any("trains apart" in note for note in read_module(made(Shared), SHAPE).notes)
    assert read_module(made(Residual), SHAPE).notes == ()


def test_a_module_keeps_the_modes_of_its_parts() -> None:
    module = made(Residual)
    module.stem.eval()
    read_module(module, SHAPE)
    assert module.training
    assert not module.stem[1].training
    assert module.layer1[0].bn1.training


class Body(nn.Module):
    """Some layers between a convolution and a dense layer."""

    def __init__(self, apply: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.apply_, self.head = nn.Conv2d(3, 8, 3), apply, nn.Linear(8, 7)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.apply_(self.conv(x)).mean((2, 3)))  # type: ignore[no-any-return]


def changed_in_place(x: Tensor) -> Tensor:
    F.relu_(x.flatten(2))
    return x


class Masked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, 8, 8, 8), nn.Linear(8, 7)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.register_buffer("mask", torch.ones(16, 16).triu(1).bool())

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        return self.head(self.attention(x, x, x, attn_mask=self.mask)[0].mean(1))  # type: ignore[no-any-return]


REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "an activation": (lambda: Body(F.softplus), "'softplus' of kind aten.softplus: there is no such activation"),
    "a slope for each token": (
        lambda: Body(lambda x: F.prelu(x.flatten(2).mT, torch.linspace(0, 1, 900)).mT.unflatten(2, (30, 30))),
        "of kind aten.prelu: it has a slope for each token",
    ),
    "slopes of the image": (
        lambda: Body(lambda x: F.prelu(x, x.mean((0, 2, 3)))),
        "of kind aten.prelu: its slopes are computed of the images",
    ),
    "a scaled activation": (lambda: Body(F.selu), "of kind aten.selu"),
    "half of the rows": (
        lambda: Body(lambda x: torch.cat(x.chunk(2, dim=2)[::-1], 2)),
        "of kind aten.chunk: it takes a part of the rows, columns or tokens, or of the channels of tokens; known",
    ),
    "half of the columns": (
        lambda: Body(lambda x: torch.cat(x.chunk(2, dim=3)[::-1], 3)),
        "of kind Slice: it takes a part of the rows, columns or images; known are parts of the channels",
    ),
    "all but the edge": (
        lambda: Body(lambda x: x[:, :, 1:-1, 1:-1]),
        "of kind aten.slice: it takes a part of the rows",
    ),
    "every second channel": (
        lambda: Body(lambda x: torch.cat([x[:, ::2], x[:, 1::2]], 1)),
        "of kind Slice: it takes one of 2 values, in steps; known are neighbouring channels",
    ),
    "groups side by side": (lambda: Body(lambda x: x.view(3, 2, 4, 30, 30).flatten(1, 2) * x), "layer"),
    "an approximation": (lambda: Body(lambda x: F.gelu(x, approximate="tanh")), "exactly here"),
    "a norm of the batch": (lambda: Body(nn.BatchNorm2d(8, track_running_stats=False)), "batch's own statistics"),
    "dropout that stays": (lambda: Body(F.dropout), "drops values in evaluation"),
    "a dilation": (lambda: Body(nn.Conv2d(8, 8, 3, dilation=(1, 2))), "dilation is 1 x 2"),
    "a view": (lambda: Body(changed_in_place), "under another shape"),
    "a mask": (Masked, "'attention' of kind aten."),
    "numbers that are not finite": (lambda: Body(lambda x: x / 0), "it gives NaN or infinite values"),
    "a root of what is negative": (lambda: Body(torch.sqrt), "it gives NaN or infinite values"),
    "a choice": (lambda: Body(lambda x: x if x.sum() > 0 else -x), "can't take its graph"),
    "random numbers": (lambda: Body(lambda x: x + torch.randn_like(x)), "random"),
    "maps": (lambda: nn.Conv2d(3, 7, 3), "it gives 3 x 7 x 30 x 30"),
    "one number": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 1)), "one value"),
    "another size": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(100, 7)), "can't take images of 3 x 32 x 32"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_known_here_is_refused_by_name(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, why = REFUSED[name]
    with pytest.raises(DeepenoughError) as caught:
        read_module(make(), SHAPE)
    assert why in str(caught.value)
    assert "(torch module)" in str(caught.value)
    assert capfd.readouterr().err == ""  # torch prints the graph that it can't go on with


def test_a_program_of_torch_export_is_refused_since_torch_unpickles_it(tmp_path: Path) -> None:
    file = tmp_path / "net.pt2"
    torch.export.save(torch.export.export(made(Residual).eval(), (torch.zeros(2, *SHAPE),)), file)
    with pytest.raises(DeepenoughError, match=r"torch\.export \(\.pt2\), .*unpickling.*--network module:function"):
        read_weights(file)


def test_a_program_that_the_user_has_loaded_is_read(tmp_path: Path) -> None:
    """Its module can't be put into evaluation; it is in the mode in which it was exported."""
    module, file = made(Residual).eval(), tmp_path / "net.pt2"
    images = torch.export.Dim("images", min=1, max=64)
    torch.export.save(torch.export.export(module, (torch.zeros(2, *SHAPE),), dynamic_shapes=({0: images},)), file)
    program = torch.export.load(file)
    found = read_module(check_module(program, "network"), SHAPE)
    given = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = module(given)
    assert (logits(found, given) - wanted).abs().max() <= 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("network", ["net.pt2", "C:/networks/NET.PT2"])
def test_a_program_given_as_a_network_is_refused_before_anything_is_read(network: str) -> None:
    with pytest.raises(DeepenoughError, match=r"--network .*: this is a program of torch\.export .*module:function"):
        Options.from_json({"network": network})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_other_precision_are_taken_as_float32(dtype: torch.dtype) -> None:
    module = made(Branching).to(dtype)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    found = read_module(module, SHAPE)
    assert all(value.dtype == dtype and torch.equal(before[key], value) for key, value in module.state_dict().items())
    name = str(dtype).removeprefix("torch.")
    assert found.notes == (f"its weights are {name}; they are taken as float32",)
    images = torch.rand(5, *SHAPE, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = module.eval().float()(images)
    assert (logits(found, images) - wanted).abs().max() <= 1e-5 * wanted.abs().max()


def test_a_model_of_a_module_in_half_precision_that_is_not_read_computes_in_float32() -> None:
    module = Body(F.softplus).half()
    model = Model.from_module(module, [str(n) for n in range(7)], input=SHAPE)
    assert "softplus" in model.unread
    images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE[1:], SHAPE[0]), dtype=np.uint8)
    assert np.isfinite(model.logits(images)).all()
    assert module.conv.weight.dtype == torch.float16


def test_half_precision_that_cannot_be_copied_is_a_sentence() -> None:
    module = Body(F.relu).half()
    module.lock = threading.Lock()
    with pytest.raises(DeepenoughError, match=r"its weights are float16, and can.t be copied.*give module\.float"):
        read_module(module, SHAPE)
