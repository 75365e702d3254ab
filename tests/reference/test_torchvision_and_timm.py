"""The networks since 2016 with the same weights in torchvision and timm: outputs and gradients agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deepenough.nets import Group, Network, Tokens
from deepenough.nets.build import build
from deepenough.nets.modules import ChannelScale, TokensOf, interpolated
from deepenough.nets.zoo import NETWORKS, network
from deepenough.nets.zoo.timm_models import TIMM_MODELS
from deepenough.weights.families import vit
from deepenough.weights.match import NameLayers, file_layout

pytestmark = [pytest.mark.seconds(120), pytest.mark.usefixtures("models")]  # timm needs torchvision's operators

TORCHVISION = [
    "resnext50_32x4d", "wide_resnet50_2", "densenet121", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large",
    *(f"efficientnet_b{number}" for number in range(5)), "regnet_y_400mf", "regnet_y_1_6gf", "convnext_tiny",
    "convnext_small",
]  # fmt: skip
"""Networks of the zoo that torchvision has by the same name."""

TIMM = {
    TIMM_MODELS[model]: model
    for model in TIMM_MODELS
    if not model.startswith(("vit", "deit", "resnet", "regnet", "efficientnet_b"))
    and model not in ("convnext_small", "resnext50_32x4d", "wide_resnet50_2")
} | {"efficientnet_b0": "efficientnet_b0"}
"""Networks of the zoo by what timm calls them, less those that torchvision has too and larger ones of a kind."""

VITS = [f"vit_{size}_patch16_224" for size in ("tiny", "small", "base")]
SIDE = 32


def weighted(module: nn.Module) -> list[nn.Module]:
    """Layers with weights, in the order that they were registered in."""
    kinds = (nn.Conv2d, nn.Linear, nn.BatchNorm2d, nn.LayerNorm)
    return [part for part in module.modules() if isinstance(part, kinds)]


def scales(module: nn.Module) -> list[Tensor]:
    """Layer scales: `ChannelScale` here, `layer_scale` in torchvision, `gamma` in timm."""
    return [
        part.weight if isinstance(part, ChannelScale) else tensor
        for part in module.modules()
        for tensor in [getattr(part, "layer_scale", getattr(part, "gamma", None))]
        if isinstance(part, ChannelScale) or isinstance(tensor, Tensor)
    ]


def in_order(ours: nn.Module, theirs: nn.Module) -> Iterator[tuple[Tensor, Tensor]]:
    """Pair the tensors of two models with layers of the same order."""
    for mine, other in zip(weighted(ours), weighted(theirs), strict=True):
        wanted = other.state_dict(keep_vars=True)
        for key, value in mine.state_dict(keep_vars=True).items():
            yield value, wanted[key]
    yield from zip(scales(ours), scales(theirs), strict=True)


def agree(pairs: list[tuple[Tensor, Tensor]], ours: nn.Module, theirs: nn.Module, images: Tensor) -> None:
    """Copy random weights, then compare logits and every gradient, in float64."""
    generator = torch.Generator().manual_seed(0)
    assert len(pairs) == len(ours.state_dict()) == len(theirs.state_dict())
    with torch.no_grad():
        for mine, other in pairs:
            assert mine.numel() == other.numel()
            if not mine.is_floating_point():
                continue
            spread = torch.rand(mine.shape, generator=generator, dtype=mine.dtype)
            if mine.squeeze().ndim < 2 or mine.ndim == 3:  # norms, biases, statistics, scales, embeddings
                mine.copy_(0.5 + spread if mine.requires_grad else 0.1 + spread)
            other.copy_(mine.reshape(other.shape))
    results = []
    for model in (ours, theirs):
        out = model(images)
        direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=out.dtype)
        (out * direction).sum().backward()
        results.append(out.detach())
    assert results[0].std() > 0
    _close(results[0], results[1])
    for mine, other in pairs:
        if mine.requires_grad:
            assert mine.grad is not None
            assert other.grad is not None
            _close(mine.grad, other.grad.reshape(mine.shape))


def _close(value: Tensor, wanted: Tensor) -> None:
    """The difference is small beside the largest value."""
    assert float((value - wanted).abs().max()) <= 1e-9 * max(float(wanted.abs().max()), 1e-30)


def pixels(height: int, width: int) -> Tensor:
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def ours_for(net: Network, images: Tensor) -> nn.Module:
    return build(net.with_input(tuple(images.shape[1:]))).double().eval()  # type: ignore[arg-type]


def theirs_for(make: Callable[[], nn.Module], *, meta: bool = True) -> nn.Module:
    """Their model, where it can be without the time for its initial weights, which are copied over."""
    with torch.device("meta" if meta else "cpu"):
        model = make()
    model = model.to_empty(device="cpu") if meta else model
    return model.double().eval()


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(models: Any, name: str) -> None:
    theirs = theirs_for(getattr(models, name), meta=not name.startswith("regnet"))
    for part in theirs.modules():
        if "proj" in part._modules:  # RegNet's shortcuts come before what they lead around
            part._modules["proj"] = part._modules.pop("proj")
    images = pixels(SIDE, SIDE)
    ours = ours_for(network(name), images)
    agree(list(in_order(ours, theirs)), ours, theirs, images)


@pytest.mark.parametrize("name", TIMM)
def test_timm(name: str) -> None:
    timm = pytest.importorskip("timm")
    theirs = theirs_for(lambda: timm.create_model(TIMM[name]))
    images = pixels(SIDE + 1, SIDE)  # TensorFlow's padding of an odd side is another
    ours = ours_for(network(name), images)
    agree(list(in_order(ours, theirs)), ours, theirs, images)


def with_grid(net: Network, side: int) -> Network:
    """A transformer whose position embedding is for `side` times `side` patches."""
    changed = (replace(layer, rows=side, columns=side) if isinstance(layer, Tokens) else layer for layer in net.stack)
    return replace(net, stack=tuple(changed))


def by_name(
    ours: nn.Module, theirs: nn.Module, net: Network, name_layers: NameLayers
) -> Iterator[tuple[Tensor, Tensor]]:
    """Pair the tensors of two models by the names that files have."""
    wanted = theirs.state_dict(keep_vars=True)
    names = file_layout(net, name_layers(net)).names
    for name, value in ours.state_dict(keep_vars=True).items():
        yield value, wanted[names[name]]


@pytest.mark.parametrize("name", VITS[:2])
def test_timms_vision_transformers(name: str) -> None:
    timm = pytest.importorskip("timm")
    theirs = theirs_for(lambda: timm.create_model(name, img_size=SIDE))
    images = pixels(SIDE, SIDE)
    net = with_grid(network(name), SIDE // 16)
    ours = ours_for(net, images)
    agree(list(by_name(ours, theirs, net, vit.name_timm)), ours, theirs, images)


@pytest.mark.parametrize("size", ["tiny", "base"])
def test_torchvisions_vision_transformer(models: Any, size: str) -> None:
    """torchvision has the base one; of others its class makes the tiny one too."""
    width, heads = {"tiny": (192, 3), "base": (768, 12)}[size]

    def make() -> nn.Module:
        return models.VisionTransformer(SIDE, 16, 12, heads, width, 4 * width)  # type: ignore[no-any-return]

    theirs, images = theirs_for(make), pixels(SIDE, SIDE)
    net = with_grid(network(f"vit_{size}_patch16_224"), SIDE // 16)
    ours = ours_for(net, images)
    agree(list(by_name(ours, theirs, net, vit.name_torchvision)), ours, theirs, images)


@pytest.mark.parametrize("wanted", [(4, 4), (7, 5), (3, 2)])
def test_positions_are_interpolated_as_in_timm(wanted: tuple[int, int]) -> None:
    layers = pytest.importorskip("timm.layers")
    position = torch.randn(1, 17, 6, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        interpolated(position, (4, 4), wanted), layers.resample_abs_pos_embed(position, list(wanted), [4, 4])
    )


@pytest.mark.parametrize("wanted", [(9, 9), (4, 12), (3, 5)])
def test_interpolated_positions_keep_the_class_token_and_what_is_the_same_everywhere(wanted: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    token, everywhere = torch.randn(2, 1, 1, 6, generator=generator).unbind()
    position = torch.cat((token, everywhere.expand(1, 35, 6)), 1)
    found = interpolated(position, (7, 5), wanted)
    assert torch.equal(found[:, :1], token)
    torch.testing.assert_close(found[:, 1:], everywhere.expand(1, wanted[0] * wanted[1], 6))


def test_a_transformer_takes_images_of_another_size() -> None:
    """What it computes there is what one computes whose positions were interpolated beforehand."""
    net = with_grid(network("vit_tiny_patch16_224"), 3).with_input((3, 48, 48))
    net = replace(net, stack=tuple(layer for layer in net.stack if not isinstance(layer, Group)))
    model, images = build(net), torch.randn(2, 3, 80, 64, generator=torch.Generator().manual_seed(0))
    moved = replace(
        net, stack=tuple(replace(x, rows=5, columns=4) if isinstance(x, Tokens) else x for x in net.stack)
    ).with_input((3, 80, 64))
    state = model.state_dict()
    state["tokens.position"] = interpolated(state["tokens.position"], (3, 3), (5, 4))
    other = build(moved)
    other.load_state_dict(state)
    assert isinstance(model.get_submodule("tokens"), TokensOf)
    torch.testing.assert_close(model(images), other(images))


def test_every_network_since_2016_is_compared() -> None:
    names = list(NETWORKS)
    keras = {name for name in names if name.endswith("_keras")}  # in test_weights_keras
    assert set(names[names.index("resnext50_32x4d") :]) - keras == {*TORCHVISION, *TIMM, *VITS}
