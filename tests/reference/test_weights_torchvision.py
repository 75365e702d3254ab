"""torchvision's models, saved as torchvision's users save them, give the same logits here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from deepenough.errors import DeepenoughError
from deepenough.nets.zoo import NETWORKS
from deepenough.weights import torchvision as reader
from deepenough.weights.read import read_weights

IMAGES = torch.Generator().manual_seed(1)
DATA = Path(__file__).parents[3] / "shared" / "data" / "weights"


def images(side: int) -> torch.Tensor:
    return torch.randn((2, 3, side, side), generator=IMAGES)


def compare(same: Any, path: Path, theirs: nn.Module, side: int, network: str | None = None) -> None:
    torch.save(theirs.state_dict(), path)
    weights = read_weights(path, network=network)
    assert weights.source == "torchvision"
    pictures = images(side)
    with torch.no_grad():
        same(weights, pictures, theirs(pictures))


def test_alexnet(models: Any, filled: Any, same: Any, tmp_path: Path) -> None:
    compare(same, tmp_path / "a.pth", filled(lambda: models.alexnet(num_classes=7)), 224)


@pytest.mark.parametrize("name", [f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")])
def test_vgg(models: Any, filled: Any, same: Any, small: Any, tmp_path: Path, name: str) -> None:
    def theirs() -> nn.Module:
        model = getattr(models, name)(num_classes=7)
        model.avgpool = nn.Identity()
        model.classifier[0] = nn.Linear(512, 4096)
        return model  # type: ignore[no-any-return]

    small(32)
    compare(same, tmp_path / "v.pth", filled(theirs), 32)


@pytest.mark.parametrize("heads", [True, False])
def test_googlenet_with_and_without_its_heads(models: Any, filled: Any, same: Any, tmp_path: Path, heads: bool) -> None:
    theirs = filled(lambda: models.googlenet(aux_logits=heads, init_weights=False))
    compare(same, tmp_path / "g.pth", theirs, 64)
    assert read_weights(tmp_path / "g.pth").input.mean == (0.5, 0.5, 0.5)


def test_squeezenet(models: Any, filled: Any, same: Any, tmp_path: Path) -> None:
    compare(same, tmp_path / "s.pth", filled(models.squeezenet1_1), 65)


RESNETS = ("resnet18_torchvision", "resnet34_torchvision", "resnet50_v1_5", "resnet101_v1_5", "resnet152_v1_5")


@pytest.mark.parametrize("name", RESNETS)
def test_resnets(models: Any, filled: Any, same: Any, tmp_path: Path, name: str) -> None:
    theirs = filled(lambda: getattr(models, name.partition("_")[0])(num_classes=7))
    compare(same, tmp_path / "r.pth", theirs, 33, network=name)


def test_the_authors_resnet_under_torchvisions_names(models: Any, filled: Any, same: Any, tmp_path: Path) -> None:
    def theirs() -> nn.Module:
        model = models.resnet50(num_classes=7)
        model.maxpool = nn.MaxPool2d(3, 2, 0, ceil_mode=True)
        for block in model.modules():
            if hasattr(block, "conv3") and block.conv2.stride == (2, 2):
                block.conv1.stride, block.conv2.stride = (2, 2), (1, 1)
        return model  # type: ignore[no-any-return]

    compare(same, tmp_path / "r.pth", filled(theirs), 40, network="resnet50")


def test_safetensors_are_timms_where_they_say_so(models: Any, filled: Any, same: Any, tmp_path: Path) -> None:
    theirs = filled(lambda: models.resnet18(num_classes=7))
    save_file(theirs.state_dict(), tmp_path / "r.bin")
    plain = read_weights(tmp_path / "r.bin")
    torch.save(theirs.state_dict(), tmp_path / "r.pth")
    assert (plain.source, plain.input) == ("torchvision", read_weights(tmp_path / "r.pth").input)
    pictures = images(33)
    with torch.no_grad():
        same(plain, pictures, theirs(pictures))
    config = {"input_size": [3, 160, 160], "crop_pct": 0.95, "interpolation": "bicubic", "mean": [0.5] * 3}
    (tmp_path / "config.json").write_text(json.dumps({"architecture": "resnet18", "pretrained_cfg": config}))
    timms = read_weights(tmp_path / "r.bin")
    assert (timms.source, timms.input.interpolation, timms.input.size) == ("timm", "bicubic", (160, 160))
    assert (timms.input.shorter, timms.input.mean, timms.input.std) == (168, (0.5,) * 3, plain.input.std)
    wide = {"architecture": "resnet18", "pretrained_cfg": {"crop_pct": "wide"}}
    (tmp_path / "config.json").write_text(json.dumps(wide))
    with pytest.raises(DeepenoughError, match=r"pretrained_cfg can't be read"):
        read_weights(tmp_path / "r.bin")


@pytest.mark.parametrize("wrap", [lambda s: {"state_dict": s, "epoch": 3}, lambda s: {"model": s}])
def test_wrappers_and_prefixes_come_off(models: Any, filled: Any, tmp_path: Path, wrap: Callable[..., Any]) -> None:
    state = filled(lambda: models.squeezenet1_1(num_classes=7)).state_dict()
    torch.save(wrap({f"module.{name}": tensor for name, tensor in state.items()}), tmp_path / "w.pth")
    weights = read_weights(tmp_path / "w.pth")
    assert weights.network.classes == 7
    assert torch.equal(weights.state["conv10.bias"], state["classifier.1.bias"])


def test_the_old_format_of_torch_save(models: Any, filled: Any, tmp_path: Path) -> None:
    state = filled(lambda: models.squeezenet1_1(num_classes=7)).state_dict()
    torch.save(state, tmp_path / "old", _use_new_zipfile_serialization=False)
    assert torch.equal(read_weights(tmp_path / "old").state["conv10.bias"], state["classifier.1.bias"])


def test_real_weights_of_squeezenet() -> None:
    path = DATA / "squeezenet1_1-caffe.pth"
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    weights = read_weights(path, preprocess="caffe-bgr")
    assert (weights.network.name, weights.input.order, weights.input.size) == ("squeezenet1_1", "BGR", (227, 227))
    assert sum(tensor.numel() for tensor in weights.state.values()) == 1_235_496
    assert weights.network.input == (3, 227, 227)


def test_every_network_that_torchvision_has_is_compared() -> None:
    compared = {"alexnet_torchvision", "googlenet_bn", "squeezenet1_1", *RESNETS}
    compared |= {f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")}
    papers = {"resnet18", "resnet34", "resnet50", "resnet101", "resnet152"}
    later = list(NETWORKS)[list(NETWORKS).index("resnext50_32x4d") :]  # compared in test_weights_since_2016
    assert set(reader.TORCHVISION_NAMES) - set(later) == compared | papers
    assert set(reader.TORCHVISION_NAMES) <= set(NETWORKS)
