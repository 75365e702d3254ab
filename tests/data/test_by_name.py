"""Data sets by name: found where other tools keep them, or fetched from a stand-in of their publishers."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_server import FileServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from permissions import permissions_hold
from PIL import Image
from scipy.io import savemat

import deepenough
from deepenough import download
from deepenough.data.sources import by_name, from_anywhere, open_source, published_sets
from deepenough.data.sources.imagenette import CLASSES
from deepenough.data.sources.published_sets import SETS, SetFile
from deepenough.data.sources.unpack import Bounds
from deepenough.data.split import TEST, TRAIN, VALIDATION
from deepenough.errors import DeepenoughError
from deepenough.experiment.options import Options
from deepenough.files import can_be_written
from deepenough.progress import Advance, Reporter
from deepenough.user_folders import cache_root

QUICK: dict[str, Any] = {
    "epochs": 1, "batch": 16, "lr": 0.1, "max_depth": 3, "folds": 1, "threads": 1, "augment": "none", "scratch": True
}  # fmt: skip
TEN = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def pixels(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    return gzip.compress(struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes())


def mnist_files() -> dict[str, bytes]:
    files = {}
    for part, count in (("train", 20), ("t10k", 10)):
        files[f"{part}-images-idx3-ubyte.gz"] = idx(pixels(count, count, 28, 28))
        files[f"{part}-labels-idx1-ubyte.gz"] = idx((np.arange(count) % 10).astype(np.uint8))
    return files


def cifar_rows(seed: int, count: int, labels: int, classes: int = 10) -> bytes:
    """Rows of `labels` labels, the last of them fine, and 3,072 values."""
    fine = (np.arange(count) % classes).astype(np.uint8)[:, None]
    coarse = np.full((count, labels - 1), 7, np.uint8)
    return np.hstack([coarse, fine, pixels(seed, count, 3072)]).tobytes()


def cifar10_binary() -> dict[str, bytes]:
    files = {f"data_batch_{n}.bin": cifar_rows(n, 10, 1) for n in range(1, 6)}
    return {**files, "test_batch.bin": cifar_rows(6, 10, 1), "batches.meta.txt": "\n".join([*TEN, "", ""]).encode()}


def cifar100_binary() -> dict[str, bytes]:
    names = "\n".join(f"thing {n}" for n in range(100)) + "\n"
    files = {"train.bin": cifar_rows(1, 200, 2, 100), "test.bin": cifar_rows(2, 100, 2, 100)}
    return {**files, "fine_label_names.txt": names.encode(), "coarse_label_names.txt": b"all\n"}


def python2_pickle(content: dict[str, Any]) -> bytes:
    """A pickle of protocol 2 as Python 2 wrote it: text and arrays as strings of bytes, which Python 3 can't write."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    def item(value: Any) -> bytes:
        if isinstance(value, str):
            return text(value.encode())
        if isinstance(value, int):
            return b"K" + bytes([value])
        if isinstance(value, list):
            return b"](" + b"".join(map(item, value)) + b"e"
        assert isinstance(value, np.ndarray)
        shape = b"".join(b"M" + struct.pack("<H", side) for side in value.shape) + b"\x86"
        kind = (
            b"cnumpy\ndtype\n"
            + text(b"u1")
            + b"K\0K\1\x87R(K\3"
            + text(b"|")
            + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
        )
        made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + text(b"b") + b"\x87R"
        return made + b"(K\1" + shape + kind + b"\x89" + text(value.tobytes()) + b"tb"

    return b"\x80\2}(" + b"".join(item(key) + item(value) for key, value in content.items()) + b"u."


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def packed(files: dict[str, bytes], folder: str = "") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}" if folder else name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def encoded(seed: int, kind: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels(seed, 6, 8, 3)).resize((40, 30)).save(stream, kind)
    return stream.getvalue()


def matlab(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    savemat(stream, arrays, do_compression=True)
    return stream.getvalue()


def svhn_files() -> dict[str, bytes]:
    return {
        f"{part}_32x32.mat": matlab(
            X=pixels(count, 32, 32, 3, count), y=(np.arange(count) % 10 + 1).astype(np.uint8)[:, None]
        )
        for part, count in (("train", 30), ("test", 20))
    }


def flower_files() -> tuple[dict[str, bytes], dict[str, bytes]]:
    images = {f"jpg/image_{n:05}.jpg": encoded(n) for n in range(1, 13)}
    labels = np.array([[1, 2, 102] * 4], np.uint8)
    sets = {"trnid": [[2, 1, 3]], "valid": [[4, 5, 6]], "tstid": [[12, 11, 10, 9, 8, 7]]}
    arrays = {name: np.array(rows, np.uint16) for name, rows in sets.items()}
    return images, {"imagelabels.mat": matlab(labels=labels), "setid.mat": matlab(**arrays)}


def imagenette_files() -> dict[str, bytes]:
    files = {
        f"{split}/{number}/{split}_{number}_{k}.JPEG": encoded(100 * row + k)
        for row, number in enumerate(CLASSES)
        for split, numbers in (("train", range(2)), ("val", range(2, 3)))
        for k in numbers
    }
    return {**files, "noisy_imagenette.csv": b"path,noisy_labels_0\n"}


def published() -> dict[str, dict[str, bytes]]:
    """What the publishers' servers have for each name, with few images."""
    images, others = flower_files()
    return {
        **{name: mnist_files() for name in ("mnist", "fashion-mnist", "kmnist")},
        "cifar10": {"cifar-10-binary.tar.gz": packed(cifar10_binary(), "cifar-10-batches-bin")},
        "cifar100": {"cifar-100-binary.tar.gz": packed(cifar100_binary(), "cifar-100-binary")},
        "svhn": svhn_files(),
        "flowers102": {"102flowers.tgz": packed(images), **others},
        "imagenette": {"imagenette2-320.tgz": packed(imagenette_files(), "imagenette2-320")},
    }


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, a working folder and a cache of their own, with nothing in them; gives the home."""
    for variable in ("TORCH_HOME", "XDG_CACHE_HOME", "KERAS_HOME", "FASTAI_HOME", "TORCHVISION_DATASETS_HOME"):
        monkeypatch.delenv(variable, raising=False)
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    monkeypatch.setattr(by_name.Path, "home", lambda: home)
    monkeypatch.setattr(by_name, "user_cache_dir", lambda name: str(tmp_path / "old" / name))
    monkeypatch.setenv("DEEPENOUGH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE", 0.0)
    monkeypatch.chdir(work)
    # Debian's folder, which a machine may have, is no part of these tests.
    folders = by_name._folders
    monkeypatch.setattr(by_name, "_folders", lambda: [f for f in folders() if not f.is_relative_to("/usr")])
    return home


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    server = FileServer()
    for name, files in published().items():
        publish(monkeypatch, server, name, files)
    with server.running():
        yield server


def publish(monkeypatch: pytest.MonkeyPatch, server: FileServer, name: str, files: dict[str, bytes]) -> None:
    """Have the server publish these files, and the table know their checksums."""
    assert [file.name for file in SETS[name].files] == list(files)
    known = tuple(SetFile(f, hashlib.md5(c).hexdigest(), len(c) / 1e6) for f, c in files.items())
    monkeypatch.setitem(published_sets.SETS, name, replace(SETS[name], url=f"{server.url}{name}/", files=known))
    server.files |= {f"{name}/{file}": content for file, content in files.items()}


class Told(Reporter):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.tasks: list[str] = []

    @contextmanager
    def task(self, label: str) -> Iterator[Advance]:
        self.tasks.append(label)
        with super().task(label) as advance:
            yield advance

    def say(self, text: str) -> None:
        self.lines.append(text)


EXPECTED = {
    "mnist": (10, {TRAIN: 20, TEST: 10}),
    "fashion-mnist": (10, {TRAIN: 20, TEST: 10}),
    "kmnist": (10, {TRAIN: 20, TEST: 10}),
    "cifar10": (10, {TRAIN: 50, TEST: 10}),
    "cifar100": (100, {TRAIN: 200, TEST: 100}),
    "svhn": (10, {TRAIN: 30, TEST: 20}),
    "flowers102": (3, {TRAIN: 3, VALIDATION: 3, TEST: 6}),
    "imagenette": (10, {TRAIN: 20, VALIDATION: 10}),
}


def test_every_set_is_in_these_tests() -> None:
    assert set(EXPECTED) == set(published()) == set(SETS)
    help_text = next(field for field in fields(Options) if field.name == "data").metadata
    assert all(name in str(help_text) for name in SETS)
    for wanted in SETS.values():
        assert all(len(file.md5) == 32 and set(file.md5) <= set("0123456789abcdef") for file in wanted.files)


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


def as_python(files: dict[str, bytes], names: list[str], key: str, meta: str) -> dict[str, bytes]:
    """The version for Python of a binary version of CIFAR."""
    made = {meta: python2_pickle({key: names})}
    for file, content in files.items():
        if not file.endswith(".bin"):
            continue
        label_bytes = 1 if "batch" in file else 2
        rows = np.frombuffer(content, np.uint8).reshape(-1, label_bytes + 3072)
        batch: dict[str, Any] = {"batch_label": "some batch", "data": rows[:, label_bytes:]}
        batch["labels" if label_bytes == 1 else "fine_labels"] = [int(label) for label in rows[:, label_bytes - 1]]
        batch["filenames"] = [f"{row}.png" for row in range(len(rows))]
        made[file.removesuffix(".bin")] = python2_pickle(batch)
    return made


def cifar10_python() -> dict[str, bytes]:
    return as_python(cifar10_binary(), list(TEN), "label_names", "batches.meta")


def cifar100_python() -> dict[str, bytes]:
    return as_python(cifar100_binary(), [f"thing {n}" for n in range(100)], "fine_label_names", "meta")


def plain(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name.removesuffix(".gz"): gzip.decompress(content) for name, content in files.items()}


def keras_mnist() -> bytes:
    stream = io.BytesIO()
    files = {name: np.frombuffer(content, np.uint8) for name, content in plain(mnist_files()).items()}
    arrays = {}
    for split, part, count in (("train", "train", 20), ("test", "t10k", 10)):
        arrays[f"x_{split}"] = files[f"{part}-images-idx3-ubyte"][16:].reshape(count, 28, 28)
        arrays[f"y_{split}"] = files[f"{part}-labels-idx1-ubyte"][8:]
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def flower_folder() -> dict[str, bytes]:
    images, others = flower_files()
    return images | others


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


def test_a_broken_download_goes_on_and_a_wrong_one_is_refused(server: FileServer) -> None:
    server.script = [1000, 2000]
    content = server.files["cifar10/cifar-10-binary.tar.gz"]
    assert len(open_source("cifar10")) == 60
    assert [asked.partition(" ")[2] for asked in server.asked] == ["None", "bytes=1000-", "bytes=3000-"]
    server.files["cifar100/cifar-100-binary.tar.gz"] = content
    with pytest.raises(DeepenoughError, match="MD5 expected") as error:
        open_source("cifar100")
    assert hashlib.md5(content).hexdigest() in str(error.value)
    folder = cache_root() / "datasets/cifar100"
    assert [path.name for path in folder.iterdir() if not path.name.startswith(".")] == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(breaks=st.lists(st.integers(1, 40_000), max_size=6), kept=st.integers(0, 60_000))
def test_whatever_breaks_the_bytes_are_the_same(
    server: FileServer, tmp_path: Path, breaks: list[int], kept: int
) -> None:
    content = server.files["svhn/test_32x32.mat"]
    path = tmp_path / "resumed" / "test_32x32.mat"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.part").write_bytes(content[:kept])
    server.script = list(breaks)
    file = SETS["svhn"].files[1]
    wanted = download.Published("svhn", f"{SETS['svhn'].url}{file.name}", file.md5, file.megabytes, "md5")
    try:
        assert download.download(wanted, path).read_bytes() == content
    finally:
        server.script = []


def test_a_damaged_file_of_the_cache_is_fetched_anew(server: FileServer) -> None:
    open_source("svhn")
    file = cache_root() / "datasets/svhn/train_32x32.mat"
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    told = Told()
    assert len(open_source("svhn", reporter=told)) == 50
    assert file.read_bytes() == whole
    assert "damaged" in told.lines[0]


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
@pytest.mark.parametrize("name", ["svhn", "cifar10"])
def test_a_whole_copy_in_a_read_only_cache_is_used(server: FileServer, name: str) -> None:
    open_source(name)
    folder = cache_root() / "datasets"
    (folder / f".{name}.lock").unlink()
    folder.chmod(0o555)
    try:
        with permissions_hold():
            assert not can_be_written(folder)
            assert len(open_source(name)) == sum(EXPECTED[name][1].values())
    finally:
        folder.chmod(0o755)


def test_two_processes_fetch_once(server: FileServer) -> None:
    sources: list[int] = []
    threads = [threading.Thread(target=lambda: sources.append(len(open_source("cifar10")))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sources == [60] * 4
    assert len(server.asked) == 1


def test_a_server_that_sends_without_end_is_stopped(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.files["svhn/train_32x32.mat"] = bytes(4 << 20)
    with pytest.raises(DeepenoughError, match="sends more than twice"):
        open_source("svhn")
    assert not list((cache_root() / "datasets/svhn").glob("*.part"))


def link(kind: bytes, target: str) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        member = tarfile.TarInfo("cifar-10-batches-bin/data_batch_1.bin")
        member.type, member.linkname = kind, target
        tar.addfile(member)
    return stream.getvalue()


HOSTILE = {
    "a path upwards": (packed({"../../escaped": b"x"}), "leads out of its folder"),
    "an absolute path": (packed({"/tmp/escaped": b"x"}), "leads out of its folder"),
    "a path of Windows": (packed({"C:\\escaped": b"x"}), "leads out of its folder"),
    "a symbolic link": (link(tarfile.SYMTYPE, "/etc/passwd"), "link or a device"),
    "a hard link": (link(tarfile.LNKTYPE, "../../x"), "link or a device"),
    "a device": (link(tarfile.CHRTYPE, ""), "link or a device"),
    "too many files": (packed({f"{n}.bin": b"" for n in range(200)}), "more than 100 files"),
    "too many bytes": (packed({"zeros": bytes(2_000_000)}), "more than 100 files or 1 MB"),
    "an end too early": (packed(cifar10_binary())[:-4000], "cannot be unpacked"),
    "no archive": (b"hello", "cannot be unpacked"),
    "another archive": (packed({"readme": b"x"}), "files of cifar10 are missing"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_archives_do_no_harm(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    content, message = HOSTILE[kind]
    publish(monkeypatch, server, "cifar10", {"cifar-10-binary.tar.gz": content})
    monkeypatch.setitem(published_sets.SETS, "cifar10", replace(SETS["cifar10"], bounds=Bounds(1, 100)))
    before = {path for path in tmp_path.rglob("*") if "cache" not in path.parts}
    with pytest.raises(DeepenoughError, match=message):
        open_source("cifar10")
    assert {path for path in tmp_path.rglob("*") if "cache" not in path.parts} == before
    folder = cache_root() / "datasets/cifar10"
    assert not (folder / ".unpacking").exists()
    assert not (folder / "cifar-10-batches-bin").exists()


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("import pathlib; pathlib.Path('ran').touch()",)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("data_batch_1", pickle.dumps(Runs()), "could run code"),
        ("batches.meta", pickle.dumps({"label_names": Runs()}), "could run code"),
        ("data_batch_1", python2_pickle({"data": pixels(0, 4, 3072), "labels": [1, 2]}), "one label for each of 4"),
        ("data_batch_1", python2_pickle({"data": pixels(0, 4, 99), "labels": [1]}), "an array uint8"),
        ("data_batch_1", python2_pickle({"data": pixels(0, 1, 3072), "labels": [10]}), "labels from 0 to 9"),
        ("data_batch_1", python2_pickle({"data": pixels(0, 1, 3072), "labels": ["cat"]}), "a list of whole numbers"),
        ("data_batch_1", b"", "can't be read"),
        ("batches.meta", python2_pickle({"label_names": [1]}), "the names of the classes"),
    ],
)
def test_pickles_run_nothing_and_say_what_is_wrong(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    folder = write(tmp_path / "cifar-10-batches-py", cifar10_python() | {file: content})
    with pytest.raises(DeepenoughError, match=message):
        open_source(folder)
    assert not Path("ran").exists()


def test_a_pickle_of_python_3_is_read_too(tmp_path: Path) -> None:
    batch = pickle.dumps({"data": pixels(5, 10, 3072), "labels": list(range(10))}, protocol=2)
    folder = write(tmp_path / "cifar-10-batches-py", cifar10_python() | {"data_batch_1": batch})
    np.testing.assert_array_equal(
        open_source(folder).read(3), pixels(5, 10, 3072)[3].reshape(3, 32, 32).transpose(1, 2, 0)
    )


@pytest.mark.parametrize(
    ("folder", "files", "message"),
    [
        ("cifar-10-batches-bin", cifar10_binary() | {"test_batch.bin": b"12345"}, "rows of 3,073 bytes"),
        ("cifar-10-batches-bin", cifar10_binary() | {"batches.meta.txt": b"cat\ndog\n"}, "labels from 0 to 1"),
        ("svhn", svhn_files() | {"test_32x32.mat": b"MATLAB"}, "a MATLAB file with X and y"),
        ("svhn", svhn_files() | {"test_32x32.mat": matlab(X=pixels(0, 3, 3))}, "y is none"),
        ("svhn", svhn_files() | {"test_32x32.mat": matlab(X=pixels(0, 3, 3), y=pixels(1, 3))}, "the shape"),
        ("flowers", flower_folder() | {"imagelabels.mat": matlab(labels=np.uint8([[0, 1]]))}, "labels from 1 to 102"),
        ("flowers", flower_folder() | {"imagelabels.mat": matlab(labels=np.uint8([[1] * 13]))}, "1 of 13 images"),
        (
            "flowers",
            flower_folder() | {"setid.mat": matlab(**dict.fromkeys(("trnid", "valid", "tstid"), np.uint8([[1]])))},
            "splits that share no image",
        ),
        (
            "flowers",
            flower_folder() | {"setid.mat": matlab(**dict.fromkeys(("trnid", "valid", "tstid"), np.uint8([[99]])))},
            "numbers of images from 1 to 12",
        ),
    ],
)
def test_damaged_copies_are_named(tmp_path: Path, folder: str, files: dict[str, bytes], message: str) -> None:
    with pytest.raises(DeepenoughError, match=message):
        open_source(write(tmp_path / folder, files))


def test_an_npz_of_something_else_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", weights=np.zeros(3))
    np.savez(tmp_path / "objects.npz", x_train=np.array([{}], object), y_train=[0], x_test=[0], y_test=[0])
    (tmp_path / "no.npz").write_bytes(b"PK\3\4 nothing")
    for name in ("other.npz", "objects.npz", "no.npz"):
        with pytest.raises(DeepenoughError, match="x_train, y_train, x_test, y_test"):
            open_source(tmp_path / name)
