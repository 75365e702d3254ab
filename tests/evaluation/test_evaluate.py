"""A model is measured by class names, on the images that can be read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deepenough import evaluate, load, record
from deepenough.data.images import prepare
from deepenough.data.sources import open_source

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def held_out(finished: Path, shapes: Path, tmp_path: Path) -> Path:
    """The run's test images in class folders."""
    images = prepare(open_source(shapes))
    for row in images.split.test:
        path = next(shapes.rglob(Path(images.names[row]).name))
        (tmp_path / path.parent.name).mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / path.parent.name)
    return tmp_path


def test_the_test_images_give_the_record_s_test_metrics(finished: Path, held_out: Path) -> None:
    metrics, left_out = evaluate(finished, held_out)
    expected = record.load(finished).test
    assert expected is not None
    assert left_out == []
    assert metrics.confusion == expected.confusion
    assert metrics.top1 == expected.top1
    assert metrics.loss == pytest.approx(expected.loss, abs=1e-5)


def test_the_images_of_the_run_keep_its_split(command: Command, finished: Path, shapes: Path) -> None:
    """On the folder it was made from, training images are not measured as if they were new."""
    whole = record.load(finished)
    assert whole.test is not None
    metrics, _ = evaluate(finished, shapes)
    assert metrics.confusion == whole.test.confusion
    everything, _ = evaluate(finished, shapes, split="all")
    assert everything.top1.count == 180
    _, out, err = command("evaluate", finished, shapes)
    assert "its own test images are measured" in out + err


def test_classes_go_by_name_whatever_the_folders(finished: Path, held_out: Path) -> None:
    """Without the first class every folder's row in the data is another than its row in the model."""
    shutil.rmtree(held_out / "circle")
    metrics, _ = evaluate(finished, held_out)
    whole = record.load(finished).test
    assert whole is not None
    assert metrics.confusion == [[0, 0, 0], *whole.confusion[1:]]
    assert [a.count for a in metrics.per_class] == [0, 12, 12]
    expected = np.trace(metrics.confusion) / 24
    assert metrics.top1.value == pytest.approx(expected)


def test_folders_named_by_wordnet_ids_are_imagenets_classes(finished: Path, held_out: Path) -> None:
    model = load(finished)
    expected, _ = evaluate(model, held_out)
    model.classes = ("tench", "goldfish", "hammerhead")
    for name, wordnet_id in zip(("circle", "cross", "square"), ("n01440764", "n01443537", "n01494475"), strict=True):
        (held_out / name).rename(held_out / wordnet_id)
    metrics, _ = evaluate(model, held_out)
    assert metrics.confusion == expected.confusion
    model.classes = ("tench", "goldfish", "n01494475")
    assert evaluate(model, held_out)[0].confusion == expected.confusion


def test_an_unknown_class_is_an_error(command: Command, finished: Path, held_out: Path) -> None:
    (held_out / "cross").rename(held_out / "star")
    status, _, err = command("evaluate", finished, held_out)
    assert status == 2
    assert "does not know class 'star'; it knows circle, cross, square" in err


def test_a_damaged_image_is_left_out_by_name(command: Command, finished: Path, held_out: Path) -> None:
    (held_out / "circle" / "broken.png").write_bytes(b"\x89PNG nothing")
    status, out, err = command("evaluate", finished, held_out, "--json")
    assert status == 0
    assert json.loads(out)["top1"]["count"] == 36
    assert "broken.png" in err


def test_split_folders_choose_what_is_measured(command: Command, finished: Path, held_out: Path) -> None:
    for split, names in (("test", ("circle",)), ("train", ("cross", "square"))):
        (held_out / split).mkdir()
        for name in ("circle", "cross", "square"):
            (held_out / split / name).mkdir()
            source = held_out / name
            for path in source.iterdir() if name in names else ():
                shutil.copy(path, held_out / split / name)
    for name in ("circle", "cross", "square"):
        shutil.rmtree(held_out / name)

    def counts(*words: str) -> list[int]:
        status, out, err = command("evaluate", finished, held_out, "--json", *words)
        assert status == 0, err
        return [a["count"] for a in json.loads(out)["per_class"]]

    assert counts() == [12, 0, 0]
    assert counts("--split", "train") == [0, 12, 12]
    assert counts("--split", "all") == [12, 12, 12]
    assert "nearest is train" in command("evaluate", finished, held_out, "--split", "trian")[2]
    assert "it has no validation images" in command("evaluate", finished, held_out, "--split", "validation")[2]


def test_the_table_names_every_class(command: Command, finished: Path, held_out: Path) -> None:
    status, out, _ = command("evaluate", finished, held_out)
    assert status == 0
    assert all(name in out for name in load(finished).classes)


def test_one_class_is_enough_to_measure_and_those_that_lack_are_named(
    command: Command, finished: Path, held_out: Path
) -> None:
    shutil.rmtree(held_out / "cross")
    status, out, err = command("evaluate", finished, held_out, "--json")
    assert status == 0
    assert "the data has no images of cross: the accuracy is that of the other classes" in err
    assert [a["count"] for a in json.loads(out)["per_class"]] == [12, 0, 12]
    shutil.rmtree(held_out / "square")
    status, out, err = command("evaluate", finished, held_out, "--json")
    assert status == 0, err
    assert "no images of cross, square" in err
    measured = json.loads(out)
    assert measured["top1"]["count"] == 12
    expected = [p.label == "circle" for p in load(finished).predict(sorted(held_out.rglob("*.png")))]
    assert measured["top1"]["value"] == pytest.approx(np.mean(expected))
    assert command("fit", held_out)[0] == 2


def test_what_lies_beside_the_images_is_said(command: Command, finished: Path, held_out: Path) -> None:
    (held_out / "circle" / "@eaDir").mkdir()
    (held_out / "notes.txt").write_text("x")
    status, _, err = command("evaluate", finished, held_out)
    assert status == 0
    assert "left out: circle/@eaDir" in err
    assert "left out: notes.txt" in err
