"""Files of weights whose layers are called as nobody knows, with a `network.json` beside them that says how."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from deepenough.errors import DeepenoughError
from deepenough.nets import FAMILIES, Conv, Dense, Flatten, Network, Relu, dumps
from deepenough.nets.build import build
from deepenough.nets.cut import cut_at, cuts
from deepenough.nets.zoo import NETWORKS
from deepenough.weights.match import own_layout
from deepenough.weights.presets import preset
from deepenough.weights.read import read_weights
from deepenough.weights.stated import stated_network
from deepenough.weights.stems import with_stem

RESIDUAL = FAMILIES["residual"].network(input=(3, 32, 32), classes=4, depth=7, width=0.25)
TABLE = {
    "backbone.first": "stem.conv",
    "backbone.first_norm.gamma": "stem.norm.weight",
    "backbone.first_norm.beta": "stem.norm.bias",
    "backbone.first_norm.mean": "stem.norm.running_mean",
    "backbone.first_norm.var": "stem.norm.running_var",
    "backbone.stages.0": "level1",
    "backbone.stages.1": "level2",
    "predict": "classifier",
    "projector": None,
}


def a_state(network: Network) -> dict[str, Tensor]:
    torch.manual_seed(0)
    state = build(network).state_dict()
    return {key: torch.rand(tensor.shape) + 0.1 for key, tensor in state.items() if tensor.ndim}


def renamed(state: dict[str, Tensor], table: dict[str, str | None]) -> dict[str, Tensor]:
    """The state as the author of the table would have it, by the longest of our names."""
    theirs = {ours: name for name, ours in table.items() if ours is not None}

    def name_of(key: str) -> str:
        parts = key.split(".")
        starts = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
        return next((theirs[start] + key[len(start) :] for start in starts if start in theirs), key)

    return {name_of(key): tensor for key, tensor in state.items()}


def stated(folder: Path, content: dict[str, Any], size: tuple[int, int] = (32, 32)) -> None:
    (folder / "network.json").write_text(json.dumps(content), encoding="utf-8")
    preprocess = {"size": list(size), "channels": 3, "mean": [0.5] * 3, "std": [0.5] * 3}
    (folder / "preprocess.json").write_text(json.dumps(preprocess), encoding="utf-8")


def test_a_checkpoint_of_a_private_framework_computes_as_before(tmp_path: Path) -> None:
    torch.manual_seed(3)
    module = build(RESIDUAL).eval()
    state = {key: tensor for key, tensor in module.state_dict().items() if tensor.ndim}
    theirs = renamed(state, TABLE) | {"projector.0.weight": torch.zeros(3, 4)}
    torch.save({"epoch": 3, "optimizer": {"momentum": torch.ones(5)}, "net": theirs}, tmp_path / "theirs.ckpt")
    stated(tmp_path, json.loads(dumps(RESIDUAL)) | {"names": TABLE})
    weights = read_weights(tmp_path / "theirs.ckpt")
    again = build(weights.network).eval()
    again.load_state_dict(dict(weights.state), strict=False)
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(again(images), module(images))
    assert weights.input.mean == (0.5, 0.5, 0.5)


def test_a_network_of_the_zoo_is_stated_by_its_name(tmp_path: Path) -> None:
    network = NETWORKS["squeezenet1_1"]().with_classes(3)
    state = a_state(network)
    save_file({f"encoder/{key}".replace(".", "-"): tensor for key, tensor in state.items()}, tmp_path / "w.safetensors")
    names = {f"encoder/{key}".replace(".", "-"): key for key in state}
    stated(tmp_path, {"format": 1, "name": "squeezenet1_1", "classes": 3, "names": names}, (227, 227))
    weights = read_weights(tmp_path / "w.safetensors")
    assert weights.network.stack == network.stack
    assert all(torch.equal(weights.state[key], tensor) for key, tensor in state.items())


def test_a_member_of_a_family_is_stated_by_depth_and_width(tmp_path: Path) -> None:
    paddles = {"running_mean": "_mean", "running_var": "_variance"}  # where the table names no tensor but the layer
    arrays = {}
    for name, tensor in renamed(a_state(RESIDUAL), TABLE).items():
        layer, _, kind = name.rpartition(".")
        arrays[f"{layer}.{paddles.get(kind, kind)}"] = tensor.numpy()
    arrays["predict.weight"] = arrays["predict.weight"].T  # as Paddle has dense layers
    (tmp_path / "w.pdparams").write_bytes(pickle.dumps(arrays))
    family = {"name": "residual", "depth": 7, "width": 0.25, "classes": 4, "input": [3, 32, 32]}
    table = {theirs: ours for theirs, ours in TABLE.items() if ours is not None}
    stated(tmp_path, {"format": 1, **family, "names": table})
    weights = read_weights(tmp_path / "w.pdparams")
    assert weights.network.stack == RESIDUAL.stack
    assert all(torch.equal(weights.state[key], tensor) for key, tensor in a_state(RESIDUAL).items())


def test_a_foreign_keras_file_has_its_channels_last(tmp_path: Path) -> None:
    """A dense layer behind a flattened map reads it as (H, W, C) there."""
    network = Network("small", (3, 4, 4), (Conv(5, 3, padding=1, name="conv"), Relu(), Flatten(), Dense(2, name="out")))
    torch.manual_seed(1)
    convolution, dense = nn.Conv2d(3, 5, 3, padding=1), nn.Linear(80, 2)
    with h5py.File(tmp_path / "w.weights.h5", "w") as file:
        for name, layer in (("their_conv", convolution), ("their_dense", dense)):
            weight = layer.weight.detach()
            theirs = weight.permute(2, 3, 1, 0) if weight.ndim == 4 else weight.T
            group = file.create_group(f"layers/{name}/vars")
            group.attrs["name"] = name
            group["0"], group["1"] = theirs.numpy(), layer.bias.detach().numpy()
    stated(tmp_path, json.loads(dumps(network)) | {"names": {"their_conv": "conv", "their_dense": "out"}}, (4, 4))
    weights = read_weights(tmp_path / "w.weights.h5")
    module = build(weights.network).eval()
    module.load_state_dict(dict(weights.state))
    images = torch.rand(2, 3, 4, 4)
    last = convolution(images).relu().permute(0, 2, 3, 1).flatten(1)
    assert torch.allclose(module(images), dense(last), atol=1e-6)


@settings(max_examples=30)
@given(data=st.data())
def test_any_renaming_is_undone(data: st.DataObject) -> None:
    """Of layers, of what holds them, and of single tensors; names may be swapped."""
    layout = own_layout(RESIDUAL)
    state = a_state(RESIDUAL)
    parts = sorted({".".join(key.split(".")[:n]) for key in layout.names for n in range(1, key.count(".") + 2)})
    ours = data.draw(st.lists(st.sampled_from(parts), min_size=1, max_size=8, unique=True))
    theirs = data.draw(st.permutations([f"x{n}.y" for n in range(len(ours) - 1)] + ["stem"]))
    table: dict[str, str | None] = dict(zip(theirs, ours, strict=True))
    file = renamed(state, table)
    if len(file) < len(state):  # "stem" is something else, and the stem is still called so
        return
    # A layer all of whose tensors have names of their own is not in the file under its name.
    there = {
        theirs: ours for theirs, ours in table.items() if any(f"{name}.".startswith(f"{theirs}.") for name in file)
    }
    content = json.loads(dumps(RESIDUAL)) | {"names": there}
    found = stated_network(Path("network.json"), json.dumps(content).encode()).as_ours(file, layout)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[key], state[key]) for key in state)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"names": ["a"]}, "names.* has to be an object"),
        ({"names": {"a": 1}}, "has to be an object"),
        ({"names": {"first": "stem.conw"}}, "'first', 'stem.conw' is not known; nearest .*stem.conv"),
        ({"names": {"a": "stem.conv", "b": "stem.conv"}}, "both 'a' and 'b' are said to be stem.conv"),
        ({"names": TABLE | {"predict": "level1.block1"}}, "level1.block1.main.conv1.weight: missing"),
        ({"names": TABLE | {"bakbone.first": None}}, "'bakbone.first' is not known; nearest .*backbone.first"),
        ({"names": TABLE | {"backbone.stages.1": None}}, "level2.conv.weight: missing|level2.*: missing"),
        ({"stack": None, "names": {}, "name": "resnet19"}, "has to be"),
    ],
    ids=("a list", "a number", "not a layer", "one layer twice", "another layer", "misspelt", "left out", "no stack"),
)
def test_tables_that_are_wrong(tmp_path: Path, change: dict[str, Any], match: str) -> None:
    torch.save(renamed(a_state(RESIDUAL), TABLE) | {"projector.weight": torch.zeros(2)}, tmp_path / "w.pth")
    stated(tmp_path, json.loads(dumps(RESIDUAL)) | change)
    with pytest.raises(DeepenoughError, match=match):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"name": "resnet19"}, "nearest .*resnet"),
        ({"clases": 3}, "nearest is classes"),
        ({"classes": 0}, "classes is 0; expected a whole number"),
        ({"input": [3, 32]}, r"input is \[3, 32\]"),
        ({"width": "wide"}, "width is 'wide'"),
        ({"format": 99}, "format is 99; this version reads 1"),
        ({"name": None}, 'it needs a "stack" of layers, or the "name"'),
    ],
    ids=str,
)
def test_networks_by_name_that_are_wrong(tmp_path: Path, change: dict[str, Any], match: str) -> None:
    torch.save(a_state(RESIDUAL), tmp_path / "w.pth")
    stated(tmp_path, {"format": 1, "name": "residual", "names": {}} | change)
    with pytest.raises(DeepenoughError, match=match):
        read_weights(tmp_path / "w.pth")


def test_what_it_expects_of_an_image_has_to_be_stated(tmp_path: Path) -> None:
    table = {theirs: ours for theirs, ours in TABLE.items() if ours is not None}
    torch.save(renamed(a_state(RESIDUAL), table), tmp_path / "w.pth")
    stated(tmp_path, json.loads(dumps(RESIDUAL)) | {"names": table})
    (tmp_path / "preprocess.json").unlink()
    with pytest.raises(DeepenoughError, match="preprocess"):
        read_weights(tmp_path / "w.pth")
    assert read_weights(tmp_path / "w.pth", preprocess="torchvision").input.size == (32, 32)


def test_a_tensor_of_the_file_that_is_called_as_one_of_ours(tmp_path: Path) -> None:
    """Also where it is a layer that another one stands for."""
    table = {"first": "stem.conv", "first_norm": "stem.norm"}
    state = renamed(a_state(RESIDUAL), table) | {"stem.norm.weight": torch.zeros(3)}
    torch.save(state, tmp_path / "w.pth")
    stated(tmp_path, json.loads(dumps(RESIDUAL)) | {"names": table})
    with pytest.raises(DeepenoughError, match=r"both 'first_norm.weight' and 'stem.norm.weight' .* null"):
        read_weights(tmp_path / "w.pth")


def test_what_is_left_out_may_hold_layers_that_are_not(tmp_path: Path) -> None:
    state = a_state(RESIDUAL)
    names = {"net": None, **{f"net.{layer}": layer for layer in ("stem", "level1", "level2", "classifier")}}
    file = {f"net.{key}": tensor for key, tensor in state.items()} | {"net.momentum.weight": torch.zeros(4)}
    torch.save(file, tmp_path / "w.pth")
    stated(tmp_path, json.loads(dumps(RESIDUAL)) | {"names": names})
    found = read_weights(tmp_path / "w.pth").state
    assert all(torch.equal(found[key], state[key]) for key in state)


def test_a_table_without_names_still_says_that_the_file_is_somebody_elses(tmp_path: Path) -> None:
    torch.save(a_state(RESIDUAL), tmp_path / "w.pth")
    stated(tmp_path, json.loads(dumps(RESIDUAL)) | {"names": {}})
    assert read_weights(tmp_path / "w.pth").network == RESIDUAL


@pytest.mark.parametrize("names", [{"names": {}}, {}], ids=["somebody else's", "ours"])
def test_a_network_without_its_preprocessing_has_to_be_told_it(names: dict[str, Any], tmp_path: Path) -> None:
    torch.save(a_state(RESIDUAL), tmp_path / "w.pth")
    stated(tmp_path, json.loads(dumps(RESIDUAL)) | names)
    (tmp_path / "preprocess.json").unlink()
    with pytest.raises(DeepenoughError, match="nothing says how its images are normalised"):
        read_weights(tmp_path / "w.pth")
    found = read_weights(tmp_path / "w.pth", preprocess="torchvision")
    assert found.network == RESIDUAL  # for its own 32 pixels
    assert (found.input.size, found.input.shorter) == ((32, 32), 37)  # of 256 pixels torchvision's takes 224


def configured(folder: Path, **images: Any) -> None:
    """Put a `config.json` of timm there, whose images are 224 pixels of a shorter side of 256."""
    document = {
        "architecture": "resnet18",
        "pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.875, **images},
    }
    (folder / "config.json").write_text(json.dumps(document), encoding="utf-8")


HALVES = {"mean": [0.5] * 3, "std": [0.25] * 3}


@pytest.mark.parametrize("names", [{"names": {}}, {}], ids=["somebody else's", "ours"])
def test_the_configuration_of_timm_says_how_images_are_normalised(names: dict[str, Any], tmp_path: Path) -> None:
    torch.save(a_state(RESIDUAL), tmp_path / "w.pth")
    stated(tmp_path, json.loads(dumps(RESIDUAL)) | names)
    configured(tmp_path, **HALVES)
    ours = read_weights(tmp_path / "w.pth")
    assert ours.input.std == (0.5, 0.5, 0.5)  # a preprocess.json counts before it
    (tmp_path / "preprocess.json").unlink()
    found = read_weights(tmp_path / "w.pth")
    assert (found.input.mean, found.input.std) == ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    assert found.network == RESIDUAL  # for its own 32 pixels
    assert (found.input.size, found.input.shorter) == ((32, 32), 37)
    assert "its images are normalised as the config.json beside it says" in found.notes
    asked = read_weights(tmp_path / "w.pth", preprocess="torchvision")
    assert asked.input.mean == (0.485, 0.456, 0.406)
    assert not any("config.json" in note for note in (*asked.notes, *ours.notes))


@pytest.mark.parametrize("images", [{}, {"mean": [0.5] * 3}])
def test_a_configuration_that_leaves_out_how_images_are_normalised_says_nothing(
    images: dict[str, Any], tmp_path: Path
) -> None:
    torch.save(a_state(RESIDUAL), tmp_path / "w.pth")
    (tmp_path / "network.json").write_text(dumps(RESIDUAL), encoding="utf-8")
    configured(tmp_path, **images)
    with pytest.raises(DeepenoughError, match="nothing says how its images are normalised"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.parametrize("is_cut", [False, True], ids=["whole", "cut"])
def test_a_stem_for_small_images_sees_all_of_them(is_cut: bool, tmp_path: Path) -> None:
    whole = with_stem(NETWORKS["resnet18"]().with_classes(4), (64, 3, 3, 3))
    small = cut_at(whole, cuts(whole)[1].place, 4) if is_cut else whole
    (tmp_path / "network.json").write_text(dumps(small))
    save_file(build(small, 0).state_dict(), tmp_path / "weights.safetensors")
    found = read_weights(tmp_path / "weights.safetensors", preprocess="torchvision").input
    assert (found.size, found.shorter) == ((32, 32), None)


def test_presets_are_named_for_the_network_that_a_cut_was_taken_from(tmp_path: Path) -> None:
    whole = NETWORKS["mobilenet_v2"]()
    cut = cut_at(whole, cuts(whole)[0].place, 3)
    (tmp_path / "network.json").write_text(dumps(cut))
    save_file(build(cut, 0).state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(DeepenoughError, match=r"--preprocess \(.*keras.*\)"):
        read_weights(tmp_path / "weights.safetensors")


def test_a_body_without_head_is_what_fit_can_start_from(tmp_path: Path) -> None:
    state = renamed(a_state(RESIDUAL), TABLE)
    torch.save({key: tensor for key, tensor in state.items() if not key.startswith("predict")}, tmp_path / "w.pth")
    table = {theirs: ours for theirs, ours in TABLE.items() if theirs not in ("predict", "projector")}
    stated(tmp_path, json.loads(dumps(RESIDUAL)) | {"names": table})
    weights = read_weights(tmp_path / "w.pth", needs_head=False)
    assert weights.headless
    assert "classifier.weight" not in weights.state
    with pytest.raises(DeepenoughError, match="without its head"):
        read_weights(tmp_path / "w.pth")


def test_names_beside_a_file_that_describes_its_network(tmp_path: Path) -> None:
    (tmp_path / "w.onnx").write_bytes(b"\x08\x07")
    stated(tmp_path, json.loads(dumps(RESIDUAL)) | {"names": TABLE})
    with pytest.raises(DeepenoughError, match="no use for the names"):
        read_weights(tmp_path / "w.onnx")


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("efficientnet_lite0_tf", "timm"), ("mobilenetv3_small_100_tf", "timm"), ("efficientnet_b3", "torchvision"),
        ("mobilenet_v2_keras", "keras"), ("alexnet", "caffe-bgr"),
    ],
)  # fmt: skip
def test_a_cut_takes_the_images_of_its_whole_network(tmp_path: Path, name: str, source: str) -> None:
    whole = NETWORKS[name]()
    cut = cut_at(whole, cuts(whole)[0].place, 3)
    (tmp_path / "network.json").write_text(dumps(cut))
    save_file(build(cut, 0).state_dict(), tmp_path / "weights.safetensors")
    assert read_weights(tmp_path / "weights.safetensors", preprocess=source).input == preset(source, name)
