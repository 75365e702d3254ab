from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepenough.data.sources import Source, idx, open_source
from deepenough.data.sources import open as opening
from deepenough.data.sources.base import present_classes
from deepenough.data.sources.names import Names, NumberedNames
from deepenough.data.split import TEST, TRAIN, UNASSIGNED, VALIDATION
from deepenough.errors import DeepenoughError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def png(value: int, side: int = 10) -> bytes:
    file = io.BytesIO()
    Image.new("L", (side, side), value).save(file, "PNG")
    return file.getvalue()


def place(root: Path, *paths: str) -> None:
    for number, path in enumerate(paths):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(png(number))


def test_digits_are_scikit_learns() -> None:
    from sklearn.datasets import load_digits

    source, theirs = open_source(None), load_digits()
    np.testing.assert_array_equal(source.labels, theirs.target)
    np.testing.assert_allclose(
        np.array([source.read(row) for row in range(50)]) / 255 * 16, theirs.images[:50], atol=0.04
    )
    assert not source.mirror
    assert source.classes == tuple("0123456789")


def test_folder_with_splits_takes_the_union_of_classes(tmp_path: Path) -> None:
    place(
        tmp_path,
        "train/b/1.png",
        "train/c/2.png",
        "valid/a/3.png",
        "valid/c/deep/4.png",
        "TEST/c/5.png",
        "extra/d/6.png",
    )
    source = open_source(tmp_path)
    assert source.classes == ("a", "b", "c")
    got = {
        name: (source.classes[label], split)
        for name, label, split in zip(source.names, source.labels, source.splits, strict=True)
    }
    assert got == {
        "train/b/1.png": ("b", TRAIN),
        "train/c/2.png": ("c", TRAIN),
        "valid/a/3.png": ("a", VALIDATION),
        "valid/c/deep/4.png": ("c", VALIDATION),
        "TEST/c/5.png": ("c", TEST),
    }
    for row, name in enumerate(source.names):
        assert source.read(row) == (tmp_path / name).read_bytes()
    assert [(f.kind, f.name) for f in source.findings] == [("ignored", "extra")]


def test_hidden_and_empty_folders_are_no_classes(tmp_path: Path) -> None:
    place(tmp_path, "ant/1.png", "bee/2.png", ".cache/x/3.png", ".hidden/4.png", "bee/.DS_Store", "__MACOSX/5.png")
    (tmp_path / "crow").mkdir()
    source = open_source(str(tmp_path))
    assert source.classes == ("ant", "bee")
    assert list(source.names) == ["ant/1.png", "bee/2.png"]
    assert set(source.splits) == {UNASSIGNED}
    assert [(f.kind, f.name) for f in source.findings] == [
        ("empty-class", "crow"),
        ("ignored", ".cache, .hidden, bee/.DS_Store"),
        ("ignored", "__MACOSX"),
    ]
    assert source.mirror


def test_the_stamp_follows_the_files(tmp_path: Path) -> None:
    place(tmp_path, "a/1.png", "b/2.png")
    before = open_source(tmp_path).stamp
    assert open_source(tmp_path).stamp == before
    file = tmp_path / "b" / "2.png"
    status = file.stat()
    file.write_bytes(bytes(reversed(file.read_bytes())))  # another content of the same size, made to look as old
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert open_source(tmp_path).stamp != before
    place(tmp_path, "other/a/1.png", "other/b/2.png")
    assert open_source(tmp_path / "other").stamp != before


def test_folders_that_are_no_data_set_say_why(tmp_path: Path) -> None:
    with pytest.raises(DeepenoughError, match="empty"):
        open_source(tmp_path)
    place(tmp_path, "flowers/1.png", "flowers/2.png")
    with pytest.raises(DeepenoughError, match="without class folders"):
        open_source(tmp_path / "flowers")
    with pytest.raises(DeepenoughError, match="only the class 'flowers'"):
        open_source(tmp_path)
    with pytest.raises(DeepenoughError, match=r"did you mean .*flowers\?"):
        open_source(tmp_path / "flower")
    with pytest.raises(DeepenoughError, match="did you mean digits"):
        open_source("digit")
    place(tmp_path, "set/data/a/1.png", "set/data/b/1.png")
    with pytest.raises(DeepenoughError, match=r"did you mean .*set/data"):
        open_source(tmp_path / "set")
    place(tmp_path, "words.txt")
    with pytest.raises(DeepenoughError, match="cannot be read as labelled images"):
        open_source(tmp_path / "words.txt")


def write_idx(path: Path, array: np.ndarray) -> None:
    data = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


@pytest.mark.parametrize("style", ["{}-{}-idx{}-ubyte", "{}-{}-idx{}-ubyte.gz", "{}-{}.idx{}-ubyte"])
def test_idx_files(tmp_path: Path, style: str) -> None:
    random = np.random.default_rng(1)
    images = {part: random.integers(0, 256, (n, 9, 11), dtype=np.uint8) for part, n in (("train", 20), ("t10k", 6))}
    labels = {part: (np.arange(len(a)) % 3 + 1).astype(np.uint8) for part, a in images.items()}
    for part in images:
        write_idx(tmp_path / style.format(part, "images", 3), images[part])
        write_idx(tmp_path / style.format(part, "labels", 1), labels[part])
    source = open_source(tmp_path)
    assert source.classes == ("1", "2", "3")
    np.testing.assert_array_equal(source.labels, np.concatenate([labels["train"], labels["t10k"]]) - 1)
    np.testing.assert_array_equal(source.splits, [TRAIN] * 20 + [TEST] * 6)
    np.testing.assert_array_equal(
        [source.read(i) for i in range(26)], np.concatenate([images["train"], images["t10k"]])
    )
    elsewhere = pickle.loads(pickle.dumps(source))  # as another process gets it
    np.testing.assert_array_equal(elsewhere.read(25), source.read(25))
    assert elsewhere.stamp == source.stamp
    alone = open_source(tmp_path / style.format("train", "images", 3))
    assert len(alone) == 20


def test_idx_files_that_are_cut_off_or_alone(tmp_path: Path) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((4, 9, 9), np.uint8))
    with pytest.raises(DeepenoughError, match="labels"):
        open_source(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.arange(4, dtype=np.uint8))
    file = tmp_path / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(DeepenoughError, match="fetch the file again"):
        open_source(tmp_path).read(0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("path,label\nim/\0.png,a\n", "line 2: a path can't hold a null character"),
        ("path,label\n" + "x" * 140_000 + ",a\n", "field larger than field limit"),
    ],
)
def test_an_odd_csv_is_a_clear_word(text: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DeepenoughError, match=expected):
        open_source(tmp_path / "t.csv")


def test_labels_that_only_look_like_numbers_and_a_column_of_folds(tmp_path: Path) -> None:
    place(tmp_path, "1.png")
    (tmp_path / "t.csv").write_text("path,label,fold\n1.png,\u00b2,1\n1.png,3,5\n", encoding="utf-8")
    assert set(open_source(tmp_path / "t.csv").classes) == {"\u00b2", "3"}


def test_csv(tmp_path: Path) -> None:
    place(tmp_path, "im/1.png", "im/2.png", "im/3.png")
    (tmp_path / "t.csv").write_text('split,label,filename\ntrain,10,im/1.png\nval,9,"im/2.png"\n,10,im/3.png\n\n')
    source = open_source(tmp_path / "t.csv")
    assert source.classes == ("9", "10")
    np.testing.assert_array_equal(source.labels, [1, 0, 1])
    np.testing.assert_array_equal(source.splits, [TRAIN, VALIDATION, UNASSIGNED])
    assert source.read(1) == (tmp_path / "im/2.png").read_bytes()
    for text, words in (
        ("a,b\nim/1.png,x\n", "no column 'path'"),
        ("path,label\nnone.png,x\nno.png,y\n", "none of its 2 paths exists"),
        ("path,label\nim/1.png\n", "line 2"),
        ("path,label\n", "no line below"),
        ("path;label;split\nim/1.png;x;trian\n", "nearest (is|are) .*train"),
    ):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(DeepenoughError, match=words):
            open_source(tmp_path / "t.csv")


def test_parquet_as_hugging_face_writes_it(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def write(name: str, values: list[int], labels: list[int]) -> None:
        images = pa.array(
            [{"bytes": png(v), "path": None} for v in values],
            pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
        )
        features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["zebra", "unused", "ape"]}}
        table = pa.table({"image": images, "label": pa.array(labels)})
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, tmp_path / name, row_group_size=7)

    write("train-00000-of-00002.parquet", list(range(20)), [0, 2] * 10)
    write("train-00001-of-00002.parquet", list(range(20, 23)), [2, 2, 0])
    write("test-00000-of-00001.parquet", [30, 31], [0, 2])
    source = open_source(tmp_path)
    assert source.classes == ("zebra", "ape")  # by the metadata's order, without the class that no image has
    np.testing.assert_array_equal(source.labels, [0, 1, *[0, 1] * 10, 1, 1, 0])
    np.testing.assert_array_equal(source.splits, [TEST] * 2 + [TRAIN] * 23)
    values = [30, 31, *range(23)]
    for row in (*range(25), 3, 24, 0, 11):  # in order and not
        assert source.read(row) == png(values[row])
    assert source.names[24] == "train-00001-of-00002.parquet[2]"


def test_cifar10_against_pyarrow() -> None:
    if not (SHARED / "cifar10").is_dir():
        pytest.skip("../shared/data/cifar10 is not here")
    import pyarrow.parquet as pq

    source = open_source(SHARED / "cifar10")
    table = pq.read_table(SHARED / "cifar10" / "test-00000-of-00001.parquet")
    assert np.bincount(source.splits).tolist() == [50000, 0, 10000]
    start = int(np.flatnonzero(source.splits == TEST)[0])
    np.testing.assert_array_equal(source.labels[start : start + 10000], table["label"].to_numpy())
    for row in (0, 1, 777, 300, 9999):
        assert source.read(start + row) == table["image"][row].as_py()["bytes"]


def test_hub_without_the_library_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DeepenoughError, match=r"pip install 'deepenough\[hub\]'"):
        open_source("hf:mnist")


def test_hub_gives_what_the_library_loads(monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"picture": datasets.Image(), "label": datasets.ClassLabel(names=["no", "yes"])})

    def part(values: list[int]) -> Any:
        rows = {"picture": [{"bytes": png(v), "path": None} for v in values], "label": [v % 2 for v in values]}
        return datasets.Dataset.from_dict(rows, features=features)

    found = datasets.DatasetDict(train=part([1, 2, 3]), test=part([4, 5]))
    monkeypatch.setattr(datasets, "load_dataset", lambda name: found)
    source = open_source("hf:someone/some")
    assert pickle.loads(pickle.dumps(source)).stamp == source.stamp  # as another process gets it
    assert source.name == "hf:someone/some"
    assert source.classes == ("no", "yes")
    np.testing.assert_array_equal(source.labels, [1, 0, 1, 0, 1])
    np.testing.assert_array_equal(source.splits, [TRAIN] * 3 + [TEST] * 2)
    assert source.read(4) == png(5)


def test_names_are_what_was_given() -> None:
    words = ["a/ü.png", "", "b\udcff.png", "x" * 300]
    names = Names.of(iter(words))
    assert list(names) == words
    assert names[-1] == words[-1]
    assert names[1:3] == words[1:3]
    numbered = NumberedNames([("a", 2), ("b", 0), ("c", 3)])
    assert list(numbered) == ["a[0]", "a[1]", "c[0]", "c[1]", "c[2]"]


def test_classes_that_do_not_occur_are_left_out_and_one_name_is_told_apart_wherever_it_stands() -> None:
    classes, rows = present_classes(np.array([3, 0, 3, 2]), ["crane", "drake", "owl", "crane"])
    assert classes == ("crane", "owl", "crane (3)")
    assert rows.tolist() == [2, 0, 2, 1]


class Stripes(Source):
    """A kind of source that is added: pictures of stripes, as many as a file says or by the name `stripes`."""

    known_as = ("stripes",)
    classes, mirror, stamp, name = ("across", "down"), True, "stripes", "stripes"

    def __init__(self, count: int) -> None:
        self.labels = np.arange(count) % 2
        self.splits = np.full(count, UNASSIGNED, np.int8)
        self.names = NumberedNames([("stripes", count)])

    @classmethod
    def is_at(cls, path: Path) -> bool:
        return path.suffix == ".stripes"

    @classmethod
    def open(cls, given: str) -> Source:
        return cls(10 if cls.is_named(given) else int(Path(given).read_text()))

    def read(self, row: int) -> np.ndarray:
        stripes = np.tile(np.array([0, 255], np.uint8), (10, 5))
        return stripes.T.copy() if self.labels[row] else stripes


def test_a_kind_of_source_is_one_class_and_its_place_in_the_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "KINDS", (*opening.KINDS[:-1], Stripes, opening.KINDS[-1]))
    (tmp_path / "few.stripes").write_text("6")
    assert len(open_source(tmp_path / "few.stripes")) == 6
    assert len(open_source("stripes")) == 10
    assert opening.from_anywhere("stripes") == "stripes"
    assert opening.from_anywhere("few.stripes") == str(Path("few.stripes").absolute())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("shape", [(4, 2**32 - 1, 2**32 - 1), (2**32 - 1, 28, 28), (2**32 - 1,) * 3, (4, 10, 11)])
def test_idx_headers_that_claim_more_than_there_is(tmp_path: Path, shape: tuple[int, ...], packed: bool) -> None:
    ending = ".gz" if packed else ""
    pack = gzip.compress if packed else bytes
    images = struct.pack(">4B3I", 0, 0, 8, 3, *shape) + bytes(400)
    (tmp_path / f"train-images-idx3-ubyte{ending}").write_bytes(pack(images))
    labels = struct.pack(">4BI", 0, 0, 8, 1, shape[0]) + bytes([0, 1, 0, 1])
    (tmp_path / f"train-labels-idx1-ubyte{ending}").write_bytes(pack(labels))
    with pytest.raises(DeepenoughError, match=r"its header says .* bytes, and it does not hold those"):
        open_source(tmp_path).read(0)


def test_idx_files_that_inflate_past_their_header(tmp_path: Path) -> None:
    for size, words in ((400 + 1, "it goes on behind them"), (400 - 1, "it lacks the last 1")):
        images = struct.pack(">4B3I", 0, 0, 8, 3, 4, 10, 10) + bytes(size)
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.array([0, 1, 0, 1], np.uint8))
        with pytest.raises(DeepenoughError, match=words):
            open_source(tmp_path).read(0)


def test_idx_files_are_not_unpacked_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", np.zeros((4, 100, 100), np.uint8))
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.array([0, 1, 0, 1], np.uint8))
    source = open_source(tmp_path)
    monkeypatch.setattr(idx.shutil, "disk_usage", lambda folder: SimpleNamespace(free=40_000))
    with pytest.raises(DeepenoughError, match=r"unpacking it takes 40,016 bytes, and .* has 40,000 free"):
        source.read(0)
