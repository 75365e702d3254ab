"""Folders for timm: timm's own models load them and predict the same, in a process of their own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import deepenough
from deepenough.errors import DeepenoughError
from deepenough.frameworks import parity
from deepenough.frameworks.export import Export
from deepenough.frameworks.parity import Check
from deepenough.frameworks.target import DIFFERENCE
from deepenough.frameworks.targets import TARGETS
from deepenough.frameworks.timm import crop_share, timm_state
from deepenough.frameworks.writer import run_writer
from deepenough.model import Model
from deepenough.nets.build import build
from deepenough.nets.cut import cut_at, cuts
from deepenough.nets.families import FAMILIES
from deepenough.nets.network import Network
from deepenough.nets.zoo import NETWORKS
from deepenough.nets.zoo.timm_models import TIMM_MODELS, timm_model
from deepenough.preprocessing import Preprocessing
from deepenough.weights.match import shapes
from deepenough.weights.read import read_weights

pytestmark = pytest.mark.seconds(120)

OPERATORS = """
import torch
LIBRARY = torch.library.Library("torchvision", "DEF")
for operator in ("nms", "qnms"):
    LIBRARY.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""
"""What conftest's `models` does, for a process that imports timm: torchvision's binary may lack CUDA's libraries."""

LARGE = (
    *("resnet34", "resnet101", "resnet152", "wide_", "_b1", "_b2", "_b3", "_b4", "lite1", "lite2"),
    *("convnext_small", "vit_small", "vit_base", "regnet_y_1_6gf"),
)
"""Networks of the layers of others here, in other numbers and with other widths: their tensors are compared alone."""

ALL = sorted(set(TIMM_MODELS.values()))


def small(name: str, *shape: int) -> Network:
    return NETWORKS[name]().with_classes(5).with_input(shape or (3, 64, 64))  # type: ignore[arg-type]


CASES: dict[str, Callable[[], Network]] = {
    **{name: (lambda name=name: small(name)) for name in ALL if not any(part in name for part in LARGE)},
    "grey": lambda: small("resnet18_torchvision", 1, 40, 52),
    "oblong": lambda: small("vit_tiny_patch16_224", 3, 64, 48),
}


@pytest.fixture(scope="module")
def timm(models: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """timm here, and in the processes that are started."""
    folder, monkeypatch = tmp_path_factory.mktemp("operators"), pytest.MonkeyPatch()
    (folder / "sitecustomize.py").write_text(OPERATORS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(folder), *filter(None, [os.environ.get("PYTHONPATH")]))))
    yield pytest.importorskip("timm")
    monkeypatch.undo()


def model_of(network: Network, **preprocessing: Any) -> Model:
    """A model with weights and statistics that leave nothing at its default."""
    generator = torch.Generator().manual_seed(0)
    state = build(network, 0).state_dict()
    for name, tensor in state.items():
        if name.endswith("running_var"):
            tensor.copy_(0.8 + 0.4 * torch.rand(tensor.shape, generator=generator))
        elif name.endswith(("running_mean", "bias")):
            tensor.copy_(0.1 * torch.randn(tensor.shape, generator=generator))
    wanted = replace(Preprocessing.untrained(network.input), **preprocessing)
    return Model(network, state, wanted, [f"naïve {number}" for number in range(network.classes)])


def export_of(model: Model) -> Export:
    state = {key: value.numpy() for key, value in model.module.state_dict().items()}
    return Export.of(model.network, state, model.preprocess, model.classes)


@pytest.fixture(scope="module")
def checks(timm: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], list[Check]]:
    """How timm's logits compare with ours, by case. All are written by one process and run by another."""
    made = {name: model_of(make()) for name, make in CASES.items()}
    exports = [export_of(model) for model in made.values()]
    root, target = tmp_path_factory.mktemp("exports"), TARGETS["timm"]
    folders = [root / name for name in made]
    run_writer(exports, target, folders, trained=True, reading_side=[64] * len(made))
    random = np.random.default_rng(0)
    pixels = []
    for model in made.values():
        channels, height, width = model.network.input
        pixels.append(random.integers(0, 256, (8, height, width, channels), dtype=np.uint8))
    (runtime,) = target.runtimes
    ran = parity.run_exports(folders, pixels, runtime)
    answers = dict(zip(made, zip(pixels, ran, strict=True), strict=True))

    def checks_of(name: str) -> list[Check]:
        given, (version, logits) = answers[name]
        return parity.compare_logits(version, logits, made[name].logits(given))

    return checks_of


@pytest.mark.parametrize("name", CASES)
def test_timm_predicts_the_same(checks: Callable[[str], list[Check]], name: str) -> None:
    found = checks(name)
    print(f"\nMEASURED {found[0].runtime} {name}: {max(check.difference for check in found):.1e}")  # noqa: T201
    assert [check.batch for check in found] == [1, 7]
    for check in found:
        assert check.difference < DIFFERENCE
        assert check.same_top1 == check.images


@pytest.mark.parametrize("name", ALL)
def test_every_tensor_of_timms_model_is_there(timm: Any, tmp_path: Path, name: str) -> None:
    with torch.device("meta"):
        theirs = timm.create_model(timm_model(name), num_classes=5).state_dict()
    wanted = {key: tuple(value.shape) for key, value in theirs.items() if not key.endswith("num_batches_tracked")}
    network = NETWORKS[name]().with_classes(5)
    state = {key: np.broadcast_to(np.float32(0), shape) for key, shape in shapes(network).items()}
    export = Export(network, state, Preprocessing.untrained(network.input), ("a",) * 5)
    assert {key: value.shape for key, value in timm_state(export).items()} == wanted


def test_half_precision_is_written(timm: Any, tmp_path: Path) -> None:
    network = NETWORKS["mobilenetv3_small_100"]().with_classes(5).with_input((3, 64, 64))
    made = model_of(network)
    half = deepenough.export(made, "timm", out=tmp_path / "half", half=True)
    assert half.passed is True
    assert 0 < half.checks[0].difference < 0.05
    assert half.model.stat().st_size < 0.6 * sum(4 * tensor.numel() for tensor in made.module.state_dict().values())


@pytest.mark.parametrize("shorter", [None, 80])
def test_the_configuration_says_names_and_images(timm: Any, tmp_path: Path, shorter: int | None) -> None:
    """timm's own transform frames a picture as we do, where its sides come out whole."""
    network = NETWORKS["resnet18_torchvision"]().with_classes(3).with_input((3, 64, 64))
    numbers = {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.25), "interpolation": "bicubic", "shorter": shorter}
    made = model_of(network, **numbers)
    deepenough.export(made, "timm", out=tmp_path / "out", verify=False)
    theirs = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    assert theirs.pretrained_cfg["label_names"] == ["naïve 0", "naïve 1", "naïve 2"]
    config = timm.data.resolve_model_data_config(theirs)
    assert (config["input_size"], config["mean"], config["std"]) == ([3, 64, 64], [0.4, 0.5, 0.6], [0.2, 0.3, 0.25])
    random = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    picture = Image.fromarray(random).resize((192, 96), Image.Resampling.BICUBIC)
    ours = (made.preprocess.frame(picture) / 255 - np.array(numbers["mean"])) / np.array(numbers["std"])
    prepared = timm.data.create_transform(**config)(picture)
    assert np.abs(prepared.permute(1, 2, 0).numpy() - ours).max() < 0.1
    other = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True, num_classes=7)
    assert other.get_classifier().weight.shape == (7, 512)
    assert torch.equal(other.conv1.weight, theirs.conv1.weight)


@pytest.mark.parametrize("side", [224, 229, 231, 192, 33])
def test_timm_rounds_to_our_shorter_side(side: int) -> None:
    for shorter in range(side, 2 * side):
        share = crop_share(Preprocessing((side, side), shorter))
        assert int(np.floor(side / share)) == shorter
        assert share == pytest.approx(side / shorter)


@pytest.mark.parametrize(
    "name", ["mobilenetv3_small_100", "convnext_tiny", "vit_tiny_patch16_224", "resnet18_torchvision"]
)
def test_it_is_read_back_bit_for_bit(tmp_path: Path, name: str) -> None:
    made = model_of(NETWORKS[name]().with_classes(3).with_input((3, 48, 48)))
    folder = deepenough.export(made, "timm", out=tmp_path / "out", verify=False).folder
    weights = read_weights(folder / TARGETS["timm"].readable)
    assert (weights.network.name, weights.classes, weights.input) == (name, made.classes, made.preprocess)
    written = deepenough.export(
        Model(weights.network, weights.state, weights.input, weights.classes), "timm", out=tmp_path / "b", verify=False
    )
    assert written.model.read_bytes()[1000:] == (folder / "model.safetensors").read_bytes()[1000:]


def test_it_is_read_without_what_only_deepenough_wrote(tmp_path: Path) -> None:
    """As from the hub, where the two files are alone."""
    made = model_of(NETWORKS["mobilenetv3_small_100"]().with_classes(3), shorter=256)
    folder = deepenough.export(made, "timm", out=tmp_path / "out", verify=False).folder
    for name in ("network.json", "preprocess.json"):
        (folder / name).unlink()
    weights = read_weights(folder / "model.safetensors")
    assert (weights.network.name, weights.source, weights.input) == ("mobilenetv3_small_100", "timm", made.preprocess)


def test_what_timm_does_not_build_is_refused_with_the_reason(tmp_path: Path) -> None:
    residual = FAMILIES["residual"].network(input=(3, 32, 32), classes=3, depth=7)
    resnet = NETWORKS["resnet18_torchvision"]()
    cut = cut_at(resnet, cuts(resnet)[2].place, 3)
    for network, words in (
        (residual, "timm has no network that is known here as residual-7"),
        (NETWORKS["googlenet"](), "timm has no network that is known here as googlenet"),
        (replace(cut, name=resnet.name), "its layers are not those of timm's resnet18"),
    ):
        with pytest.raises(DeepenoughError, match=f"--to timm: {network.name} can't be written: {words}.*--to torch"):
            deepenough.export(network, "timm", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    bgr = model_of(resnet.with_classes(3).with_input((3, 32, 32)), order="BGR")
    with pytest.raises(DeepenoughError, match="takes images in BGR, and timm's models have RGB only"):
        deepenough.export(bgr, "timm", out=tmp_path / "out", verify=False)


def test_two_files_and_the_script_are_enough(timm: Any, tmp_path: Path) -> None:
    network = NETWORKS["resnet18_torchvision"]().with_classes(3).with_input((3, 64, 64))
    folder = deepenough.export(model_of(network), "timm", out=tmp_path / "out", verify=False).folder
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["architecture"] == "resnet18"
    alone = tmp_path / "alone"
    alone.mkdir()
    for name in ("predict.py", *TARGETS["timm"].needed_files):
        shutil.copy(folder / name, alone / name)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    words = [sys.executable, str(alone / "predict.py"), str(tmp_path / "a.png")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "naïve" in done.stdout
