"""Which folders are splits, which are classes, and which are neither."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from source_content import content, place

from deepenough.data.sources import open_source
from deepenough.data.split import TEST, TRAIN, UNASSIGNED, VALIDATION
from deepenough.errors import DeepenoughError


@pytest.mark.parametrize(
    ("train", "other", "split"),
    [
        ("training_set", "test_set", TEST),
        ("Train", "VALIDATION_DATA", VALIDATION),
        ("training", "dev", VALIDATION),
        ("seg_train", "seg_test", TEST),
    ],
)
def test_split_folders_by_any_usual_name(tmp_path: Path, train: str, other: str, split: int) -> None:
    place(tmp_path, f"{train}/cat/1.png", f"{train}/dog/2.png", f"{other}/cat/3.png")
    source = open_source(tmp_path)
    assert source.classes == ("cat", "dog")
    assert content(source) == {
        f"{train}/cat/1.png": ("cat", TRAIN),
        f"{train}/dog/2.png": ("dog", TRAIN),
        f"{other}/cat/3.png": ("cat", split),
    }


@pytest.mark.parametrize(
    "folders", [("train", "test"), ("training_set", "val"), ("train/train", "test/test"), ("x_train", "x_test")]
)
def test_splits_without_class_folders_are_never_classes(tmp_path: Path, folders: tuple[str, str]) -> None:
    place(tmp_path, *(f"{folder}/{n}.png" for folder in folders for n in range(3)))
    with pytest.raises(DeepenoughError, match=r"are splits by their names and no class.*give a CSV") as error:
        open_source(tmp_path)
    assert "(with 3 files)" in str(error.value)
    (tmp_path / "labels.csv").write_text("path,label\n")
    with pytest.raises(DeepenoughError, match=r"give the table .*labels\.csv"):
        open_source(tmp_path)


def test_a_split_without_class_folders_beside_others_is_counted(tmp_path: Path) -> None:
    place(
        tmp_path, "train/a/1.png", "train/b/2.png", "train/3.png", "train/4.png", "test/5.png", "extra/c/6.png", "x.txt"
    )
    source = open_source(tmp_path)
    assert len(source) == 2
    found = {finding.name: finding.detail for finding in source.findings}
    assert found.keys() == {"test", "train/3.png, train/4.png", "extra", "x.txt"}
    assert "1 file in it and no class folders, such as 5.png" in found["test"]
    assert "1 file in it" in found["extra"]


def test_classes_beside_a_test_split_train(tmp_path: Path) -> None:
    place(tmp_path, "cat/1.png", "dog/2.png", "test/cat/3.png", "test/dog/4.png")
    splits = {name: split for name, (_, split) in content(open_source(tmp_path)).items()}
    assert splits == {"cat/1.png": UNASSIGNED, "dog/2.png": UNASSIGNED, "test/cat/3.png": TEST, "test/dog/4.png": TEST}


def test_a_train_among_vehicles_is_a_class_and_a_test_is_not(tmp_path: Path) -> None:
    place(tmp_path / "a", "bus/1.png", "car/2.png", "train/3.png")
    source = open_source(tmp_path / "a")
    assert source.classes == ("bus", "car", "train")
    assert [(f.kind, f.name) for f in source.findings] == [("split-like", "train")]
    source = open_source(place(tmp_path / "b", "bus/1.png", "car/2.png", "test/3.png"))
    assert source.classes == ("bus", "car")
    assert [(f.kind, f.name) for f in source.findings] == [("ignored", "test")]
    with pytest.raises(DeepenoughError, match=r"test \(with 1 file\) is a split by its name"):
        open_source(place(tmp_path / "c", "control/1.png", "test/2.png"))
    source = open_source(place(tmp_path / "d", "train/bus/1.png", "train/train/2.png", "test/train/3.png"))
    assert source.classes == ("bus", "train")


def test_splits_below_the_classes(tmp_path: Path) -> None:
    place(
        tmp_path, *(f"{c}/{s}/{s}.png" for c in ("cat", "dog") for s in ("Training", "val", "test_set")), "cat/x/1.png"
    )
    found = Counter(content(open_source(tmp_path)).values())
    assert found == {(c, s): 1 for c in ("cat", "dog") for s in (TRAIN, VALIDATION, TEST)} | {("cat", UNASSIGNED): 1}


def test_one_folder_called_test_in_one_class_is_no_split(tmp_path: Path) -> None:
    source = open_source(place(tmp_path, "cat/1.png", "cat/test/2.png", "dog/3.png"))
    assert set(source.splits) == {UNASSIGNED}
    assert [(f.kind, f.name) for f in source.findings] == [("split-like", "cat/test")]


def test_wrapped_splits_are_gone_into_and_a_wrapped_root_is_named(tmp_path: Path) -> None:
    place(tmp_path / "a", "train/images/cat/1.png", "train/images/dog/2.png", "test/test/cat/3.png")
    assert Counter(content(open_source(tmp_path / "a")).values()) == {
        ("cat", TRAIN): 1,
        ("dog", TRAIN): 1,
        ("cat", TEST): 1,
    }
    for name, deep in (("b", "x/y/z"), ("c", "data")):
        place(tmp_path / name, f"{deep}/train/cat/1.png", f"{deep}/train/dog/2.png", "__MACOSX/x.png", "LICENSE")
        with pytest.raises(DeepenoughError, match=rf"did you mean {tmp_path / name / deep}\?"):
            open_source(tmp_path / name)


def test_names_in_two_forms_of_unicode_are_one_class_and_in_two_cases_two(tmp_path: Path) -> None:
    place(tmp_path, "train/caf\u00e9/1.png", "train/dog/2.png", "test/cafe\u0301/3.png", "test/Dog/4.png")
    source = open_source(tmp_path)
    assert source.classes == ("Dog", "caf\u00e9", "dog")
    assert Counter(label for label, _ in content(source).values()) == {"caf\u00e9": 2, "dog": 1, "Dog": 1}
    assert {(f.kind, f.name) for f in source.findings} == {("same-class", "caf\u00e9"), ("similar-classes", "dog")}
    assert source.read(1) in {b"test/cafe\xcc\x81/3.png", b"test/Dog/4.png"}


def test_the_stamp_follows_what_is_passed_over_too(tmp_path: Path) -> None:
    place(tmp_path, "a/1.png", "b/2.png")
    before = open_source(tmp_path).stamp
    place(tmp_path, "b/.hidden")
    assert open_source(tmp_path).stamp != before


def test_a_root_that_cannot_be_listed_or_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DeepenoughError, match="it is a named pipe, which is not opened"):
        open_source(tmp_path / "pipe")

    def refuse(path: str | Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DeepenoughError, match="it cannot be read: Permission denied"):
        open_source(tmp_path)


def test_an_archive_beside_class_folders_is_passed_over(tmp_path: Path) -> None:
    for root, folders in ((tmp_path / "a", ("cat", "dog")), (tmp_path / "b", ("train/cat", "train/dog", "test/cat"))):
        place(root, *(f"{folder}/1.png" for folder in folders), "backup.tar")
        source = open_source(root)
        assert source.classes == ("cat", "dog")
        assert [(f.kind, f.name) for f in source.findings] == [("ignored", "backup.tar")]


@pytest.mark.parametrize(
    ("classes", "inside"), [(("fold1", "fold2", "fold3"), ("cat", "dog")), (("cat", "dog"), ("images", "masks"))]
)
def test_classes_that_all_hold_the_same_folders_are_named(
    tmp_path: Path, classes: tuple[str, ...], inside: tuple[str, ...]
) -> None:
    place(tmp_path, *(f"{name}/{folder}/{n}.png" for name in classes for folder in inside for n in range(3)))
    source = open_source(tmp_path)
    (finding,) = source.findings
    assert (finding.kind, finding.name) == ("split-like", ", ".join(classes))
    assert f"the same folders, {', '.join(inside)}" in finding.detail


def test_folders_that_tell_nothing_of_splits_are_not_named(tmp_path: Path) -> None:
    place(tmp_path, "cat/x/1.png", "cat/y/2.png", "dog/x/3.png", "dog/z/4.png")
    assert open_source(tmp_path).findings == ()
    place(tmp_path, "cat/z/1.png", "dog/y/3.png", "dog/loose.png")
    assert open_source(tmp_path).findings == ()


def test_what_systems_and_viewers_leave_behind_is_no_class(tmp_path: Path) -> None:
    left = ("FOUND.001", "Recycled", "$WinREAgent", "WPSystem", "_gsdata_")
    place(tmp_path, "cat/1.png", "dog/2.png", "cat/Picasa.ini", *(f"{name}/1.png" for name in left))
    source = open_source(tmp_path)
    assert source.classes == ("cat", "dog")
    assert set(source.names) == {"cat/1.png", "dog/2.png"}
    named = " ".join(finding.name for finding in source.findings)
    assert all(name in named for name in (*left, "cat/Picasa.ini"))


def test_a_packed_file_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "images.tar.gz").write_bytes(b"x")
    with pytest.raises(DeepenoughError, match="it is packed; unpack it"):
        open_source(tmp_path / "images.tar.gz")


def test_each_of_many_classes_costs_as_much_as_one_of_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved = 0
    plain = Path.resolve

    def resolve(self: Path, strict: bool = False) -> Path:
        nonlocal resolved
        resolved += 1
        return plain(self, strict)

    monkeypatch.setattr(Path, "resolve", resolve)
    counts = []
    for classes in (10, 20, 40):
        for number in range(classes):
            folder = tmp_path / str(classes) / f"class{number}"
            folder.mkdir(parents=True)
            (folder / "image.png").write_bytes(b"x")
        resolved = 0
        assert len(open_source(str(tmp_path / str(classes))).classes) == classes
        counts.append(resolved)
    assert counts[2] - counts[1] == 2 * (counts[1] - counts[0])
