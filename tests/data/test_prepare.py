from __future__ import annotations

import errno
import io
import multiprocessing
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from prepared_images import kinds, ready

from deepenough.data import cache_writer as fill
from deepenough.data.decode import framed
from deepenough.data.images import Images, prepare
from deepenough.data.sources import open_source
from deepenough.errors import DeepenoughError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def sides(images: Images) -> dict[str, str]:
    parts = {"train": images.split.train, "validation": images.split.validation, "test": images.split.test}
    return {images.names[row]: part for part, rows in parts.items() for row in rows}


def test_pixels_labels_and_moments_are_those_of_a_plain_reading(two_classes: Path, tmp_path: Path) -> None:
    images = ready(two_classes, tmp_path / "cache", size=32)
    assert images.pixels.shape == (24, 32, 32, 3)
    assert images.pixels.dtype == np.uint8
    assert not images.pixels[:].flags.writeable
    for row, name in enumerate(images.names):
        file = two_classes / name
        assert images.classes[images.labels[row]] == file.parent.name
        np.testing.assert_array_equal(images.pixels[row], framed(file, images.preprocess))
        plain = np.asarray(Image.open(file).resize((40, 32), Image.Resampling.BILINEAR)).astype(int)[:, 4:36]
        assert np.abs(images.pixels[row] - plain).max() <= 1
    values = images.pixels[images.split.train].reshape(-1, 3) / 255
    np.testing.assert_allclose(images.preprocess.mean, values.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(images.preprocess.std, values.std(axis=0), rtol=1e-9)
    assert [len(part) for part in (images.split.train, images.split.validation, images.split.test)] == [16, 3, 5]


def test_every_kind_of_trouble_is_named_and_left_out(two_classes: Path, tmp_path: Path, photo: Any) -> None:
    cat = two_classes / "cat"
    jpeg = io.BytesIO()
    photo(50).save(jpeg, "JPEG")
    (cat / "cut.jpg").write_bytes(jpeg.getvalue()[:700])
    (cat / "empty.jpg").write_bytes(b"")
    (cat / "words.jpg").write_text("not an image")
    photo(51, 5, 5).save(cat / "tiny.png")
    photo(52).quantize(8).save(cat / "film.gif", save_all=True, append_images=[photo(53).quantize(8)])
    (cat / "link.png").symlink_to(tmp_path / "nowhere.png")
    (two_classes / "empty").mkdir()
    images = ready(two_classes, tmp_path / "cache")
    assert kinds(images) == {
        "damaged": {"cat/cut.jpg", "cat/empty.jpg"},
        "not-an-image": {"cat/words.jpg"},
        "tiny": {"cat/tiny.png"},
        "animated": {"cat/film.gif"},
        "missing": {"cat/link.png"},
        "empty-class": {"empty"},
    }
    assert len(images) == 24
    for row, name in enumerate(images.names):  # rows moved up together with their names and labels
        np.testing.assert_array_equal(images.pixels[row], framed(two_classes / name, images.preprocess))


def test_duplicates_across_splits_stay_in_test_before_validation_before_train(tmp_path: Path, photo: Any) -> None:
    root = tmp_path / "set"
    for row, (split, count) in enumerate((("train", 6), ("val", 3), ("test", 3))):
        for column, name in enumerate("ab"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                photo(1000 * row + 100 * column + number, 200, 150).save(root / split / name / f"{number}.png")
    copy = Image.open(root / "test/a/0.png")
    copy.resize((133, 100), Image.Resampling.LANCZOS).save(root / "train/a/small.jpg", quality=60)
    copy.save(root / "val/a/again.webp", quality=80)
    shutil.copy(root / "val/b/1.png", root / "train/b/bytes.png")
    Image.open(root / "val/b/2.png").save(root / "train/b/pixels.bmp")
    for file, grey in (("val/b/flat.png", 128), ("train/b/flat.bmp", 128), ("train/b/other.png", 129)):
        Image.new("RGB", (200, 150), (grey, grey, grey)).save(root / file)  # too flat for a hash: pixels decide
    images = ready(root, tmp_path / "cache")
    assert kinds(images) == {
        "across-splits": {
            "train/a/small.jpg", "val/a/again.webp", "train/b/bytes.png", "train/b/pixels.bmp", "train/b/flat.bmp",
        }
    }  # fmt: skip
    details = {finding.name: finding for finding in images.findings}
    assert details["train/b/bytes.png"].detail == "the same bytes as val/b/1.png in validation"
    assert details["train/b/flat.bmp"].detail == "the same pixels as val/b/flat.png in validation"
    assert "re-encoded or resized, as val/b/2.png" in details["train/b/pixels.bmp"].detail
    assert "re-encoded or resized" in details["train/a/small.jpg"].detail
    assert details["train/a/small.jpg"].action == "left out of training"
    assert len(images.split.train) == 13
    assert len(images.split.validation) == 7
    assert len(images.split.test) == 6


def test_duplicates_share_a_side_and_conflicting_labels_are_left_out(two_classes: Path, tmp_path: Path) -> None:
    for number in range(6):
        Image.open(two_classes / f"cat/{number:02}.png").save(two_classes / f"cat/copy{number}.jpg", quality=70)
    Image.open(two_classes / "cat/11.png").save(two_classes / "dog/wrong.jpg", quality=90)
    seen = set()
    for seed in range(8):
        images = ready(two_classes, tmp_path / "cache", seed=seed)
        side = sides(images)
        for number in range(6):
            assert side[f"cat/{number:02}.png"] == side[f"cat/copy{number}.jpg"]
            seen.add(side[f"cat/copy{number}.jpg"])
        for train, held in images.folds(3, seed):
            assert not set(images.groups[train]) & set(images.groups[held])
            assert not set(train) & set(images.split.test)
    assert seen == {"train", "validation", "test"}
    found = kinds(images)
    assert found["conflicting-labels"] == {"cat/11.png", "dog/wrong.jpg"}
    assert len(found["duplicate"]) == 6
    assert not {"cat/11.png", "dog/wrong.jpg"} & set(images.names)


def test_images_of_one_scene_are_duplicates_only_when_all_pixels_are(tmp_path: Path) -> None:
    base = np.random.default_rng(0).integers(0, 255, (28, 28), dtype=np.uint8)
    for row, name in enumerate("ab"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(8):
            pixels = base.copy()
            pixels[row, number] += 1
            Image.fromarray(pixels).save(tmp_path / "set" / name / f"{number}.png")
    Image.fromarray(pixels).save(tmp_path / "set" / "b" / "same.bmp")
    images = ready(tmp_path / "set", tmp_path / "cache")
    assert kinds(images) == {"duplicate": {"b/same.bmp"}, "similar-scene": {"a/0.png"}}
    assert images.pixels.shape == (17, 28, 28, 1)


def test_the_second_run_decodes_nothing_and_a_change_is_seen(
    two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: Any
) -> None:
    calls = []
    decode = fill.decode_image
    monkeypatch.setattr(fill, "decode_image", lambda *given: calls.append(1) or decode(*given))
    first = ready(two_classes, tmp_path / "cache")
    assert len(calls) == 24
    calls.clear()
    again = ready(two_classes, tmp_path / "cache")
    assert calls == []
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert (first.fingerprint, list(first.names)) == (again.fingerprint, list(again.names))
    os.utime(two_classes / "cat/00.png", ns=(1, 1))
    assert ready(two_classes, tmp_path / "cache").fingerprint == first.fingerprint
    photo(77).save(two_classes / "cat/00.png")
    changed = ready(two_classes, tmp_path / "cache")
    assert changed.fingerprint != first.fingerprint
    assert not np.array_equal(changed.pixels[0], first.pixels[0])
    shutil.move(two_classes / "cat/00.png", two_classes / "dog/new.png")
    assert ready(two_classes, tmp_path / "cache").fingerprint != changed.fingerprint


@pytest.mark.parametrize("harm", ["cut", "flip", "meta", "pointer", "gone"])
def test_a_damaged_cache_is_made_again(two_classes: Path, tmp_path: Path, harm: str) -> None:
    first = ready(two_classes, tmp_path / "cache")
    expected = np.array(first.pixels)
    (entry,) = [path for path in (tmp_path / "cache" / "images").iterdir() if path.is_dir()]
    (pointer,) = (tmp_path / "cache" / "images").glob("*.json")
    file = {"meta": entry / "meta.json", "pointer": pointer}.get(harm, entry / "pixels.npy")
    data = bytearray(file.read_bytes())
    if harm == "flip":
        data[5000] ^= 1
    file.unlink()
    if harm != "gone":
        file.write_bytes(data if harm == "flip" else data[:-3])
    again = ready(two_classes, tmp_path / "cache")
    np.testing.assert_array_equal(again.pixels, expected)


def test_an_interrupted_fill_leaves_nothing(two_classes: Path, tmp_path: Path) -> None:
    def stop(done: float, total: float, what: str) -> None:
        if what == "looking for duplicates":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ready(two_classes, tmp_path / "cache", progress=stop)
    assert list((tmp_path / "cache" / "images").iterdir()) == []


def _in_another_process(root: Path, cache: Path, results: Any) -> None:
    images = prepare(open_source(root), cache=cache)
    results.put((images.fingerprint, int(np.asarray(images.pixels).sum())))


def test_two_processes_at_once(two_classes: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    both = [
        context.Process(target=_in_another_process, args=(two_classes, tmp_path / "cache", results)) for _ in range(2)
    ]
    for process in both:
        process.start()
    answers = {results.get(timeout=60) for _ in both}
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    assert len(answers) == 1
    assert len([path for path in (tmp_path / "cache" / "images").iterdir() if path.is_dir()]) == 1


def test_subset_is_stratified_and_has_another_fingerprint(tmp_path: Path) -> None:
    images = prepare(open_source("digits"), cache=tmp_path)
    few = images.subset(200, seed=1)
    assert [len(part) for part in (few.split.train, few.split.validation, few.split.test)] == [200, 200, 200]
    assert set(few.split.train) <= set(images.split.train)
    assert np.bincount(few.labels[few.split.train]).min() >= 18
    assert few.fingerprint != images.fingerprint
    assert few.fingerprint == images.subset(200, seed=1).fingerprint
    with pytest.raises(DeepenoughError, match="at least 10"):
        images.subset(3, seed=0)


def test_what_cannot_be_prepared_says_why(two_classes: Path, tmp_path: Path) -> None:
    with pytest.raises(DeepenoughError, match="at least 8 pixels"):
        ready(two_classes, tmp_path / "cache", size=4)
    for file in (two_classes / "dog").iterdir():
        file.write_text("no image")
    with pytest.raises(DeepenoughError, match="class 'dog' has 0"):
        ready(two_classes, tmp_path / "cache")
    for file in (two_classes / "cat").iterdir():
        file.write_text("no image")
    with pytest.raises(DeepenoughError, match="none of its 24 files is an image"):
        ready(two_classes, tmp_path / "cache")
    (tmp_path / "file").write_text("")
    with pytest.raises(DeepenoughError, match="DEEPENOUGH_CACHE"):
        ready(two_classes, tmp_path / "file" / "below")


def test_rectangles_and_progress(two_classes: Path, tmp_path: Path) -> None:
    seen = []
    images = ready(two_classes, tmp_path / "cache", size=(16, 40), progress=lambda *at: seen.append(at))
    assert images.pixels.shape == (24, 16, 40, 3)
    assert (24, 24, "reading images") in seen


def test_fashion_mnist_loses_no_image_but_copies_of_test_images(tmp_path: Path) -> None:
    if not Path("/usr/share/datasets/fashion-mnist").is_dir():
        pytest.skip("Debian's dataset-fashion-mnist is not here")
    images = prepare(open_source("fashion-mnist"), cache=tmp_path)
    assert {finding.kind for finding in images.findings} <= {"duplicate", "near-duplicate", "across-splits"}
    left_out = [finding for finding in images.findings if finding.kind == "across-splits"]
    assert all(finding.action == "left out of training" for finding in left_out)
    assert len(images.findings) <= 70  # 1 in 1,000
    assert images.pixels.shape == (70_000 - len(left_out), 28, 28, 1)
    assert len(images.split.test) == 10_000
    assert images.classes[0] == "T-shirt/top"


def test_a_disk_that_is_full_is_an_error_and_no_signal(
    two_classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def taken(number: int) -> Any:
        def fallocate(handle: int, start: int, length: int) -> None:
            raise OSError(number, os.strerror(number))

        return fallocate

    monkeypatch.setattr(os, "posix_fallocate", taken(errno.ENOSPC))
    with pytest.raises(DeepenoughError, match=r"No space left on device.*make room"):
        ready(two_classes, tmp_path / "full")
    monkeypatch.setattr(os, "posix_fallocate", taken(errno.EOPNOTSUPP))
    assert len(ready(two_classes, tmp_path / "cannot tell")) == 24
