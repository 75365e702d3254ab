"""A ResNet-18 in the forms that people save checkpoints in gives the same logits, or the same features, here."""

from __future__ import annotations

import argparse
import copy
import enum
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path, PosixPath
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from deepenough.errors import DeepenoughError
from deepenough.nets.build import build
from deepenough.nets.cut import cut_at
from deepenough.probing.features import body
from deepenough.weights.grey import GREY_PARTS, colour
from deepenough.weights.likely import likely
from deepenough.weights.match import shapes
from deepenough.weights.read import read_weights

State = Mapping[str, Tensor]
CLASSES = 7


class Config(dict[str, Any]):
    """Stands for OmegaConf's DictConfig and the like: a mapping of a class of its own, with a state."""

    def __init__(self, **content: Any) -> None:
        super().__init__(content)
        self.flags = {"readonly": True}


class Split(enum.Enum):
    TRAIN = "train"


class Lit(nn.Module):
    """Stands for a LightningModule: the network under a name, metrics and the weights of a loss beside it."""

    def __init__(self, network: nn.Module, name: str) -> None:
        super().__init__()
        self.add_module(name, network)
        self.criterion = nn.CrossEntropyLoss(weight=torch.ones(CLASSES))
        self.train_accuracy = nn.Module()
        self.train_accuracy.register_buffer("tp", torch.zeros(CLASSES, dtype=torch.long))


def prefixed(state: State, prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def lightning(model: nn.Module, name: str) -> dict[str, Any]:
    state = Lit(model, name).state_dict()
    return {
        "epoch": 3, "global_step": 90, "pytorch-lightning_version": "2.5.0", "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {}}}, "callbacks": {"ModelCheckpoint": {"best": torch.tensor(0.9)}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}],
        "lr_schedulers": [], "hparams_name": "kwargs", "hyper_parameters": {"config": Config(lr=0.1)},
    }  # fmt: skip


def other(state: State) -> dict[str, Tensor]:
    """Stands for the same network at another moment of its training."""
    return {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in state.items()}


def ema(model: nn.Module) -> dict[str, Any]:
    return {"epoch": 3, "state_dict": other(model.state_dict()), "state_dict_ema": model.state_dict()}


def training_script(model: nn.Module) -> dict[str, Any]:
    return {
        "args": argparse.Namespace(lr=0.1, out=PosixPath("/runs/7"), split=Split.TRAIN),
        "model": model.state_dict(), "optimizer": torch.optim.SGD(model.parameters(), 0.1).state_dict(),
        "best": np.float64(0.91), "history": np.zeros(3), "config": Config(model="resnet18", depth=Config(n=18)),
        "classes": {"cat", "dog"}, "device": torch.device("cpu"), "dtype": torch.float16,
    }  # fmt: skip


def swa(model: nn.Module) -> dict[str, Tensor]:
    return torch.optim.swa_utils.AveragedModel(model).state_dict()


def body_of(model: Any) -> Any:
    model = copy.copy(model)
    model._modules = {**model._modules, "fc": nn.Identity()}
    return model


def with_head(model: Any, head: nn.Module) -> Any:
    model = copy.copy(model)
    model._modules = {**model._modules, "fc": head}
    return model


def head_beside(model: Any) -> dict[str, Tensor]:
    return {**prefixed(body_of(model).state_dict(), "encoder."), **prefixed(model.fc.state_dict(), "classifier.")}


def wrapped_in_part(model: Any) -> dict[str, Tensor]:
    """Only one stage was compiled."""
    return {name.replace("layer2.", "layer2._orig_mod."): tensor for name, tensor in model.state_dict().items()}


def sequential(model: Any) -> nn.Sequential:
    *body, head = model.children()
    return nn.Sequential(*body, nn.Flatten(), head)


def cut_sequential(model: Any) -> nn.Sequential:
    return nn.Sequential(*list(model.children())[:-2])


def in_order(model: Any) -> nn.Sequential:
    children = {name: child for name, child in model.named_children() if name != "fc"}
    return nn.Sequential(OrderedDict(backbone=nn.Sequential(OrderedDict(children)), flat=nn.Flatten(), fc=model.fc))


WHOLE: dict[str, Callable[[nn.Module], Any]] = {
    "plain": lambda m: m.state_dict(),
    "state_dict": lambda m: {"state_dict": m.state_dict(), "epoch": 3},
    "model_state_dict": lambda m: {"model_state_dict": m.state_dict(), "loss": 0.3},
    "model": lambda m: {"model": m.state_dict()},
    "net": lambda m: {"net": m.state_dict(), "acc": 91.2},
    "nested": lambda m: {"checkpoint": {"network": m.state_dict()}, "epoch": 1},
    "ema": lambda m: {"model": other(m.state_dict()), "ema": m.state_dict()},
    "state_dict_ema": ema,
    "model_ema": lambda m: {"model": other(m.state_dict()), "model_ema": m.state_dict()},
    "module.": lambda m: prefixed(m.state_dict(), "module."),
    "_orig_mod.": lambda m: prefixed(m.state_dict(), "_orig_mod."),
    "module._orig_mod.": lambda m: prefixed(m.state_dict(), "module._orig_mod."),
    "compiled in part": wrapped_in_part,
    "model.": lambda m: prefixed(m.state_dict(), "model."),
    "backbone.": lambda m: prefixed(m.state_dict(), "backbone."),
    "a prefix of their own": lambda m: prefixed(m.state_dict(), "my_very.own7."),
    "lightning model": lambda m: lightning(m, "model"),
    "lightning net": lambda m: lightning(m, "net"),
    "swa": swa,
    "half": lambda m: {name: tensor.half() for name, tensor in m.state_dict().items()},
    "bfloat16": lambda m: {"state_dict": copy.deepcopy(m).bfloat16().state_dict()},
    "objects beside it": training_script,
    "dropout before the head": lambda m: with_head(m, nn.Sequential(nn.Dropout(), m.fc)).state_dict(),
    "head beside the body": head_beside,
    "children by number": lambda m: sequential(m).state_dict(),
    "children by name": lambda m: in_order(m).state_dict(),
    "frozen": lambda m: {"state_dict": {n: nn.Parameter(t) if t.is_floating_point() else t
                                        for n, t in m.state_dict().items()}},
    "the whole module": lambda m: m,
}  # fmt: skip
"""Forms that hold all of the network, by name: what torch.save is given."""

BODY: dict[str, Callable[[nn.Module], Any]] = {
    "no head": lambda m: body_of(m).state_dict(),
    "no head under a prefix": lambda m: prefixed(body_of(m).state_dict(), "model.encoder."),
    "head of two layers": lambda m: with_head(
        m, nn.Sequential(nn.Linear(512, 64), nn.ReLU(), nn.Dropout(), nn.Linear(64, 3))
    ).state_dict(),
    "head with a norm": lambda m: with_head(m, nn.Sequential(nn.BatchNorm1d(512), nn.Linear(512, 3))).state_dict(),
    "children by number, cut": lambda m: cut_sequential(m).state_dict(),
    "a decoder behind it": lambda m: {
        **prefixed(body_of(m).state_dict(), "encoder."),
        "decoder.0.weight": torch.zeros(8, 512, 3, 3),
        "decoder.0.bias": torch.zeros(8),
    },
}
"""Forms that hold the body of the network alone, or another head."""


@pytest.fixture(scope="module")
def resnet(models: Any, filled: Any) -> Any:
    return filled(lambda: models.resnet18(num_classes=CLASSES))


def pictures(side: int = 40, channels: int = 3) -> Tensor:
    return torch.randn((2, channels, side, side), generator=torch.Generator().manual_seed(1))


def logits(model: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images)


@pytest.mark.parametrize("form", WHOLE)
def test_whole(resnet: Any, same: Any, tmp_path: Path, form: str) -> None:
    path = tmp_path / "w.pth"
    torch.save(WHOLE[form](resnet), path)
    weights = read_weights(path)
    assert weights.network.name == "resnet18_torchvision"
    model, images = resnet, pictures()
    if form in ("half", "bfloat16"):
        model = copy.deepcopy(resnet).to(torch.half if form == "half" else torch.bfloat16).float()
    same(weights, images, logits(model, images))


def script(model: nn.Module, path: Path) -> None:
    torch.jit.script(model).save(path)


def trace(model: nn.Module, path: Path) -> None:
    torch.jit.trace(Lit(model, "net").net, pictures()).save(path)


def legacy(model: nn.Module, path: Path) -> None:
    torch.save(
        {"args": argparse.Namespace(a=1), "model": model.state_dict()}, path, _use_new_zipfile_serialization=False
    )


def safetensors(model: nn.Module, path: Path) -> None:
    save_file(prefixed(model.state_dict(), "model."), path)


@pytest.mark.parametrize("save", [script, trace, legacy, safetensors])
def test_other_containers(resnet: Any, same: Any, tmp_path: Path, save: Callable[..., None]) -> None:
    save(resnet, tmp_path / "w.pt")
    weights = read_weights(tmp_path / "w.pt")
    same(weights, pictures(), logits(resnet, pictures()))
    # TorchScript's have a program, which is not read: that it computes what the network does is taken for granted.
    assert any("a program of TorchScript" in note for note in weights.notes) == (save in (script, trace))


@pytest.mark.parametrize("form", BODY)
def test_body(resnet: Any, tmp_path: Path, form: str) -> None:
    torch.save(BODY[form](resnet), tmp_path / "w.pth")
    with pytest.raises(DeepenoughError, match=r"resnet18_torchvision without its head(.|\n)*deepenough fit"):
        read_weights(tmp_path / "w.pth")
    weights = read_weights(tmp_path / "w.pth", needs_head=False)
    assert weights.headless
    assert set(weights.state) == {key for key in shapes(weights.network) if not key.startswith("classifier.")}
    images = pictures()
    theirs = nn.Sequential(*list(resnet.children())[:-2])
    ours = build(cut_at(weights.network, "level4.block2", 5))
    ours.load_state_dict(body(weights, ours))
    mean = nn.Sequential(*list(ours.children())[: list(ours._modules).index("pooled")]).eval()
    with torch.no_grad():
        torch.testing.assert_close(mean(images), theirs(images), atol=1e-4, rtol=1e-4)


def small_stem(model: Any) -> Any:
    model = copy.deepcopy(model)
    model.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False).requires_grad_(False)
    model.maxpool = nn.Identity()
    return model


def grey_stem(model: Any) -> Any:
    model = copy.deepcopy(model)
    model.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False).requires_grad_(False)
    return model


def test_a_stem_for_small_images(resnet: Any, same: Any, tmp_path: Path) -> None:
    model = small_stem(resnet)
    torch.save({"net": prefixed(model.state_dict(), "module.")}, tmp_path / "w.pth")
    weights = read_weights(tmp_path / "w.pth")
    assert (weights.input.size, weights.input.shorter, weights.network.input) == ((32, 32), None, (3, 32, 32))
    assert any("3x3 stem" in note for note in weights.notes)
    same(weights, pictures(32), logits(model, pictures(32)))


def test_names_of_the_well_known_cifar_resnets(resnet: Any, same: Any, tmp_path: Path) -> None:
    """`shortcut` and `linear`, as in pytorch-cifar."""
    model = small_stem(resnet)
    named = {n.replace("downsample", "shortcut").replace("fc.", "linear."): t for n, t in model.state_dict().items()}
    torch.save({"net": named, "acc": 93.0, "epoch": 200}, tmp_path / "w.pth")
    weights = read_weights(tmp_path / "w.pth")
    assert weights.network.name == "resnet18_torchvision"
    same(weights, pictures(32), logits(model, pictures(32)))


def test_a_stem_for_grey_images(resnet: Any, same: Any, tmp_path: Path) -> None:
    model = grey_stem(resnet)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    weights = read_weights(tmp_path / "w.pth")
    assert (weights.input.channels, weights.network.input) == (1, (1, 224, 224))
    same(weights, pictures(channels=1), logits(model, pictures(channels=1)))
    seen = torch.rand(2, 3, 40, 40, generator=torch.Generator().manual_seed(2))
    shade = (seen * torch.tensor(GREY_PARTS).view(1, 3, 1, 1)).sum(1, keepdim=True)
    ours = colour(weights)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (ours.input.mean, ours.input.std))
    same(ours, (seen - mean) / std, logits(model, (shade - mean[:, :1]) / std[:, :1]))
    path = tmp_path / "preprocess.json"
    path.write_text('{"size": [64, 64], "mean": [0.1, 0.1, 0.1], "std": [1, 1, 1]}')
    with pytest.raises(DeepenoughError, match="images of 3 channels, and resnet18_torchvision in this file takes 1"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
@pytest.mark.parametrize("whole", [True, False])
def test_the_names_of_transformers(models: Any, filled: Any, same: Any, tmp_path: Path, name: str, whole: bool) -> None:
    """As `ResNetForImageClassification` and `ResNetModel` have them."""
    model = filled(lambda: getattr(models, name)(num_classes=CLASSES))
    named = {}
    for key, tensor in model.state_dict().items():
        place = re.sub(r"^(conv|bn)1\.", lambda m: f"embedder.embedder.{TRANSFORMERS[m[1]]}.", key)
        place = re.sub(
            r"^layer(\d)\.(\d+)\.(conv|bn)(\d)",
            lambda m: f"encoder.stages.{int(m[1]) - 1}.layers.{m[2]}.layer.{int(m[4]) - 1}.{TRANSFORMERS[m[3]]}",
            place,
        )
        place = re.sub(
            r"^layer(\d)\.(\d+)\.downsample\.(\d)",
            lambda m: f"encoder.stages.{int(m[1]) - 1}.layers.{m[2]}.shortcut.{list(TRANSFORMERS.values())[int(m[3])]}",
            place,
        )
        if not key.startswith("fc."):
            named[f"resnet.{place}" if whole else place] = tensor
        elif whole:
            named[key.replace("fc.", "classifier.1.")] = tensor
    save_file({key: named[key] for key in sorted(named)}, tmp_path / "model.safetensors")
    weights = read_weights(tmp_path / "model.safetensors", needs_head=whole)
    assert (weights.source, weights.input.interpolation) == ("transformers", "bicubic")
    assert weights.network.name == {"resnet18": "resnet18_torchvision", "resnet50": "resnet50_v1_5"}[name]
    if whole:
        same(weights, pictures(), logits(model, pictures()))


TRANSFORMERS = {"conv": "convolution", "bn": "normalization"}


def test_two_dense_layers_of_a_vgg_are_left_out(models: Any, filled: Any, tmp_path: Path) -> None:
    """Its own classifier has three; what another one leaves is the convolutions."""

    def theirs() -> nn.Module:
        model = models.vgg11(num_classes=7)
        model.classifier = nn.Sequential(nn.Linear(25088, 16), nn.ReLU(), nn.Linear(16, 3))
        return model

    model = filled(theirs)
    torch.save(model.state_dict(), tmp_path / "w.pth")
    weights = read_weights(tmp_path / "w.pth", needs_head=False)
    assert weights.network.name == "vgg11"
    ours = build(cut_at(weights.network, "level5.conv2", 5))
    ours.load_state_dict(body(weights, ours))
    mean = nn.Sequential(*list(ours.children())[: list(ours._modules).index("pooled")]).eval()
    with torch.no_grad():
        torch.testing.assert_close(mean(pictures(64)), model.features[:-1](pictures(64)), atol=1e-4, rtol=1e-4)


LIKELY = {
    "mobilenet_v2": "MobileNet", "mobilenet_v3_small": "MobileNet", "efficientnet_b0": "EfficientNet",
    "vit_b_32": "a Vision Transformer", "convnext_tiny": "ConvNeXt", "densenet121": "DenseNet",
    "swin_t": "a Swin Transformer", "regnet_y_400mf": "RegNet", "inception_v3": "Inception",
    "shufflenet_v2_x0_5": "ShuffleNet", "mnasnet0_5": "MNASNet", "wide_resnet50_2": "a ResNet of another kind",
}  # fmt: skip


@pytest.mark.parametrize("name", LIKELY)
def test_the_likely_architecture_is_named(models: Any, name: str) -> None:
    options = {"init_weights": False} if name == "inception_v3" else {}
    with torch.device("cpu" if name.startswith("regnet") else "meta"):  # which looks at its own weights
        names = list(getattr(models, name)(**options).state_dict())
    assert likely(names) == LIKELY[name]
    assert likely(f"module.{each}" for each in names) == LIKELY[name]


def test_a_network_that_is_not_known_is_named_in_one_line(models: Any, filled: Any, tmp_path: Path) -> None:
    torch.save({"model": filled(models.shufflenet_v2_x0_5).state_dict()}, tmp_path / "w.pth")
    with pytest.raises(
        DeepenoughError, match=r"by its names it is ShuffleNet\. Give weights of a network that"
    ) as caught:
        read_weights(tmp_path / "w.pth")
    assert "\n" not in str(caught.value)
    with pytest.raises(DeepenoughError, match="does not fit resnet50_v1_5; by its names it is ShuffleNet"):
        read_weights(tmp_path / "w.pth", network="resnet50_v1_5")
