"""Hugging Face's imagefolder, and tables of paths."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from source_content import content, place

from deepenough.data.sources import Source, open_source
from deepenough.data.split import TEST, TRAIN, UNASSIGNED, VALIDATION
from deepenough.errors import DeepenoughError


def read_content(source: Source) -> dict[str, tuple[str, int]]:
    for row, name in enumerate(source.names):
        assert source.read(row) == name.encode()
    return content(source)


def write(folder: Path, kind: str, rows: list[dict[str, Any]]) -> None:
    if kind == "csv":
        lines = [",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]
        (folder / "metadata.csv").write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")
    elif kind == "jsonl":
        (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist(rows), folder / "metadata.parquet")


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_table_in_each_split_folder(tmp_path: Path, kind: str) -> None:
    place(tmp_path, "train/1.png", "train/deep/2.png", "train/3.png", "test/1.png")
    write(tmp_path / "train", kind, [{"file_name": f"{n}.png", "label": c} for n, c in (("1", "a"), ("deep/2", "b"))])
    write(tmp_path / "test", kind, [{"file_name": "1.png", "label": "b"}])
    source = open_source(tmp_path)
    assert read_content(source) == {
        "train/1.png": ("a", TRAIN),
        "train/deep/2.png": ("b", TRAIN),
        "test/1.png": ("b", TEST),
    }
    assert [(f.kind, f.name) for f in source.findings] == [("ignored", "train/3.png")]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_one_table_for_all_splits(tmp_path: Path, kind: str) -> None:
    place(tmp_path, "train/1.png", "test/1.png", "more/1.png", "2.png")
    rows = [
        {"file_name": "train/1.png", "label": 1, "split": ""},
        {"file_name": "./test/1.png", "label": 0, "split": ""},
        {"file_name": "more/1.png", "label": 1, "split": "dev"},
        {"file_name": "2.png", "label": 0, "split": ""},
    ]
    write(tmp_path, kind, rows)
    assert read_content(open_source(tmp_path)) == {
        "train/1.png": ("1", TRAIN),
        "test/1.png": ("0", TEST),
        "more/1.png": ("1", VALIDATION),
        "2.png": ("0", UNASSIGNED),
    }


def test_a_split_without_labels_is_left_out(tmp_path: Path) -> None:
    place(tmp_path, "train/1.png", "train/2.png", "test/1.png")
    write(tmp_path / "train", "csv", [{"file_name": "1.png", "label": "a"}, {"file_name": "2.png", "label": "b"}])
    write(tmp_path / "test", "csv", [{"file_name": "1.png", "text": "what is it"}])
    source = open_source(tmp_path)
    assert set(read_content(source)) == {"train/1.png", "train/2.png"}
    assert [(f.kind, f.name) for f in source.findings] == [("unlabelled", "test/1.png")]


def test_class_names_of_a_parquet_table(tmp_path: Path) -> None:
    place(tmp_path, "1.png", "2.png")
    features = {"label": {"_type": "ClassLabel", "names": ["dog", "cat"]}}
    table = pa.table({"file_name": ["1.png", "2.png"], "label": [1, 0]})
    info = json.dumps({"info": {"features": features}})
    pq.write_table(table.replace_schema_metadata({"huggingface": info}), tmp_path / "metadata.parquet")
    assert {name: label for name, (label, _) in read_content(open_source(tmp_path)).items()} == {
        "1.png": "cat",
        "2.png": "dog",
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"file_name": "1.png", "label": ' + "[" * 100_000, r"metadata\.jsonl, line 1: no readable JSON"),
        ('{"file_name": "1.png", "label": ' + "9" * 6_000 + "}", r"metadata\.jsonl, line 1: no readable JSON"),
        ('{"file_name": "\\ud800.png", "label": 1}', "can't be the name of a file"),
        ('{"file_name": "a\\u0000.png", "label": 1}', "can't be the name of a file"),
        ('{"file_name": 3, "label": 1}', "row 1: no file_name"),
        ('{"file_name": "1.png", "text": "x"}', "no label column among file_name, text; name it label"),
        ('{"file_name": "1.png", "label": ["a", "b"]}', "several labels"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, line: str, words: str) -> None:
    place(tmp_path, "1.png")
    (tmp_path / "metadata.jsonl").write_text(line)
    with pytest.raises(DeepenoughError, match=words):
        open_source(tmp_path)


def test_class_folders_go_before_a_table_without_labels(tmp_path: Path) -> None:
    place(tmp_path, "a/1.png", "b/2.png")
    write(tmp_path, "csv", [{"file_name": "a/1.png", "text": "x"}])
    assert set(read_content(open_source(tmp_path))) == {"a/1.png", "b/2.png"}


def table(root: Path, text: str) -> Source:
    (root / "t.csv").write_text(text, encoding="utf-8")
    return open_source(root / "t.csv")


def test_windows_paths_and_marks_in_a_csv(tmp_path: Path) -> None:
    place(tmp_path, "img/a/1.png", "img/2.png", "odd\\name.png")
    source = table(
        tmp_path, "\ufefffilename;label\r\nimg\\a\\1.png;\ufeffcat\r\n.\\img\\2.png; dog \r\nodd\\name.png;cat\r\n"
    )
    assert list(source.names) == ["img/a/1.png", "./img/2.png", "odd\\name.png"]
    assert [source.classes[row] for row in source.labels] == ["cat", "dog", "cat"]
    assert source.read(2) == b"odd\\name.png"
    for path, words in (
        ("C:\\data\\1.png", "those of a Windows machine"),
        ("\\\\server\\1.png", "those of a Windows machine"),
        ("no\\1.png", "with their backslashes taken for slashes too"),
        ("2", r"there is img/2\.png: the paths need the folder and the ending"),
    ):
        with pytest.raises(DeepenoughError, match=words):
            table(tmp_path, f"path,label\n{path},a\n{path},b\n")


def test_labels_and_splits_of_a_csv(tmp_path: Path) -> None:
    place(tmp_path, *(f"{n}.png" for n in range(6)))
    rows = ["0,1,False", "1,1.0,0", "2,2,True", "3,,True", "4,nan,False", "5,2.0,"]
    source = table(tmp_path, "path,label,is_valid\n" + "".join(f"{row.replace(',', '.png,', 1)}\n" for row in rows))
    assert read_content(source) == {
        "0.png": ("1", TRAIN),
        "1.png": ("1", TRAIN),
        "2.png": ("2", VALIDATION),
        "5.png": ("2", UNASSIGNED),
    }
    assert ("unlabelled", "3.png, 4.png") in {(f.kind, f.name) for f in source.findings}
    with pytest.raises(DeepenoughError, match="none of its 2 rows has a label"):
        table(tmp_path, "path,label\n1.png,\n2.png,NaN\n")


def test_a_csv_that_lists_what_is_no_file(tmp_path: Path) -> None:
    place(tmp_path, "1.png", "2.png", "folder/x.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    source = table(tmp_path, "path,label\n1.png,a\n2.png,b\npipe.png,a\nzero.png,b\nfolder,b\ngone.png,a\n")
    assert list(source.names) == ["1.png", "2.png", "gone.png"]
    assert [(f.kind, f.name) for f in source.findings] == [
        ("not-a-file", n) for n in ("pipe.png", "zero.png", "folder")
    ]


def test_files_among_the_listed_ones_that_no_line_lists_are_counted(tmp_path: Path) -> None:
    place(tmp_path, "im/a/1.png", "im/a/2.png", "im/b/3.png", "im/b/4.png", "im/b/5.png", "im/b/6.png", "other/7.png")
    place(tmp_path, "8.png", "im/b/\u00e9.png")
    (tmp_path / "im" / "linked").symlink_to(tmp_path / "im" / "a")
    lines = (
        "im/a/1.png,x",
        "im/linked/2.png,y",
        "im\\b\\3.png,x",
        f"{tmp_path}/im/../im/b/4.png,y",
        "im/b/\u00e9.png,x",
    )
    source = table(tmp_path, "path,label\n" + "\n".join(lines) + "\n")
    assert len(source) == 5
    assert [(f.kind, f.name, f.detail, f.action) for f in source.findings] == [
        ("ignored", "im/b/5.png, im/b/6.png", "no line of t.csv lists it", "left out")
    ]
    before = source.stamp
    source = table(tmp_path, "path,label\n8.png,x\n" + "\n".join(lines) + "\n")  # the table beside images is no image
    assert [f.name for f in source.findings] == ["im/b/5.png, im/b/6.png"]
    place(tmp_path, *(f"more{n}.png" for n in range(5)))
    source = table(tmp_path, "path,label\n8.png,x\n" + "\n".join(lines) + "\n")
    assert [f.name for f in source.findings] == ["more0.png, more1.png, more2.png and 4 more"]
    assert source.stamp != before


def test_a_file_that_is_listed_in_another_spelling_is_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on disks that take upper and lower case, or two forms of Unicode, for the same."""
    place(tmp_path, "A.PNG", "caf\u00e9.png", "2.png")
    real, spelt = Path.stat, {"a.png": "A.PNG", "cafe\u0301.png": "caf\u00e9.png"}

    def stat(path: Path, **more: Any) -> os.stat_result:
        return real(path.with_name(spelt.get(path.name, path.name)), **more)

    monkeypatch.setattr(Path, "stat", stat)
    source = table(tmp_path, "path,label\na.png,x\ncafe\u0301.png,y\n")
    assert len(source) == 2
    assert [f.name for f in source.findings] == ["2.png"]


def test_a_second_table_of_a_folder_is_named(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(b"x")
    (tmp_path / "metadata.csv").write_text("file_name,label\n0.png,a\n1.png,b\n")
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "0.png", "label": "b"}\n')
    source = open_source(tmp_path)
    assert source.labels.tolist() == [0, 1]
    (finding,) = source.findings
    assert (finding.kind, finding.name) == ("ignored", "metadata.jsonl")
    assert finding.detail == "another metadata table was read"
