"""paddle.vision's models, saved as .pdparams, give the same logits here."""

from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from deepenough.errors import DeepenoughError
from deepenough.weights import paddle as reader
from deepenough.weights.read import read_weights

CLASSES = 7
VGGS = [f"vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")]
RESNETS = ["resnet18_torchvision", "resnet34_torchvision", "resnet50_v1_5", "resnet101_v1_5", "resnet152_v1_5"]
NEWER = [
    "resnext50_32x4d",
    "wide_resnet50_2",
    "densenet121",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
]
"""Networks that Paddle and the zoo call alike."""


@pytest.fixture(scope="module")
def paddle() -> Any:
    if "tensorflow" in sys.modules:  # as after `make test-frameworks`; TensorBoard's writer imports what is installed
        pytest.skip("importing PaddlePaddle crashes a process that has TensorFlow; run this file by itself")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("paddle", reason="PaddlePaddle is not installed")


def fill(paddle: Any, model: Any, values: Any) -> Any:
    state = {}
    for name, tensor in model.state_dict().items():
        shape = tuple(tensor.shape)
        fan_in = shape[0] if len(shape) == 2 else torch.Size(shape[1:]).numel()
        state[name] = values(name, shape, fan_in).numpy()
    missing, unexpected = model.set_state_dict(state)
    assert not missing
    assert not unexpected
    model.eval()
    return model


def compare(paddle: Any, same: Any, model: Any, path: Path, name: str, side: int, protocol: int = 4) -> None:
    paddle.save(model.state_dict(), str(path), protocol=protocol)
    weights = read_weights(path)
    assert (weights.source, weights.network.name) == ("paddle", name)
    pictures = torch.randn((2, 3, side, side), generator=torch.Generator().manual_seed(1))
    with paddle.no_grad():
        same(weights, pictures, model(paddle.to_tensor(pictures.numpy())).numpy())


def test_alexnet_whose_dropout_scales_in_inference(paddle: Any, same: Any, values: Any, tmp_path: Path) -> None:
    model = fill(paddle, paddle.vision.models.alexnet(num_classes=CLASSES), values)
    compare(paddle, same, model, tmp_path / "w", "alexnet_torchvision", 224)


@pytest.mark.parametrize("side", [65, 224])
def test_squeezenet_whose_dropout_scales_in_inference(
    paddle: Any, same: Any, values: Any, tmp_path: Path, side: int
) -> None:
    model = fill(paddle, paddle.vision.models.squeezenet1_1(num_classes=CLASSES), values)
    compare(paddle, same, model, tmp_path / "w", "squeezenet1_1_paddle", side)


@pytest.mark.parametrize("name", VGGS)
def test_vgg(paddle: Any, same: Any, values: Any, small: Any, tmp_path: Path, name: str) -> None:
    model = getattr(paddle.vision.models, name.removesuffix("_bn"))(
        batch_norm=name.endswith("_bn"), num_classes=0, with_pool=False
    )
    model.num_classes = CLASSES
    nn = paddle.nn
    model.classifier = nn.Sequential(
        *(nn.Linear(512, 4096), nn.ReLU(), nn.Dropout()),
        *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout()),
        nn.Linear(4096, CLASSES),
    )
    small(32)
    compare(paddle, same, fill(paddle, model, values), tmp_path / "w", name, 32)


@pytest.mark.parametrize("name", RESNETS)
def test_resnets(paddle: Any, same: Any, values: Any, tmp_path: Path, name: str) -> None:
    model = getattr(paddle.vision.models, name.partition("_")[0])(num_classes=CLASSES)
    compare(paddle, same, fill(paddle, model, values), tmp_path / "w", name, 40)


@pytest.mark.parametrize("name", NEWER)
def test_networks_since_2016(paddle: Any, same: Any, values: Any, tmp_path: Path, name: str) -> None:
    """224 pixels: all paddings count."""
    model = getattr(paddle.vision.models, name)(num_classes=CLASSES)
    compare(paddle, same, fill(paddle, model, values), tmp_path / "w", name, 224)


@pytest.mark.parametrize("protocol", [2, 3])
def test_every_protocol_of_pickle(paddle: Any, same: Any, values: Any, tmp_path: Path, protocol: int) -> None:
    model = fill(paddle, paddle.vision.models.resnet18(num_classes=CLASSES), values)
    compare(paddle, same, model, tmp_path / "w", "resnet18_torchvision", 33, protocol)


def test_its_googlenet_is_refused(paddle: Any, tmp_path: Path) -> None:
    paddle.save(paddle.vision.models.googlenet(num_classes=CLASSES).state_dict(), str(tmp_path / "g"))
    with pytest.raises(DeepenoughError, match=r"no biases, no LRN and no ReLU between convolutions"):
        read_weights(tmp_path / "g")


def test_arrays_of_a_plain_pickle(tmp_path: Path) -> None:
    """What is no network is said so: the file is read without Paddle."""
    np = pytest.importorskip("numpy")
    (tmp_path / "w").write_bytes(pickle.dumps({"conv.weight": np.zeros((2, 3, 1, 1), np.float32)}))
    with pytest.raises(DeepenoughError, match="fits no network known here"):
        read_weights(tmp_path / "w")


def test_every_network_that_paddle_has_is_compared() -> None:
    compared = {"alexnet_torchvision", "squeezenet1_1_paddle", *VGGS, *RESNETS, *NEWER}
    assert set(reader.PADDLE_NAMES) == compared
