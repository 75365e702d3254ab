"""A source without an image that can be used says why."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepenough.data.images import prepare
from deepenough.data.sources import open_source
from deepenough.errors import DeepenoughError


def test_all_too_small(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (6, 7), number).save(tmp_path / "set" / name / f"{number}.png")
    with pytest.raises(
        DeepenoughError, match=r"6 tiny \(a/0\.png: 6 x 7 is under 8 pixels a side\); resize them first"
    ):
        prepare(open_source(tmp_path / "set"), cache=tmp_path / "cache")
    for name in ("a", "b"):
        for number in range(3):
            (tmp_path / "set" / name / f"{number}.png").write_text("text")
    (tmp_path / "set" / "a" / "0.png").write_bytes(b"")
    with pytest.raises(
        DeepenoughError, match=r"5 not-an-image \(a/1\.png: .*; 1 damaged \(a/0\.png: the file is empty"
    ):
        prepare(open_source(tmp_path / "set"), cache=tmp_path / "cache")


def test_too_few_images_of_a_class_come_with_the_reasons(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for number in range(6):
        for name in ("a", "b"):
            picture = Image.fromarray(random.integers(0, 256, (12, 12), dtype=np.uint8))
            picture.save(tmp_path / "set" / name / f"{number}.png")
        (tmp_path / "set" / "c" / f"{number}.txt").write_text("text")
    picture.save(tmp_path / "set/b/again.png")
    with pytest.raises(
        DeepenoughError, match=r"class 'c' has 0; .*\. Not counted: 6 not-an-image \(c/0\.txt: "
    ) as error:
        prepare(open_source(tmp_path / "set"), cache=tmp_path / "cache")
    assert "duplicate" not in str(error.value)  # that is another class's


def test_a_folder_that_can_not_be_read_is_named_where_nothing_is_left_to_train_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / "set" / "test" / name).mkdir(parents=True)
        for number in range(4):
            picture = Image.fromarray(random.integers(0, 256, (12, 12), dtype=np.uint8))
            picture.save(tmp_path / "set" / "test" / name / f"{number}.png")
    (tmp_path / "set" / "train").mkdir()
    scandir = os.scandir

    def locked(path: str | Path) -> object:
        if str(path).endswith("train"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    source = open_source(tmp_path / "set")
    with pytest.raises(DeepenoughError, match=r"all 8 images belong to the test split.*1 unreadable \(train: "):
        prepare(source, cache=tmp_path / "cache")


def test_arrays_that_are_too_small_say_so(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 5), np.uint8)
    source = open_source((images, np.arange(60) % 2))
    expected = (
        r"images: none of its 60 images can be read: 60 tiny \(images\[0\]: 5 x 4 is under 8 .*\); resize them first"
    )
    with pytest.raises(DeepenoughError, match=expected):
        prepare(source, cache=tmp_path / "cache")
