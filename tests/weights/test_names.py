"""The table of named weights, ImageNet's classes, and loading by name or file."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from deepenough.errors import DeepenoughError
from deepenough.files import sha256
from deepenough.nets.zoo import NETWORKS
from deepenough.nets.zoo.published import PUBLISHED
from deepenough.preprocessing import Preprocessing
from deepenough.weights import Weights, load, load_weights, names
from deepenough.weights.imagenet import class_names, wordnet_ids
from deepenough.weights.inputs import takes_size
from deepenough.weights.names import ALIASES, GROUPS, NAMED, Named, group, of_hash, weights_named


@pytest.mark.parametrize("entry", NAMED.values(), ids=str)
def test_every_entry_is_whole(entry: Named) -> None:
    assert NETWORKS[entry.network]().classes == 1000
    assert re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}", entry.sha256)
    digits = re.search(r"-([0-9a-f]{8})\.pth$", entry.file)
    assert digits
    assert entry.sha256.startswith(digits[1])  # the publisher's own
    assert entry.url.startswith("https://")
    assert takes_size(NETWORKS[entry.network](), entry.input.size)
    halved = entry.name == "wide_resnet50_2.tv_in1k"  # the only file of half precision
    assert (1.9 if halved else 3.9) < entry.megabytes * 1e6 / sum(_parameters(entry.network)) < (2.1 if halved else 8)


def _parameters(network: str) -> list[int]:
    from deepenough.nets import parameters

    return [parameters(NETWORKS[network]())]


def test_no_two_are_the_same_file() -> None:
    assert (
        len({entry.sha256[:8] for entry in NAMED.values()})
        == len({entry.file for entry in NAMED.values()})
        == len(NAMED)
    )


def test_the_eight_have_torchvisions_weights_and_the_published_figures_agree() -> None:
    by_weights = {figure.weights: figure for entry in PUBLISHED.values() for figure in entry.figures if figure.weights}
    for name in PUBLISHED:
        entry = NAMED[f"{name}.tv_in1k"]
        figure = by_weights[entry.name]
        assert figure.network == entry.network
        assert entry.top1 is not None
        assert entry.top5 is not None
        assert figure.top1 == pytest.approx(entry.top1, abs=0.006)
        assert figure.top5 == pytest.approx(entry.top5, abs=0.006)


_KEEP: list[object] = []


@pytest.fixture(scope="module")
def torchvision() -> Any:
    """torchvision.models. Its binary may lack CUDA's libraries; the models only need these operators to exist."""
    with suppress(RuntimeError):  # torchvision is loaded already, and has them
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEEP.append(library)
    return pytest.importorskip("torchvision.models")


def test_torchvisions_table_says_the_same(torchvision: Any) -> None:
    """Addresses, hashes, accuracies and inputs of torchvision's own WeightsEnums."""
    for entry in group("torchvision"):
        base, recipe = entry.name.split(".")
        kind = torchvision.get_model_weights(base)["IMAGENET1K_V2" if recipe == "tv2_in1k" else "IMAGENET1K_V1"]
        accuracies = kind.meta["_metrics"]["ImageNet-1K"]
        assert entry.url == kind.url
        assert entry.top1 == pytest.approx(100 - accuracies["acc@1"], abs=1e-6)
        assert entry.top5 == pytest.approx(100 - accuracies["acc@5"], abs=1e-6)
        assert entry.megabytes == pytest.approx(kind.meta["_file_size"] * 1.048576, abs=1)
        made = kind.transforms()
        assert (entry.input.shorter, *entry.input.size) == (made.resize_size[0], *made.crop_size * 2)
        assert entry.input.interpolation == made.interpolation.value
        if base != "googlenet":
            assert (list(entry.input.mean), list(entry.input.std)) == (made.mean, made.std)
        assert list(class_names()) == kind.meta["categories"]


def test_torchvisions_own_names_are_taken(torchvision: Any) -> None:
    """Every name of a kind of weights in torchvision that the table has, and no other."""
    theirs = {}
    for entry in group("torchvision"):
        base, recipe = entry.name.split(".")
        theirs[str(torchvision.get_model_weights(base)[f"IMAGENET1K_V{2 if recipe == 'tv2_in1k' else 1}"])] = entry.name
    assert theirs == ALIASES
    assert weights_named("MobileNet_V3_Small_Weights.IMAGENET1K_V1").name == "mobilenet_v3_small.tv_in1k"
    with pytest.raises(DeepenoughError, match=r"mobilenet_v3_small"):
        weights_named("mobilenet_v3_small.tv1_in1k")


@pytest.mark.usefixtures("torchvision")
def test_timms_configurations_say_the_same() -> None:
    """Addresses, up to a release's owner, and inputs of timm's own `default_cfgs`, of the networks since 2016."""
    timm = pytest.importorskip("timm.models")
    recent = [entry for entry in group("timm") if not entry.name.startswith("resnet")]
    assert len(recent) > 20
    for entry in [*recent, NAMED["resnext50_32x4d.a1_in1k"]]:
        theirs = timm.get_pretrained_cfg(entry.name)
        assert entry.url == theirs.url.replace("/rwightman/", "/huggingface/")
        assert entry.input.size == tuple(theirs.input_size[1:])
        assert entry.input.shorter == int(theirs.input_size[1] / theirs.crop_pct)
        assert entry.input.interpolation == theirs.interpolation
        assert (entry.input.mean, entry.input.std) == (theirs.mean, theirs.std)
        assert theirs.num_classes == 1000


def test_googlenets_input_is_what_transform_input_makes_of_it() -> None:
    given = NAMED["googlenet.tv_in1k"].input
    mean, std = torch.tensor(Preprocessing((1, 1)).mean), torch.tensor(Preprocessing((1, 1)).std)
    pixels = torch.rand(5, 3)
    normal = (pixels - mean) / std
    transformed = normal * (std / 0.5) + (mean - 0.5) / 0.5  # GoogLeNet._transform_input
    ours = (pixels - torch.tensor(given.mean)) / torch.tensor(given.std)
    torch.testing.assert_close(ours, transformed)


def test_groups_and_unknown_names() -> None:
    assert GROUPS == ("torchvision", "timm")
    assert [entry.name for entry in group("timm")][:2] == ["resnet34.a1_in1k", "resnet50.a1_in1k"]
    assert len(group("torchvision")) + len(group("timm")) == len(NAMED)
    with pytest.raises(DeepenoughError, match=r"resnet50\.tv_in1k"):
        weights_named("resnet50.tv_1k")
    with pytest.raises(DeepenoughError, match="torchvision"):
        group("torchvison")


def test_hashes_tell_the_entry() -> None:
    full, short = NAMED["resnet50.tv_in1k"], NAMED["vgg11.tv_in1k"]
    assert of_hash(full.sha256.upper()) == full
    assert of_hash(full.sha256[:-1] + "0") is None
    assert of_hash(short.sha256 + "0" * 56) == short
    assert of_hash(short.sha256) is None  # eight digits are no SHA-256


def test_imagenets_classes() -> None:
    ids, classes = wordnet_ids(), class_names()
    assert len(set(ids)) == len(set(classes)) == 1000
    assert list(ids) == sorted(ids)
    assert (ids[0], classes[0], ids[-1], classes[-1]) == ("n01440764", "tench", "n15075141", "toilet tissue")
    assert (classes[134], classes[517]) == ("crane bird", "crane")
    assert all(re.fullmatch(r"n\d{8}", wordnet_id) for wordnet_id in ids)
    assert all(name.strip() == name != "" for name in classes)


@pytest.fixture
def squeezenet(tmp_path: Path) -> Path:
    """A file like torchvision's SqueezeNet 1.1, with other numbers."""
    from deepenough.weights.match import shapes, zoo_layouts
    from deepenough.weights.torchvision import TORCHVISION_NAMES

    (layout,) = zoo_layouts({"squeezenet1_1": TORCHVISION_NAMES["squeezenet1_1"]})
    sizes = shapes(layout.network)
    path = tmp_path / "mine.safetensors"
    save_file({name: torch.full(sizes[key], 0.01) for key, name in layout.names.items()}, path)
    return path


def _known_as(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> Named:
    """Put the file into the table in the place of `name`."""
    entry = replace(NAMED[name], sha256=sha256(path))
    monkeypatch.setattr(names, "_ALL", (entry,))
    monkeypatch.setattr(load, "NAMED", {name: entry})
    return entry


def test_a_file_of_the_table_needs_no_network(squeezenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = load_weights(str(squeezenet))
    assert (Path(other.name).name, other.classes) == ("mine.safetensors", None)
    entry = _known_as(squeezenet, "squeezenet1_1.tv_in1k", monkeypatch)
    loaded = load_weights(str(squeezenet))
    assert isinstance(loaded, Weights)
    assert (loaded.name, loaded.source, loaded.input) == (entry.name, "torchvision", entry.input)
    assert loaded.network.name == "squeezenet1_1"
    assert loaded.classes == class_names()
    assert loaded.sha256 == entry.sha256
    with pytest.raises(DeepenoughError, match="of the network squeezenet1_1, not resnet50"):
        load_weights(str(squeezenet), network="resnet50")


def test_a_name_is_fetched_with_its_network_fixed(squeezenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = _known_as(squeezenet, "squeezenet1_1.tv_in1k", monkeypatch)
    asked = []
    monkeypatch.setattr(load, "fetch", lambda known, reporter: asked.append(known) or squeezenet)
    loaded = load_weights(entry.name)
    assert load_weights("SqueezeNet1_1_Weights.IMAGENET1K_V1").name == entry.name
    assert asked == [entry, entry]
    assert loaded.name == entry.name
    other = load_weights(entry.name, preprocess="caffe-bgr")
    assert (other.input.order, other.input.size) == ("BGR", (227, 227))
    assert other.network.input == (3, 227, 227)


def test_what_is_neither(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "resnet5").write_bytes(b"x")
    with pytest.raises(DeepenoughError, match=r"neither a file nor a name.*resnet50\.tv_in1k"):
        load_weights("resnet50.tv_in")
    with pytest.raises(DeepenoughError, match="resnet5"):
        load_weights("resnet55")
    with pytest.raises(DeepenoughError, match=r"give one of them: resnet34\.a1_in1k"):
        load_weights("timm")
    with pytest.raises(DeepenoughError, match="there is no file"):
        load_weights(str(tmp_path / "weights.pth"))
    with pytest.raises(DeepenoughError, match="preprocessing 'tv'"):
        load_weights("resnet50.tv_in1k", preprocess="tv")
