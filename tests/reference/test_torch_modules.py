"""torchvision's and timm's own modules, read by the graph that `torch.export` takes of them, give the same logits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from deepenough.nets.build import build
from deepenough.nets.cut import cuts
from deepenough.weights.graphs.torch_module import read_module

TIMM = {
    "mobilenetv3_small_100": 64,
    "efficientnet_b0": 64,
    "convnext_atto": 64,
    "vit_tiny_patch16_224": 224,
    "regnety_004": 64,
    "resnet10t": 64,
    "resnet50_gn": 64,
}
"""Sides of images, by the name of the network."""

TORCHVISION = ("resnet18", "mobilenet_v3_small", "densenet121", "convnext_tiny", "squeezenet1_1", "shufflenet_v2_x0_5")


def check(module: nn.Module, side: int, first: str, dtype: torch.dtype = torch.float32) -> None:
    """Compare the logits of two images, and the first place where the network can be cut."""
    found = read_module(module, (3, side, side))
    network = build(found.network)
    network.load_state_dict(dict(found.state), strict=False)
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0)).to(dtype)
    with torch.no_grad():
        ours, theirs = (each.eval().to(dtype)(images) for each in (network, module))
    assert theirs.std() > 0
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
    assert cuts(found.network)[0].place == first


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvisions(models: Any, filled: Callable[[Callable[[], nn.Module]], nn.Module], name: str) -> None:
    first = {"resnet18": "conv1", "densenet121": "features_conv0", "shufflenet_v2_x0_5": "conv1_0"}.get(
        name, "features_0"
    )
    check(filled(lambda: getattr(models, name)(num_classes=7)), 64, first)


@pytest.mark.parametrize("name", TIMM)
def test_timms(models: Any, name: str) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    firsts = {"convnext_atto": "stages_0_blocks_0", "vit_tiny_patch16_224": "blocks_0", "regnety_004": "stem",
              "resnet10t": "conv1_0", "resnet50_gn": "conv1"}  # fmt: skip
    torch.manual_seed(0)
    check(timm.create_model(name, num_classes=7), TIMM[name], firsts.get(name, "conv_stem"))


VITS: dict[str, dict[str, Any]] = {
    "the mean of the patches": {"class_token": False, "global_pool": "avg"},
    "no positions": {"class_token": False, "global_pool": "avg", "pos_embed": "none"},
    "a class token without a position": {"no_embed_class": True},
    "the largest of the patches": {"class_token": False, "global_pool": "max"},
}
"""Ways in which timm makes ViTs beside the usual one."""


@pytest.mark.parametrize("kind", VITS)
def test_transformers_of_timm_with_other_tokens(models: Any, kind: str) -> None:
    timm = pytest.importorskip("timm", reason="timm is not installed")
    torch.manual_seed(0)
    first = "patch_embed" if kind == "no positions" else "blocks_0"
    check(timm.create_model("vit_tiny_patch16_224", num_classes=7, img_size=64, **VITS[kind]), 64, first)


@pytest.mark.parametrize(
    "options",
    [
        {"replace_stride_with_dilation": [False, True, True]},
        {"norm_layer": partial(nn.GroupNorm, 8)},
        {"norm_layer": nn.InstanceNorm2d},
    ],
    ids=["dilated", "groups", "instances"],
)
def test_variants_of_a_resnet(models: Any, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    # Norms of maps of 2 x 2 multiply what single precision rounds by hundreds.
    check(models.resnet50(num_classes=7, **options), 64, "conv1", torch.float64)
