from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deepenough.data.split import (
    TEST,
    UNASSIGNED,
    VALIDATION,
    TooFewImagesError,
    cut,
    make_folds,
    make_split,
    sample,
)
from deepenough.errors import DeepenoughError


@st.composite
def labelled(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Labels, groups (each within one class, at least six a class), seed."""
    labels, groups, group = [], [], 0
    for label in range(draw(st.integers(2, 4))):
        for size in draw(st.lists(st.integers(1, 4), min_size=6, max_size=30)):
            labels += [label] * size
            groups += [group] * size
            group += 1
    seed = draw(st.integers(0, 1000))
    order = np.random.default_rng(seed).permutation(len(labels))
    return np.array(labels)[order], np.array(groups)[order], seed


@settings(max_examples=60)
@given(labelled())
def test_split_is_disjoint_exhaustive_grouped_stratified_and_repeatable(
    data: tuple[np.ndarray, np.ndarray, int],
) -> None:
    labels, groups, seed = data
    classes = [str(c) for c in range(labels.max() + 1)]
    assigned = np.full(len(labels), UNASSIGNED, np.int8)
    split = make_split(labels, groups, assigned, classes, seed)
    parts = (split.train, split.validation, split.test)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    sides = [set(groups[part]) for part in parts]
    assert sum(len(side) for side in sides) == len(set().union(*sides))
    largest = np.bincount(groups).max()
    for label in range(len(classes)):
        of_class = (labels == label).sum()
        assert all((labels[part] == label).any() for part in parts)
        assert abs((labels[split.test] == label).sum() - 0.20 * of_class) <= largest + 1
    again = make_split(labels, groups, assigned, classes, seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts, (again.train, again.validation, again.test), strict=True))


@settings(max_examples=40)
@given(labelled(), st.integers(2, 6))
def test_folds_hold_out_every_image_once(data: tuple[np.ndarray, np.ndarray, int], k: int) -> None:
    labels, groups, seed = data
    rows = np.flatnonzero(np.arange(len(labels)) % 7 != 0)
    folds = make_folds(labels, groups, rows, k, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([held for _, held in folds])), rows)
    for train, held in folds:
        assert not set(groups[train]) & set(groups[held])
        np.testing.assert_array_equal(np.sort(np.concatenate([train, held])), rows)
    for label in np.unique(labels[rows]):
        counts = [(labels[held] == label).sum() for _, held in folds]
        assert max(counts) - min(counts) <= np.bincount(groups).max()


def test_large_sets_are_capped_and_exactly_stratified() -> None:
    labels = np.repeat(np.arange(10), 7000)
    groups = np.arange(len(labels))
    split = make_split(labels, groups, np.full(len(labels), UNASSIGNED, np.int8), [str(c) for c in range(10)], 3)
    assert (len(split.train), len(split.validation), len(split.test)) == (51_000, 9_000, 10_000)
    assert set(np.bincount(labels[split.test])) == {1000}
    other = cut(labels, groups, np.arange(len(labels)), 0.2, 4)
    assert not np.array_equal(other, split.test)


def test_a_class_with_too_few_images_is_named() -> None:
    labels = np.array([0] * 10 + [1] * 6)
    groups = np.array([*range(10), 10, 10, 10, 11, 11, 11])  # class b is two pictures, three times each
    with pytest.raises(DeepenoughError, match=r"'b' has 2.*at least 3"):
        make_split(labels, groups, np.full(16, UNASSIGNED, np.int8), ["a", "b"], 0)


@pytest.mark.parametrize("most", [10, 33, 100, 1000])
def test_sample_is_stratified(most: int) -> None:
    labels = np.repeat([0, 1, 2], [100, 300, 200])
    rows = sample(labels, np.arange(600), most, seed=1)
    assert len(rows) == len(set(rows)) == min(most, 600)
    assert np.abs(np.bincount(labels[rows], minlength=3) - len(rows) * np.array([1, 3, 2]) / 6).max() <= 1.5


def test_a_sample_keeps_every_class() -> None:
    labels = np.repeat([0, 1], [990, 10])
    rows = sample(labels, np.arange(1000), 50, seed=0)
    assert (len(rows), np.bincount(labels[rows]).min()) == (50, 1)


def test_wrong_number_of_folds() -> None:
    with pytest.raises(DeepenoughError, match="2 to 5"):
        make_folds(np.array([0, 1, 0, 1, 0]), np.arange(5), np.arange(5), 9, 0)


def test_nothing_to_train_on_names_the_splits_that_are_there() -> None:
    labels, groups = np.arange(20) % 2, np.arange(20)
    assigned = np.full(20, TEST, np.int8)
    with pytest.raises(DeepenoughError, match="all 20 images belong to the test split"):
        make_split(labels, groups, assigned, ["a", "b"], 0)
    assigned[:5] = VALIDATION
    with pytest.raises(DeepenoughError, match="all 20 images belong to the validation and test split"):
        make_split(labels, groups, assigned, ["a", "b"], 0)


def test_the_error_for_too_few_images_knows_the_classes() -> None:
    labels, groups = np.array([0] * 9 + [1] * 2 + [2] * 5), np.array([*range(11), 11, 11, 11, 11, 11])
    with pytest.raises(TooFewImagesError, match="class '1' has 2, '2' has 1;") as error:
        make_split(labels, groups, np.full(16, UNASSIGNED, np.int8), ["0", "1", "2"], 0)
    assert error.value.few == (1, 2)
