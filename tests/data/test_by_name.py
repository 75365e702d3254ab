"""Data sets by name: found where other tools keep them, or fetched from a stand-in of their publishers."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_server import FileServer
from published_files import (
    EXPECTED,
    TEN,
    cifar10_binary,
    cifar10_python,
    cifar100_binary,
    cifar100_python,
    cifar_rows,
    encoded,
    flower_folder,
    imagenette_files,
    keras_mnist,
    mnist_files,
    pixels,
    plain,
    published,
    svhn_files,
    write,
)
from published_sets_server import Told

import deepenough
from deepenough.data.sources import from_anywhere, open_source, published_sets
from deepenough.data.sources.published_sets import SETS
from deepenough.data.split import TRAIN, VALIDATION
from deepenough.errors import DeepenoughError
from deepenough.experiment.options import Options
from deepenough.user_folders import cache_root

pytestmark = pytest.mark.usefixtures("alone")


QUICK: dict[str, Any] = {
    "epochs": 1, "batch": 16, "lr": 0.1, "max_depth": 3, "folds": 1, "threads": 1, "augment": "none", "scratch": True
}  # fmt: skip


def test_every_set_is_in_these_tests() -> None:
    assert set(EXPECTED) == set(published()) == set(SETS)
    help_text = next(field for field in fields(Options) if field.name == "data").metadata
    assert all(name in str(help_text) for name in SETS)
    digests = [file.sha256 for wanted in SETS.values() for file in wanted.files]
    assert all(len(digest) == 64 and set(digest) <= set("0123456789abcdef") for digest in digests)
    assert len(set(digests)) == len(digests) == 20


@pytest.mark.parametrize("name", EXPECTED)
def test_a_set_is_fetched_once_with_its_splits(server: FileServer, name: str) -> None:
    source = open_source(name)
    classes, splits = EXPECTED[name]
    assert source.name == name == from_anywhere(name)
    assert len(source.classes) == classes
    assert {split: int(np.sum(source.splits == split)) for split in splits} == splits
    assert len(source) == len(source.labels) == len(source.names) == sum(splits.values())
    first = source.read(0)
    assert first if isinstance(first, bytes) else first.dtype == np.uint8
    asked = len(server.asked)
    again = open_source(name)
    assert len(server.asked) == asked  # nothing is asked for a second time
    assert again.stamp == source.stamp
    elsewhere = pickle.loads(pickle.dumps(source))  # as another process gets it
    np.testing.assert_array_equal(elsewhere.read(len(source) - 1), source.read(len(source) - 1))
    assert elsewhere.stamp == source.stamp
    left = [
        path.name for path in (cache_root() / "datasets" / name).rglob("*") if path.name.endswith((".part", ".tgz"))
    ]
    assert left == []


def test_a_run_takes_a_name_and_resumes_by_it(server: FileServer, tmp_path: Path) -> None:
    told = Told()
    run = deepenough.fit("cifar10", out=tmp_path / "run", progress=told, **QUICK)
    assert "fetching cifar10" in told.tasks
    assert "unpacking cifar10" in told.tasks
    assert run.record.options["data"] == "cifar10"
    assert run.record.data.source == "cifar10"
    assert sum(run.record.data.counts["test"]) == 10
    assert deepenough.resume(tmp_path / "run", progress=False).record.decision == run.record.decision


def test_pixels_labels_and_names_are_the_published_ones(server: FileServer) -> None:
    ten = open_source("cifar10")
    assert ten.classes == TEN
    np.testing.assert_array_equal(ten.labels[:10], range(10))
    rows = np.frombuffer(cifar_rows(3, 10, 1), np.uint8).reshape(10, -1)  # data_batch_3
    np.testing.assert_array_equal(ten.read(24), rows[4, 1:].reshape(3, 32, 32).transpose(1, 2, 0))
    hundred = open_source("cifar100")
    assert hundred.classes[42] == "thing 42"
    np.testing.assert_array_equal(hundred.labels[:200], [*range(100), *range(100)])
    svhn = open_source("svhn")
    assert [svhn.classes[label] for label in svhn.labels[:10]] == list("1234567890")  # MATLAB's 10 is the digit 0
    np.testing.assert_array_equal(svhn.read(31), pixels(20, 32, 32, 3, 20)[..., 1])
    assert not svhn.mirror
    flowers = open_source("flowers102")
    assert flowers.classes == ("pink primrose", "hard-leaved pocket orchid", "blackberry lily")
    np.testing.assert_array_equal(flowers.splits[:6], [TRAIN] * 3 + [VALIDATION] * 3)
    assert flowers.read(4) == encoded(5)
    assert open_source("imagenette").classes[0] == "tench"
    assert open_source("kmnist").classes[:2] == ("o", "ki")
    assert open_source("fashion-mnist").classes[0] == "T-shirt/top"


PLACES = {
    "torchvision's MNIST": ("mnist", "work/data/MNIST/raw", lambda: plain(mnist_files())),
    "Keras' MNIST": ("mnist", "home/.keras/datasets", lambda: {"mnist.npz": keras_mnist()}),
    "torchvision's FashionMNIST": ("fashion-mnist", "home/data/FashionMNIST/raw", mnist_files),
    "Keras' Fashion-MNIST": ("fashion-mnist", "home/.keras/datasets/fashion-mnist", mnist_files),
    "torchvision's KMNIST": ("kmnist", "work/data/KMNIST/raw", mnist_files),
    "torchvision's CIFAR10": ("cifar10", "work/data/cifar-10-batches-py", cifar10_python),
    "CIFAR10 in torch's home": ("cifar10", "home/.cache/torch/datasets/cifar-10-batches-py", cifar10_python),
    "Keras 3's CIFAR10": (
        "cifar10",
        "home/.keras/datasets/cifar-10-batches-py-target/cifar-10-batches-py",
        cifar10_python,
    ),
    "Keras 2's CIFAR10": ("cifar10", "home/.keras/datasets/cifar-10-batches-py", cifar10_python),
    "the binary CIFAR10": ("cifar10", "work/cifar-10-batches-bin", cifar10_binary),
    "torchvision's CIFAR100": ("cifar100", "work/data/CIFAR100/cifar-100-python", cifar100_python),
    "torchvision's SVHN": ("svhn", "work/data", svhn_files),
    "SVHN in a folder": ("svhn", "work/data/svhn", svhn_files),
    "torchvision's Flowers102": ("flowers102", "work/data/flowers-102", flower_folder),
    "torchvision's Imagenette": ("imagenette", "work/data/imagenette2", imagenette_files),
    "fastai's Imagenette": ("imagenette", "home/.fastai/data/imagenette2-160", imagenette_files),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_copy_of_another_tool_is_the_same_set(
    tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    name, folder, files = PLACES[place]
    fetched = open_source(name)
    monkeypatch.setenv("DEEPENOUGH_CACHE", str(tmp_path / "empty"))
    server.asked.clear()
    write(tmp_path / folder, files())
    told = Told()
    found = open_source(name, reporter=told)
    assert server.asked == []
    assert str(tmp_path / folder) in told.lines[0]
    assert found.name == name
    assert found.classes == fetched.classes or "Keras' MNIST" in place
    np.testing.assert_array_equal(found.labels, fetched.labels)
    np.testing.assert_array_equal(found.splits, fetched.splits)
    assert found.mirror == fetched.mirror
    for row in (0, len(found) // 2, len(found) - 1):
        np.testing.assert_array_equal(found.read(row), fetched.read(row))


@pytest.mark.parametrize(
    ("variable", "folder"), [("TORCH_HOME", "datasets"), ("KERAS_HOME", "datasets"), ("FASTAI_HOME", "data")]
)
def test_the_environment_names_other_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, folder: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "other"))
    write(tmp_path / "other" / folder / "cifar-10-batches-bin", cifar10_binary())
    assert len(open_source("cifar10")) == 60


def test_a_part_of_a_copy_is_none(server: FileServer, tmp_path: Path) -> None:
    files = cifar10_binary()
    del files["data_batch_4.bin"]
    write(tmp_path / "work/data/cifar-10-batches-bin", files)
    write(tmp_path / "work/data/MNIST/raw", {k: v for k, v in mnist_files().items() if k.startswith("train")})
    assert len(open_source("cifar10")) == 60
    assert len(open_source("mnist")) == 30
    assert len(server.asked) == 5


def test_a_folder_of_that_name_is_that_folder(server: FileServer, tmp_path: Path) -> None:
    for label in ("day", "night"):
        write(tmp_path / "work/cifar10" / label, {f"{n}.jpg": encoded(n) for n in range(3)})
    source = open_source("cifar10")
    assert source.classes == ("day", "night")
    assert from_anywhere("cifar10") == str(tmp_path / "work/cifar10")
    write(tmp_path / "work/cifar100/cifar-100-binary", cifar100_binary())  # a root for torchvision
    assert from_anywhere("cifar100") == "cifar100"
    assert len(open_source("cifar100")) == 300
    assert server.asked == []


def test_folders_of_these_layouts_are_opened_by_their_paths(tmp_path: Path) -> None:
    for folder, files in (
        ("cifar-10-batches-bin", cifar10_binary()),
        ("cifar-100-python", cifar100_python()),
        ("houses", svhn_files()),
        ("flowers-102", flower_folder()),
        (".", {"digits.npz": keras_mnist()}),
    ):
        write(tmp_path / folder, files)
    counts = {"cifar-10-batches-bin": 60, "cifar-100-python": 300, "houses": 50, "flowers-102": 12, "digits.npz": 30}
    assert {name: len(open_source(tmp_path / name)) for name in counts} == counts


@pytest.mark.parametrize(
    ("word", "near"),
    [
        ("cifar-10", "cifar10"),
        ("cifr100", "cifar100"),
        ("fashion_mnist", "fashion-mnist"),
        ("flower102", "flowers102"),
        ("imagenet", "imagenette"),
        ("SVHN", "svhn"),
    ],
)
def test_a_misspelt_name_gets_near_matches(word: str, near: str) -> None:
    with pytest.raises(DeepenoughError, match=rf"did you mean .*\b{near}\b"):
        open_source(word)


@pytest.mark.parametrize("name", ["svhn", "cifar10"])
def test_without_a_network_a_sentence_says_what_to_put_where(
    name: str, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    online = SETS[name]
    monkeypatch.setitem(published_sets.SETS, name, replace(online, url="http://127.0.0.1:9/"))
    with pytest.raises(DeepenoughError) as error:
        open_source(name)
    folder = cache_root() / "datasets" / name
    assert "\n" not in str(error.value)
    for word in (*(file.name for file in online.files), str(folder), "http://127.0.0.1:9/", "./data"):
        assert word in str(error.value)
    write(folder, {file.name: server.files[f"{name}/{file.name}"] for file in online.files})
    assert len(open_source(name)) == sum(EXPECTED[name][1].values())
