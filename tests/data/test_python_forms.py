"""Images as people hold them in Python, beside the usual forms: read as they are meant, or refused in a sentence."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from deepenough.data.sources import open_source
from deepenough.data.sources.labels_in_python import classes_of, label_names
from deepenough.data.sources.unlabelled import images_of
from deepenough.data.split import TEST, TRAIN, UNASSIGNED, VALIDATION
from deepenough.errors import DeepenoughError

COUNT = 24
GREY = np.random.default_rng(0).integers(0, 256, (COUNT, 10, 12), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (COUNT, 10, 12, 3), np.uint8)
Y = np.arange(COUNT) % 3
WORDS = [("cat", "dog", "emu")[y] for y in Y]


class Rows(torch.utils.data.Dataset[Any]):
    """A data set of given items."""

    def __init__(self, items: list[Any], classes: Any = None) -> None:
        self.items, self.classes = items, classes

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> Any:
        return self.items[row]


class Broken(Rows):
    def __getitem__(self, row: int) -> Any:
        if row == 5:
            raise RuntimeError("corrupt record")
        return self.items[row]


class SometimesFlipped(Rows):
    """Flips every other image that it is asked for, and so not the first."""

    asked = 0

    def __getitem__(self, row: int) -> Any:
        self.asked += 1
        image, label = self.items[row]
        return (image[:, ::-1] if self.asked % 4 == 0 else image), label


def _pairs(classes: Any = None) -> Rows:
    return Rows(list(zip(COLOUR, Y.tolist(), strict=True)), classes)


def _encoded(image: np.ndarray[Any, Any]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def _at_its_end(content: bytes) -> io.BytesIO:
    file = io.BytesIO()
    file.write(content)
    return file


def test_a_split_column_of_a_data_frame_counts_as_one_of_a_csv_does() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"image": list(GREY[:4]), "label": WORDS[:4], "split": ["test", None, "train", "val"]})
    source = open_source(frame)
    found = {int(source.read(row)[0, 0]): int(split) for row, split in enumerate(source.splits)}
    expected = dict(zip(map(int, GREY[:4, 0, 0]), [TEST, UNASSIGNED, TRAIN, VALIDATION], strict=True))
    assert found == expected
    flags = open_source(frame.drop(columns="split").assign(is_valid=[False, True, False, True]))
    assert sorted(flags.splits.tolist()) == [TRAIN, TRAIN, VALIDATION, VALIDATION]
    with pytest.raises(DeepenoughError, match="the images, row 2: split 'trian' is not known"):
        open_source(frame.assign(split=["test", None, "trian", "val"]))


@pytest.mark.parametrize("names", [("image", "label"), ("pixel_values", "labels"), ("img", "fine_label")])
def test_items_that_are_dicts_are_read_by_the_names_of_columns(names: tuple[str, str]) -> None:
    rows = Rows([{names[0]: image, "id": 7, names[1]: y} for image, y in zip(COLOUR, Y.tolist(), strict=True)])
    source = open_source(rows)
    np.testing.assert_array_equal(source.labels, Y)
    np.testing.assert_array_equal(np.stack([source.read(row) for row in range(COUNT)]), COLOUR)
    np.testing.assert_array_equal(np.stack([np.asarray(image) for image in images_of(rows, grey=False)]), COLOUR)
    (one,) = images_of(rows[0], grey=False)
    np.testing.assert_array_equal(np.asarray(one), COLOUR[0])


def test_classes_keep_their_names_inside_subsets_and_joined_data_sets() -> None:
    whole = _pairs(["cat", "dog", "emu"])
    half = torch.utils.data.Subset(whole, range(12))
    for data in (half, torch.utils.data.ConcatDataset([half, torch.utils.data.Subset(whole, range(12, COUNT))])):
        assert open_source(data).classes == ("cat", "dog", "emu")
    joined = torch.utils.data.ConcatDataset([whole, _pairs(["cow", "hen", "pig"])])
    with pytest.raises(DeepenoughError, match="different lists of classes"):
        open_source(joined)


@pytest.mark.parametrize("classes", [3, {"cat": 0}, "abc", None])
def test_an_attribute_classes_that_is_no_list_of_names_is_none(classes: Any) -> None:
    assert classes_of(_pairs(classes), "y") is None
    assert open_source(_pairs(classes)).classes == ("0", "1", "2")


def test_classes_of_one_name_stay_apart_and_several_words_for_one_are_joined() -> None:
    assert label_names([2, 0], "y", ["crane", "drake", "crane"]) == ["crane (2)", "crane"]
    assert label_names([0], "y", [("tench", "Tinca tinca")]) == ["tench, Tinca tinca"]


def test_numbers_in_one_split_and_words_in_another_are_refused() -> None:
    with pytest.raises(DeepenoughError, match=r"labels in train are numbers.*those in test words"):
        open_source({"train": (COLOUR, Y), "test": (COLOUR, WORDS)})


def test_labels_in_one_column_are_labels() -> None:
    assert label_names(Y[:, None], "y") == [str(y) for y in Y]
    assert label_names([[2], [0]], "y") == ["2", "0"]


@pytest.mark.parametrize("value", [b" cat ", "\ufeffcat", "ca\u0301t", ["cat"], np.str_("cat"), np.bytes_(b"cat")])
def test_a_label_means_the_same_in_python_as_in_a_file(value: Any, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    Image.fromarray(GREY[0]).save(tmp_path / "a.png")
    word = value.decode() if isinstance(value, bytes) else str(value)
    pandas.DataFrame({"path": ["a.png", "a.png"], "label": [word, "z"]}).to_csv(tmp_path / "l.csv", index=False)
    assert label_names([value, "z"], "y") == list(open_source(tmp_path / "l.csv").classes)


def test_open_files_are_read_from_their_beginning_as_by_pillow() -> None:
    files = [_at_its_end(_encoded(image)) for image in COLOUR]
    source = open_source((files, Y))
    assert [source.read(row) for row in range(COUNT)] == [_encoded(image) for image in COLOUR]
    assert list(images_of(_at_its_end(b"content"), grey=False)) == [b"content"]


def test_a_pillow_image_that_is_not_decoded_yet_is_read_as_its_file_is() -> None:
    """So that the bounds and the list of formats hold: Pillow would start Ghostscript for this one."""
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 20 20\n%%EndComments\n"
    assert list(images_of(Image.open(io.BytesIO(postscript)), grey=False)) == [postscript]


def test_pillow_images_of_whole_numbers_and_floats_are_read_as_arrays_are() -> None:
    whole = open_source(([Image.fromarray(image.astype(np.int32)) for image in GREY], Y))
    np.testing.assert_array_equal(whole.read(3), GREY[3])  # uint16, whose levels are those of all images
    floats = [Image.fromarray(image.astype(np.float32)) for image in GREY]
    np.testing.assert_array_equal(open_source((floats, Y), (0, 255)).read(3), GREY[3])
    with pytest.raises(DeepenoughError, match=r"value_range=\(0, 255\)"):
        open_source((floats, Y))


def test_arrays_and_columns_of_paths_are_paths() -> None:
    pandas = pytest.importorskip("pandas")
    paths = ["a.png", "b.png"]
    for given in (np.array(paths), np.array(paths, object), pandas.Series(paths, index=[3, 7])):
        assert list(images_of(given, grey=False)) == [Path(path) for path in paths]
        assert open_source((given, [0, 1])).names[1] == "b.png"


@pytest.mark.parametrize(
    "given",
    [
        [(COLOUR[0], COLOUR[1])],
        [[GREY[0], GREY[1], GREY[2]]],
        Rows([(COLOUR[0], 1, 2)]),
        [[__file__, __file__]],
    ],
    ids=range(4),
)
def test_no_image_of_an_item_is_dropped_in_silence(given: Any) -> None:
    with pytest.raises(DeepenoughError, match=r"\[0\]: an image or \(image, label\) is expected"):
        list(images_of(given, grey=False))


TENSOR = torch.from_numpy(COLOUR).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Broken(list(zip(COLOUR, Y, strict=True))), r"\[5\]: tests.*Broken of 24 gave no item \(RuntimeError: corrupt"),
        (SometimesFlipped(list(zip(COLOUR, Y, strict=True))), "gives another image each time"),
        ((TENSOR.float().to_sparse(), Y), r"its values can't be read \(can't convert Sparse"),
        ((TENSOR.to("meta"), Y), "its values can't be read"),
        ((COLOUR, set(range(COUNT))), "set of 24 is no sequence of labels"),
        (([], []), "holds no image"),
        ({"train": (COLOUR, Y), "test": ([], [])}, r"data\['test'\]: .* holds no image"),
        ({"cat": list(COLOUR)}, "split 'cat' is not known"),
        ({"train": "photos"}, "a path is given by itself"),
        (([io.StringIO("text")], [0]), "opened as text; open it with mode 'rb'"),
        ((COLOUR, ["x" * 600, *WORDS[1:]]), "has 600 characters"),
        ((COLOUR, [["cat", "dog"], *WORDS[1:]]), "several labels"),
    ],
    ids=range(12),
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_in_a_sentence(data: Any, words: str) -> None:
    with pytest.raises(DeepenoughError, match=words):
        open_source(data)


def test_a_data_loader_is_asked_for_its_data_set() -> None:
    with pytest.raises(DeepenoughError, match="of a DataLoader give its dataset"):
        list(images_of(torch.utils.data.DataLoader(_pairs()), grey=False))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 16, "(0, 16)"),
        (0, 200, "(0, 255)"),
        (-0.9, 0.7, "(-1, 1)"),
        (0, 3000, "(0, 4095)"),
        (-3, -3, "(-3, 0)"),
        (7, 7, "(7, 14)"),
        (1e20, 1e20, "(1e+20, 2e+20)"),
        (-2.1179039, 2.6400001, "(-2.118, 2.641)"),
        (-1e-7, 1, "(-1e-07, 1)"),
        (-123456.7, 0.3, "(-1.235e+05, 0.3)"),
    ],
)
def test_the_range_that_is_advised_can_be_followed(low: float, high: float, expected: str) -> None:
    images = np.linspace(low, high, 4 * 64).reshape(4, 8, 8)
    with pytest.raises(DeepenoughError, match=re.escape(f"as value_range={expected}")):
        open_source((images, [0, 1, 0, 1]))
    source = open_source((images, [0, 1, 0, 1]), ast.literal_eval(expected))
    pixels = np.stack([source.read(row) for row in range(4)])
    assert low == high or int(pixels.max()) - int(pixels.min()) > 60
