"""Which images are left out as duplicates, and what is said of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageOps
from prepared_images import kinds, ready

from deepenough.data.finding import Finding
from deepenough.data.same_picture import is_same_picture
from deepenough.experiment.options import Options


def encoded(picture: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def part(seed: int, spot: bool, noise: float = 4.0) -> Image.Image:
    """A part under a fixed camera, a little moved, in varying light; with a spot of 10 pixels where it is defective."""
    random = np.random.default_rng(seed)
    x, y = random.integers(-2, 3, 2)
    picture = Image.new("RGB", (256, 256), (90, 95, 100))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((40 + x, 40 + y, 216 + x, 216 + y), fill=(170, 170, 175), outline=(30, 30, 30), width=4)
    draw.rectangle((112 + x, 60 + y, 144 + x, 196 + y), fill=(120, 120, 130))
    if spot:
        left, top = random.integers(60, 190, 2).tolist()
        draw.rectangle((left, top, left + 9, top + 9), fill=(10, 10, 10))
    pixels = np.asarray(picture) + random.normal(random.integers(-8, 9), noise, (256, 256, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def test_a_fixed_camera_costs_no_image_and_makes_no_large_group(tmp_path: Path) -> None:
    for name in ("ok", "defect"):
        (tmp_path / "parts" / name).mkdir(parents=True)
        for number in range(20):
            picture = part(number + 100 * (name == "ok"), name == "defect")
            picture.save(tmp_path / "parts" / name / f"{number:02}.jpg", quality=92)
    images = ready(tmp_path / "parts", tmp_path / "cache")
    assert len(images) == 40
    assert np.bincount(images.groups).max() <= 2
    (scene,) = [finding for finding in images.findings if finding.kind == "similar-scene"]
    assert "pictures look alike when small (" in scene.detail
    assert scene.detail.endswith(", as those of a fixed camera do")
    assert scene.action == "kept as different pictures"
    assert kinds(images).keys() <= {"similar-scene", "duplicate"}


def test_a_small_defect_alone_is_a_near_duplicate_that_stays(two_classes: Path, tmp_path: Path) -> None:
    picture = Image.open(two_classes / "cat/03.png")
    ImageDraw.Draw(picture).rectangle((50, 40, 54, 44), fill=(10, 10, 10))
    picture.save(two_classes / "dog/spot.png")
    images = ready(two_classes, tmp_path / "cache")
    assert len(images) == 25
    assert kinds(images) == {"near-duplicate": {"cat/03.png", "dog/spot.png"}}
    assert {
        Finding(
            "near-duplicate",
            "dog/spot.png",
            "nearly the same picture, re-encoded or resized, as cat/03.png, labelled 'dog' here and 'cat' there",
            "kept",
        )
    } <= set(images.findings)


def test_one_conflict_does_not_drop_the_copies_of_a_picture(two_classes: Path, tmp_path: Path) -> None:
    original = Image.open(two_classes / "cat/05.png")
    ImageOps.mirror(original).save(two_classes / "cat/mirrored.png")
    original.point(lambda v: round(0.9 * v)).save(two_classes / "cat/darker.png")
    original.save(two_classes / "dog/wrong.jpg", quality=90)
    images = ready(two_classes, tmp_path / "cache")
    found = kinds(images)
    assert found["conflicting-labels"] == {"cat/05.png", "dog/wrong.jpg"}
    assert {"cat/mirrored.png", "cat/darker.png"} <= set(images.names)
    assert not {"cat/05.png", "dog/wrong.jpg"} & set(images.names)


@pytest.mark.parametrize("change", ["mirrored", "brighter", "cropped"])
def test_suspicion_alone_leaves_nothing_out_under_two_labels(two_classes: Path, tmp_path: Path, change: str) -> None:
    picture = Image.open(two_classes / "cat/05.png")
    changed = {
        "mirrored": ImageOps.mirror(picture),
        "brighter": picture.point(lambda v: min(round(1.1 * v), 255)),
        "cropped": picture.crop((6, 5, 114, 91)),
    }[change]
    changed.save(two_classes / "dog/wrong.png")
    images = ready(two_classes, tmp_path / "cache")
    assert len(images) == 25
    assert kinds(images) == {"near-duplicate": {"cat/05.png", "dog/wrong.png"}}


def test_across_splits_copies_are_left_out_and_other_labels_are_named(tmp_path: Path, photo: Any) -> None:
    root = tmp_path / "set"
    for row, split in enumerate(("train", "val", "test")):
        for column, name in enumerate("ab"):
            (root / split / name).mkdir(parents=True)
            for number in range(4):
                photo(1000 * row + 100 * column + number, 160, 120).save(root / split / name / f"{number}.png")
    tested = Image.open(root / "test/a/0.png")
    ImageOps.mirror(tested).save(root / "train/a/mirrored.jpg", quality=90)
    tested.crop((8, 6, 152, 114)).save(root / "val/a/cropped.jpg", quality=90)
    ImageOps.mirror(Image.open(root / "test/a/1.png")).save(root / "train/b/other-label.png")
    Image.open(root / "test/a/2.png").save(root / "train/b/wrong.bmp")
    images = ready(root, tmp_path / "cache")
    told = {finding.name: finding for finding in images.findings}
    assert told["train/a/mirrored.jpg"] == Finding(
        "across-splits",
        "train/a/mirrored.jpg",
        "the same picture, mirrored, as test/a/0.png in test",
        "left out of training",
    )
    assert told["val/a/cropped.jpg"].detail == "the same picture, cropped or framed, as test/a/0.png in test"
    assert told["val/a/cropped.jpg"].action == "left out of validation"
    assert (told["train/b/other-label.png"].kind, told["train/b/other-label.png"].action) == ("near-duplicate", "kept")
    assert told["train/b/wrong.bmp"].kind == "across-splits"
    assert len(told) == 4
    assert len(images) == 24 + 1
    everything = ready(root, tmp_path / "cache", leave_out=False)
    assert len(everything) == 24 + 4
    assert {finding.action for finding in everything.findings} == {"kept in training", "kept in validation", "kept"}


def test_equal_bytes_under_two_labels_are_left_out_and_kept_when_asked(two_classes: Path, tmp_path: Path) -> None:
    same = (two_classes / "cat/01.png").read_bytes()
    for name in ("cat/again.png", "dog/again.png"):
        (two_classes / name).write_bytes(same)
    images = ready(two_classes, tmp_path / "cache")
    assert kinds(images) == {"conflicting-labels": {"cat/01.png", "cat/again.png", "dog/again.png"}}
    assert len(images) == 23
    kept = ready(two_classes, tmp_path / "cache", leave_out=False)
    assert len(kept) == 26
    assert len({int(kept.groups[list(kept.names).index(f"{name}/again.png")]) for name in ("cat", "dog")}) == 1
    assert len(ready(two_classes, tmp_path / "cache")) == 23


def test_a_grey_picture_saved_as_rgb_has_the_same_pixels(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in "ab":
        (tmp_path / "set" / name).mkdir(parents=True)
        for number in range(6):
            picture = Image.fromarray(random.integers(0, 256, (12, 12), dtype=np.uint8))
            picture.save(tmp_path / "set" / name / f"{number}.png")
    picture.convert("RGB").save(tmp_path / "set/b/colour.png")
    (finding,) = ready(tmp_path / "set", tmp_path / "cache").findings
    assert finding == Finding("duplicate", "b/colour.png", "the same pixels as b/5.png", "kept on the same side")


def test_the_option_is_one_of_two_and_kept_in_the_record() -> None:
    assert Options().leaves_duplicates_out
    asked = Options.of(duplicates="keep")
    assert not asked.leaves_duplicates_out
    assert Options.from_json(asked.to_json()) == asked
    with pytest.raises(Exception, match="duplicates"):
        Options.of(duplicates="drop")


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(40, 95), st.sampled_from(["4:4:4", "4:2:0"]), st.booleans())
def test_a_jpeg_of_a_picture_is_the_same_picture(seed: int, quality: int, sampling: str, turned: bool) -> None:
    picture = part(seed, True)
    both = [encoded(picture), encoded(picture, "JPEG", quality=quality, subsampling=sampling)]
    assert is_same_picture(*(both[::-1] if turned else both))
    assert is_same_picture(both[0], both[0])
    assert not is_same_picture(encoded(part(seed, False)), both[1])


@settings(max_examples=25)
@given(st.integers(0, 1000), st.integers(30, 200), st.integers(30, 200), st.sampled_from(["PNG", "JPEG"]))
def test_a_spot_of_six_pixels_is_seen_at_full_resolution(seed: int, x: int, y: int, kind: str) -> None:
    picture = part(seed, False, noise=0)
    spotted = picture.copy()
    red, green, blue = picture.getpixel((x + 3, y + 3))
    ImageDraw.Draw(spotted).rectangle((x, y, x + 5, y + 5), fill=(red // 2, green // 2, blue // 2))
    assert not is_same_picture(encoded(picture, kind), encoded(spotted, kind))


def test_pictures_without_loss_have_to_be_equal_and_unreadable_ones_are_not_the_same() -> None:
    picture = part(1, False)
    other = picture.copy()
    other.putpixel((100, 100), tuple(value ^ 1 for value in picture.getpixel((100, 100))))
    assert not is_same_picture(encoded(picture), encoded(other))
    assert not is_same_picture(np.asarray(picture), encoded(other))
    assert is_same_picture(np.asarray(picture), encoded(picture, "BMP"))
    assert not is_same_picture(encoded(picture), encoded(picture)[:500])
    assert not is_same_picture(encoded(picture), encoded(picture.resize((256, 200))))
    smooth = Image.linear_gradient("L").resize((400, 300))
    assert is_same_picture(encoded(smooth), encoded(smooth.resize((200, 150))))


def test_a_row_that_is_listed_again_is_said_as_that(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(12):
        Image.fromarray(random.integers(0, 256, (12, 12), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    rows = [(number, "ab"[number % 2]) for number in range(12)]
    lines = [f"{number}.png,{label}" for number, label in [*rows, rows[0], (1, "a")]]
    (tmp_path / "t.csv").write_text("\n".join(["path,label", *lines]))
    found = {(f.kind, f.name, f.detail) for f in ready(tmp_path / "t.csv", tmp_path / "cache").findings}
    assert found == {
        ("duplicate", "0.png", "the same file, listed again"),
        ("conflicting-labels", "1.png", "the same file, listed again, labelled 'b' here and 'a' there"),
        ("conflicting-labels", "1.png", "the same file, listed again, labelled 'a' here and 'b' there"),
    }


def test_a_class_of_few_different_pictures_that_are_all_alike_keeps_them(tmp_path: Path, photo: Any) -> None:
    part = photo(1, 128, 128)
    for name in ("ok", "other"):
        (tmp_path / "set" / name).mkdir(parents=True)
    for number in range(15):  # five kinds of light, three pictures of each
        lit = part.point(lambda v, light=number % 5: min(v + light, 255))
        lit.save(tmp_path / f"set/ok/{number}.png")
        photo(100 + number, 128, 128).save(tmp_path / f"set/other/{number}.png")
    images = ready(tmp_path / "set", tmp_path / "cache")
    assert len(images) == 30
    groups = {int(group) for group, name in zip(images.groups, images.names, strict=True) if name.startswith("ok")}
    assert len(groups) == 5
    assert "similar-scene" in kinds(images)
