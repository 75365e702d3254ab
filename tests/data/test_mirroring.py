"""Mirroring: the features behind the test, its statistics, and the decisions that it comes to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.stats import binomtest
from sklearn.kernel_ridge import KernelRidge

from deepenough.data import mirror_test
from deepenough.data.images import prepare
from deepenough.data.mirror_test import Group, run_mirror_test
from deepenough.data.mirroring import Basis, decide_mirroring, told_by_names
from deepenough.data.orientation import mirror_features, pooled
from deepenough.data.sources import open_source
from deepenough.data.split import make_folds

Pixels = NDArray[np.uint8]


def images(pixels: Pixels, labels: NDArray[np.int64], classes: tuple[str, ...], named_like_text: bool = False) -> Any:
    """All of them training images, each a picture of its own."""
    split = SimpleNamespace(train=np.arange(len(labels)))
    return SimpleNamespace(
        pixels=pixels, labels=labels, classes=classes, groups=split.train, split=split, mirror=not named_like_text
    )


def arrow(draws: np.random.Generator, tip: int, side: int = 24) -> Pixels:
    """An arrow to the left (0), to the right (1) or upwards (2), of random place, size, colour and ground."""
    picture = Image.new("RGB", (side, side), tuple(draws.integers(0, 90, 3).tolist()))
    x, y, head = draws.integers(3, 7), draws.integers(9, side - 9), draws.integers(3, 6)
    length, colour = draws.integers(12, 15), tuple(draws.integers(130, 256, 3).tolist())
    draw = ImageDraw.Draw(picture)
    draw.line((x, y, x + length, y), fill=colour, width=2)
    draw.polygon([(x, y), (x + head, y - head), (x + head, y + head)], fill=colour)
    turned = {0: picture, 1: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT), 2: picture.rotate(-90)}
    return np.asarray(turned[tip])


def arrows(count: int, tips: tuple[int, ...], seed: int = 0) -> tuple[Pixels, NDArray[np.int64]]:
    draws, labels = np.random.default_rng(seed), np.repeat(np.arange(len(tips)), count)
    return np.stack([arrow(draws, tips[label]) for label in labels]), labels


def dark_and_light(count: int) -> tuple[Pixels, NDArray[np.int64]]:
    """Arrows to the left of two colours: mirror images are of the same class."""
    draws, labels = np.random.default_rng(2), np.repeat([0, 1], count)
    pixels = np.stack([arrow(draws, 0) for _ in labels])
    pixels[labels == 1] = 255 - pixels[labels == 1]
    return pixels, labels


@settings(max_examples=25)
@given(st.integers(3, 70), st.integers(3, 70), st.sampled_from([1, 3]), st.integers(0, 99))
def test_a_mirror_image_keeps_one_part_of_the_features_and_turns_the_other(
    height: int, width: int, channels: int, seed: int
) -> None:
    step = max(min(height, width) // 32, 1)
    width -= width % (2 * step) if step > 1 else 0  # nothing is cut off unevenly
    pixels = np.random.default_rng(seed).integers(0, 256, (4, height, width, channels), np.uint8)
    own, mirrored = mirror_features([pixels]), mirror_features([pixels[:, :, ::-1]])
    np.testing.assert_allclose(own.kept, mirrored.kept, atol=2e-3)
    np.testing.assert_allclose(own.turned, -mirrored.turned, atol=2e-3)
    assert np.abs(own.turned).max() > 0.01


def test_cells_are_means() -> None:
    maps = np.random.default_rng(0).random((2, 12, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(pooled(maps, 4), maps.reshape(2, 4, 3, 4, 2, 3).mean((2, 4)), rtol=1e-5)
    uneven = pooled(np.arange(5, dtype=np.float32).reshape(1, 5, 1, 1).repeat(5, 2), 2)
    np.testing.assert_allclose(uneven[0, :, 0, 0], [(0 + 1 + 2 / 2) / 2.5, (2 / 2 + 3 + 4) / 2.5], rtol=1e-5)


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_p_value_is_mcnemars(lost: int, gained: int) -> None:
    found = Group(None, 200, 100, lost, gained).p_value
    expected = binomtest(lost, lost + gained, alternative="greater").pvalue if lost + gained else 1.0
    assert found == pytest.approx(expected)


def test_the_classifier_is_kernel_ridge_regression_with_balanced_classes() -> None:
    draws = np.random.default_rng(0)
    features = draws.normal(size=(60, 5)).astype(np.float32)
    labels = (draws.random(60) < 0.3).astype(np.int64) + (features[:, 0] > 0.8)
    folds = [held_out for _, held_out in make_folds(labels, np.arange(60), np.arange(60), 3, 0)]
    kernel = features @ features.T / 5
    found, _ = mirror_test._out_of_fold(kernel, kernel, labels, 3, folds)
    for held_out in folds:
        train = np.setdiff1d(np.arange(60), held_out)
        weights = len(train) / (3 * np.bincount(labels[train])[labels[train]])
        model = KernelRidge(alpha=mirror_test.RIDGE, kernel="precomputed")
        model.fit(kernel[np.ix_(train, train)] + 1, np.eye(3)[labels[train]], sample_weight=weights)
        expected = model.predict(kernel[np.ix_(held_out, train)] + 1).argmax(axis=1)
        np.testing.assert_array_equal(found[held_out], expected)


def test_arrows_to_both_sides_are_not_mirrored_whatever_they_are_called() -> None:
    found = decide_mirroring(images(*arrows(40, (0, 1)), ("a thing", "another")), 0)
    assert (found.on, found.basis, found.images) == (False, Basis.TEST, 80)
    assert found.seeing is not None
    assert found.blind is not None
    assert found.seeing > 0.9
    assert 0.3 < found.blind < 0.75
    (first, second) = found.swaps
    assert {first.name, first.taken_for} == {second.name, second.taken_for} == {"a thing", "another"}
    assert second.share > 0.9
    assert (
        f"{first.share:.0%} of mirrored images of class {first.name!r} are taken for {first.taken_for!r}" in found.text
    )


def test_two_swapped_classes_are_found_among_others() -> None:
    """Only the tests by class can see them: overall little is lost."""
    draws = np.random.default_rng(1)
    pixels, labels = arrows(30, (0, 1))
    grounds = np.repeat(np.arange(8), 60)
    plain = (draws.integers(0, 40, (480, 24, 24, 3)) + 25 * grounds[:, None, None, None]).astype(np.uint8)
    given = images(np.concatenate([plain, pixels]), np.concatenate([grounds, labels + 8]), (*"abcdefgh", "l2", "r2"))
    found = run_mirror_test(given, 0)
    assert {"l2", "r2"} & {group.name for group in found.harmed}
    assert not {*"abcdefgh"} & {group.name for group in found.harmed}


def test_a_side_that_all_images_share_does_no_harm() -> None:
    """Turned round they were never seen, and yet are of their class."""
    found = decide_mirroring(images(*dark_and_light(60), ("dark", "light")), 0)
    assert (found.on, found.basis, found.harms, found.tells) == (True, Basis.TEST, False, True)


def test_few_images_are_said_to_be_too_few() -> None:
    found = decide_mirroring(images(*arrows(2, (0, 2)), ("one thing", "another")), 0)
    assert (found.on, found.basis, found.tells) == (True, Basis.TOO_FEW, False)
    assert "4 training images are too few" in found.text
    assert "--no-flip" in found.text


def test_noise_tells_nothing() -> None:
    draws = np.random.default_rng(3)
    noise = draws.integers(0, 256, (200, 16, 16, 1)).astype(np.uint8)
    assert not run_mirror_test(images(noise, draws.integers(0, 2, 200), ("p0", "p1")), 0).harmed


def test_a_class_without_training_images_is_passed_over() -> None:
    pixels, labels = arrows(20, (0, 1))
    found = run_mirror_test(images(pixels, labels * 2, ("west", "nothing", "east")), 0)
    assert [group.name for group in found.classes] == ["west", "east"]
    assert found.harmed


def test_the_decision_is_the_same_again() -> None:
    given = images(*arrows(15, (0, 1, 2)), ("w", "e", "n"))
    assert decide_mirroring(given, 5) == decide_mirroring(given, 5)


def test_rare_classes_are_looked_at_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror_test, "MOST_IMAGES", 100)
    labels = np.repeat([0, 1, 2], [10, 300, 200])
    rows = mirror_test._chosen(images(np.zeros((510, 4, 4, 1), np.uint8), labels, ("a", "b", "c")), 0)
    assert np.bincount(labels[rows]).tolist() == [10, 45, 45]
    assert (np.diff(rows) > 0).all()


@pytest.mark.parametrize(
    ("switches", "strength", "on"),
    [({"flip": False}, None, False), ({"flip": True}, None, True), ({}, "none", False), ({"flip": True}, "none", True)],
)
def test_the_user_decides(switches: dict[str, Any], strength: str | None, on: bool) -> None:
    found = decide_mirroring(images(*arrows(40, (0, 1)), ("l", "r")), 0, strength=strength, switches=switches)
    assert (found.on, found.basis) == (on, Basis.ASKED)
    assert found.harms == on  # what the user turns on is tested too, and the harm is said
    assert ("although it changes the class" in found.text) == on


@pytest.mark.parametrize(
    "names",
    [
        ("letter_b", "letter_d"), ("Digit 0", "Digit 7"), ("upperB", "lowerB"), ("char-x", "char-3"),
        ("left", "right"), ("turn_left", "turn_right", "stop"), ("eyeL", "eyeR"), ("cw", "ccw"),
        ("clockwise", "counterclockwise"), ("Clockwise", "Anticlockwise"),
    ],
)  # fmt: skip
def test_names_of_characters_and_sides_speak_against_mirroring(names: tuple[str, ...]) -> None:
    assert told_by_names(names) is not None
    draws = np.random.default_rng(4)
    noise = draws.integers(0, 256, (20 * len(names), 8, 8, 1)).astype(np.uint8)
    found = decide_mirroring(images(noise, np.repeat(np.arange(len(names)), 20), names), 0)
    assert (found.on, found.basis) == (False, Basis.NAMES)
    assert "--flip" in found.text


@pytest.mark.parametrize(
    "names",
    [
        ("cat", "dog"),
        ("class_1", "class_2"),
        ("type a", "type b"),
        ("right", "wrong"),
        ("left", "middle"),
        ("letter", "form"),
    ],
)
def test_other_names_do_not(names: tuple[str, ...]) -> None:
    assert told_by_names(names) is None


def test_digits_are_not_mirrored(tmp_path: Any) -> None:
    found = decide_mirroring(prepare(open_source("digits"), cache=tmp_path), 0)
    assert not found.on
    assert found.images > 1_000


def test_plain_numbers_say_nothing_and_the_images_decide() -> None:
    """Arrays come with numbers for classes, whatever these look like."""
    found = decide_mirroring(images(*arrows(40, (0, 1)), ("0", "1")), 0)
    assert (found.on, found.basis) == (False, Basis.TEST)
    found = decide_mirroring(images(*dark_and_light(60), ("0", "1")), 0)
    assert (found.on, found.basis, found.tells) == (True, Basis.TEST, True)
    assert "it is not shown to change a class" in found.text


@pytest.mark.parametrize("count", [3, 40])
def test_numbers_of_few_images_may_stand_for_digits(count: int) -> None:
    """Where the test would not have shown a change of each class; images of named classes are mirrored then."""
    pixels, labels = dark_and_light(count)
    labels[-2:] = 2
    found = decide_mirroring(images(pixels, labels, ("0", "1", "2")), 0)
    assert (found.on, found.basis) == (False, Basis.TOO_FEW)
    assert "plain numbers may stand for digits (--flip turns it on)" in found.text
    assert decide_mirroring(images(pixels, labels, ("dark", "light", "rare")), 0).on


def test_digits_of_arrays_are_found_by_the_test_and_those_of_known_sets_by_name(tmp_path: Any) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    arrays = prepare(open_source((digits.images / 16, digits.target)), cache=tmp_path)
    assert arrays.mirror
    found = decide_mirroring(arrays, 0)
    assert (found.on, found.basis) == (False, Basis.TEST)
    assert not open_source("digits").mirror
