"""Caffe's releases, written here with random weights and run by OpenCV, give the same logits here."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from deepenough.errors import DeepenoughError
from deepenough.nets.build import AuxiliaryHead, build
from deepenough.nets.layers import Lrn
from deepenough.weights import caffe as reader
from deepenough.weights.read import read_weights

WRITER = Path(__file__).with_name("caffe_writer.py")


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


writer = _load(WRITER)


def run(net: Any, folder: Path, images: torch.Tensor, outputs: list[str] | None = None) -> list[np.ndarray]:
    """OpenCV's logits."""
    cv2 = pytest.importorskip("cv2", reason="OpenCV is not installed")
    (folder / "net.prototxt").write_text(net.text)
    theirs = cv2.dnn.readNetFromCaffe(str(folder / "net.prototxt"), str(folder / "net.caffemodel"))
    theirs.setInput(images.numpy())
    results = theirs.forward(outputs) if outputs else [theirs.forward()]
    return [result.reshape(len(images), -1) for result in results]


def compare(same: Any, net: Any, folder: Path, name: str, network: str | None = None) -> Any:
    (folder / "net.caffemodel").write_bytes(net.binary)
    weights = read_weights(folder / "net.caffemodel", network=network)
    assert (weights.source, weights.network.name, weights.input.order) == ("caffe", name, "BGR")
    side = net.shapes["data"][1]
    images = torch.randn((2, 3, side, side), generator=torch.Generator().manual_seed(1))
    same(weights, images, run(net, folder, images)[0])
    return weights


def test_alexnet_of_bvlc(same: Any, tmp_path: Path) -> None:
    net = writer.Caffe(227, v1=True)
    writer.alexnet(net)
    assert compare(same, net, tmp_path, "alexnet_bvlc").input.size == (227, 227)


def test_alexnet_of_the_paper(same: Any, tmp_path: Path) -> None:
    net = writer.Caffe(227)
    writer.alexnet(net, alpha=5e-4, k=2.0)
    (tmp_path / "net.caffemodel").write_bytes(net.binary)
    weights = read_weights(tmp_path / "net.caffemodel")
    assert weights.network.name == "alexnet"
    # OpenCV leaves k out (it is 1 there), so the network is compared with a k of 1.
    stack = tuple(replace(layer, k=1.0) if isinstance(layer, Lrn) else layer for layer in weights.network.stack)
    images = torch.randn((2, 3, 227, 227), generator=torch.Generator().manual_seed(1))
    changed = replace(weights, network=replace(weights.network, stack=stack))
    same(changed, images, run(net, tmp_path, images)[0])


VGGS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


@pytest.mark.parametrize(("depth", "v1"), [(11, False), (13, False), (16, True), (19, True)])
def test_vgg(same: Any, small: Any, tmp_path: Path, depth: int, v1: bool) -> None:
    small(32)
    net = writer.Caffe(32, v1=v1)
    writer.vgg(net, VGGS[depth])
    compare(same, net, tmp_path, f"vgg{depth}")


def test_squeezenet(same: Any, tmp_path: Path) -> None:
    net = writer.Caffe(97)
    writer.squeezenet(net)
    compare(same, net, tmp_path, "squeezenet1_1")


def test_googlenet_of_a_deploy_file(same: Any, tmp_path: Path) -> None:
    net = writer.Caffe(96)
    writer.googlenet(net, heads=False)
    weights = compare(same, net, tmp_path, "googlenet")
    assert "without auxiliary heads" in weights.network.variant
    assert not any(key.startswith("auxiliary") for key in weights.state)


def test_googlenet_with_its_heads(tmp_path: Path) -> None:
    net = writer.Caffe(224)
    writer.googlenet(net, heads=True)
    (tmp_path / "net.caffemodel").write_bytes(net.binary)
    weights = read_weights(tmp_path / "net.caffemodel")
    assert weights.notes == ()  # its heads are read, so that none of them is left out
    assert "auxiliary1.conv.weight" in weights.state
    model = build(weights.network)
    model.load_state_dict(dict(weights.state))
    images = torch.randn((2, 3, 224, 224), generator=torch.Generator().manual_seed(1))
    names = ["loss1/classifier", "loss2/classifier", "loss3/classifier"]
    wanted = run(net, tmp_path, images, names)
    x, given = images, []
    with torch.no_grad():
        for layer in model.eval().children():
            if isinstance(layer, AuxiliaryHead):
                given.append(layer(x))
            else:
                x = layer(x)
    for ours, theirs in zip([*given, x], wanted, strict=True):
        assert float(np.abs(ours.numpy() - theirs).max()) < 1e-4 * float(np.abs(theirs).max())


RESNETS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


@pytest.mark.parametrize("depth", RESNETS)
def test_resnets_of_the_authors(same: Any, tmp_path: Path, depth: int) -> None:
    net = writer.Caffe(64)
    writer.resnet(net, writer.letters(*RESNETS[depth]), stem_bias=depth == 50)
    compare(same, net, tmp_path, f"resnet{depth}")


def refused(net: Any, folder: Path, match: str, network: str | None = None) -> None:
    (folder / "net.caffemodel").write_bytes(net.binary)
    with pytest.raises(DeepenoughError, match=match):
        read_weights(folder / "net.caffemodel", network=network)


def test_caffenet_has_alexnets_tensors_and_is_refused(tmp_path: Path) -> None:
    net = writer.Caffe(227)
    writer.caffenet(net)
    refused(net, tmp_path, "make another network.*Pooling, LRN, Pooling, LRN")


@pytest.mark.parametrize(
    ("changed", "match"),
    [({"pad": 1}, "pool1 has pad 1, not 0"), ({"late": True}, "res3a_branch2a has stride 1, not 2")],
)
def test_another_resnet_under_the_authors_names_is_refused(tmp_path: Path, changed: dict[str, Any], match: str) -> None:
    net = writer.Caffe(64)
    writer.resnet(net, writer.letters(*RESNETS[50]), stem_bias=True, **changed)
    refused(net, tmp_path, match)


def test_an_alexnet_that_was_asked_for_and_is_another(tmp_path: Path) -> None:
    net = writer.Caffe(227)
    writer.alexnet(net)
    refused(net, tmp_path, "norm1 has alpha 0.0001, not 0.0005", "alexnet")


@pytest.fixture
def squeezenet() -> Any:
    net = writer.Caffe(97)
    writer.squeezenet(net)
    return net


def test_a_file_that_ends_too_early(tmp_path: Path, squeezenet: Any) -> None:
    squeezenet.binary = squeezenet.binary[:-1000]
    refused(squeezenet, tmp_path, "not a whole .caffemodel file: Error parsing message")


def test_a_layer_too_many(tmp_path: Path, squeezenet: Any) -> None:
    squeezenet.conv("extra", "data", 4, 3)
    refused(squeezenet, tmp_path, "extra.weight: not in this network")


def test_a_network_that_caffe_does_not_hold(tmp_path: Path, squeezenet: Any) -> None:
    refused(squeezenet, tmp_path, "can't hold resnet50_v1_5", "resnet50_v1_5")


def test_every_network_released_for_caffe_is_compared() -> None:
    compared: set[str] = {"alexnet", "alexnet_bvlc", "googlenet", "squeezenet1_1"}
    compared |= {f"vgg{depth}" for depth in VGGS} | {f"resnet{depth}" for depth in RESNETS}
    assert set(reader.CAFFE_NAMES) == compared


def without_a_relu(kind: str, name: str, bottoms: list[str], params: dict[str, Any]) -> bool:
    return name != "relu_fire2/squeeze1x1"


def with_the_largest_value(kind: str, name: str, bottoms: list[str], params: dict[str, Any]) -> bool:
    if "global_pooling" in params:
        params["pool"] = 0
    return True


def with_branches_in_another_order(kind: str, name: str, bottoms: list[str], params: dict[str, Any]) -> bool:
    if kind == "Concat":
        bottoms.reverse()
    return True


def with_a_product(kind: str, name: str, bottoms: list[str], params: dict[str, Any]) -> bool:
    if name == "res5c":
        params["operation"] = 0
    return True


def changed(net: Any, change: Any) -> Any:
    """The same writer of layers, where `change` may change what they read and state, or leave a layer out."""
    write = net.layer

    def layer(kind: str, name: str, bottoms: list[str], top: str, blobs: tuple[Any, ...] = (), **params: Any) -> str:
        return write(kind, name, bottoms, top, blobs, **params) if change(kind, name, bottoms, params) else top

    net.layer = layer
    return net


def resnet50(net: Any) -> None:
    writer.resnet(net, writer.letters(*RESNETS[50]), stem_bias=True)


@pytest.mark.parametrize(
    ("name", "make", "change"),
    [
        ("squeezenet1_1", writer.squeezenet, without_a_relu),
        ("squeezenet1_1", writer.squeezenet, with_the_largest_value),
        ("squeezenet1_1", writer.squeezenet, with_branches_in_another_order),
        ("resnet50", resnet50, with_a_product),
    ],
)
def test_a_changed_network_is_read_as_its_file_says(
    same: Any, tmp_path: Path, name: str, make: Any, change: Any
) -> None:
    """Its tensors are those of the published one."""
    net = changed(writer.Caffe(64), change)
    make(net)
    sides = b"".join(writer.entry(4, side) for side in (1, 3, 64, 64))
    path = tmp_path / "net.caffemodel"
    path.write_bytes(net.binary + writer.entry(3, "data") + sides)
    with pytest.raises(DeepenoughError, match=rf"has the tensors of {name}, but (.|\n)*of net, but nothing says how"):
        read_weights(path)
    weights = read_weights(path, preprocess="caffe-bgr")
    assert weights.network.name == "net"
    assert f"has the tensors of {name}, but " in weights.notes[0]
    assert "read as it describes itself" in weights.notes[0]
    images = torch.randn((2, 3, 64, 64), generator=torch.Generator().manual_seed(1))
    same(weights, images, run(net, tmp_path, images)[0])
    (tmp_path / "net.prototxt").unlink()
    with pytest.raises(DeepenoughError, match=f"has the tensors of {name}, but (describes|its layer def)"):
        read_weights(path, network=name)


@pytest.mark.parametrize("defined", [True, False])
def test_a_changed_file_that_states_no_input_has_the_usual_one(tmp_path: Path, defined: bool) -> None:
    """The strides that its layers define were changed, or an activation, which has no tensors to be known by."""
    net = writer.Caffe(64)
    if defined:
        writer.resnet(net, writer.letters(*RESNETS[50]), stem_bias=True, late=True)
    else:
        writer.squeezenet(changed(net, without_a_relu))
    (tmp_path / "net.caffemodel").write_bytes(net.binary)
    weights = read_weights(tmp_path / "net.caffemodel", preprocess="caffe-bgr")
    side = 224 if defined else 227
    assert weights.input.size == (side, side)
    assert "read as it describes itself" in weights.notes[0]
    assert weights.notes[1:] == (f"it doesn't say the size of its images; the usual {side}x{side} is taken",)


@pytest.mark.parametrize("change", [without_a_relu, None])
def test_a_body_with_another_head_is_the_networks_if_its_maps_are(tmp_path: Path, change: Any) -> None:
    net = writer.Caffe(64)
    if change is not None:
        changed(net, change)
    conv = net.conv
    net.conv = lambda name, *given, **more: conv("first" if name == "conv10" else name, *given, **more)
    writer.squeezenet(net)
    net.dense("second", net.dense("more", "pool10", 9), 3)
    (tmp_path / "net.caffemodel").write_bytes(net.binary)
    weights = read_weights(tmp_path / "net.caffemodel", preprocess="caffe-bgr", needs_head=False)
    assert (weights.headless, weights.network.name) == ((True, "squeezenet1_1") if change is None else (False, "net"))


def test_a_definition_that_cannot_be_read_is_told(tmp_path: Path, squeezenet: Any) -> None:
    (tmp_path / "net.caffemodel").write_bytes(squeezenet.binary)
    assert read_weights(tmp_path / "net.caffemodel").notes == ()
    squeezenet.layer("Threshold", "threshold", ["pool10"], "threshold")
    (tmp_path / "net.caffemodel").write_bytes(squeezenet.binary)
    (note,) = read_weights(tmp_path / "net.caffemodel").notes
    assert "what it says of strides, activations and pooling was not compared" in note
    assert "layer 'threshold' of kind Threshold" in note
    assert note.endswith("; its images are taken to be those of Caffe's releases")


def test_layers_of_training_do_not_matter(tmp_path: Path, squeezenet: Any) -> None:
    """Nor does a data layer that states neither size nor mean; one that does says what its images are like."""
    for kind, name, bottoms, top in (
        ("Dropout", "drop", ["pool10"], "pool10"), ("Split", "split", ["pool10"], "split_0"),
        ("SoftmaxWithLoss", "loss", ["split_0", "label"], "loss"), ("Accuracy", "top1", ["split_0", "label"], "top1"),
    ):  # fmt: skip
        squeezenet.layer(kind, name, bottoms, top)
    data = writer.entry(1, "data") + writer.entry(2, "Data") + writer.entry(4, "data") + writer.entry(4, "label")
    path = tmp_path / "net.caffemodel"
    path.write_bytes(writer.entry(100, data) + squeezenet.binary)
    weights = read_weights(path)
    assert (weights.network.name, weights.notes, weights.input.size) == ("squeezenet1_1", (), (227, 227))
    stated = (
        writer.entry(1, 0.017) + writer.entry(3, 97) + b"".join(writer.entry(5, mean) for mean in (100.0, 110.0, 120.0))
    )
    path.write_bytes(writer.entry(100, data + writer.entry(100, stated)) + squeezenet.binary)
    weights = read_weights(path)
    assert (weights.network.name, weights.notes, weights.input.size) == ("squeezenet1_1", (), (97, 97))
    np.testing.assert_allclose(weights.input.mean, np.array([100, 110, 120]) / 255)
    np.testing.assert_allclose(weights.input.std, 1 / (255 * 0.017), rtol=1e-6)
