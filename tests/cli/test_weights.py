"""What `weights list`, `weights get` and `nets --evaluate` print and write."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from deepenough.model import load
from deepenough.weights import load_weights
from deepenough.weights.fetch import weights_folder
from deepenough.weights.imagenet import wordnet_ids
from deepenough.weights.names import NAMED

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def squeezenet(tmp_path: Path) -> Path:
    """A file like torchvision's SqueezeNet 1.1, with random numbers."""
    from deepenough.weights.match import shapes, zoo_layouts
    from deepenough.weights.torchvision import TORCHVISION_NAMES

    (layout,) = zoo_layouts({"squeezenet1_1": TORCHVISION_NAMES["squeezenet1_1"]})
    draws, sizes = torch.Generator().manual_seed(0), shapes(layout.network)
    path = tmp_path / "mine.safetensors"
    save_file({name: 0.1 * torch.randn(sizes[key], generator=draws) for key, name in layout.names.items()}, path)
    return path


def test_the_list(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPENOUGH_CACHE", str(tmp_path))
    weights_folder().mkdir()
    kept = weights_folder() / NAMED["vgg19.tv_in1k"].file
    kept.write_bytes(b"x")
    rows = {row["name"]: row for row in json.loads(command("weights", "list", "--json")[1])}
    assert list(rows) == list(NAMED)
    assert (rows["resnet50.a1_in1k"]["depth"], rows["resnet50.a1_in1k"]["parameters"]) == (50, 25_557_032)
    assert {name: row["cached"] for name, row in rows.items() if row["cached"]} == {"vgg19.tv_in1k": str(kept)}
    lines = command("weights", "list")[1].splitlines()
    assert all(any(line.split()[:1] == [name] for line in lines) for name in NAMED)
    assert [line.split()[0] for line in lines if line.rstrip().endswith(" yes")] == ["vgg19.tv_in1k"]
    assert any("224x224 of 235, bicubic" in line for line in lines)


def test_a_model_folder_predicts_as_the_weights_do(command: Command, squeezenet: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    text = command("weights", "get", squeezenet, "--out", out, "--preprocess", "torchvision-v2")[1]
    assert "network: squeezenet1_1: depth 18, 1,235,496 parameters, 1,000 classes" in text
    assert "shorter side 232" in text
    assert f"file: {squeezenet}" in text
    model, weights = load(out), load_weights(str(squeezenet), preprocess="torchvision-v2")
    assert (model.preprocess.shorter, model.classes[-1]) == (232, "999")
    assert model.network == weights.network
    assert all(torch.equal(value, weights.state[name]) for name, value in model.module.state_dict().items())
    status, _, errors = command("weights", "get", squeezenet, "--out", out)
    assert status == 2
    assert "holds something else" in errors


def test_measuring_a_file(command: Command, squeezenet: Path, tmp_path: Path) -> None:
    folder = tmp_path / "val" / wordnet_ids()[7]
    folder.mkdir(parents=True)
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "ILSVRC2012_val_00000001.JPEG")
    Image.fromarray(noise[::-1]).save(folder / "ILSVRC2012_val_00000002.JPEG")
    words = ("nets", "--evaluate", folder.parent, "--device", "cpu")
    (row,) = json.loads(command(*words, "--weights", squeezenet, "--limit", 1, "--json")[1])
    assert (row["network"], row["images"], row["depth"]) == ("squeezenet1_1", 1, 18)
    assert "2 images of 1 classes" in command(*words, "--weights", squeezenet)[1]
    assert "--evaluate needs --weights" in command(*words)[2]


@pytest.mark.parametrize("words", [("--seed", "0"), ("--limit", "5"), ("--weights", "resnet18.tv_in1k")])
def test_what_measures_needs_images(command: Command, words: tuple[str, str]) -> None:
    status, _, said = command("nets", *words)
    assert status == 2
    assert f"{words[0]} is an option of --evaluate" in said
