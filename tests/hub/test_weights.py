"""Weights from the hub start a search: our own models, and those that others push there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from hub_stand_in import HubStandIn, Repository, hub_of
from safetensors.torch import save

import deepenough
from deepenough.errors import DamagedError, DeepenoughError
from deepenough.hub.push import push
from deepenough.nets.build import build
from deepenough.nets.zoo import NETWORKS
from deepenough.weights import load_weights
from deepenough.weights.families.resnet import name_torchvision

pytestmark = pytest.mark.seconds(60)

NAME = "ann/shapes"
Command = Callable[..., tuple[int, str, str]]
CONFIG = {
    "architecture": "resnet18",
    "num_classes": 3,
    "num_features": 512,
    "pretrained_cfg": {
        "tag": "own",
        "input_size": [3, 32, 32],
        "interpolation": "bilinear",
        "crop_pct": 1.0,
        "crop_mode": "center",
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "num_classes": 3,
        "first_conv": "conv1",
        "classifier": "fc",
    },
    "label_names": ["circle", "cross", "square"],
}
"""The fields of timm's own configurations; `tests/reference/test_hub_weights.py` has those that timm writes."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubStandIn]:
    with hub_of(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def resnet(hub: HubStandIn) -> str:
    """A ResNet-18 for three classes as timm would have pushed it."""
    network = NETWORKS["resnet18_torchvision"]().with_classes(3)
    state, names = build(network, 0).state_dict(), name_torchvision(network)
    tensors = {f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": tensor for key, tensor in state.items()}
    hub.repositories["timm/resnet"] = Repository(private=False)
    hub.repositories["timm/resnet"].commit(
        "resnet", {"config.json": json.dumps(CONFIG).encode(), "model.safetensors": save(tensors)}
    )
    return "hf:timm/resnet"


def test_our_own_models_are_weights_too(finished: Path, hub: HubStandIn) -> None:
    push(finished, NAME)
    found, model = load_weights(f"hf:{NAME}"), deepenough.load(finished)
    assert (found.network, found.input, found.classes) == (model.network, model.preprocess, model.classes)
    assert all(
        torch.equal(found.state[key], tensor) for key, tensor in model.module.state_dict().items() if tensor.ndim
    )
    hub.repositories[NAME].commit("worse", {"weights.safetensors": b"not what was pushed"})
    with pytest.raises(DamagedError, match=r"weights\.safetensors"):
        load_weights(f"hf:{NAME}")


def test_weights_get_makes_a_model_and_export_takes_it(
    resnet: str, shapes: Path, tmp_path: Path, command: Command
) -> None:
    status, out, err = command("weights", "get", resnet, "--out", tmp_path / "model")
    assert status == 0, err
    assert "resnet18_torchvision" in out
    assert f"{resnet}: it is of commit" in err + out
    picture = next(shapes.rglob("*.png"))
    assert deepenough.load(tmp_path / "model").predict(picture)[0].label in CONFIG["label_names"]
    status, _, err = command("export", resnet, "--to", "torch", "--no-verify", "--out", tmp_path / "out")
    assert status == 0, err
    with pytest.raises(DeepenoughError, match=f"deepenough weights get {resnet} --out FOLDER"):
        deepenough.load(resnet)


def test_a_search_starts_from_it(resnet: str, shapes: Path, tmp_path: Path) -> None:
    run = deepenough.fit(
        shapes,
        weights=resnet,
        target=0.2,
        folds=1,
        epochs=1,
        batch=16,
        lr=0.01,
        threads=1,
        augment="none",
        out=tmp_path / "run",
    )
    (probing,) = run.record.probings
    assert (probing.weights, probing.source) == (resnet, "timm")
    assert (tmp_path / "run" / "model").is_dir()


def test_a_probe_takes_it(resnet: str, shapes: Path, command: Command) -> None:
    status, out, err = command("probe", shapes, "--weights", resnet, "--json")
    assert status == 0, err
    assert json.loads(out)["weights"] == resnet


def test_a_name_that_is_none_is_told(hub: HubStandIn) -> None:
    with pytest.raises(DeepenoughError, match=r"repository 'resnet18': expected USER/NAME"):
        load_weights("hf:resnet18")
    with pytest.raises(DeepenoughError, match="there is no such repository or revision, or it is private"):
        load_weights("hf:timm/none")
