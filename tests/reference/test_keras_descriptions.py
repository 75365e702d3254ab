"""Keras' models that somebody changed compute what their files describe, whichever network their tensors fit."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from deepenough.errors import DeepenoughError
from deepenough.weights.read import read_weights

pytest.importorskip("h5py", reason="h5py is not installed")


@pytest.fixture
def saved(keras: Any, filled_keras: Callable[[Any], Any], tmp_path: Path) -> Callable[..., tuple[Any, Path]]:
    """A MobileNetV2 with random weights and its file; `change` changes the configuration of its layers."""

    def save(side: int, change: Callable[[dict[str, Any]], None] = lambda layer: None) -> tuple[Any, Path]:
        model = keras.applications.MobileNetV2(
            weights=None, input_shape=(side, side, 3), classifier_activation=None, classes=7
        )
        config = model.get_config()
        for layer in config["layers"]:
            change(layer)
        model = filled_keras(type(model).from_config(config))
        model.save(tmp_path / "net.keras")
        return model, tmp_path / "net.keras"

    return save


def without_stride(layer: dict[str, Any]) -> None:
    if layer["config"]["name"] == "Conv1":
        layer["config"]["strides"] = (1, 1)


def with_largest_values(layer: dict[str, Any]) -> None:
    if layer["class_name"] == "GlobalAveragePooling2D":
        layer["class_name"] = "GlobalMaxPooling2D"


def without_bound(layer: dict[str, Any]) -> None:
    if layer["class_name"] == "ReLU":
        layer["config"]["max_value"] = None


@pytest.mark.parametrize("change", [without_stride, with_largest_values, without_bound])
def test_a_changed_model_is_read_as_its_file_says(same: Any, saved: Any, change: Any) -> None:
    model, path = saved(64, change)
    weights = read_weights(path, preprocess="torchvision")
    assert weights.network.name != "mobilenet_v2_keras"
    pictures = torch.randn((2, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    same(weights, pictures, model.predict(pictures.permute(0, 2, 3, 1).numpy(), verbose=0))
    with pytest.raises(DeepenoughError, match="but describes a network with other strides, activations or pooling"):
        read_weights(path, network="mobilenet_v2_keras")
    with pytest.raises(DeepenoughError, match="nothing says how its images are normalised"):
        read_weights(path)


def test_the_size_of_the_images_is_the_models_own(same: Any, saved: Any) -> None:
    model, path = saved(64)
    weights = read_weights(path)
    assert (weights.network.name, weights.network.input, weights.input.size) == (
        "mobilenet_v2_keras", (3, 64, 64), (64, 64),
    )  # fmt: skip
    pictures = torch.randn((2, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    same(weights, pictures, model.predict(pictures.permute(0, 2, 3, 1).numpy(), verbose=0))


def test_a_description_that_cannot_be_read_is_told(saved: Any, tmp_path: Path) -> None:
    """Its tensors are those of a network of the zoo, and its images are taken to be that one's."""
    _, path = saved(64)
    assert not any("compared" in note for note in read_weights(path).notes)
    other = tmp_path / "other.keras"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(other, "w") as written:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "config.json":
                config = json.loads(content)
                (layer,) = [each for each in config["config"]["layers"] if each["class_name"].startswith("GlobalAv")]
                layer["registered_name"] = "mine>Pool"
                content = json.dumps(config).encode()
            written.writestr(name, content)
    weights = read_weights(other)
    assert (weights.network.name, weights.input.size) == ("mobilenet_v2_keras", (224, 224))
    told = weights.notes[-1]
    assert "activations and pooling was not compared, as it can't be read" in told
    assert "is of a class that is not Keras' own" in told
    assert told.endswith("; its images are taken to be those of keras.applications")
    told = read_weights(other, preprocess="torchvision").notes[-1]
    assert "was not compared" in told
    assert "its images" not in told


@pytest.mark.parametrize("own_head", [False, True])
@pytest.mark.parametrize(("name", "ours"), [("VGG16", "vgg16"), ("MobileNetV2", "mobilenet_v2_keras")])
def test_a_body_is_the_networks_with_whatever_head(
    keras: Any, tmp_path: Path, name: str, ours: str, *, own_head: bool
) -> None:
    """Its head has activations of its own, or none."""
    body = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), include_top=False)
    found = keras.layers.GlobalAveragePooling2D()(body.output)
    if own_head:
        found = keras.layers.Dense(3)(keras.layers.Dense(5, activation="elu")(found))
    keras.Model(body.input, found).save(tmp_path / "net.keras")
    weights = read_weights(tmp_path / "net.keras", needs_head=False)
    assert (weights.network.name, weights.headless, weights.input.order) == (
        ours, True, "BGR" if name == "VGG16" else "RGB",
    )  # fmt: skip
