"""Columns that could be the label, the image or the split as well as the one that is taken."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deepenough.data.sources import Source, open_source
from deepenough.data.sources.labels import FileLabels
from deepenough.data.sources.other_columns import Choice
from deepenough.errors import DeepenoughError

ROWS = 6
CODES = [0, 1, 2, 0, 1, 2]
WORDS = ["ant", "bee", "cow", "ant", "bee", "cow"]
PAIRS = ["small", "small", "large", "small", "small", "large"]  # fewer classes
OTHERS = ["ant", "bee", "cow", "bee", "ant", "cow"]  # as many, of other images


def png(value: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((8, 8), value, np.uint8)).save(file, "PNG")
    return file.getvalue()


def as_csv(folder: Path, columns: list[tuple[str, list[Any]]]) -> Any:
    header = ",".join(["path", *(name for name, _ in columns)])
    rows = [",".join([f"{row}.png", *(str(cells[row]) for _, cells in columns)]) for row in range(ROWS)]
    for row in range(ROWS):
        (folder / f"{row}.png").write_bytes(png(row))
    (folder / "t.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder / "t.csv"


def as_metadata(folder: Path, columns: list[tuple[str, list[Any]]]) -> Any:
    for row in range(ROWS):
        (folder / f"{row}.png").write_bytes(png(row))
    rows = [{"file_name": f"{row}.png", **{name: cells[row] for name, cells in columns}} for row in range(ROWS)]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return folder


def as_parquet(folder: Path, columns: list[tuple[str, list[Any]]]) -> Any:
    images = pa.array([{"bytes": png(row), "path": None} for row in range(ROWS)])
    arrays = [images, *(pa.array(cells) for _, cells in columns)]
    pq.write_table(pa.table(arrays, names=["image", *(name for name, _ in columns)]), folder / "t.parquet")
    return folder / "t.parquet"


def as_frame(folder: Path, columns: list[tuple[str, list[Any]]]) -> Any:
    cells = [[png(row) for row in range(ROWS)], *(cells for _, cells in columns)]
    return pd.concat([pd.Series(column) for column in cells], axis=1, keys=["image", *(name for name, _ in columns)])


def as_dataset(folder: Path, columns: list[tuple[str, list[Any]]]) -> Any:
    datasets = pytest.importorskip("datasets")
    images = [{"bytes": png(row), "path": None} for row in range(ROWS)]
    return datasets.Dataset.from_dict({"image": images, **dict(columns)}).cast_column("image", datasets.Image())


FORMS = [as_csv, as_metadata, as_parquet, as_frame, as_dataset]
Form = Callable[[Path, list[tuple[str, list[Any]]]], Any]


def others(source: Source) -> list[str]:
    assert all(f.action == "not used" for f in source.findings if f.kind == "other-column")
    return [f.name for f in source.findings if f.kind == "other-column"]


@pytest.mark.parametrize("form", FORMS)
def test_labels_in_two_columns_that_agree_are_said(form: Form, tmp_path: Path) -> None:
    source = open_source(form(tmp_path, [("class", WORDS), ("id", list(range(ROWS))), ("label", CODES)]))
    assert source.classes == ("0", "1", "2")
    assert others(source) == ["class"]
    (finding,) = (f for f in source.findings if f.kind == "other-column")
    assert finding.detail == "this column could be the label as well as 'label', which was taken"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("second", "words"), [(PAIRS, "2 classes"), (OTHERS, "3 classes")])
def test_labels_in_two_columns_that_disagree_are_refused(
    form: Form, second: list[Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(DeepenoughError, match=f"'label' with 3 classes and 'category' with {words}"):
        open_source(form(tmp_path, [("category", second), ("label", CODES)]))


@pytest.mark.parametrize("form", [as_csv, as_parquet, as_frame])
def test_a_heading_that_occurs_twice(form: Form, tmp_path: Path) -> None:
    source = open_source(form(tmp_path, [("label", WORDS), ("Label", CODES)]))
    assert source.classes == ("ant", "bee", "cow")
    assert others(source) == ["Label (column 3)"]
    with pytest.raises(DeepenoughError, match=r"'label' with 3 classes and 'label \(column 3\)' with 2 classes"):
        open_source(form(tmp_path, [("label", WORDS), ("label", PAIRS)]))


@pytest.mark.parametrize("form", FORMS)
def test_a_column_that_holds_no_labels_or_few_is_said_only(form: Form, tmp_path: Path) -> None:
    few = [None, None, "x", None, None, "x"] if form is not as_csv else ["", "", "x", "", "", "x"]
    captions = ["w" * 600 + str(row) for row in range(ROWS)]
    source = open_source(form(tmp_path, [("label", CODES), ("class", few), ("target", captions)]))
    assert others(source) == ["class", "target"]


def test_paths_and_splits_in_two_columns_of_a_csv(tmp_path: Path) -> None:
    names = [f"{row}.png" for row in range(ROWS)]
    splits = ["train", "val"] * 3
    table = as_csv(tmp_path, [("label", WORDS), ("file", names), ("split", splits), ("set", ["a"] * ROWS)])
    source = open_source(table)
    assert others(source) == ["file", "set"]
    assert len(source) == ROWS
    for twice, cells in (("path", names), ("split", splits)):
        columns = [("label", WORDS), ("split", splits), (twice, cells)]
        assert others(open_source(as_csv(tmp_path, columns))) == [f"{twice} (column 4)"]
        columns[-1] = (twice, [*cells[:2], *reversed(cells[2:])])
        with pytest.raises(DeepenoughError, match=rf"line 4: two columns have the name '{twice}', and differ here"):
            open_source(as_csv(tmp_path, columns))


@pytest.mark.parametrize("form", [as_parquet, as_dataset])
def test_images_in_two_columns(form: Form, tmp_path: Path) -> None:
    """The one that is called so is taken, wherever it stands."""
    masks = [{"bytes": png(99), "path": None} for _ in range(ROWS)]
    data = form(tmp_path, [("mask", masks), ("label", WORDS)])
    if form is as_parquet:
        table = pq.read_table(data)
        pq.write_table(table.select(["mask", "image", "label"]), data)
    else:
        datasets = pytest.importorskip("datasets")
        data = data.cast_column("mask", datasets.Image()).select_columns(["mask", "image", "label"])
    source = open_source(data)
    assert others(source) == ["mask"]
    assert source.read(3) == png(3)


def test_several_columns_with_class_names_and_none_called_label(tmp_path: Path) -> None:
    """None of them is likelier than the others, so the first is taken, and that is said."""
    datasets = pytest.importorskip("datasets")
    images = [{"bytes": png(row), "path": None} for row in range(ROWS)]
    data = datasets.Dataset.from_dict({"image": images, "genre": CODES, "style": [0, 1, 1, 0, 1, 1]})
    data = data.cast_column("image", datasets.Image())
    for name, words in (("genre", ["a", "b", "c"]), ("style", ["x", "y"])):
        data = data.cast_column(name, datasets.ClassLabel(names=words))
    data.to_parquet(tmp_path / "t.parquet")
    for source in (open_source(data), open_source(tmp_path / "t.parquet")):
        assert source.classes == ("a", "b", "c")
        assert others(source) == ["style"]


@settings(max_examples=100)
@given(pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=8))
def test_agreement_is_that_of_a_plain_reading(pairs: list[tuple[int, int]]) -> None:
    """Two columns agree where each class of one goes with exactly one of the other."""
    agree = all((a == c) == (b == d) for a, b in pairs for c, d in pairs)
    columns = list(zip(*pairs, strict=True))
    choice = Choice.among(["label", "class"], "the label", ("label", "class"))
    try:
        choice.labels("t", lambda place: FileLabels.of("t", columns[place]))
    except DeepenoughError:
        assert not agree
    else:
        assert agree
