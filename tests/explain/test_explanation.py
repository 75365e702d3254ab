"""Explanations as a user asks for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from patched import COLOURS, PATCH, patched
from PIL import Image

from deepenough import DeepenoughError
from deepenough.attribution.methods import COMPLETE, heat
from deepenough.attribution.overlay import SHADE_ALPHA, overlay
from deepenough.cli.app import cli
from deepenough.cli.explain import explain_images
from deepenough.explain import Explanation, explain
from deepenough.explain.explanation import share_text
from deepenough.explain.picture import BARS, GAP, HEIGHT, WIDEST, draw
from deepenough.model import Model, save_model
from deepenough.preprocessing import Preprocessing


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


def test_the_heat_of_a_class_that_is_asked_for(patches_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking for a class says nothing about what is right."""
    pixels, labels, _ = patched(1, 8)
    name = list(COLOURS)[labels[0]]
    other = next(each for each in COLOURS if each != name)
    (found,) = explain(patches_model, pixels[0], target=other)
    assert (found.prediction.label, found.target, found.truth, found.wrong) == (name, other, None, False)
    aim = patches_model.classes.index(other)
    np.testing.assert_array_equal(found.heat, heat(patches_model, pixels, [aim])[0])
    captions, truth = drawing(found, monkeypatch)
    assert captions == ["image", f"for {other}"]
    assert truth is None
    (known,) = explain(patches_model, pixels[0], target=other, truth=other)
    assert (known.wrong, known.truth_heat) == (True, None)
    assert drawing(known, monkeypatch) == (captions, None)
    with pytest.raises(DeepenoughError, match="class 'gren' is not known; nearest is green"):
        explain(patches_model, pixels[0], target="gren")


def drawing(found: Explanation, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], str | None]:
    """The captions and notes of an explanation's picture, and what it says is right."""
    seen: list[Any] = []
    monkeypatch.setattr("deepenough.explain.explanation.draw", lambda *given: seen.extend(given) or draw(*given))
    found.picture()
    panels, _, truth = seen
    return [words for panel in panels for words in (panel.caption, *panel.notes)], truth


def test_an_empty_map_says_so(patches_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under its picture, all of it also beside a narrow one."""
    (found,) = explain(patches_model, Image.fromarray(patched(1, 8)[0][0]).resize((32, 96)))
    empty = replace(found, heat=np.zeros_like(found.heat))
    label = found.prediction.label
    cut = "the pale part is cut off before the network sees it"
    assert drawing(empty, monkeypatch)[0] == ["image", f"for {label}", f"nothing speaks for {label} here", cut]
    assert drawing(replace(found, heat=found.heat - 1e9), monkeypatch)[0][-2] == f"nothing speaks for {label} here"
    assert drawing(found, monkeypatch)[0] == ["image", f"for {label}", cut]
    plain, noted = replace(found, box=(0, 0, 32, 96)).picture(), empty.picture()
    assert noted.height > plain.height
    assert noted.width > plain.width
    below = np.asarray(noted.convert("L"))[HEIGHT + 40 :, 100:-320]
    assert below.min() < 150


def test_integrated_gradients_that_do_not_add_up_say_so(
    patches_model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, labels, _ = patched(1, 8)
    name = list(COLOURS)[labels[0]]
    other = next(each for each in COLOURS if each != name)
    (found,) = explain(patches_model, pixels[0], method="integrated-gradients", truth=other)
    assert found.off is not None
    assert found.off <= COMPLETE * 1.01
    assert explain(patches_model, pixels[0])[0].off is None
    monkeypatch.setattr("deepenough.attribution.methods.STEPS", 1)
    monkeypatch.setattr("deepenough.attribution.methods.MOST_STEPS", 1)
    (found,) = explain(patches_model, pixels[0], method="integrated-gradients", truth=other)
    assert found.off is not None
    assert found.truth_off is not None
    assert found.inexact == {name: found.off, other: found.truth_off}
    words, _ = drawing(found, monkeypatch)
    assert f"its sum is off by {share_text(found.off)}" in words
    assert f"its sum is off by {share_text(found.truth_off)}" in words
    Image.fromarray(pixels[0]).save(folder / "one.png")
    given = ["explain", str(folder / "model"), str(folder / "one.png"), "--out", str(folder / "seen.png")]
    result = CliRunner().invoke(cli, [*given, "--method", "integrated-gradients"], catch_exceptions=False)
    assert (
        f"; the integrated gradients for {name} miss the difference of logits by {share_text(found.off)}"
        in result.output
    )


def test_the_heat_lies_where_the_network_looked(patches_model: Model) -> None:
    """A wide picture is cut to its middle: the heat belongs there, and the patch is where it was.

    It is not at the edge, where a map of 8 x 8 that is enlarged is level over two rows, one of them beside the patch.
    """
    pixels, labels, corners = patched(1, 11)
    wide = Image.new("RGB", (96, 32), "black")
    wide.paste(Image.fromarray(pixels[0]), (32, 0))
    (found,) = explain(patches_model, wide)
    assert found.box == (32, 0, 64, 32)
    assert found.prediction.label == list(COLOURS)[labels[0]]
    alpha = np.asarray(overlay(found.heat, (96, 32), found.box))[..., 3].copy()
    assert (alpha[:, :32] == SHADE_ALPHA).all()
    assert (alpha[:, 64:] == SHADE_ALPHA).all()
    alpha[:, :32] = alpha[:, 64:] = 0
    y, x = np.unravel_index(alpha.argmax(), alpha.shape)
    assert 0 <= y - corners[0, 0] < PATCH
    assert 0 <= x - 32 - corners[0, 1] < PATCH


@pytest.mark.parametrize(
    ("framing", "size", "box"),
    [
        (Preprocessing((32, 32)), (64, 32), (16, 0, 48, 32)),
        (Preprocessing((32, 64)), (100, 100), (0, 25, 100, 75)),
        (Preprocessing((224, 224), 256), (512, 512), (32, 32, 480, 480)),
        (Preprocessing((224, 224), 256), (512, 256), (144, 16, 368, 240)),
    ],
)
def test_what_of_a_picture_is_seen(framing: Preprocessing, size: tuple[int, int], box: tuple[float, ...]) -> None:
    assert framing.box(*size) == pytest.approx(box)
    ramp = np.tile(np.arange(size[0], dtype=np.float32), (size[1], 1)) / size[0] * 255
    seen = framing.frame(Image.fromarray(ramp.astype(np.uint8)), 1)[:, :, 0]
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
    assert ", but it is red" in result.output
    lied, told = (Image.open(out / name) for name in sorted(p.name for p in out.iterdir()))
    assert lied.width > told.width


@pytest.mark.parametrize(("inside", "image"), [("", "lie.png"), ("worse", "../lie.png")])
def test_the_truth_is_known_inside_the_folder_of_a_class(
    folder: Path, inside: str, image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "photos" / "red" / inside).mkdir(parents=True, exist_ok=True)
    blue = next((folder / "photos" / "blue").iterdir())
    (folder / "photos" / "red" / "lie.png").write_bytes(blue.read_bytes())
    monkeypatch.chdir(folder / "photos" / "red" / inside)
    words = ["explain", str(folder / "model"), image, "--out", str(folder / "lie-seen.png")]
    assert ", but it is red" in CliRunner().invoke(cli, words, catch_exceptions=False).output


def test_the_command_takes_the_class_that_is_meant(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is right stays known from the folder, and is said in words only."""
    red = next((folder / "photos" / "red").iterdir())
    out = folder / "seen.png"
    assert explain_images(folder / "model", (str(red),), out=out, target="blue") == 0
    assert capsys.readouterr().out.startswith(f"{red}: red")
    assert Image.open(out).width < 2 * WIDEST + BARS + 5 * GAP


@pytest.mark.parametrize(
    ("out", "told"),
    [
        ("photo.png", r"photo\.png is one of the images and would be overwritten"),
        ("alias.png", r"alias\.png is one of the images"),
        ("here", r"001-a\.png is one of the images"),
        ("no/such/dir/x.png", r"there is no folder .*no/such/dir; create it first"),
        ("words.txt/x.png", r"words\.txt is a file"),
        ("words.txt/seen", r"words\.txt is a file"),
        ("words.txt", r"words\.txt is a file; name a picture"),
        ("x.gif", r"pictures can't be written as \.gif; end the name with \.png, \.jpg"),
        ("x.TIFF", r"pictures can't be written as \.tiff"),
        ("x.svg", r"pictures can't be written as \.svg"),
    ],
)
def test_an_output_that_can_not_be_is_refused_before_the_work(
    out: str, told: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = folder / "photo.png"
    Image.fromarray(patched(1, 0)[0][0]).save(photo)
    (folder / "alias.png").hardlink_to(photo)
    (folder / "here").mkdir()
    for name in ("001-a.png", "a.png"):
        (folder / "here" / name).write_bytes(photo.read_bytes())
    (folder / "words.txt").write_text("words")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    monkeypatch.setattr(
        "deepenough.explain.explanation.explain", lambda *given, **options: pytest.fail("it worked first")
    )
    given = (str(photo), str(folder / "here"))[out == "here" :]
    with pytest.raises(DeepenoughError, match=told):
        explain_images(folder / "model", given[:1], out=folder / out)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert not (folder / "x.gif").exists()


def test_a_folder_may_be_called_like_a_picture(folder: Path) -> None:
    photo = next((folder / "photos" / "blue").iterdir())
    for name in ("seen.gif", "seen.png"):
        (folder / name).mkdir()
        assert explain_images(folder / "model", (str(photo),), out=folder / name) == 0
        assert [each.name for each in (folder / name).iterdir()] == [f"000-{photo.stem}.png"]


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


def test_a_picture_has_words_of_the_language(
    patches_model: Model, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pixels, labels, _ = patched(1, 8)
    (found,) = explain(patches_model, [pixels[0]], truth=list(COLOURS)[labels[0]])
    said: list[str] = []
    monkeypatch.setattr(
        "deepenough.explain.explanation.draw", lambda panels, *more: said.extend(panel.caption for panel in panels)
    )
    monkeypatch.setattr("deepenough.fonts._wide", lambda size: object())
    for language in ("zh", "en"):
        found.picture(language)
    assert said[:2] == ["图片", f"支持 {found.shown}"]
    assert said[2:] == ["image", f"for {found.shown}"]
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    found.picture()
    assert said[-2] == "图片"
    monkeypatch.setattr("deepenough.fonts._wide", lambda size: None)
    found.picture()
    assert said[-2] == "image", "the locale alone is no reason to draw letters that this machine lacks"
    photo = next((folder / "photos").rglob("*.png"))
    with pytest.raises(DeepenoughError, match="--language zh: no font on this machine has Chinese letters"):
        explain_images(folder / "model", [str(photo)], language="zh", out=tmp_path / "x.png")
