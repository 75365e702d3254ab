"""Other people's implementations, and how their outputs are compared with ours."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deepenough.nets.build import build
from deepenough.nets.zoo import NETWORKS
from deepenough.weights import Weights, match

_KEEP: list[object] = []


@pytest.fixture(scope="session")
def models() -> Any:
    """torchvision.models. Its binary may lack CUDA's libraries; the models only need these operators to exist."""
    try:
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEEP.append(library)
    except RuntimeError:
        pass  # torchvision is loaded already, and has them
    try:
        return importlib.import_module("torchvision.models")
    except ImportError as error:
        pytest.skip(f"torchvision is not installed: {error}")


@pytest.fixture(scope="session")
def values() -> Callable[[str, tuple[int, ...], int], Tensor]:
    """Random numbers for a tensor, by its name, shape and fan-in, such that activations keep their size."""
    generator = torch.Generator().manual_seed(0)

    def make(name: str, shape: tuple[int, ...], fan_in: int = 0) -> Tensor:
        if len(shape) > 1:
            return torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        if "var" in name:
            return 0.5 + torch.rand(shape, generator=generator)
        if "mean" in name or "bias" in name or "beta" in name:
            return 0.1 * torch.randn(shape, generator=generator)
        return 0.4 + 0.4 * torch.rand(shape, generator=generator)

    return make


@pytest.fixture(scope="session")
def filled(values: Callable[..., Tensor]) -> Callable[[Callable[[], nn.Module]], nn.Module]:
    """A torch model in evaluation with random weights and running statistics, made without its own start."""

    def fill(make: Callable[[], nn.Module]) -> nn.Module:
        with torch.device("meta"):
            model = make()
        model = model.to_empty(device="cpu").eval()
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(values(name, tuple(tensor.shape), tensor[0].numel()))
            else:
                tensor.zero_()
        return model

    return fill


@pytest.fixture(scope="session")
def keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras", reason="keras is not installed")


@pytest.fixture(scope="session")
def filled_keras(values: Callable[..., Tensor]) -> Callable[[Any], Any]:
    """A Keras model with random weights; its normalisation of images, where it has one, is left as it is made."""

    def fill(model: Any) -> Any:
        model.set_weights([
            v.numpy() if "normalization/" in v.path and not v.path.startswith("batch") and "layer_n" not in v.path
            else values(v.path, tuple(v.shape), math.prod(v.shape[:2] if "depthwise" in v.path else v.shape[:-1]))
            .numpy()
            for v in model.weights
        ])  # fmt: skip
        return model

    return fill


@pytest.fixture(scope="session")
def same() -> Callable[[Weights, Tensor, Any], None]:
    """The read network gives these logits: to 1e-4 of the largest, in float32."""

    def compare(weights: Weights, images: Tensor, wanted: Any) -> None:
        model = loaded(weights.network.with_input(tuple(images.shape[1:])), weights.state)
        with torch.no_grad():
            logits = model(images)
        wanted = torch.as_tensor(wanted)
        assert logits.shape == wanted.shape
        assert wanted.std() > 0
        difference = float((logits - wanted).abs().max() / wanted.abs().max())
        print(f"\nMEASURED {weights.source} {weights.network.name} {tuple(images.shape[1:])}: {difference:.1e}")  # noqa: T201
        assert difference < 1e-4

    return compare


def loaded(network: Any, state: Mapping[str, Tensor]) -> nn.Module:
    """Our module in evaluation with a state, all of it."""
    model = build(network)
    model.load_state_dict(dict(state))
    return model.eval()


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Shrinks the zoo's VGGs as the readers see them: their dense layers have 100 million weights at 224 pixels."""

    def shrink(side: int) -> None:
        networks = {
            name: (lambda make=make: make().with_input((3, side, side))) if name.startswith("vgg") else make
            for name, make in NETWORKS.items()
        }
        monkeypatch.setattr(match, "NETWORKS", networks)

    return shrink
