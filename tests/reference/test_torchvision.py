"""The same weights in somebody else's implementation: outputs and gradients agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deepenough.nets import Network
from deepenough.nets.build import build
from deepenough.nets.zoo import NETWORKS, network


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
    return (part for part in module.modules() if isinstance(part, kinds))


def agree(ours: nn.Module, theirs: nn.Module, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Copy weights in the order of the layers, then compare logits and every gradient."""
    generator = torch.Generator().manual_seed(0)
    ours, theirs = ours.to(dtype).eval(), theirs.to(dtype).eval()
    pairs = list(zip(_layers(ours), _layers(theirs), strict=True))
    with torch.no_grad():
        for mine, other in pairs:
            for key, value in mine.state_dict().items():
                if value.is_floating_point() and (key != "weight" or isinstance(mine, nn.BatchNorm2d)):
                    noise = torch.rand(value.shape, generator=generator, dtype=dtype)
                    value.copy_(0.5 + noise if key in ("weight", "running_var") else 0.1 * noise)
            other.load_state_dict(mine.state_dict())
    images = torch.randn(shape, generator=generator, dtype=dtype)
    results: list[Tensor] = []
    for model in (ours, theirs):
        out = model(images)
        direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
        (out * direction).sum().backward()
        results.append(out.detach())
    tight = 1e-9 if dtype == torch.float64 else 1e-4  # float32 sums are taken in another order
    assert results[0].std() > 0
    _close(results[0], results[1], tight)
    for mine, other in pairs:
        for value, wanted in zip(mine.parameters(), other.parameters(), strict=True):
            assert value.grad is not None
            assert wanted.grad is not None
            _close(value.grad, wanted.grad, tight)


def _close(value: Tensor, wanted: Tensor, tight: float) -> None:
    """The difference is small beside the largest value."""
    assert float((value - wanted).abs().max()) <= tight * max(float(wanted.abs().max()), 1e-30)


def _ours(name: str, side: int | None = None) -> tuple[Network, nn.Module]:
    net = network(name)
    net = net if side is None else net.with_input((3, side, side))
    return net, build(net)


def _empty(make: Callable[[], Any]) -> Any:
    """A model without the time for its initial weights: they are copied over anyway."""
    with torch.device("meta"):
        model = make()
    return model.to_empty(device="cpu")


def test_alexnet(models: Any) -> None:
    _, ours = _ours("alexnet_torchvision")
    agree(ours, _empty(models.alexnet), (1, 3, 224, 224), torch.float32)


@pytest.mark.parametrize("name", [f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")])
def test_vgg_on_small_images(models: Any, name: str) -> None:
    def theirs() -> nn.Module:
        model = getattr(models, name)()
        model.avgpool = nn.Identity()  # at 224 pixels it changes nothing; at 32 it would repeat values
        model.classifier[0] = nn.Linear(512, 4096)
        return model  # type: ignore[no-any-return]

    _, ours = _ours(name, 32)
    agree(ours, _empty(theirs), (2, 3, 32, 32), torch.float64)


def test_googlenet_bn(models: Any) -> None:
    _, ours = _ours("googlenet_bn", 64)
    agree(ours, _empty(lambda: models.googlenet(aux_logits=False, init_weights=False)), (2, 3, 64, 64), torch.float64)


def test_squeezenet(models: Any) -> None:
    _, ours = _ours("squeezenet1_1", 65)
    agree(ours, _empty(models.squeezenet1_1), (2, 3, 65, 65), torch.float64)


@pytest.mark.parametrize(
    "name",
    ["resnet18_torchvision", "resnet34_torchvision", "resnet50_v1_5", "resnet101_v1_5", "resnet152_v1_5"],
)
def test_torchvision_resnets(models: Any, name: str) -> None:
    _, ours = _ours(name, 33)
    agree(ours, _empty(getattr(models, name.partition("_")[0])), (1, 3, 33, 33), torch.float64)


@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_the_papers_resnets_are_torchvisions_with_stride_and_pool_moved(models: Any, name: str) -> None:
    theirs = _empty(getattr(models, name))
    theirs.maxpool = nn.MaxPool2d(3, 2, 0, ceil_mode=True)
    for block in theirs.modules():
        if hasattr(block, "conv3") and block.conv2.stride == (2, 2):
            block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
    _, ours = _ours(name, 40)
    agree(ours, theirs, (1, 3, 40, 40), torch.float64)


class Grouped(nn.Module):
    """AlexNet as the paper's text says it, with its own response normalisation (section 3.3)."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([
            nn.Conv2d(3, 96, 11, 4), nn.Conv2d(96, 256, 5, 1, 2, groups=2), nn.Conv2d(256, 384, 3, 1, 1),
            nn.Conv2d(384, 384, 3, 1, 1, groups=2), nn.Conv2d(384, 256, 3, 1, 1, groups=2),
        ])  # fmt: skip
        self.dense = nn.ModuleList([nn.Linear(9216, 4096), nn.Linear(4096, 4096), nn.Linear(4096, 1000)])

    @staticmethod
    def normalise(x: Tensor, alpha: float, k: float) -> Tensor:
        """b_i = a_i / (k + alpha * sum over five neighbours of a_j^2) ** 0.75."""
        channels = x.shape[1]
        sums = [x[:, max(0, i - 2) : i + 3].pow(2).sum(1) for i in range(channels)]
        return x / (k + alpha * torch.stack(sums, 1)) ** 0.75

    def forward(self, x: Tensor) -> Tensor:
        for number, convolution in enumerate(self.convolutions):
            x = convolution(x).relu()
            if number < 2:
                x = self.normalise(x, 1e-4, 2.0)
            if number in (0, 1, 4):
                x = nn.functional.max_pool2d(x, 3, 2)
        x = x.flatten(1)
        for number, dense in enumerate(self.dense):
            x = dense(x) if number == 2 else dense(x).relu()
        return x


class Module2014(nn.Module):
    """One inception module of table 1."""

    def __init__(self, into: int, one: int, r3: int, three: int, r5: int, five: int, pool: int) -> None:
        super().__init__()
        self.b1 = nn.Conv2d(into, one, 1)
        self.b3 = nn.Sequential(nn.Conv2d(into, r3, 1), nn.ReLU(), nn.Conv2d(r3, three, 3, padding=1))
        self.b5 = nn.Sequential(nn.Conv2d(into, r5, 1), nn.ReLU(), nn.Conv2d(r5, five, 5, padding=2))
        self.bp = nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(into, pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.b1(x), self.b3(x), self.b5(x), self.bp(x)], 1).relu()


def googlenet_2014() -> nn.Module:
    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU(), pool(), nn.LocalResponseNorm(5),
        nn.Conv2d(64, 64, 1), nn.ReLU(), nn.Conv2d(64, 192, 3, padding=1), nn.ReLU(), nn.LocalResponseNorm(5), pool(),
        Module2014(192, 64, 96, 128, 16, 32, 32), Module2014(256, 128, 128, 192, 32, 96, 64), pool(),
        Module2014(480, 192, 96, 208, 16, 48, 64), Module2014(512, 160, 112, 224, 24, 64, 64),
        Module2014(512, 128, 128, 256, 24, 64, 64), Module2014(512, 112, 144, 288, 32, 64, 64),
        Module2014(528, 256, 160, 320, 32, 128, 128), pool(),
        Module2014(832, 256, 160, 320, 32, 128, 128), Module2014(832, 384, 192, 384, 48, 128, 128),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, 1000),
    )  # fmt: skip


def _without_heads(name: str) -> nn.Module:
    net = network(name)
    stack = tuple(layer for layer in net.stack if layer.kind != "Auxiliary")
    return build(Network(net.name, net.input, stack))


@pytest.mark.parametrize(("name", "theirs"), [("alexnet", Grouped), ("googlenet", googlenet_2014)])
def test_the_nets_that_torchvision_lacks(name: str, theirs: Callable[[], nn.Module]) -> None:
    """In float64: a last digit of float32 decides which of two pixels is a pool's largest, and has the gradient."""
    agree(_without_heads(name), _empty(theirs), (1, *network(name).input), torch.float64)


def test_every_network_is_compared() -> None:
    """A network that is new in the zoo has to be compared here too."""
    elsewhere = {  # test_weights_caffe, _keras, _paddle
        "alexnet_bvlc", "resnet50_keras", "resnet101_keras", "resnet152_keras", "squeezenet1_1_paddle",
    }  # fmt: skip
    names = list(NETWORKS)
    until_2016 = names[: names.index("resnext50_32x4d")]  # the others are in test_torchvision_and_timm
    assert set(until_2016) - elsewhere == {
        "alexnet", "alexnet_torchvision", "googlenet", "googlenet_bn", "squeezenet1_1",
        "vgg11", "vgg13", "vgg16", "vgg19", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn",
        "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
        "resnet18_torchvision", "resnet34_torchvision", "resnet50_v1_5", "resnet101_v1_5", "resnet152_v1_5",
    }  # fmt: skip


def test_googlenets_heads_stand_where_the_paper_has_them() -> None:
    net = network("googlenet")
    model = build(net)
    logits, heads = model(torch.zeros(1, *net.input))
    assert logits.shape == (1, 1000)
    assert [(weight, side.shape) for weight, side in heads] == [(0.3, (1, 1000))] * 2
    assert [head.conv.in_channels for head in (model.auxiliary1, model.auxiliary2)] == [512, 528]
    assert [head.dense1.in_features for head in (model.auxiliary1, model.auxiliary2)] == [2048, 2048]
