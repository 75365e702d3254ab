"""Files of data sets as their publishers and other tools have them, with few images of noise."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

from deepenough.data.sources.imagenette import CLASSES
from deepenough.data.split import TEST, TRAIN, VALIDATION

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
"""Classes of each set here, and images by split."""
