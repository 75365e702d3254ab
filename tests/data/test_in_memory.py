"""Images that Python holds, in every form, come to the same pixels, labels and splits."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from deepenough.data.images import prepare
from deepenough.data.sources import open_source
from deepenough.data.sources.labels_in_python import label_names
from deepenough.data.sources.python_images import ImageArray
from deepenough.data.sources.unlabelled import images_of
from deepenough.data.split import TEST, TRAIN, UNASSIGNED
from deepenough.errors import DeepenoughError

COUNT = 24
X = np.random.default_rng(0).integers(0, 256, (COUNT, 10, 12), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (COUNT, 10, 12, 3), np.uint8)
Y = np.arange(COUNT) % 3
WORDS = [("cat", "dog", "emu")[y] for y in Y]


def pixels_of(source: Any) -> NDArray[np.uint8]:
    return np.stack([np.asarray(source.read(row)).reshape(10, 12, -1) for row in range(len(source))])


class Pairs(torch.utils.data.Dataset[tuple[Any, int]]):
    """A data set as people write them."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, row: int) -> tuple[Any, int]:
        return torch.from_numpy(COLOUR[row]).permute(2, 0, 1).float() / 255, int(Y[row])


class RandomlyFlipped(Pairs):
    def __getitem__(self, row: int) -> tuple[Any, int]:
        return torch.rand(3, 10, 12), int(Y[row])


FORMS: dict[str, Any] = {
    "an array": (COLOUR, Y),
    "channels first": (COLOUR.transpose(0, 3, 1, 2), Y),
    "a list of both": [COLOUR, Y.tolist()],
    "a tensor": (torch.from_numpy(COLOUR).permute(0, 3, 1, 2), torch.from_numpy(Y)),
    "floats": (COLOUR.astype(np.float32) / 255, Y),
    "whole numbers": (COLOUR.astype(np.int64), Y.astype(float)),
    "arrays": (list(COLOUR), Y),
    "Pillow images": ([Image.fromarray(image) for image in COLOUR], list(Y)),
    "pairs": [(Image.fromarray(image), int(y)) for image, y in zip(COLOUR, Y, strict=True)],
    "a torch data set": Pairs(),
    "a subset of it": torch.utils.data.Subset(Pairs(), range(COUNT)),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_pixels_and_labels(form: str) -> None:
    source = open_source(FORMS[form])
    assert source.classes == ("0", "1", "2")
    np.testing.assert_array_equal(source.labels, Y)
    np.testing.assert_array_equal(pixels_of(source), COLOUR)
    assert set(source.splits) == {UNASSIGNED}


def test_files_by_their_paths_bytes_and_as_open_files(tmp_path: Path) -> None:
    paths = [tmp_path / f"{row}.png" for row in range(COUNT)]
    for path, image in zip(paths, COLOUR, strict=True):
        Image.fromarray(image).save(path)
    lazy = [Image.open(path) for path in paths]
    for images in (
        paths,
        [str(p) for p in paths],
        [p.read_bytes() for p in paths],
        [p.open("rb") for p in paths],
        lazy,
    ):
        source = open_source((images, WORDS))
        assert source.classes == ("cat", "dog", "emu")
        assert source.read(5) == paths[5].read_bytes()
    assert lazy[0].fp is not None  # the caller's image was not closed or read
    assert open_source((paths, WORDS)).names[3] == str(paths[3])


def test_a_data_frame_with_paths_or_images(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = tmp_path / "one.png"
    Image.fromarray(COLOUR[0]).save(path)
    images: list[Any] = [path, *(Image.fromarray(image) for image in COLOUR[1:])]
    for column, label in (("image", "label"), ("file_name", "class"), ("Path", "Target")):
        frame = pandas.DataFrame({"id": range(COUNT), column: images, label: pandas.Categorical(WORDS)})
        source = open_source(frame)
        assert source.classes == ("cat", "dog", "emu")
        np.testing.assert_array_equal(source.labels, Y)
        assert source.read(0) == path.read_bytes()
        np.testing.assert_array_equal(source.read(1), COLOUR[1])
        assert len(list(images_of(frame, grey=False))) == COUNT
    with pytest.raises(DeepenoughError, match="columns id, picture, label: no column of images or paths"):
        open_source(pandas.DataFrame({"id": [1], "picture": ["a.png"], "label": ["x"]}))


def test_hugging_face_data_sets_map_labels_by_the_names_of_each_split() -> None:
    datasets = pytest.importorskip("datasets")

    def part(rows: slice, names: list[str], labels: list[int]) -> Any:
        features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
        images = [Image.fromarray(image) for image in COLOUR[rows]]
        return datasets.Dataset.from_dict({"image": images, "label": labels}, features=features)

    train = part(slice(0, 4), ["no", "yes"], [0, 1, 0, 1])
    test = part(slice(4, 6), ["yes", "no"], [0, 1])
    source = open_source({"train": train, "test": test})
    assert source.classes == ("no", "yes")
    np.testing.assert_array_equal(source.labels, [0, 1, 0, 1, 1, 0])
    np.testing.assert_array_equal(source.splits, [TRAIN] * 4 + [TEST] * 2)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(source.read(5)))), COLOUR[5])  # type: ignore[arg-type]
    assert open_source(datasets.DatasetDict(train=train, test=test.cast(train.features))).classes == ("no", "yes")
    assert len(list(images_of(train, grey=False))) == 4
    with pytest.raises(DeepenoughError, match="streamed data set can't be read by row"):
        open_source(train.to_iterable_dataset())


def test_splits_by_their_names_share_classes_by_name() -> None:
    source = open_source({"train": (X[:20], WORDS[:20]), "test": (X[20:], ["dog", "cat", "cat", "emu"])})
    np.testing.assert_array_equal(source.splits, [TRAIN] * 20 + [TEST] * 4)
    np.testing.assert_array_equal(source.labels[20:], [1, 0, 0, 2])
    assert source.names[21] == "test[1]"
    with pytest.raises(DeepenoughError, match="split 'trian' is not known; nearest are train, training"):
        open_source({"trian": (X, Y)})


def test_rows_are_views_of_the_array_that_was_given() -> None:
    for array in (X, COLOUR, COLOUR.transpose(0, 3, 1, 2), COLOUR[::2]):
        row = ImageArray(array, "x")[1]
        assert np.shares_memory(row, array)


@settings(max_examples=50)
@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4), st.integers(0, 2**32))
def test_floats_of_a_stated_range_come_back_within_half_a_level(black: float, width: float, seed: int) -> None:
    levels = np.random.default_rng(seed).random((3, 8, 8))
    values = black + levels * width
    values = np.clip(values, black, black + width)
    found = np.stack(list(ImageArray(values, "x", (black, black + width))))
    assert np.abs(found / 255 - levels).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (X, r"numpy.ndarray of uint8 \(24, 10, 12\) without labels; give the images and their labels as \(X, y\)"),
        ((X.reshape(COUNT, -1), Y), r"of uint8 \(24, 120\); \(N, H, W\).* is expected"),
        ((np.zeros((9, 784)), np.arange(9)), r"X.reshape\(-1, 28, 28\)"),
        ((X, Y[:5]), "24 images and 5 labels; give one label for each image"),
        ((X, np.eye(3)[Y]), r"labels of shape \(24, 3\).*y.argmax\(axis=1\)"),
        ((X.astype(float), Y), r"values from 0 to 255, and 0 to 1 are read as black to white.*value_range=\(0, 255\)"),
        ((X.astype(np.int16) - 9, Y), "values from -9 to"),
        ((np.full(X.shape, np.nan), Y), "values that are NaN or infinite; leave out these"),
        ((X.astype(complex), Y), "of complex128.*uint8, bool, uint16 or floats"),
        ((X, [None, *Y[1:]]), "label 0 is missing"),
        ((X, [float("nan"), *Y[1:]]), "label 0 is missing"),
        ((X, [0.5, *Y[1:]]), "label 0 is float 0.5; a whole number or a word is expected"),
        ((X, ["cat"] * COUNT), "only the class 'cat'"),
        (5, "int 5 can't be read as labelled images"),
        ({}, "an empty dict"),
        (torch.utils.data.DataLoader(Pairs()), "DataLoader of 24 can't be read.*give its dataset"),
        (RandomlyFlipped(), "gives another image each time that it is read; give it without random transforms"),
        ([("a.png", 0), ("b.png", 1, 2)], r"\[1\]: \(image, label\) is expected"),
        (([3.5, X[0]], [0, 1]), r"\[0\]: float 3.5 is no image"),
        ("python:an array", "can't be opened by a name.*deepenough.resume.*`deepenough fit DATA --config args.yaml`"),
    ],
    ids=range(20),
)  # fmt: skip
def test_what_cannot_be_read_is_named(data: Any, words: str) -> None:
    with pytest.raises(DeepenoughError, match=words):
        open_source(data)


def test_labels_mean_the_same_whatever_type_they_come_in() -> None:
    forms: list[Any] = [
        [1, 0, 10],
        np.array([1.0, 0, 10]),
        ["1", "0", " 10 "],
        torch.tensor([1, 0, 10]),
        [1, 0.0, "10"],
    ]
    assert all(label_names(form, "y") == ["1", "0", "10"] for form in forms)
    assert label_names(torch.tensor([1, 0]), "y", ["cat", "dog"]) == ["dog", "cat"]
    assert open_source((X[:4], [10, 9, 2, 10])).classes == ("2", "9", "10")


def test_a_changed_array_is_another_source_and_the_same_one_is_not() -> None:
    changed = COLOUR.copy()
    changed[-1, -1, -1, -1] ^= 1
    assert open_source((COLOUR, Y)).stamp == open_source((COLOUR.copy(), Y.tolist())).stamp
    assert open_source((COLOUR, Y)).stamp != open_source((changed, Y)).stamp
    assert open_source((COLOUR, Y)).stamp != open_source((COLOUR, Y[::-1])).stamp


def test_floats_of_another_range_are_not_taken_from_the_cache_of_the_first(tmp_path: Path) -> None:
    levels = X.astype(np.float32) - 128
    first, second = (
        prepare(open_source((levels, Y), (black, white)), cache=tmp_path) for black, white in ((-128, 127), (-255, 255))
    )
    np.testing.assert_array_equal(first.pixels[:][..., 0], X)
    np.testing.assert_array_equal(second.pixels[:][..., 0], np.rint((levels.astype(float) + 255) / 2))


def test_prepared_pixels_are_those_of_the_array(tmp_path: Path) -> None:
    images = prepare(open_source((X, Y)), cache=tmp_path)
    np.testing.assert_array_equal(images.pixels[:, :, :, 0], X)
    assert images.preprocess.shape == (1, 10, 12)


def test_an_image_that_turns_out_broken_is_left_out_by_its_name(tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.fromarray(COLOUR[0]).save(whole, "PNG")
    cut = Image.open(io.BytesIO(whole.getvalue()[:-200]))
    images = [Image.fromarray(COLOUR[0]), cut, *(Image.fromarray(image) for image in COLOUR[2:])]
    found = prepare(open_source((images, Y)), cache=tmp_path)
    assert [(finding.kind, finding.name) for finding in found.findings] == [("damaged", "images[1]")]


@pytest.mark.parametrize(
    ("given_images", "grey", "count"),
    [
        (X, True, COUNT),
        (X[:3], True, 3),
        (X[0], True, 1),
        (COLOUR, False, COUNT),
        (COLOUR[0], False, 1),
        (torch.from_numpy(COLOUR[0]).permute(2, 0, 1), False, 1),
        (torch.from_numpy(X[:3]), True, 3),
        (list(COLOUR), False, COUNT),
        ((COLOUR[0], COLOUR[1]), False, 2),
        ((X, Y), True, COUNT),
        (Pairs(), False, COUNT),
        (Image.fromarray(X[0]), True, 1),
        (io.BytesIO(b"bytes of a file"), True, 1),
        (["a.png", "b.png"], True, 2),
        (("a.png", "b.png"), True, 2),
        ("a.png", True, 1),
        ((row for row in X), True, COUNT),
    ],
    ids=range(17),
)
def test_a_batch_is_a_batch_and_one_image_is_one(given_images: Any, grey: bool, count: int) -> None:
    assert len(list(images_of(given_images, grey))) == count


def test_an_array_that_may_be_one_image_or_three_is_refused_for_a_model_of_colours() -> None:
    with pytest.raises(DeepenoughError, match=r"may be one image \(C, H, W\) or several grey ones"):
        list(images_of(X[:3], grey=False))
