"""Files of weights that promise more than they hold take no memory for it."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepenough.errors import DeepenoughError
from deepenough.weights import keras
from deepenough.weights.read import read_weights

h5py = pytest.importorskip("h5py")


def refused(path: Path, words: str) -> None:
    """Check that a file is refused in one line and with little memory."""
    tracemalloc.start()
    with pytest.raises(DeepenoughError, match=words) as error:
        read_weights(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**26
    assert "\n" not in str(error.value)


def layer(file: Any, name: str = "conv1") -> Any:
    file.attrs["layer_names"] = [name]
    group = file.create_group(name)
    group.attrs["weight_names"] = [f"{name}/kernel:0"]
    return group.create_group(name)


def test_arrays_of_16_pebibytes(tmp_path: Path) -> None:
    for options in ({}, {"chunks": (1 << 10,)}):
        with h5py.File(tmp_path / "w.h5", "w") as file:
            layer(file).create_dataset("kernel:0", (1 << 52,), "f4", **options)
        refused(tmp_path / "w.h5", "kernel:0 claims 18,014,398,509,481,984 bytes, of which 0 are in the file")


def test_arrays_that_are_packed_far_too_well(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "w.h5", "w") as file:
        where = layer(file).create_dataset("kernel:0", (1 << 26,), "f4", chunks=(1 << 22,), compression="gzip")
        where[: 1 << 23] = 0
    refused(tmp_path / "w.h5", "claims 268,435,456 bytes, of which")


def test_one_array_under_many_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras, "LARGEST", 10_000)
    with h5py.File(tmp_path / "w.h5", "w") as file:
        group = layer(file)
        group["kernel:0"] = np.ones(1000, np.float32)
        for number in range(9):
            group[f"{number}:0"] = group["kernel:0"]
        file["conv1"].attrs["weight_names"] = ["conv1/kernel:0", *(f"conv1/{n}:0" for n in range(9))]
    refused(tmp_path / "w.h5", "all it holds claims 12,000 bytes")


def test_an_archive_that_inflates(tmp_path: Path) -> None:
    packed = zipfile.ZipFile(tmp_path / "w.keras", "w", zipfile.ZIP_DEFLATED, compresslevel=1)
    with packed, packed.open("model.weights.h5", "w") as member:
        for _ in range(80):
            member.write(bytes(1 << 20))
    refused(tmp_path / "w.keras", "model.weights.h5 claims 83,886,080 bytes, of which")


def test_hostile_descriptions_beside_the_weights(tmp_path: Path) -> None:
    (tmp_path / "w.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    for text, words in (
        ("[" * 100_000, "nested too deeply"),
        ('{"format": ' + "9" * 6_000 + "}", "the network is not JSON"),
        ("\xff", "the network is not JSON"),
    ):
        (tmp_path / "network.json").write_bytes(text.encode("latin-1"))
        refused(tmp_path / "w.h5", words)
