"""keras.applications' models, saved in every layout that Keras has, give the same logits here."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deepenough.errors import DeepenoughError
from deepenough.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from deepenough.weights import keras as reader
from deepenough.weights import preset
from deepenough.weights.keras import owner_of
from deepenough.weights.read import read_weights

pytest.importorskip("h5py", reason="h5py is not installed")

CLASSES = 7
SIDES = {"VGG16": 32, "VGG19": 64, "ResNet50": 40, "ResNet101": 40, "ResNet152": 33}
NAMES = {"VGG16": "vgg16", "VGG19": "vgg19"} | {f"ResNet{d}": f"resnet{d}_keras" for d in (50, 101, 152)}
NEWER = {
    "DenseNet121": "densenet121",
    "MobileNetV2": "mobilenet_v2_keras",
    "MobileNetV3Small": "mobilenetv3_small_100_tf",
    "MobileNetV3Large": "mobilenetv3_large_100_tf",
    **{f"EfficientNetB{scale}": f"efficientnet_b{scale}_tf" for scale in range(5)},
    "ConvNeXtTiny": "convnext_tiny",
    "ConvNeXtSmall": "convnext_small",
}


@pytest.fixture(scope="module")
def model_of(keras: Any, filled_keras: Callable[[Any], Any]) -> Callable[[str], Any]:
    """A model by name with random weights, made once."""

    def make(name: str) -> Any:
        shape = (SIDES[name], SIDES[name], 3)
        made = getattr(keras.applications, name)
        return filled_keras(made(weights=None, input_shape=shape, classifier_activation=None, classes=CLASSES))

    return cache(make)


@pytest.fixture(scope="module")
def newer(keras: Any, filled_keras: Callable[[Any], Any]) -> Callable[[str], Any]:
    """A network since 2016 with random weights, which takes images as `preprocess_input` would give it them."""

    def make(name: str) -> Any:
        made = getattr(keras.applications, name)
        return filled_keras(made(weights=None, input_shape=(64, 64, 3), classifier_activation=None, classes=CLASSES))

    return cache(make)


def same_as_theirs(same: Any, model: Any, path: Path, name: str) -> None:
    """The same logits for pixels of 0 to 255, which ours are given normalised as `weights.input` says."""
    weights = read_weights(path)
    assert (weights.source, weights.network.name) == ("keras", NEWER[name])
    pixels = torch.rand((2, 64, 64, 3), generator=torch.Generator().manual_seed(1)) * 255
    inside = name.startswith(("MobileNetV3", "EfficientNet", "ConvNeXt"))
    mean, std = torch.tensor(weights.input.mean), torch.tensor(weights.input.std)
    ours = (pixels / 255 - mean) / std
    theirs = model.predict((pixels if inside else ours).numpy(), verbose=0)
    same(weights, ours.permute(0, 3, 1, 2).contiguous(), theirs)


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


NAMES_OF_KERAS_2 = {
    r"^(expanded_conv(?:_\d+)?)_(expand|depthwise|project)": r"\1/\2",
    r"^(expanded_conv(?:_\d+)?)_squeeze_excite_conv": r"\1/squeeze_excite/Conv",
    "^conv(?=_|$)": "Conv", "^logits": "Logits", "_bn$": "/BatchNorm", r"^variable(_\d+)?$": "Variable",
}  # fmt: skip
"""Its names of layers in MobileNetV3, and of arrays in ConvNeXt, by patterns of Keras 3's."""


def save_by_names_of_keras_2(model: Any, path: Path) -> None:
    """Weights alone as Keras 2 wrote them, with its own names of layers, some in the groups of others."""
    h5py = pytest.importorskip("h5py")
    whole = path.with_name("whole.h5")
    model.save(whole)

    def old(name: str) -> str:
        for pattern, theirs in NAMES_OF_KERAS_2.items():
            name = re.sub(pattern, theirs, name)
        return name

    with h5py.File(whole) as source, h5py.File(path, "w") as file:
        root = source["model_weights"]
        layers = [layer for layer in root if root[layer].attrs["weight_names"].size]
        file.attrs["layer_names"] = [old(layer).encode() for layer in layers]
        for layer in layers:
            group = file.require_group(old(layer))
            names = {}
            for name in root[layer].attrs["weight_names"]:
                *inner, part = (name if isinstance(name, str) else name.decode()).split("/")
                names[f"{old((inner or [layer])[-1])}/{old(part)}:0"] = root[layer][name]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, values in names.items():
                group[name] = values[()]


def save_nested_by_names_of_keras_2(model: Any, path: Path) -> None:
    """The same of a model that has this one for its only layer: its arrays lie together."""
    h5py = pytest.importorskip("h5py")
    whole = path.with_name("flat.h5")
    save_by_names_of_keras_2(model, whole)
    with h5py.File(whole) as source, h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [model.name.encode()]
        group, names = file.create_group(model.name), []
        for layer in source.attrs["layer_names"]:
            for name in source[layer].attrs["weight_names"]:
                names.append(name)
                group[name] = source[layer][name][()]
        group.attrs["weight_names"] = names


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


@pytest.mark.parametrize("name", NEWER)
def test_networks_since_2016(same: Any, newer: Any, tmp_path: Path, name: str) -> None:
    save_weights(newer(name), tmp_path / "w")
    same_as_theirs(same, newer(name), tmp_path / "w", name)


@pytest.mark.parametrize("layout", [save_archive, save_legacy, save_keras_2])
@pytest.mark.parametrize("name", ["DenseNet121", "MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "ConvNeXtTiny"])
def test_every_layout_since_2016(same: Any, newer: Any, tmp_path: Path, name: str, layout: Any) -> None:
    layout(newer(name), tmp_path / "w")
    same_as_theirs(same, newer(name), tmp_path / "w", name)


@pytest.mark.parametrize("name", ["MobileNetV3Small", "MobileNetV3Large", "ConvNeXtTiny"])
def test_the_names_that_keras_2_had(same: Any, newer: Any, tmp_path: Path, name: str) -> None:
    h5py = pytest.importorskip("h5py")
    save_by_names_of_keras_2(newer(name), tmp_path / "w")
    with h5py.File(tmp_path / "w") as file:
        found: list[str] = []
        file.visit(found.append)
    theirs = "layer_scale/Variable:0" if name == "ConvNeXtTiny" else "/squeeze_excite/Conv_1/kernel:0"
    assert any(each.endswith(theirs) for each in found)
    same_as_theirs(same, newer(name), tmp_path / "w", name)


def test_the_names_that_keras_2_had_in_a_model_in_a_model(same: Any, newer: Any, tmp_path: Path) -> None:
    """MobileNetV3's names have slashes, as scopes have."""
    save_nested_by_names_of_keras_2(newer("MobileNetV3Small"), tmp_path / "w")
    same_as_theirs(same, newer("MobileNetV3Small"), tmp_path / "w", "MobileNetV3Small")


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("Conv/BatchNorm/gamma:0", "Conv/BatchNorm"),
        ("model/expanded_conv_1/squeeze_excite/Conv_1/bias:0", "expanded_conv_1/squeeze_excite/Conv_1"),
        ("model_1/Conv_1_bn/beta:0", "Conv_1_bn"),
        ("block1/conv/kernel:0", "conv"),
        ("Logits/out/kernel:0", "out"),
        ("sequential/Conv/foo/kernel:0", "foo"),
        ("variable:0", ""),
    ],
)
def test_the_layer_of_an_array_of_keras_2(name: str, layer: str) -> None:
    assert owner_of(name) == layer


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


APPLICATIONS = {
    "vgg16": ("vgg16", "vgg16"),
    "vgg19": ("vgg19", "VGG19"),
    "resnet50_keras": ("resnet", "ResNet50"),
    "resnet50v2": ("resnet_v2", "ResNet50V2"),
    "densenet121": ("densenet", "DenseNet121"),
    "mobilenet_1.00_224": ("mobilenet", "MobileNet"),
    "mobilenetv2_1.00_224": ("mobilenet_v2", "MobileNetV2"),
    "mobilenet_v2_keras": ("mobilenet_v2", "MobileNetV2"),
    "inception_v3": ("inception_v3", "InceptionV3"),
    "inception_resnet_v2": ("inception_resnet_v2", "InceptionResNetV2"),
    "xception": ("xception", "Xception"),
    "NASNet": ("nasnet", "NASNetMobile"),
}
"""Modules of `keras.applications` that normalise images outside of their networks, by our name or theirs."""


@pytest.mark.parametrize("name", APPLICATIONS)
def test_its_preset_is_what_preprocess_input_does(keras: Any, name: str) -> None:
    wanted = preset("keras", name)
    height, width = wanted.size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    theirs = getattr(keras.applications, APPLICATIONS[name][0]).preprocess_input(pixels.astype(np.float32))
    framed = wanted.frame(Image.fromarray(pixels))[..., :: -1 if wanted.order == "BGR" else 1]
    ours = (framed / 255 - np.array(wanted.mean)) / np.array(wanted.std)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


INSIDE = {
    "MobileNetV3Small": "mobilenetv3_small_100_tf",
    "ConvNeXtTiny": "convnext_tiny",
    "EfficientNetV2B0": "efficientnetv2-b0",
    "EfficientNetV2S": "efficientnetv2-s",
}
"""Networks whose `preprocess_input` does nothing, since their first layers normalise images: theirs and our names."""


@pytest.mark.parametrize("name", INSIDE)
def test_its_preset_is_what_the_first_layers_do(keras: Any, name: str) -> None:
    wanted = preset("keras", INSIDE[name])
    model = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3))
    first = next(number for number, layer in enumerate(model.layers) if not layer.name.startswith(PREPARING))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.float32)
    theirs = keras.Model(model.input, model.layers[first - 1].output).predict(pixels, verbose=0)
    np.testing.assert_allclose((pixels / 255 - np.array(wanted.mean)) / np.array(wanted.std), theirs, atol=1e-4)


PREPARING = ("input", "rescaling", "normalization", "convnext_tiny_prestem")


def test_efficientnets_file_says_how_it_normalises(keras: Any, newer: Any, tmp_path: Path) -> None:
    """The published files have ImageNet's standard deviation where the variance stands; a constant mends it."""
    model = keras.models.clone_model(newer("EfficientNetB0"))
    layer = next(layer for layer in model.layers if layer.name.startswith("normalization"))
    values = [np.array(IMAGENET_MEAN), np.array(IMAGENET_STD), *[np.array(0)] * (len(layer.get_weights()) - 2)]
    layer.set_weights(values)
    save_weights(model, tmp_path / "w")
    found = read_weights(tmp_path / "w").input
    np.testing.assert_allclose((found.mean, found.std), (IMAGENET_MEAN, IMAGENET_STD), rtol=1e-6)


def test_a_model_for_images_of_any_size(same: Any, keras: Any, values: Any, tmp_path: Path) -> None:
    """Keras' MobileNetV3 has no size by itself; of another width it is none of the zoo, and read as its file says."""
    model = keras.applications.MobileNetV3Small(weights=None, classes=CLASSES, alpha=0.75, classifier_activation=None)
    model.set_weights([values(v.path, tuple(v.shape), int(np.prod(v.shape[:-1]))).numpy() for v in model.weights])
    save_archive(model, tmp_path / "w")
    weights = read_weights(tmp_path / "w")
    assert weights.network.input == (3, 224, 224)
    assert any("images of any size" in note for note in weights.notes)
    pixels = torch.rand((2, 3, 224, 224), generator=torch.Generator().manual_seed(1)) * 255
    same(weights, pixels / 127.5 - 1, model.predict(pixels.permute(0, 2, 3, 1).numpy(), verbose=0))


def test_every_network_that_keras_has_is_compared() -> None:
    assert {layout.network.name for layout in reader.keras_layouts()} == {*NAMES.values(), *NEWER.values()}
