"""Files of weights that are refused, and what is said about them. No other framework is needed here."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from deepenough.errors import DeepenoughError
from deepenough.nets import Conv, Dense, GlobalAvgPool, Network, dumps
from deepenough.nets.build import build
from deepenough.nets.zoo import NETWORKS, network
from deepenough.nets.zoo.vit import with_positions
from deepenough.weights import PRESETS
from deepenough.weights import match as matching
from deepenough.weights.match import file_layout, shapes, zoo_layouts
from deepenough.weights.read import read_weights
from deepenough.weights.torchvision import TIMM_NAMES, TORCHVISION_NAMES


def state_of(name: str, classes: int = 5) -> dict[str, Tensor]:
    """A file's tensors under torchvision's names, values by position."""
    (layout,) = zoo_layouts({name: TORCHVISION_NAMES[name]})
    wanted = shapes(layout.network.with_classes(classes))
    return {theirs: torch.full(wanted[ours], 0.01 * n) for n, (ours, theirs) in enumerate(layout.names.items())}


@pytest.fixture
def squeezenet() -> dict[str, Tensor]:
    return state_of("squeezenet1_1")


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any], Path]:
    def save(content: Any) -> Path:
        torch.save(content, tmp_path / "weights")
        return tmp_path / "weights"

    return save


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_are_those_of_the_built_network(name: str) -> None:
    net = network(name)
    net = net if "vgg" not in name else net.with_input((3, 32, 32))
    built = {key: tuple(tensor.shape) for key, tensor in build(net).state_dict().items()}
    assert shapes(net) == {key: shape for key, shape in built.items() if not key.endswith("num_batches_tracked")}


@pytest.fixture(scope="module")
def vit() -> dict[str, Tensor]:
    """timm's ViT-Tiny for 384 pixels."""
    net = with_positions(network("vit_tiny_patch16_224"), (384, 384))
    layout = file_layout(net, TIMM_NAMES[net.name](net))
    return {theirs: torch.full(layout.shapes[ours], 0.01) for ours, theirs in layout.names.items()}


def test_a_transformer_has_the_size_of_its_positions(vit: dict[str, Tensor], saved: Any) -> None:
    weights = read_weights(saved(vit))
    assert (weights.network.name, weights.network.input) == ("vit_tiny_patch16_224", (3, 384, 384))
    assert weights.input.size == (384, 384)
    assert build(weights.network.with_input((3, 64, 64)))(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)
    with pytest.raises(DeepenoughError, match=r"pos_embed: 1 x 500 x 192; expected 1 x 197 x 192"):
        read_weights(saved(vit | {"pos_embed": torch.zeros(1, 500, 192)}))


def test_positions_of_another_size_than_the_configuration_says_are_refused(
    vit: dict[str, Tensor], saved: Any, tmp_path: Path
) -> None:
    for side in (384, 224):
        config = {"architecture": "vit_tiny_patch16_224", "pretrained_cfg": {"input_size": [3, side, side]}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        if side == 384:
            assert read_weights(saved(vit)).input.size == (384, 384)
    with pytest.raises(DeepenoughError, match=r"pos_embed: 1 x 577 x 192; expected 1 x 197 x 192"):
        read_weights(saved(vit))


def test_what_a_vit_wants_is_said_to_be_another_for_a_deit(vit: dict[str, Tensor], saved: Any) -> None:
    weights = read_weights(saved(vit))
    assert weights.input.mean == (0.5, 0.5, 0.5)
    assert any("DeiT" in note and "--preprocess torchvision" in note for note in weights.notes)
    told = read_weights(saved(vit), preprocess="torchvision")
    assert (told.notes, told.input.mean[0], told.input.size) == ((), 0.485, (384, 384))


def test_a_file_of_another_number_of_classes(squeezenet: Any, saved: Any) -> None:
    weights = read_weights(str(saved(squeezenet)))
    assert weights.network.classes == 5
    assert weights.name == Path(saved(squeezenet)).name
    assert weights.classes is None
    assert len(weights.sha256) == 64
    assert all(tensor.dtype == torch.float32 for tensor in weights.state.values())
    build(weights.network).load_state_dict(dict(weights.state))


def test_half_precision_becomes_float32(squeezenet: Any, saved: Any) -> None:
    weights = read_weights(saved({name: tensor.half() for name, tensor in squeezenet.items()}))
    assert weights.state["conv1.weight"].dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda s: s.pop("features.4.squeeze.bias"), "features.4.squeeze.bias: missing; expected 16"),
        (lambda s: s.update(extra=torch.zeros(2)), "extra: not in this network"),
        (
            lambda s: s.update({"features.0.weight": torch.zeros(64, 3, 5, 5)}),
            "features.0.weight: 64 x 3 x 5 x 5; expected 64 x 3 x 3 x 3",
        ),
        (
            lambda s: s.update({"features.0.bias": torch.full((64,), float("nan"))}),
            "features.0.bias: holds NaN or infinite values",
        ),
        (
            lambda s: s.update({"features.0.bias": torch.zeros(64, dtype=torch.int8)}),
            "features.0.bias: of type int8; expected floating point",
        ),
    ],
)
@pytest.mark.parametrize("asked", [None, "squeezenet1_1"])
def test_a_tensor_that_does_not_fit_is_named(
    squeezenet: Any, saved: Any, change: Callable[..., Any], match: str, asked: str | None
) -> None:
    change(squeezenet)
    with pytest.raises(DeepenoughError, match=match) as caught:
        read_weights(saved(squeezenet), network=asked)
    assert "squeezenet1_1, with 1 tensor missing, misshapen or left over" in str(caught.value)


def test_many_are_counted(saved: Any, squeezenet: Any) -> None:
    few = dict(list(squeezenet.items())[:12])
    with pytest.raises(DeepenoughError, match=r"nearest is squeezenet1_1(.|\n)*and 30 more"):
        read_weights(saved(few))


def test_a_resnet_with_torchvisions_names_is_torchvisions_unless_it_is_asked_for(saved: Any) -> None:
    path = saved(state_of("resnet18"))
    weights = read_weights(path)
    assert weights.network.name == "resnet18_torchvision"
    (note,) = weights.notes
    for name in ("resnet18", "resnet18_torchvision"):
        assert f"{name}" in note
        assert network(name).variant in note
        assert read_weights(path, network=name).network.name == name


def test_names_of_nobody_need_a_network(saved: Any) -> None:
    path = saved({f"t{n}.{name.split('.')[-1]}": t for n, (name, t) in enumerate(state_of("resnet18").items())})
    with pytest.raises(DeepenoughError, match="--network NAME") as caught:
        read_weights(path)
    for name in ("resnet18", "resnet18_torchvision"):
        assert f"\n  {name}: {network(name).variant}" in str(caught.value)
        assert read_weights(path, network=name).network.name == name


@pytest.mark.parametrize(
    ("name", "match"),
    [("resnet19", "nearest are resnet1"), ("alexnet", "can't hold alexnet; such files hold alexnet_torchvision")],
)
def test_networks_that_the_file_can_not_be(saved: Any, squeezenet: Any, name: str, match: str) -> None:
    with pytest.raises(DeepenoughError, match=match):
        read_weights(saved(squeezenet), network=name)


class Evil:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("/tmp/deepenough-was-here"),)


def test_code_in_a_pickle_is_not_run(tmp_path: Path, saved: Any) -> None:
    (tmp_path / "w.pdparams").write_bytes(pickle.dumps({"conv.weight": Evil()}))
    with pytest.raises(DeepenoughError, match=r"asks for pathlib\S*, which could run code; it was not loaded"):
        read_weights(tmp_path / "w.pdparams")
    with pytest.raises(DeepenoughError, match="can't be read as tensors alone"):
        read_weights(saved({"conv.weight": Evil()}))
    assert not Path("/tmp/deepenough-was-here").exists()


@pytest.mark.parametrize("call", [(eval, ("1",)), (getattr, ("", "join"))])
def test_builtins_are_code_too(tmp_path: Path, call: Any) -> None:
    made = type("Call", (), {"__reduce__": lambda self: call})()
    (tmp_path / "w").write_bytes(pickle.dumps([made]))
    with pytest.raises(DeepenoughError, match=f"asks for builtins.{call[0].__name__}, which could run code"):
        read_weights(tmp_path / "w")


@pytest.mark.parametrize("content", [torch.nn.Linear(2, 2), [torch.zeros(2)], {"a": 3}, {}])
def test_what_is_no_state_dict(saved: Any, content: Any) -> None:
    with pytest.raises(DeepenoughError, match="state_dict"):
        read_weights(saved(content))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty; known are torch"),
        (b"<!DOCTYPE html><html>", "is a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "pointer of Git LFS"),
        (b"PK\x03\x04 and no more", "damaged archive"),
        (b"\x89HDF\r\n\x1a\n and no more", "h5py|not a whole Keras file"),
        (b"\x80\x04\x95 and no more", "pickle that can't be read"),
        (b"\x0a\x03net\xa2\x06\x7f", "not a whole .caffemodel file"),
        (b"\x0a\x03net", "no weights of Caffe"),
        (b"\x02\x00\x00\x00\x00\x00\x00\x00{}", "fits no network|holds a dict|state dict"),
        (b"GIF89a", "of a format that is not known"),
    ],
)
def test_files_that_are_something_else(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(DeepenoughError, match=match):
        read_weights(tmp_path / "weights.pth")


def test_an_archive_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(DeepenoughError, match="of a format that is not known"):
        read_weights(tmp_path / "w")


def test_a_missing_file_names_its_siblings(tmp_path: Path) -> None:
    (tmp_path / "resnet50.pth").touch()
    with pytest.raises(DeepenoughError, match=r"nearest there is resnet50\.pth"):
        read_weights(tmp_path / "resnet5.pth")
    with pytest.raises(DeepenoughError, match="there is no folder"):
        read_weights(tmp_path / "nowhere" / "x.pth")
    with pytest.raises(DeepenoughError, match="is a folder"):
        read_weights(tmp_path)


def test_the_name_of_a_file_does_not_matter(tmp_path: Path, squeezenet: Any) -> None:
    save_file(squeezenet, tmp_path / "w.h5")
    for name in ("w.safetensors", "w.keras", "w.pdparams"):  # torch itself goes by the first
        torch.save(squeezenet, tmp_path / name)
    for name in ("w.h5", "w.safetensors", "w.keras", "w.pdparams"):
        weights = read_weights(tmp_path / name)
        assert (weights.source, weights.network.name) == ("torchvision", "squeezenet1_1")
        assert all(torch.equal(weights.state[key], kept) for key, kept in read_weights(tmp_path / "w.h5").state.items())
    (tmp_path / "w.safetensors").write_bytes(pickle.dumps({"conv.weight": Evil()}))
    with pytest.raises(DeepenoughError, match="which could run code"):
        read_weights(tmp_path / "w.safetensors")
    torch.save({"conv.weight": Evil()}, tmp_path / "w.safetensors")
    with pytest.raises(DeepenoughError, match="can't be read as tensors alone"):
        read_weights(tmp_path / "w.safetensors")


def test_preprocessing_by_precedence(saved: Any, squeezenet: Any) -> None:
    path = saved(squeezenet)
    assert read_weights(path).input.mean == (0.485, 0.456, 0.406)
    path.with_name("preprocess.json").write_text(json.dumps({"size": [160, 160], "shorter": 170, "order": "BGR"}))
    weights = read_weights(path)
    assert (weights.input.size, weights.input.order, weights.network.input) == ((160, 160), "BGR", (3, 160, 160))
    assert read_weights(path, preprocess="timm").input.interpolation == "bicubic"
    with pytest.raises(DeepenoughError, match=r"nearest .*torchvision"):
        read_weights(path, preprocess="torchvison")
    for preset in set(PRESETS) - {"keras"}:
        assert read_weights(path, preprocess=preset).network.classes == 5
    with pytest.raises(DeepenoughError, match=r"squeezenet1_1\w* is none of keras.applications; give another"):
        read_weights(path, preprocess="keras")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{", "is not JSON"),
        ("[1]", "expected a JSON object"),
        ("{}", "size is None"),
        ('{"size": 3}', "size is 3; expected"),
        ('{"size": [32, 32], "mean": ["a"], "std": [1]}', "mean .*: give as many numbers of each"),
        ('{"size": [32, 32], "mean": 3}', "preprocessing .*"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_preprocess_file_that_says_nothing(saved: Any, squeezenet: Any, text: str, match: str) -> None:
    path = saved(squeezenet)
    path.with_name("preprocess.json").write_text(text)
    with pytest.raises(DeepenoughError, match=match):
        read_weights(path)


@pytest.mark.parametrize(
    ("file", "content", "match"),
    [
        ("preprocess.json", b"{", "preprocess.json is not JSON"),
        ("preprocess.json", b"\xff", "preprocess.json is not JSON"),
        ("preprocess.json", b"[1]", "expected a JSON object"),
        ("network.json", b"\xff", "the network is not JSON"),
    ],
)
def test_damaged_files_beside_our_own_weights(tmp_path: Path, file: str, content: bytes, match: str) -> None:
    network = Network("small", (3, 8, 8), (Conv(4), GlobalAvgPool(), Dense(2)))
    save_file(build(network).state_dict(), tmp_path / "w.safetensors")
    (tmp_path / "network.json").write_text(dumps(network))
    (tmp_path / "preprocess.json").write_text('{"classes": 3}')
    assert read_weights(tmp_path / "w.safetensors", preprocess="torchvision").classes is None
    (tmp_path / file).write_bytes(content)
    with pytest.raises(DeepenoughError, match=match):
        read_weights(tmp_path / "w.safetensors", preprocess="torchvision")


def test_images_that_dense_layers_do_not_take(saved: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    small = NETWORKS["vgg11"]().with_input((3, 32, 32))
    monkeypatch.setattr(matching, "NETWORKS", {**NETWORKS, "vgg11": lambda: small})
    path = saved(state_of("vgg11"))
    assert read_weights(path).input.size == (32, 32)
    path.with_name("preprocess.json").write_text(json.dumps({"size": [64, 64]}))
    with pytest.raises(DeepenoughError, match="images of 64x64, and the dense layers of vgg11 in this file take 32x32"):
        read_weights(path)
