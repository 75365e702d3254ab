"""Names of splits, by a rule."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepenough.data.sources.splits import SPLIT_WORDS, SplitColumns, split_named, split_of_file, splits_among
from deepenough.data.split import TEST, TRAIN, UNASSIGNED, VALIDATION
from deepenough.errors import DeepenoughError


@given(
    st.sampled_from(sorted(SPLIT_WORDS)),
    st.sampled_from(["", "set", "data", "images", "split", "dataset", "2017", "01"]),
    st.sampled_from(["", "_", "-", " ", "."]),
    st.booleans(),
    st.sampled_from([str.lower, str.upper, str.title]),
)
def test_a_word_for_a_split_with_what_usually_stands_beside_it(word, other, mark, before, case) -> None:  # type: ignore[no-untyped-def]
    name = f"{other}{mark}{word}" if before else f"{word}{mark}{other}"
    assert split_named(case(name)) == SPLIT_WORDS[word]


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("training", TRAIN),
        ("train_set", TRAIN),
        ("Training_Set", TRAIN),
        ("train-set", TRAIN),
        ("TrainImages", TRAIN),
        ("validation_data", VALIDATION),
        ("val2017", VALIDATION),
        ("DEV", VALIDATION),
        ("test_images", TEST),
        ("Test set (20%)", TEST),
        ("t10k", TEST),
        ("hold-out", TEST),
    ],
)
def test_usual_names(name: str, split: int) -> None:
    assert split_named(name) == split


@pytest.mark.parametrize(
    "name",
    ["testimony", "test tube", "valley", "training shoes", "trainer", "contest", "interval", "device", "1", "", "set"],
)
def test_classes_that_begin_like_splits_are_none(name: str) -> None:
    assert split_named(name) is None


def test_a_common_name_beside_the_words_tells_splits_where_there_are_two() -> None:
    assert splits_among(["seg_train", "seg_test", "seg_pred"]) == {"seg_train": TRAIN, "seg_test": TEST}
    assert splits_among(["asl alphabet test", "asl alphabet train"]).keys() == {
        "asl alphabet test",
        "asl alphabet train",
    }
    assert splits_among(["steam_train", "crash_test", "bus"]) == {}
    assert splits_among(["train", "bus"]) == {"train": TRAIN}


@pytest.mark.parametrize(
    ("file", "split"),
    [
        ("train-00000-of-00001.parquet", TRAIN),
        ("cifar_training_set.tar", TRAIN),
        ("t10k-images-idx3-ubyte", TEST),
        ("my.dev.0001.tar", VALIDATION),
        ("part-0001.tar", UNASSIGNED),
        ("latest.tar", UNASSIGNED),
    ],
)
def test_files_tell_theirs_in_a_word_of_the_name(file: str, split: int) -> None:
    assert split_of_file(file) == split


def test_columns_of_words_and_flags() -> None:
    columns = SplitColumns.among(["path", "Split", "is_valid", "is_small"])
    assert columns.places == (1, 2)
    rows = [
        ("train", "", TRAIN),
        ("Dev", None, VALIDATION),
        ("", True, VALIDATION),
        (None, "False", TRAIN),
        ("test", "1", TEST),
        ("", "0.0", TRAIN),
        ("nan", "", UNASSIGNED),
    ]
    for word, flag, split in rows:
        assert columns.split(["x", word, flag, ""], "here") == split
    assert SplitColumns.among(["is_train"]).split([False], "here") == TEST
    with pytest.raises(DeepenoughError, match="here: split 'trian' is not known; nearest"):
        columns.split(["x", "trian", "", ""], "here")
    with pytest.raises(DeepenoughError, match="here: 'maybe' says neither yes nor no"):
        columns.split(["x", "", "maybe", ""], "here")
