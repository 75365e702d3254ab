"""Rows of the matrix: malicious weights, sources and images, and a corpus of bad images."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import resource
import shutil
import struct
import tarfile
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, features
from runs import Lab, trial_folder

from deepenough import DeepenoughError
from deepenough.data.images import prepare
from deepenough.data.sources import open_source

SECONDS, MEMORY = 120.0, 8 << 30  # that a hostile file may take


class Runs:
    """An object that makes a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.canary),)


def refused(lab: Lab, words: list[object], canary: Path, place: Path) -> str:
    """Run a command on something hostile: "" where it ends soon in a line, and nothing in the file was executed."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_DATA, ({MEMORY}, {MEMORY}))"
    (place / "sitecustomize.py").write_text(limit)
    env = os.environ | {"DEEPENOUGH_CACHE": str(place / "cache"), "PYTHONPATH": f"{place}", "OMP_NUM_THREADS": "1"}
    process = lab.fork(["-m", "deepenough", *words], env)
    try:
        said, _ = process.communicate(timeout=SECONDS)
    except Exception:
        process.kill()
        return f"still at it after {SECONDS:.0f} s"
    if canary.exists():
        return "it was executed"
    if "Traceback" in said or process.wait() not in (0, 1, 2):
        return f"ended with {process.wait()}: {said[-500:]}"
    return ""


def weights(lab: Lab, number: int) -> str:
    """Read a hostile file of weights."""
    place = trial_folder(lab, "weights", number)
    canary, evil = place / "executed", Runs(place / "executed")
    draw = random.Random(number)
    name, make = list(WEIGHTS.items())[number % len(WEIGHTS)]
    file = place / name
    make(file, evil, draw)
    words = ["fit", lab.data, "--out", place / "run", "--weights", file, "--network", "squeezenet1_1", "--epochs", 1]
    found = refused(lab, words, canary, place)
    if not found and (place / "run" / "record.json").is_file():
        found = "a run was made of it"
    shutil.rmtree(place)
    return found and f"weights {name}: {found}"


def _torch_zip(file: Path, evil: Runs, draw: random.Random) -> None:
    import torch

    torch.save({"features.0.weight": evil}, file)


def _huge_header(file: Path, evil: Runs, draw: random.Random) -> None:
    file.write_bytes(struct.pack("<Q", 1 << 62) + b"{}")


def _overlapping(file: Path, evil: Runs, draw: random.Random) -> None:
    header = json.dumps({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 4]}}).encode()
    file.write_bytes(struct.pack("<Q", len(header)) + header + b"\0" * 4)


def _noise(file: Path, evil: Runs, draw: random.Random) -> None:
    file.write_bytes(draw.randbytes(5000))


def _evil_npz(file: Path, evil: Runs, draw: random.Random) -> None:
    np.savez(file.with_suffix(".npz"), weight=np.array([evil], dtype=object))
    file.with_suffix(".npz").rename(file)


WEIGHTS: dict[str, Callable[[Path, Runs, random.Random], object]] = {
    "zip.pth": _torch_zip,
    "plain.pth": lambda file, evil, draw: file.write_bytes(pickle.dumps({"features.0.weight": evil}, protocol=2)),
    "state.pdparams": lambda file, evil, draw: file.write_bytes(pickle.dumps({"conv.weight": evil}, protocol=2)),
    "huge.safetensors": _huge_header,
    "overlapping.safetensors": _overlapping,
    "noise.pth": _noise,
    "noise.caffemodel": _noise,
    "noise.h5": _noise,
    "noise.safetensors": _noise,
    "object.pth": _evil_npz,
}


def source(lab: Lab, number: int) -> str:
    """Read a hostile source of images."""
    place = trial_folder(lab, "source", number)
    canary = place / "executed"
    name, make = list(SOURCES.items())[number % len(SOURCES)]
    given = place / name
    make(given, Runs(canary))
    words = ["fit", given, "--out", place / "run", "--epochs", 1, "--max-depth", 3, "--folds", 1, "--scratch"]
    outside = place.parent / "escaped"
    found = refused(lab, words, canary, place) or ("it wrote outside" if outside.exists() else "")
    shutil.rmtree(place)
    return found and f"source {name}: {found}"


def _tar(names: dict[str, bytes], kind: bytes = tarfile.REGTYPE, claimed: int | None = None) -> Callable[..., None]:
    def make(file: Path, evil: Runs) -> None:
        with tarfile.open(file, "w") as tar:
            for name, content in names.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.type = len(content), kind
                if kind == tarfile.SYMTYPE:
                    entry.linkname, entry.size = "/etc/passwd", 0
                tar.addfile(entry, io.BytesIO(content))
        if claimed is not None:
            entry = tarfile.TarInfo("0.png")
            entry.size = claimed
            file.write_bytes(entry.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)

    return make


def _idx(file: Path, evil: Runs) -> None:
    file.mkdir()
    most = 0xFFFFFFFF
    (file / "train-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, most, most, most) + bytes(64))
    (file / "train-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 0x801, most) + bytes(64))


def _links(file: Path, evil: Runs) -> None:
    for name in ("a", "b"):
        (file / name).mkdir(parents=True)
    (file / "a" / "self.png").symlink_to("self.png")
    (file / "a" / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(file / "b" / "pipe.png")


def _csv(file: Path, evil: Runs) -> None:
    file.write_text("path,label\n" + "".join(f"../../../../etc/passwd,{n % 2}\n" for n in range(20)) + '"' * 100_001)


SOURCES: dict[str, Callable[[Path, Runs], object]] = {
    "out.tar": _tar({"../../escaped": b"x", "/tmp/escaped.png": b"x", "0.png": b"x", "0.cls": b"1"}),
    "link.tar": _tar({"0.png": b"", "1.png": b""}, tarfile.SYMTYPE),
    "nested.tar": _tar({"0.png": b"x", "0.json": b"[" * 200_000}),
    "digits.tar": _tar({"0.png": b"x", "0.json": b'{"label": ' + b"9" * 6000 + b"}"}),
    "claims.tar": _tar({}, claimed=1 << 50),
    "idx": _idx,
    "links": _links,
    "table.csv": _csv,
    "noise.parquet": lambda file, evil: file.write_bytes(b"PAR1" + os.urandom(500) + b"PAR1"),
    "object.npz": lambda file, evil: np.savez(file, x=np.array([evil], dtype=object)),
}


def bad_image(lab: Lab, number: int) -> str:
    """Put one bad image among good ones: used or named in the findings, in bounded time."""
    place = trial_folder(lab, "image", number)
    shutil.copytree(lab.data, place / "data")
    draw = random.Random(f"image {number}")
    name, content = bad_images(draw, number)
    (place / "data" / "circle" / name).write_bytes(content)
    found = looked_at(place / "data", place / "cache", f"circle/{name}")
    shutil.rmtree(place)
    return found


def looked_at(data: Path, cache: Path, name: str) -> str:
    """Prepare images: "" where the one of that name is used, or named."""
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            images = prepare(open_source(str(data)), cache=cache)
    except DeepenoughError as error:
        return f"{name}: all images were refused for it: {error}"
    except Exception as error:
        return f"{name}: {type(error).__name__} {error}"
    if time.process_time() - start > SECONDS / 4:
        return f"{name}: took {time.process_time() - start:.0f} s"
    known = name in set(images.names) or any(finding.name == name for finding in images.findings)
    return "" if known else f"{name}: neither used nor named"


def bad_images(draw: random.Random, number: int) -> tuple[str, bytes]:
    """A name and bytes of a bad image: a good one that was cut, flipped or overwritten, or one made to harm."""
    if number % 4 == 3:
        return list(made_to_harm(draw).items())[number // 4 % len(made_to_harm(draw))]
    kinds = ["JPEG", "PNG", "GIF", "BMP", "TIFF", "PPM", *(["WEBP"] if features.check("webp") else [])]
    kind = kinds[number % len(kinds)]
    pixels = np.random.default_rng(number).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    content = bytearray(file.getvalue())
    for _ in range(draw.randrange(1, 20)):
        content[draw.randrange(len(content))] = draw.randrange(256)
    if draw.random() < 0.4:
        del content[draw.randrange(len(content)) :]
    return f"bad{number}.{kind.lower()}", bytes(content)


def made_to_harm(draw: random.Random) -> dict[str, bytes]:
    """Images that claim to be huge, start programs, or inflate."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    def png(width: int, height: int, *chunks: bytes) -> bytes:
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + chunk(b"IEND", b"")

    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("a.png", b"x")
    return {
        "claims.png": png(60_000, 60_000, chunk(b"IDAT", zlib.compress(b"\0" * 1000))),
        "beyond.png": png(0x7FFFFFFF, 0x7FFFFFFF, chunk(b"IDAT", b"")),
        "nothing.png": png(0, 0, chunk(b"IDAT", zlib.compress(b""))),
        "text.png": png(20, 20, chunk(b"zTXt", b"k\0\0" + zlib.compress(b"x" * 50_000_000)), chunk(b"IDAT", b"")),
        "chunks.png": png(20, 20, *[chunk(b"tEXt", b"k\0v")] * 100_000, chunk(b"IDAT", zlib.compress(b"\0" * 1220))),
        "program.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n(executed) (w) file closefile\nshowpage\n",
        "words.png": b"not an image at all",
        "archive.png": zipped.getvalue(),
        "empty.png": b"",
    }


def corpus(folder: Path, lab: Lab, number: int) -> str:
    """A bad image of a corpus that the user has."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    file = files[number % len(files)]
    place = trial_folder(lab, "corpus", number)
    shutil.copytree(lab.data, place / "data")
    name = f"corpus{file.suffix}"
    shutil.copy(file, place / "data" / "circle" / name)
    found = looked_at(place / "data", place / "cache", f"circle/{name}")
    shutil.rmtree(place)
    return found and f"{file.relative_to(folder)}: {found}"


def limit_memory() -> None:
    """Bound this process's own memory, since it reads bad images itself."""
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
