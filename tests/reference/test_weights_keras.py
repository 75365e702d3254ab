"""keras.applications' models, saved in every layout that Keras has, give the same logits here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepenough.errors import DeepenoughError
from deepenough.weights import keras as reader
from deepenough.weights.read import read_weights

pytest.importorskip("h5py", reason="h5py is not installed")

CLASSES = 7
SIDES = {"VGG16": 32, "VGG19": 64, "ResNet50": 40, "ResNet101": 40, "ResNet152": 33}
NAMES = {"VGG16": "vgg16", "VGG19": "vgg19"} | {f"ResNet{d}": f"resnet{d}_keras" for d in (50, 101, 152)}


@pytest.fixture(scope="module")
def keras() -> Any:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    return pytest.importorskip("keras", reason="keras is not installed")


@pytest.fixture(scope="module")
def model_of(keras: Any, values: Callable[..., torch.Tensor]) -> Callable[[str], Any]:
    """A model by name with random weights, made once."""
    made: dict[str, Any] = {}

    def make(name: str, **options: Any) -> Any:
        side = SIDES[name]
        model = getattr(keras.applications, name)(
            weights=None, input_shape=(side, side, 3), classifier_activation=None, classes=CLASSES, **options
        )
        model.set_weights([
            values(v.path, tuple(v.shape), int(np.prod(v.shape[:-1]))).numpy() for v in model.weights
        ])  # fmt: skip
        return model

    def once(name: str) -> Any:
        if name not in made:
            made[name] = make(name)
        return made[name]

    return once


def compare(same: Any, model: Any, path: Path, name: str, layout: Callable[[Any, Path], None]) -> None:
    layout(model, path)
    weights = read_weights(path)
    assert (weights.source, weights.network.name) == ("keras", NAMES[name])
    side = SIDES[name]
    if name.startswith("VGG"):
        assert weights.network.input == (3, side, side)
        assert weights.input.size == (side, side)
    pictures = torch.randn((2, 3, side, side), generator=torch.Generator().manual_seed(1))
    theirs = model.predict(pictures.permute(0, 2, 3, 1).numpy(), verbose=0)
    same(weights, pictures, theirs)


def save_weights(model: Any, path: Path) -> None:
    model.save_weights(path.with_name("x.weights.h5"))
    path.with_name("x.weights.h5").rename(path)


def save_archive(model: Any, path: Path) -> None:
    model.save(path.with_name("x.keras"))
    path.with_name("x.keras").rename(path)


def save_whole(model: Any, path: Path) -> None:
    model.save(path.with_name("x.h5"))
    path.with_name("x.h5").rename(path)


def save_legacy(model: Any, path: Path) -> None:
    """Keras 2's weights alone."""
    h5py = pytest.importorskip("h5py")
    whole = path.with_name("whole.h5")
    model.save(whole)
    with h5py.File(whole) as source, h5py.File(path, "w") as file:
        group = source["model_weights"]
        for key, value in group.attrs.items():
            file.attrs[key] = value
        for key in group:
            group.copy(key, file)


def save_counted(model: Any, path: Path) -> None:
    """Weights as the first Keras 3 wrote them: layers by class and number, without names."""
    h5py = pytest.importorskip("h5py")
    save_weights(model, path)
    with h5py.File(path, "r+") as file:
        for group in file["layers"].values():
            del group["vars"].attrs["name"]


def save_keras_2(model: Any, path: Path) -> None:
    """A whole model as Keras 2 wrote it: scopes before the arrays' names, a number behind."""
    h5py = pytest.importorskip("h5py")
    save_whole(model, path)
    with h5py.File(path, "r+") as file:
        root = file["model_weights"]
        for layer in root:
            group = root[layer]
            names = list(group.attrs["weight_names"])
            group.attrs["weight_names"] = [f"{layer}/{name}:0".encode() for name in names]
            for name in names:
                group[f"moved/{name}"] = group[name]
                del group[name]
            for name in names:
                group[f"{layer}/{name}:0"] = group[f"moved/{name}"]


LAYOUTS = [save_weights, save_archive, save_whole, save_legacy, save_keras_2, save_counted]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["VGG16", "ResNet50"])
def test_every_layout(same: Any, model_of: Any, tmp_path: Path, name: str, layout: Any) -> None:
    compare(same, model_of(name), tmp_path / "weights", name, layout)


@pytest.mark.parametrize(
    ("name", "layout"), [("VGG19", save_weights), ("ResNet101", save_counted), ("ResNet152", save_weights)]
)
def test_the_others(same: Any, model_of: Any, tmp_path: Path, name: str, layout: Any) -> None:
    compare(same, model_of(name), tmp_path / "weights", name, layout)


@pytest.mark.parametrize("name", ["VGG16", "ResNet50"])
def test_without_its_top_a_model_is_a_body(keras: Any, model_of: Any, tmp_path: Path, name: str) -> None:
    model = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), include_top=False)
    save_weights(model, tmp_path / "notop")
    with pytest.raises(DeepenoughError, match=f"{NAMES[name]} without its head(.|\n)*deepenough fit"):
        read_weights(tmp_path / "notop")
    weights = read_weights(tmp_path / "notop", needs_head=False)
    assert (weights.headless, weights.network.name, weights.input.size) == (True, NAMES[name], (224, 224))
    arrays = {variable.path: variable.numpy() for variable in model.weights}
    first = {"VGG16": "level1.conv1", "ResNet50": "stem.conv"}[name]
    kernel = next(iter(arrays.values())).transpose(3, 2, 0, 1)
    assert np.array_equal(weights.state[f"{first}.weight"].numpy(), kernel)


def transfer(keras: Any, body: Any, form: str) -> Any:
    """A model as people make it from another's body."""
    layers, shape = keras.layers, body.input.shape[1:]
    if form == "sequential":
        ends = [layers.GlobalAveragePooling2D(), layers.Dropout(0.2), layers.Dense(CLASSES)]
        return keras.Sequential([keras.Input(shape), layers.RandomFlip(), body, *ends])
    images = keras.Input(shape)
    end = body.output if form == "flat" else body(images)
    end = layers.Dense(CLASSES, name="my_head")(layers.GlobalAveragePooling2D()(end))
    return keras.Model(body.input if form == "flat" else images, end)


@pytest.fixture(scope="module", params=["sequential", "nested", "flat"])
def transferred(request: pytest.FixtureRequest, keras: Any, values: Any) -> Any:
    body = keras.applications.ResNet50(weights=None, input_shape=(40, 40, 3), include_top=False)
    model = transfer(keras, body, request.param)
    model.set_weights([
        values(v.path, tuple(v.shape), int(np.prod(v.shape[:-1]))).numpy()
        if v.dtype == "float32" else v.numpy()
        for v in model.weights
    ])  # fmt: skip
    return model


@pytest.mark.parametrize("layout", [save_archive, save_whole, save_keras_2])
def test_transfer_learning(same: Any, transferred: Any, tmp_path: Path, layout: Callable[[Any, Path], None]) -> None:
    """A body in another model, or with a head of another name, gives the whole model's logits."""
    layout(transferred, tmp_path / "w")
    weights = read_weights(tmp_path / "w")
    assert weights.network.name == "resnet50_keras"
    pictures = torch.randn((2, 3, 40, 40), generator=torch.Generator().manual_seed(1))
    same(weights, pictures, transferred.predict(pictures.permute(0, 2, 3, 1).numpy(), verbose=0))


def test_another_model_is_refused(keras: Any, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten()])
    save_weights(model, tmp_path / "other")
    with pytest.raises(DeepenoughError, match="fits no network known here"):
        read_weights(tmp_path / "other")


def test_a_link_out_of_the_file_is_refused(model_of: Any, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    save_weights(model_of("VGG16"), tmp_path / "w")
    with h5py.File(tmp_path / "w", "r+") as file:
        del file["layers/conv2d/vars/0"]
        file["layers/conv2d/vars/0"] = h5py.ExternalLink("/elsewhere.h5", "/kernel")
    with pytest.raises(DeepenoughError, match="link out of its place"):
        read_weights(tmp_path / "w")


def test_h5py_missing(monkeypatch: pytest.MonkeyPatch, model_of: Any, tmp_path: Path) -> None:
    save_weights(model_of("VGG16"), tmp_path / "w")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(DeepenoughError, match=r"pip install 'deepenough\[h5\]'"):
        read_weights(tmp_path / "w")


def test_every_network_that_keras_has_is_compared() -> None:
    assert {layout.network.name for layout in reader.keras_layouts()} == set(NAMES.values())
