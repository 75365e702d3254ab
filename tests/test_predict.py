"""A finished run predicts: exactly as it was tested, whatever form the image has, and one bad image stops nothing."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepenough import DeepenoughError, load, record
from deepenough.data.images import prepare
from deepenough.data.sources import open_source
from deepenough.training.evaluate import predict_probabilities as probabilities_in_test

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pictures(shapes: Path) -> list[Path]:
    return sorted(shapes.rglob("*.png"))[::40]


def test_probabilities_are_those_that_the_test_evaluation_saw(finished: Path, shapes: Path) -> None:
    images, model = prepare(open_source(shapes)), load(finished)
    test = images.split.test
    seen = probabilities_in_test(model.module, images, test, model.preprocess, model.device)
    paths = [next(shapes.rglob(Path(images.names[i]).name)) for i in test]
    alone = [model.predict(path, top=3)[0] for path in paths]
    together = model.predict(paths, top=3)
    order = [[prediction.classes.index(name) for name in model.classes] for prediction in together]
    for predictions in (alone, together):
        found = np.array([np.array(p.probabilities)[o] for p, o in zip(predictions, order, strict=True)])
        np.testing.assert_allclose(found, seen, atol=1e-5)
    hits = sum(p.label == images.classes[images.labels[i]] for p, i in zip(together, test, strict=True))
    accuracy = record.load(finished).test
    assert accuracy is not None
    assert (hits, len(test)) == (round(accuracy.top1.value * accuracy.top1.count), accuracy.top1.count)


def test_path_bytes_picture_and_array_give_the_same(finished: Path, pictures: list[Path]) -> None:
    model, path = load(finished), pictures[1]
    with Image.open(path) as picture:
        forms = [str(path), path.read_bytes(), picture, np.asarray(picture)]
        expected = model.predict(path)
        for form in forms:
            assert model.predict(form) == expected
        together = model.predict(iter([path, *forms]))
    assert [p.classes for p in together] == 5 * [expected[0].classes]
    for found in together:  # a batch sums in another order
        assert found.probabilities == pytest.approx(expected[0].probabilities, abs=1e-6)
    assert sum(expected[0].probabilities) == pytest.approx(1, abs=1e-5)
    assert list(expected[0].probabilities) == sorted(expected[0].probabilities, reverse=True)
    assert expected[0].confidence == expected[0].probabilities[0]
    assert model.predict([]) == []


def test_another_size_and_mode_are_prepared_as_for_training(finished: Path, pictures: list[Path]) -> None:
    model = load(finished)
    with Image.open(pictures[0]) as picture:
        for changed in (picture.resize((40, 40)), picture.convert("L"), picture.convert("RGBA")):
            assert sum(model.predict(changed)[0].probabilities) == pytest.approx(1, abs=1e-5)


def test_table(command: Command, finished: Path, pictures: list[Path]) -> None:
    status, out, err = command("predict", finished, *pictures, "--top", 2)
    lines = out.splitlines()
    assert (status, err, len(lines)) == (0, "", len(pictures))
    for line, path, expected in zip(lines, pictures, load(finished).predict(pictures, top=2), strict=True):
        shown = "  ".join(f"{c} {p:.1%}" for c, p in zip(expected.classes, expected.probabilities, strict=True))
        assert line == f"{path}: {shown}"


def test_json_and_csv_say_what_python_says(command: Command, finished: Path, pictures: list[Path]) -> None:
    expected = load(finished).predict(pictures)
    status, out, _ = command("predict", finished, *pictures, "--json")
    assert status == 0
    for line, path, want in zip(out.splitlines(), pictures, expected, strict=True):
        found = json.loads(line)
        assert (found["image"], found["label"], found["classes"]) == (str(path), want.label, list(want.classes))
        assert found["probabilities"] == pytest.approx(want.probabilities, abs=1e-6)
    status, out, _ = command("predict", finished, *pictures, "--csv")
    assert status == 0
    for row, path, want in zip(csv.DictReader(io.StringIO(out)), pictures, expected, strict=True):
        assert (row["image"], row["label"], row["class_2"]) == (str(path), want.label, want.classes[1])
        assert float(row["p_1"]) == pytest.approx(want.confidence, abs=1e-6)


def test_a_folder_is_searched_through(command: Command, finished: Path, shapes: Path) -> None:
    status, out, _ = command("predict", finished, shapes, "--json")
    assert status == 0
    assert [json.loads(line)["image"] for line in out.splitlines()] == [str(p) for p in sorted(shapes.rglob("*.png"))]


def test_what_is_not_probable_enough_is_rejected(command: Command, finished: Path, pictures: list[Path]) -> None:
    sure = sorted(p.confidence for p in load(finished).predict(pictures))
    limit = (sure[0] + sure[1]) / 2
    words = ("predict", finished, *pictures, "--reject-below", limit)
    labels = [json.loads(line)["label"] for line in command(*words, "--json")[1].splitlines()]
    assert labels.count(None) == 1
    assert [row["label"] for row in csv.DictReader(io.StringIO(command(*words, "--csv")[1]))].count("") == 1
    assert command(*words)[1].count("rejected: ") == 1


@pytest.mark.parametrize("style", ["", "--json", "--csv"])
def test_a_damaged_image_does_not_stop_the_others(
    command: Command, finished: Path, pictures: list[Path], tmp_path: Path, style: str
) -> None:
    cut, text = tmp_path / "cut.png", tmp_path / "text.png"
    cut.write_bytes(pictures[0].read_bytes()[:200])
    text.write_text("not a picture")
    status, out, err = command("predict", finished, cut, pictures[0], text, pictures[1], *([style] if style else []))
    assert status == 1
    assert "Traceback" not in out + err
    for good in pictures[:2]:
        assert str(good) in out
    for bad in (cut, text):
        assert (out if style == "--json" else err).count(str(bad)) >= 1
    if style == "--csv":
        assert [row["image"] for row in csv.DictReader(io.StringIO(out))] == [str(p) for p in pictures[:2]]


def test_a_missing_image_is_an_error_with_the_nearest_name(command: Command, finished: Path, shapes: Path) -> None:
    status, out, err = command("predict", finished, shapes / "circle" / "circl001.png")
    assert (status, out) == (2, "")
    assert "there is no such file or folder; nearest: " in err
    assert "circle001.png" in err
    assert "Traceback" not in err


def test_an_empty_folder_and_a_missing_run_are_errors(command: Command, finished: Path, tmp_path: Path) -> None:
    assert "no images in this folder" in command("predict", finished, tmp_path)[2]
    status, _, err = command("predict", tmp_path / "no-run", tmp_path)
    assert status == 2
    assert "there is no such folder; give the RUN" in err


@pytest.mark.parametrize("name", ["weights.safetensors", "network.json", "preprocess.json"])
def test_a_flipped_bit_in_the_model_is_noticed(finished: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "model"
    shutil.copytree(finished / "model", folder)
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(DeepenoughError, match="damaged or changed") as error:
        load(folder)
    assert str(folder / name) in str(error.value)


def test_a_missing_file_of_the_model_is_named(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(finished / "model", folder)
    (folder / "weights.safetensors").unlink()
    with pytest.raises(DeepenoughError, match=r"no weights\.safetensors in it"):
        load(folder)


def test_damaged_sums_are_noticed(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(finished / "model", folder)
    (folder / "SHA256SUMS").write_text("")
    with pytest.raises(DeepenoughError, match="SHA256SUMS"):
        load(folder)


def test_a_folder_goes_by_content_and_says_what_it_passed_over(
    command: Command, finished: Path, pictures: list[Path], tmp_path: Path
) -> None:
    names = ["a.jfif", "b", "c.PNG", "d.txt", "deep/" * 30 + "e.jpe", "@eaDir/f.png", ".g.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(pictures[0], tmp_path / name)
    (tmp_path / "notes.png").write_text("no picture")
    (tmp_path / "cut.jpg").write_bytes(pictures[0].read_bytes()[:100])
    os.mkfifo(tmp_path / "pipe.png")
    status, out, err = command("predict", finished, tmp_path, "--json")
    found = {Path(line["image"]).relative_to(tmp_path).as_posix(): line for line in map(json.loads, out.splitlines())}
    assert status == 1
    assert sorted(found) == sorted(["a.jfif", "b", "c.PNG", "d.txt", "deep/" * 30 + "e.jpe", "cut.jpg"])
    assert [name for name, line in found.items() if "error" in line] == ["cut.jpg"]
    assert err.count("passed over: ") == 4
    for name in ("notes.png", "pipe.png", "@eaDir", ".g.png"):
        assert name in err
    (tmp_path / "cut.jpg").unlink()
    assert command("predict", finished, tmp_path, "--csv")[0] == 0
    status, _, err = command("predict", finished, tmp_path / "pipe.png")
    assert (status, "it is a named pipe, which is not opened" in err) == (2, True)
    status, _, err = command("explain", finished, tmp_path, "--out", tmp_path / "explained")
    assert (status, err.count("passed over: ")) == (0, 4)
    assert len(list((tmp_path / "explained").iterdir())) == 5


def test_a_folder_without_an_image_says_what_is_there(command: Command, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    for name in ("predict", "explain"):
        status, out, err = command(name, finished, tmp_path)
        assert (status, out) == (2, "")
        assert "no images in this folder" in err
        assert "notes.txt" in err
