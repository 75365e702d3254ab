"""What the command line says to what is misspelt or out of range, and the commands that draw."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepenough.nets import zoo
from deepenough.nets.choose import choose_network
from deepenough.nets.zoo.catalogue import CATALOGUE

Command = Callable[..., tuple[int, str, str]]
EIGHT = {"alexnet": 8, "vgg16": 16, "vgg19": 19, "googlenet": 22, "resnet34": 34, "resnet50": 50, "resnet101": 101,
         "resnet152": 152}  # fmt: skip
NETWORK_KEYS = {"name", "depth", "parameters", "macs", "receptive_field", "layers"}
LAYER_KEYS = {
    "path", "kind", "kernel", "stride", "padding", "groups", "input_shape", "output_shape", "parameters", "macs",
    "receptive_field",
}  # fmt: skip


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fti digits", "No such command 'fti'. Did you mean 'fit'?"),
        ("weights lst", "No such command 'lst'. Did you mean 'list'?"),
        ("frobnicate", "No such command 'frobnicate'."),
        ("fit digits --famly residual", "No such option '--famly'. (Did you mean one of: '--family'"),
        ("fit digits --family residul", "residual"),
        ("fit digits --target 95", "--target 95: expected a share between 0 and 1; for 95% write 0.95 or 95%"),
        ("fit digits --target 0", "--target 0: expected a share between 0 and 1"),
        ("fit digits --target 1.0", "--target 1: expected a share between 0 and 1; write for example 0.99 or 99%"),
        ("fit digits --target 100%", "--target 1: expected a share between 0 and 1; write for example 0.99 or 99%"),
        ("fit digits --initial-scale 70", "and at most 1; for 70% write 0.7 or 70%"),
        ("fit digits --margin 1", "expected a share between 0 and 1; for 1% write 0.01 or 1% (1 is 100%)"),
        ("fit digits --margin 0", "--margin 0: expected"),
        ("fit digits --epochs 0", "--epochs 0: expected at least 1"),
        ("fit digits --max-depth -3", "--max-depth -3: expected at least 1"),
        ("fit digits --width 0", "--width 0: expected more than 0"),
        ("fit digits --time-limit soon", "expected a length of time, such as 90s, 20m or 1.5h"),
        ("fit digits --seed -1 --out {tmp}/run", "--seed -1: expected 0 to"),
        ("fit digits --cache-limit much --out {tmp}/run", "expected an amount of memory, such as 500MB or 20GB"),
        ("fit digits --precision float8 --out {tmp}/run", "float8"),
        ("plan {tmp}/photos", "photos"),
        ("plan digits --target 95", "--target 95: expected a share between 0 and 1"),
        ("augment digits --seed -1", "--seed"),
        ("augment digits --out {tmp}/nowhere/sheet.png", "nowhere"),
        ("fit digits --threads 100000 --out {tmp}/run", "--threads 100,000: expected 1 to 1,024"),
        ("fit digits --folds 0 --out {tmp}/run", "--folds 0: expected at least 1; give 1 for the validation split"),
        ("fit digits --max-depth 2 --out {tmp}/run", "--max-depth 2: the shallowest network of family 'residual'"),
        ("fit --resume {tmp}/nowhere", "there is no such folder; give the RUN that `deepenough fit` named"),
        ("fit digits --resume {tmp}", "--resume takes everything from the run; leave out data"),
        ("fit --resume {tmp} --epochs 3 --seed 0", "leave out --seed, --epochs"),
        ("fit {tmp}/photos", "photos"),
        (
            "fit digits --log mlflw",
            "Invalid value for '--log': 'mlflw' is not one of 'tensorboard', 'mlflow', 'wandb';",
        ),
        ("fit digits --log mlflw", "; nearest is mlflow."),
        ("fit digits --augment Strong", "; nearest is strong."),
        ("explain {tmp} a.png --method gradcm", "; nearest is gradcam."),
        ("predict {tmp} a.png --engine onxx", "; nearest is onnx."),
        ("serve {tmp} --device CPU", "; nearest is cpu."),
        ("serve {tmp} --log-format jsn", "; nearest is json."),
        ("nets resnet51", "network 'resnet51' is not known; nearest are resnet"),
        ("nets residual --depth 2", "the shallowest residual network for images of 3x32x32 has depth 3"),
        ("nets vgg16 --depth 20", "--depth 20: vgg16 is one network; families have a choice"),
        ("nets --depth 20", "--depth needs a network"),
        ("nets resnet34 --input 224", "expected channels, height and width, such as 3x224x224"),
        ("nets alexnet --input 3x8x8", "conv1: Conv(96, kernel=11, stride=4, padding=0) got (3, 8, 8)"),
        ("report {tmp}/nowhere", "there is no such folder"),
        ("augment {tmp}/nowhere", "nowhere"),
    ],
)
def test_a_mistake_gets_one_clear_word_and_no_traceback(
    command: Command, tmp_path: Path, words: str, expected: str
) -> None:
    status, out, err = command(*words.replace("{tmp}", str(tmp_path)).split())
    assert (status, out) == (2, "")
    assert expected in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_all_networks_in_json(command: Command) -> None:
    status, out, _ = command("nets", "--json")
    found = {network["name"]: network for network in json.loads(out)}
    assert status == 0
    assert list(found) == list(CATALOGUE)
    assert {name: found[name]["depth"] for name in EIGHT} == EIGHT
    for name, network in found.items():
        assert set(network) >= NETWORK_KEYS - {"layers"} | {"family", "year", "published"}
        assert (network["family"], network["year"]) == (CATALOGUE[name].family, CATALOGUE[name].year)
        assert network["published"] is None or {"top1", "top5", "protocol"} <= set(network["published"][0])
    for name in EIGHT:
        assert set(found[name]) >= NETWORK_KEYS
        assert all(set(layer) >= LAYER_KEYS for layer in found[name]["layers"])
    assert found["vgg16"]["parameters"] == 138_357_544
    stated = {name: (network["published"] or [None])[0] for name, network in found.items()}
    wanted = {"mobilenet_v2": (28.122, "torchvision", "IMAGENET1K_V1"),
              "convnext_atto": (24.328, "timm", "convnext_atto.d2_in1k")}  # fmt: skip
    for name, values in wanted.items():
        assert tuple(stated[name][key] for key in ("top1", "source", "weights")) == values
    assert found["efficientnet_lite1"]["published"] is None


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("deit_tiny_patch16_224", "vit_tiny_patch16_224"), ("regnety_004", "regnet_y_400mf"),
        ("mobilenetv2_100", "mobilenet_v2"), ("EfficientNet_B0", "efficientnet_b0"),
        ("vit_b_16", "vit_base_patch16_224"),
        ("tf_efficientnet_lite0", "efficientnet_lite0_tf"), ("resnet50", "resnet50"),
    ],
)  # fmt: skip
def test_a_network_by_the_names_that_others_have_for_it(given: str, name: str) -> None:
    assert choose_network(given).name == zoo.network(given).name == name


def test_the_table_has_a_row_for_each_of_the_eight(command: Command) -> None:
    status, out, _ = command("nets")
    assert status == 0
    for name, depth in EIGHT.items():
        assert any(name in line.lower().replace("-", "") and str(depth) in line for line in out.splitlines()), name


def test_one_network_in_json(command: Command) -> None:
    status, out, _ = command("nets", "resnet50", "--json")
    network = json.loads(out)
    assert status == 0
    assert set(network) >= NETWORK_KEYS
    assert all(set(layer) >= LAYER_KEYS for layer in network["layers"])
    assert (network["name"], network["depth"], network["parameters"]) == ("resnet50", 50, 25_557_032)
    assert sum(layer["parameters"] for layer in network["layers"]) == network["parameters"]
    assert sum(layer["macs"] for layer in network["layers"]) == network["macs"]
    first = network["layers"][0]
    assert (first["kind"].lower(), first["kernel"], first["stride"], first["padding"]) == ("conv", 7, 2, 3)
    assert (first["input_shape"], first["output_shape"]) == ([3, 224, 224], [64, 112, 112])


def test_a_family_takes_depth_width_input_and_classes(command: Command) -> None:
    words = ("nets", "residual", "--depth", 20, "--width", 1.5, "--input", "1x28x28", "--classes", 7, "--json")
    status, out, err = command(*words)
    assert status == 0, err
    network = json.loads(out)
    assert network["depth"] == 20
    assert network["layers"][0]["input_shape"] == [1, 28, 28]
    assert network["layers"][-1]["output_shape"] == [7]
    thin = json.loads(command(*("1" if word == 1.5 else word for word in words))[1])
    assert network["parameters"] > 1.8 * thin["parameters"]


def test_layers_are_listed_for_a_reader(command: Command) -> None:
    status, out, _ = command("nets", "alexnet", "--input", "3x227x227")
    assert status == 0
    assert "227" in out
    assert "lrn" in out.lower()


def test_a_plan_names_every_rung_and_keeps_nothing(
    command: Command, shapes: Path, quick_arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, output, _ = command("plan", str(shapes), *quick_arguments, "--json")
    assert status == 0
    found = json.loads(output)
    assert [architecture["name"] for architecture in found["architectures"]] == ["residual-3", "residual-7"]
    assert all(architecture["seconds"] > 0 and architecture["memory"] > 0 for architecture in found["architectures"])
    assert 0 < found["least"] <= found["most"]
    assert found["memory"] > 50 * 2**20  # what the process has taken already
    status, output, _ = command("plan", str(shapes), *quick_arguments)
    assert status == 0
    assert "residual-7" in output
    assert "the search:" in output
    assert list(tmp_path.iterdir()) == []


def test_augment_draws_originals_beside_their_augmentations(command: Command, shapes: Path, tmp_path: Path) -> None:
    picture = tmp_path / "sheet.png"
    status, out, err = command("augment", shapes, "--augment", "strong", "--out", picture)
    assert status == 0, err
    assert str(picture) in out
    with Image.open(picture) as sheet:
        assert min(sheet.size) > 16
        assert np.asarray(sheet.convert("L")).std() > 1
    again = tmp_path / "again.png"
    command("augment", shapes, "--augment", "strong", "--out", again)
    assert again.read_bytes() == picture.read_bytes()
    command("augment", shapes, "--augment", "strong", "--seed", 1, "--out", again)
    assert again.read_bytes() != picture.read_bytes()


def test_the_picture_lies_where_the_user_is(
    command: Command, shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = command("augment", shapes)
    assert status == 0, err
    assert [path.name for path in tmp_path.iterdir()] == ["shapes-augmented.png"]


def test_augment_writes_an_enlarged_data_set_that_can_be_read(command: Command, shapes: Path, tmp_path: Path) -> None:
    status, _, err = command("augment", shapes, "--times", 1, "--no-flip", "--out", tmp_path / "more")
    assert status == 0, err
    counts = [len(list((tmp_path / "more" / name).iterdir())) for name in ("circle", "cross", "square")]
    assert sum(counts) == 2 * 122  # the 122 training images, and each of them once more
    assert "--times needs --out FOLDER" in command("augment", shapes, "--times", 1)[2]
    assert "expected a picture, such as sheet.png" in command("augment", shapes, "--out", tmp_path / "sheet")[2]


def test_report_is_written_anew(command: Command, finished: Path) -> None:
    page = finished / "report.html"
    page.unlink()
    status, out, _ = command("report", finished)
    assert status == 0
    assert str(page) in out
    assert page.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html")


def test_sound_is_the_old_name_of_probe(command: Command, tmp_path: Path) -> None:
    status, _, err = command("sound", tmp_path / "nowhere", "--weights", "x")
    assert status == 2
    assert err.startswith("deepenough: `sound` is now called `probe`\n")
    assert "nowhere" in err
    _, new, quiet = command("probe", "--help")
    _, old, told = command("sound", "--help")
    assert (old, quiet, told) == (new, "", "deepenough: `sound` is now called `probe`\n")
    listed = command("--help")[1]
    assert "\n  probe " in listed
    assert "sound" not in listed
