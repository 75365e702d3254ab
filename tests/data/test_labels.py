"""A label means the same in whichever file and type it comes."""

from __future__ import annotations

import decimal
import math
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepenough.data.sources.labels import MISSING, FileLabels, SeveralLabelsError, combine, is_number, text_of
from deepenough.errors import DeepenoughError

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="[]"), min_size=1, max_size=8)


@given(st.integers(-(10**15), 10**15))
def test_a_whole_number_is_one_label_in_every_type(number: int) -> None:
    forms = [number, str(number), f"{number}.0", f" {number} ", f"\ufeff{number}", [number], f"['{number}']"]
    forms += [np.int64(number), str(number).encode(), decimal.Decimal(f"{number}.00")]
    if abs(number) < 2**24:
        forms += [float(number), np.float32(number)]
    assert {text_of(form) for form in forms} == {str(number)}


@given(WORDS)
def test_a_word_stays_itself_but_for_marks_spaces_and_its_form(word: str) -> None:
    found = text_of(word)
    for same in (f"\ufeff{word}", f" {word}\r\n", [word], word.encode(), unicodedata.normalize("NFD", word)):
        assert text_of(same) == found
    if found is not None:
        assert text_of(found) == found


@pytest.mark.parametrize("value", [None, math.nan, np.float32("nan"), "", "  ", "\ufeff", "nan", "NaN", [], b"", {}])
def test_what_stands_for_nothing_is_no_label(value: object) -> None:
    assert text_of(value) is None


@pytest.mark.parametrize(
    "word", ["007", "1e5", "NA", "None", "true", "null", "1.5", "v1.0", "[link=x]", "[b]", "\u00b2"]
)
def test_words_that_look_like_something_else_are_words(word: str) -> None:
    assert text_of(word) == word
    assert not is_number(word)


@pytest.mark.parametrize("value", [["a", "b"], ("a", "b"), "['a', 'b']", '["a","b"]', "[1, 2]", np.array([1, 2])])
def test_several_labels_are_refused(value: object) -> None:
    with pytest.raises(SeveralLabelsError):
        text_of(value)
    with pytest.raises(DeepenoughError, match=r"x\.csv, row 2: it has several labels .*multi-label"):
        FileLabels.of("x.csv", ["a", value])


@given(st.lists(st.lists(st.sampled_from(["a", "b", "10", "9", "2.0", 2, None]), min_size=1, max_size=6), max_size=4))
def test_files_are_mapped_by_name(files: list[list[object]]) -> None:
    parts = [FileLabels.of(str(number), values) for number, values in enumerate(files)]
    kinds = [{is_number(text) for value in values if (text := text_of(value)) is not None} for values in files]
    if {True} in kinds and {False} in kinds:
        with pytest.raises(DeepenoughError, match="nothing says which number is which word"):
            combine(parts)
        return
    classes, labels, _ = combine(parts)
    expected = [text_of(value) for values in files for value in values]
    assert [None if row == MISSING else classes[row] for row in labels] == expected
    assert list(classes) == sorted(classes, key=int if all(map(str.isdecimal, classes)) else str)


@given(st.permutations(["red", "green", "blue"]), st.permutations(["red", "green", "blue"]))
def test_lists_of_names_in_any_order_come_to_the_same_classes(one: list[str], other: list[str]) -> None:
    parts = [
        FileLabels("one", tuple(one), np.arange(3), listed=True),
        FileLabels("other", tuple(other), np.array([2, MISSING, 0]), listed=True),
        FileLabels.of("words", ["blue", "red"]),
    ]
    classes, labels, _ = combine(parts)
    assert list(classes) == one
    names = [classes[row] for row in labels if row != MISSING]
    assert names == [*one, other[2], other[0], "blue", "red"]


def test_classes_that_do_not_occur_are_left_out_and_names_that_occur_twice_need_one_order() -> None:
    twice = ("crane", "owl", "crane (2)")
    classes, labels, _ = combine([FileLabels("a", twice, np.array([2, 0, 2]), listed=True)] * 2)
    assert (classes, labels.tolist()) == (("crane", "crane (2)"), [1, 0, 1] * 2)
    with pytest.raises(DeepenoughError, match="two classes have the name"):
        combine(
            [
                FileLabels("a", twice, np.arange(3), True),
                FileLabels("b", ("owl", "crane", "crane (2)"), np.arange(3), True),
            ]
        )


def test_spellings_are_said() -> None:
    values = ["caf\u00e9", "cafe\u0301", "Dog", "dog", "3", 3.0, "owl"]
    classes, labels, findings = combine([FileLabels.of("x", values)])
    assert len(classes) == 5
    assert labels[0] == labels[1]
    assert labels[4] == labels[5]
    assert {(f.kind, f.name) for f in findings} == {
        ("same-class", "caf\u00e9"),
        ("same-class", "3"),
        ("similar-classes", "dog"),
        ("mixed-labels", "classes"),
    }


def test_a_label_that_is_a_text_is_refused() -> None:
    for text in ("9" * 6000, "a long caption " * 100):
        with pytest.raises(DeepenoughError, match=r"its label has .* characters"):
            FileLabels.of("x.tar", ["a", text])


def test_lists_within_lists_too_deep_are_refused_in_a_line() -> None:
    deep: list[object] = ["a"]
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(DeepenoughError, match="x, row 2: its label is a list within lists too deep"):
        FileLabels.of("x", ["a", deep])


def test_bytes_that_are_not_utf_8_stay_different() -> None:
    assert text_of(b"B\xe4r") != text_of(b"B\xf6r")
