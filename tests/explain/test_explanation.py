"""Explanations as a user asks for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from patched import COLOURS, PATCH, patched
from PIL import Image

from deepenough import DeepenoughError
from deepenough.attribution import overlay
from deepenough.cli import cli
from deepenough.data.preprocess import Framing
from deepenough.explain import explain
from deepenough.model import Model, save_model


@pytest.fixture
def folder(patches_model: Model, tmp_path: Path) -> Path:
    """The model as a folder, and photos of twice its size in class folders beside it."""
    save_model(
        tmp_path / "model",
        patches_model.network,
        patches_model.module.state_dict(),
        patches_model.preprocess,
        patches_model.classes,
    )
    pixels, labels, _ = patched(6, 7)
    for number, (image, label) in enumerate(zip(pixels, labels, strict=True)):
        path = tmp_path / "photos" / list(COLOURS)[label] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).resize((96, 64)).save(path)
    return tmp_path


def test_a_right_and_a_wrong_answer(patches_model: Model) -> None:
    pixels, labels, _ = patched(1, 8)
    name = list(COLOURS)[labels[0]]
    other = next(each for each in COLOURS if each != name)
    right, wrong = explain(patches_model, [pixels[0], pixels[0]], truth=[name, other])
    assert (right.prediction.label, right.wrong, right.truth_heat) == (name, False, None)
    assert wrong.wrong
    assert wrong.truth_heat is not None
    assert not np.array_equal(wrong.truth_heat, wrong.heat)
    assert wrong.picture().width > right.picture().width
    assert right.heat.shape == pixels.shape[1:3]


def test_the_heat_lies_where_the_network_looked(patches_model: Model) -> None:
    """A wide picture is cut to its middle: the heat belongs there, and the patch is where it was."""
    pixels, labels, corners = patched(1, 9)
    wide = Image.new("RGB", (96, 32), "black")
    wide.paste(Image.fromarray(pixels[0]), (32, 0))
    (found,) = explain(patches_model, wide)
    assert found.box == (32, 0, 64, 32)
    assert found.prediction.label == list(COLOURS)[labels[0]]
    alpha = np.asarray(overlay(found.heat, (96, 32), found.box))[..., 3]
    y, x = np.unravel_index(alpha.argmax(), alpha.shape)
    assert 0 <= y - corners[0, 0] < PATCH
    assert 0 <= x - 32 - corners[0, 1] < PATCH
    assert not alpha[:, :32].any()
    assert not alpha[:, 64:].any()


@pytest.mark.parametrize(
    ("framing", "size", "box"),
    [
        (Framing((32, 32)), (64, 32), (16, 0, 48, 32)),
        (Framing((32, 64)), (100, 100), (0, 25, 100, 75)),
        (Framing((224, 224), 256), (512, 512), (32, 32, 480, 480)),
        (Framing((224, 224), 256), (512, 256), (144, 16, 368, 240)),
    ],
)
def test_what_of_a_picture_is_seen(framing: Framing, size: tuple[int, int], box: tuple[float, ...]) -> None:
    assert framing.box(*size) == pytest.approx(box)
    ramp = np.tile(np.arange(size[0], dtype=np.float32), (size[1], 1)) / size[0] * 255
    seen = framing.apply(Image.fromarray(ramp.astype(np.uint8)), 1)[:, :, 0]
    assert seen[0, 0] == pytest.approx(box[0] / size[0] * 255, abs=6)
    assert seen[0, -1] == pytest.approx(box[2] / size[0] * 255, abs=6)


@pytest.mark.parametrize("method", ["gradcam", "integrated-gradients", "occlusion"])
def test_the_command_draws(method: str, folder: Path) -> None:
    out = folder / "seen.png"
    words = ["explain", str(folder / "model"), str(folder / "photos"), "--method", method, "--out", str(out)]
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert result.output.count(".png: ") == 6
    picture = np.asarray(Image.open(out))
    assert picture.shape[0] > 6 * 200
    assert picture.std() > 10


def test_the_command_fills_a_folder_and_knows_the_truth(folder: Path) -> None:
    out = folder / "seen"
    (folder / "photos" / "red").mkdir(exist_ok=True)
    blue = next((folder / "photos" / "blue").iterdir())
    lie = folder / "photos" / "red" / "lie.png"
    lie.write_bytes(blue.read_bytes())
    words = ["explain", str(folder / "model"), str(lie), str(blue), "--out", str(out)]
    result = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert "lie.png: blue" in result.output
    assert ", and it is red" in result.output
    lied, told = (Image.open(out / name) for name in sorted(p.name for p in out.iterdir()))
    assert lied.width > told.width


def test_what_is_wrong_is_said(patches_model: Model, folder: Path) -> None:
    with pytest.raises(DeepenoughError, match="class 'rd' is not known; nearest is red"):
        explain(patches_model, patched(1, 0)[0][0], truth="rd")
    text = folder / "words.txt"
    text.write_text("no image")
    photo = next((folder / "photos" / "blue").iterdir())
    words = ["explain", str(folder / "model"), str(text), str(photo), "--out", str(folder / "seen.png")]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 1
    assert "words.txt: not-an-image: it begins like no image" in result.output
    assert (folder / "seen.png").is_file()
    assert explain(patches_model, []) == []
