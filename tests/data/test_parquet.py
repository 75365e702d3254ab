"""Parquet files whose labels have several types, orders and gaps."""

from __future__ import annotations

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deepenough.data.sources import Source, open_source
from deepenough.data.split import TEST, TRAIN, UNASSIGNED, VALIDATION
from deepenough.errors import DeepenoughError

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write(file: Path, labels: Any, names: list[str] | None = None, images: Any = None, **columns: Any) -> None:
    """A file whose images are the numbers of their rows; `names` make a ClassLabel."""
    file.parent.mkdir(parents=True, exist_ok=True)
    labels = pa.array(labels) if isinstance(labels, list) else labels
    images = images or [{"bytes": f"{file.stem}{row}".encode(), "path": None} for row in range(len(labels))]
    table = pa.table({"image": pa.array(images, IMAGE), "label": labels, **columns})
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    if names is not None:
        features["label"] = {"_type": "ClassLabel", "names": names}
    info = json.dumps({"info": {"features": features}})
    pq.write_table(table.replace_schema_metadata({"huggingface": info}), file, row_group_size=4)


def content(source: Source) -> dict[bytes, tuple[str, int]]:
    """The class and split of each image, by what is read of it."""
    return {
        source.read(row): (source.classes[label], int(split))  # type: ignore[misc]
        for row, (label, split) in enumerate(zip(source.labels, source.splits, strict=True))
    }


def test_each_file_has_its_own_order_of_names(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0, 1, 0], ["red", "blue"])
    write(tmp_path / "test.parquet", [0, 1, 2], ["green", "blue", "red"])
    write(tmp_path / "validation.parquet", ["blue", "red"])
    assert content(open_source(tmp_path)) == {
        b"train0": ("red", TRAIN),
        b"train1": ("blue", TRAIN),
        b"train2": ("red", TRAIN),
        b"test0": ("green", TEST),
        b"test1": ("blue", TEST),
        b"test2": ("red", TEST),
        b"validation0": ("blue", VALIDATION),
        b"validation1": ("red", VALIDATION),
    }


def test_dictionaries_have_their_own_order_too(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", pa.array(["b", "a", "b"]).dictionary_encode())
    write(tmp_path / "test.parquet", pa.array(["a", None, "b"]).dictionary_encode())
    assert {k: v for k, (v, _) in content(open_source(tmp_path)).items()} == {
        b"train0": "b",
        b"train1": "a",
        b"train2": "b",
        b"test0": "a",
        b"test2": "b",
    }


@pytest.mark.parametrize(
    "labels",
    [
        [10, 9, None, 10],
        [10.0, 9.0, float("nan"), 10.0],
        ["10", "9 ", "", "\ufeff10"],
        [b"10", b"9", b" ", b"10"],
        [Decimal("10.0"), Decimal("9.0"), None, Decimal("10.0")],
        [[10], [9], [], [10]],
        [["10"], ["9"], None, ["10.0"]],
        pa.array(["10", "9", None, "10"]).dictionary_encode(),
        pa.array([10, 9, None, 10], pa.uint8()),
    ],
)
def test_a_number_is_the_same_in_every_type_and_a_gap_is_left_out(tmp_path: Path, labels: Any) -> None:
    write(tmp_path / "train.parquet", labels)
    source = open_source(tmp_path)
    assert source.classes == ("9", "10")
    assert [name for name, _ in content(source).values()] == ["10", "9", "10"]
    assert list(source.names) == ["train.parquet[0]", "train.parquet[1]", "train.parquet[3]"]
    assert [(f.kind, f.name) for f in source.findings if f.kind == "unlabelled"] == [("unlabelled", "train.parquet[2]")]


def test_files_of_different_types_are_mapped(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [1.0, 0.0])
    write(tmp_path / "test.parquet", [0, 1])
    write(tmp_path / "dev.parquet", ["1", "0"])
    assert Counter(content(open_source(tmp_path)).values()) == {(c, s): 1 for c in "01" for s in (0, 1, 2)}


def test_numbers_in_one_file_and_words_in_another_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0, 1])
    write(tmp_path / "test.parquet", ["cat", "dog"])
    with pytest.raises(
        DeepenoughError, match=r"train\.parquet are numbers \(0, 1\) .*test\.parquet words \(cat, dog\)"
    ):
        open_source(tmp_path)
    write(tmp_path / "test.parquet", [0, 1], ["cat", "dog"])
    with pytest.raises(DeepenoughError, match="nothing says which number is which word"):
        open_source(tmp_path)


def test_class_labels_with_gaps_and_beyond_their_names(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0, -1, 1, None, 0], ["cat", "dog"])
    source = open_source(tmp_path)
    assert [name for name, _ in content(source).values()] == ["cat", "dog", "cat"]
    write(tmp_path / "train.parquet", [1, 0], ["1", "0"])  # a number is a row, whatever the names are
    assert [name for name, _ in content(open_source(tmp_path)).values()] == ["0", "1"]
    write(tmp_path / "train.parquet", [0, 1, 5], ["cat", "dog"])
    with pytest.raises(DeepenoughError, match="the label '5' is none of its 2 class names"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([["a"], ["b", "a"]], r"row 2: it has several labels \(b, a\)"),
        ([{"x": 1}, {"x": 2}], "labels of the type struct"),
        (pa.array([None, None], pa.string()), "none of its 2 rows has a label"),
        (["a", "a"], "only the class 'a'"),
    ],
)
def test_labels_that_cannot_be_used(tmp_path: Path, labels: Any, words: str) -> None:
    write(tmp_path / "train.parquet", labels)
    with pytest.raises(DeepenoughError, match=words):
        open_source(tmp_path)


def test_columns_tell_splits(tmp_path: Path) -> None:
    write(tmp_path / "data.parquet", ["a", "b", "a", "b"], split=pa.array(["train", "dev", None, "Test"]))
    assert list(open_source(tmp_path).splits) == [TRAIN, VALIDATION, UNASSIGNED, TEST]
    write(tmp_path / "data.parquet", ["a", "b", "a", "b"], is_valid=pa.array([False, True, None, False]))
    assert list(open_source(tmp_path).splits) == [TRAIN, VALIDATION, UNASSIGNED, TRAIN]


@pytest.mark.parametrize("folder", ["", "default", "data"])
def test_files_in_split_folders(tmp_path: Path, folder: str) -> None:
    write(tmp_path / folder / "train/0000.parquet", ["a", "b"])
    write(tmp_path / folder / "test/0000.parquet", ["b", "a", "b"])
    (tmp_path / "README.md").write_text("x")
    source = open_source(tmp_path)
    assert Counter(source.splits.tolist()) == {TRAIN: 2, TEST: 3}
    assert source.names[0] == "/".join(filter(None, (folder, "test/0000.parquet[0]")))


def test_images_without_their_bytes(tmp_path: Path) -> None:
    write(tmp_path / "t.parquet", ["a", "b"], images=[{"bytes": None, "path": f"{n}.png"} for n in range(2)])
    with pytest.raises(DeepenoughError, match=r"holds the paths of images and not their bytes.* give a CSV"):
        open_source(tmp_path)
    write(
        tmp_path / "t.parquet", ["a", "b"], images=[{"bytes": None, "path": "0.png"}, {"bytes": b"x", "path": "1.png"}]
    )
    source = open_source(tmp_path)
    assert source.read(1) == b"x"
    with pytest.raises(OSError, match="the row holds a path and no image bytes"):
        source.read(0)


def test_files_need_not_have_the_same_columns_but_images_and_labels(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", ["a", "b"], note=pa.array(["x", "y"]))
    write(tmp_path / "test.parquet", ["b", "a"])
    assert len(content(open_source(tmp_path))) == 4
    pq.write_table(pa.table({"image": pa.array([b"x"]), "klass": [1]}), tmp_path / "dev.parquet")
    with pytest.raises(DeepenoughError, match=r"dev\.parquet: no label column among image, klass"):
        open_source(tmp_path)
