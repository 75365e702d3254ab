"""Files of weights that execute something when they are unpickled, or promise far more than they hold."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import shutil
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PETABYTES = 1 << 54
"""Bytes of 16 PiB."""


@dataclass(frozen=True)
class Ground:
    """Where a hostile file is made, and of what."""

    place: Path
    canary: Path
    """Nothing is here unless something in a file was executed."""
    draw: random.Random
    sound: Path
    """Weights with which nothing is wrong."""


class Runs:
    """An object that makes the canary when it is unpickled."""

    def __init__(self, ground: Ground) -> None:
        path = str(ground.canary)
        code = f"import os; os.mkdir({path!r})"
        self.call = ground.draw.choice(
            (
                (os.mkdir, (path,)),
                (os.system, (f"mkdir '{path}'",)),
                (exec, (code,)),
                (eval, (f"__import__('os').mkdir({path!r})",)),
            )
        )

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def _state(ground: Ground) -> object:
    """A state dict with something that runs in it."""
    evil, name = Runs(ground), "features.0.weight"
    return ground.draw.choice(
        (
            {name: evil},
            OrderedDict([(name, evil)]),
            {"state_dict": {name: [evil]}},
            {evil.call[1]: evil},
            [[[evil]]],
            evil,
        )
    )


def _wrapped(content: bytes, ground: Ground) -> bytes:
    """A pickle as torch's own archive has it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
    return file.getvalue()


def pickled(ground: Ground) -> Path:
    content = pickle.dumps(_state(ground), protocol=ground.draw.randrange(0, 6))
    file = ground.place / ground.draw.choice(
        ("weights.pth", "weights.pdparams", "weights.pt", "weights.h5", "weights.safetensors")
    )
    file.write_bytes(_wrapped(content, ground) if ground.draw.random() < 0.5 else content)
    return file


def opcodes(ground: Ground) -> Path:
    """Pickles that name functions as no pickler writes them."""
    code = f"import os\nos.mkdir({str(ground.canary)!r})".replace("\n", ";")
    path = str(ground.canary)
    program = ground.draw.choice((
        b"\x80\x02cbuiltins\nexec\n(V" + code.encode() + b"\ntR.",
        b"(V" + path.encode() + b"\nios\nmkdir\n.",
        b"\x80\x04\x8c\x05posix\x8c\x05mkdir\x93\x8c" + bytes([len(path)]) + path.encode() + b"\x85R.",
        b"\x80\x02cos\nmkdir\n(V" + path.encode() + b"\no.",
        b"\x80\x02cbuiltins\ngetattr\n(cos\nmkdir\nV__call__\ntR(V" + path.encode() + b"\ntR.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(cos\nmkdir\n(V" + path.encode() + b"\ntRtR.",
    ))  # fmt: skip
    file = ground.place / "weights.pth"
    file.write_bytes(ground.draw.choice((program, _wrapped(program, ground), b"\x80\x02" + program)))
    return file


def torch_saved(ground: Ground) -> Path:
    """What `torch.save` writes, in its old form or the new one, a whole module among it."""
    import torch

    file, evil = ground.place / "weights.pth", Runs(ground)
    module = torch.nn.Linear(2, 2)
    module.evil = evil  # type: ignore[assignment]
    content = ground.draw.choice((_state(ground), module, {"model": module}))
    torch.save(content, file, _use_new_zipfile_serialization=ground.draw.random() < 0.6)
    return file


def replaced_pickle(ground: Ground) -> Path:
    """A sound archive whose pickle is another."""
    file = ground.place / "weights.pth"
    with zipfile.ZipFile(ground.sound) as sound, zipfile.ZipFile(file, "w") as archive:
        for name in sound.namelist():
            content = sound.read(name)
            archive.writestr(name, pickle.dumps(_state(ground), 2) if name.endswith("data.pkl") else content)
    return file


def cut_or_changed(ground: Ground) -> Path:
    """A sound archive without its end, or with other bytes in its pickle."""
    file, content = ground.place / "weights.pth", bytearray(ground.sound.read_bytes())
    if ground.draw.random() < 0.5:
        del content[ground.draw.randrange(len(content)) :]
    else:
        with zipfile.ZipFile(ground.sound) as sound:
            start = content.index(sound.read(next(name for name in sound.namelist() if name.endswith("data.pkl")))[:64])
        for _ in range(ground.draw.choice((1, 20))):
            content[start + ground.draw.randrange(800)] ^= 1 << ground.draw.randrange(8)
    file.write_bytes(content)
    return file


def bombs_of_pickle(ground: Ground) -> Path:
    """Pickles that nest, double, or claim."""
    program = ground.draw.choice((
        b"\x80\x02" + b"(" * 5_000_000 + b"t" * 5_000_000 + b".",
        b"\x80\x02" + b"]" * 3_000_000 + b"a" * 2_999_999 + b".",
        b"\x80\x02]q\0" + b"".join(b"(h%ch%ctq%c" % (n, n, n + 1) for n in range(60)) + b".",
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"x.",
        b"\x80\x02\x8b\xff\xff\xff\x7f" + b"\xff" * 100_000 + b".",
        b"\x80\x02\x8a\xff" + b"\x7f" * 255 + b".",
        b"\x80\x02r\xff\xff\xff\xff.",
        b"\x80\x02N" + b"r\xff\xff\xff\x7f" + b".",
    ))  # fmt: skip
    file = ground.place / ground.draw.choice(("weights.pth", "weights.pdparams"))
    file.write_bytes(_wrapped(program, ground) if ground.draw.random() < 0.5 else program)
    return file


def of_numpy(ground: Ground) -> Path:
    """Arrays of objects, as .npy, .npz or under another name."""
    file = ground.place / ground.draw.choice(("weights.npz", "weights.npy", "weights.pth", "weights.pdparams"))
    array = np.array([Runs(ground)], dtype=object)
    with file.open("wb") as opened:
        if ground.draw.random() < 0.5:
            np.savez(opened, weight=array)
        else:
            np.save(opened, array)
    return file


def safetensors(ground: Ground) -> Path:
    """Headers that claim, nest, overlap or overflow."""

    def tensor(shape: list[int], ends: list[int], kind: str = "F32") -> dict[str, object]:
        return {"dtype": kind, "shape": shape, "data_offsets": ends}

    header: bytes = ground.draw.choice((
        json.dumps({"a": tensor([1 << 40], [0, 4])}).encode(),
        json.dumps({"a": tensor([1 << 32, 1 << 32], [0, 0])}).encode(),
        json.dumps({"a": tensor([1], [0, 4]), "b": tensor([1], [0, 4])}).encode(),
        json.dumps({"a": tensor([1], [-4, 0])}).encode(),
        json.dumps({"a": tensor([1], [0, 4], "F9")}).encode(),
        json.dumps({"a": tensor([0] * 100_000, [0, 0])}).encode(),
        b'{"a":' + b"[" * 200_000 + b"}",
        b'{"a":{"dtype":"F32","shape":[' + b"9" * 6_000 + b'],"data_offsets":[0,4]}}',
        b'{"__metadata__":{"x":"' + b"y" * 90_000_000 + b'"}}',
        b"{" + b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},' * 500_000 + b'"b":{}}',
    ))  # fmt: skip
    length = ground.draw.choice((len(header), len(header), len(header), 1 << 62, 1 << 40, 0))
    file = ground.place / "weights.safetensors"
    file.write_bytes(struct.pack("<Q", length) + header + bytes(4))
    return file


def hdf5(ground: Ground) -> Path:
    """Arrays of 16 PiB, one that is packed far too well, many names of one, links in a circle."""
    import h5py

    file = ground.place / "weights.h5"
    with h5py.File(file, "w") as made:
        made.attrs["layer_names"] = ["block1_conv1"]
        group = made.create_group("block1_conv1")
        group.attrs["weight_names"] = ["block1_conv1/kernel:0"]
        inner = group.create_group("block1_conv1")
        match ground.draw.randrange(4):
            case 0:
                inner.create_dataset("kernel:0", (PETABYTES // 4,), "f4", chunks=ground.draw.choice((None, (1 << 10,))))
            case 1:
                packed = inner.create_dataset("kernel:0", (1 << 30,), "f4", chunks=(1 << 22,), compression="gzip")
                packed[: 1 << 24] = 0
            case 2:
                inner["kernel:0"] = h5py.SoftLink("/block1_conv1/block1_conv1/kernel:0")
            case _:
                inner["kernel:0"] = h5py.ExternalLink("/etc/passwd", "/")
    return file


def keras_inflates(ground: Ground) -> Path:
    """A `.keras` archive of which the weights inflate to 1 to 3 GiB, or name other places."""
    file = ground.place / "weights.keras"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        with packed.open("model.weights.h5", "w", force_zip64=True) as member:
            member.write(b"\x89HDF\r\n\x1a\n")
            for _ in range(ground.draw.randrange(64, 192)):
                member.write(bytes(16 << 20))
        packed.writestr("../../escaped", "x")
    return file


def torch_inflates(ground: Ground) -> Path:
    """An archive of torch's whose first tensor is packed: 1 GiB of zeros."""
    file = ground.place / "weights.pth"
    with zipfile.ZipFile(ground.sound) as sound, zipfile.ZipFile(file, "w", compresslevel=1) as packed:
        for name in sound.namelist():
            kind = zipfile.ZIP_DEFLATED if name.endswith("data/0") else zipfile.ZIP_STORED
            entry = zipfile.ZipInfo(name)
            entry.compress_type = kind
            with packed.open(entry, "w", force_zip64=True) as member:
                for _ in range(64 if name.endswith("data/0") else 0):
                    member.write(bytes(16 << 20))
                member.write(sound.read(name))
    return file


TEXTS = (
    b"[" * 200_000,
    b'{"a":' * 200_000,
    b'{"format": ' + b"9" * 6_000 + b"}",
    b'{"size": [' + b"9" * 6_000 + b", 4]}",
    b'{"size": [1000000000000, 1000000000000]}',
    b'{"size": [-1, 0]}',
    b'{"size": [64, 64], "mean": "x", "std": null}',
    b"\xff\xfe{}",
    b"null",
    b"{}",
    b"[]",
    b'{"format": 1, "network": ' + b'{"layers": [' * 50_000,
    b'{"a": "' + b"x" * 60_000_000 + b'"}',
    b'{"format": 1e999, "name": "\\ud800", "layers": [{"Conv": {"width": 1e18}}]}',
)


def description(ground: Ground) -> Path:
    """A hostile `network.json` or `preprocess.json` beside sound weights."""
    shutil.copy(ground.sound, ground.place / "weights.pth")
    name = ground.draw.choice(("network.json", "network.json", "preprocess.json"))
    (ground.place / name).write_bytes(ground.draw.choice([each for each in TEXTS if name[0] == "n" or each != b"{}"]))
    return ground.place / "weights.pth"


def caffe(ground: Ground) -> Path:
    """Messages of Caffe's whose lengths are wrong, that nest, or repeat."""
    layer = b"\xa2\x06" + bytes([12]) + b"\x0a\x04conv\x12\x04Conv"
    content = ground.draw.choice((
        b"\x0a\x03net" + b"\xa2\x06" + b"\xff" * 9 + b"\x01",
        b"\x0a\x03net" + layer * 300_000,
        b"\x0a\x03net" + b"\xa2\x06\xff\x7f" * 5_000,
        b"\x0a" + b"\xff" * 50,
        b"\x12\x80\x80\x80\x80\x7f" + bytes(1000),
        b"\x0a\x03net\xa2\x06\x20\x3a\x1e\x2a\x1c" + b"\xff" * 28,
        b"\x0a\x03net" + ground.draw.randbytes(5_000),
    ))  # fmt: skip
    file = ground.place / "weights.caffemodel"
    file.write_bytes(content)
    return file


def noise(ground: Ground) -> Path:
    """Noise behind the first bytes of every format."""
    start = ground.draw.choice(
        (
            b"",
            b"PK\x03\x04",
            b"\x89HDF\r\n\x1a\n",
            b"\x80\x02",
            b"\x80\x04",
            b"\x0a",
            b"\x10\0\0\0\0\0\0\0{",
            b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19",
            b"<html>",
        )
    )
    file = (
        ground.place / f"weights.{ground.draw.choice(('pth', 'h5', 'keras', 'safetensors', 'caffemodel', 'pdparams'))}"
    )
    file.write_bytes(start + ground.draw.randbytes(ground.draw.choice((0, 10, 5_000))))
    return file


def no_file(ground: Ground) -> Path:
    """A pipe, a device, a link to itself, a folder."""
    file = ground.place / "weights.pth"
    match ground.draw.randrange(4):
        case 0:
            os.mkfifo(file)
        case 1:
            file.symlink_to("/dev/zero")
        case 2:
            file.symlink_to("weights.pth")
        case _:
            file.mkdir()
    return file


WEIGHTS: dict[str, Callable[[Ground], Path]] = {
    each.__name__: each
    for each in (
        pickled, opcodes, torch_saved, replaced_pickle, cut_or_changed, bombs_of_pickle, of_numpy, safetensors, hdf5,
        keras_inflates, torch_inflates, description, caffe, noise, no_file,
    )
}  # fmt: skip
