"""Files of weights that promise more than they hold take no memory for it."""

from __future__ import annotations

import pickle
import sys
import tracemalloc
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deepenough.errors import DeepenoughError
from deepenough.weights import checkpoint as checkpoints
from deepenough.weights import keras, paddle
from deepenough.weights.checkpoint import checkpoint
from deepenough.weights.read import read_weights
from deepenough.weights.torch_file import loaded

h5py = pytest.importorskip("h5py")


def refused(path: Path, words: str, most: int = 2**26) -> None:
    """Check that a file is refused in one line and with little memory: less than `most` bytes."""
    tracemalloc.start()
    with pytest.raises(DeepenoughError, match=words) as error:
        read_weights(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < most
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


def torch_archive(path: Path, pickled: bytes, numbers: bytes = bytes(64), packing: int = zipfile.ZIP_STORED) -> Path:
    """A file as `torch.save` writes it, with a pickle and one storage of one's own."""
    with zipfile.ZipFile(path, "w", packing) as archive:
        archive.writestr("w/data.pkl", pickled)
        archive.writestr("w/data/0", numbers)
    return path


def tensor_of(shape: tuple[int, ...], stride: tuple[int, ...], size: int = 16) -> bytes:
    """The pickle of a state dict with one tensor in the storage `0`."""
    sides = [b"(" + b"".join(b"L%dL\n" % side for side in sides) + b"t" for sides in (shape, stride)]
    storage = b"(S'storage'\nctorch\nFloatStorage\nS'0'\nS'cpu'\nI%d\ntQ" % size
    return (
        b"}S'conv1.weight'\nctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"I0\n" + b"".join(sides) + b"I00\nNtRs."
    )


def test_a_small_tensor_of_many_numbers(tmp_path: Path) -> None:
    """A stride of zero makes petabytes of one number; they are compared by shape and never made."""
    pickled = tensor_of((1 << 25, 1 << 25), (0, 0))
    refused(torch_archive(tmp_path / "w.pth", pickled), "fits no network known here")


def test_storages_that_the_file_does_not_have(tmp_path: Path) -> None:
    for name, size in (("more.pth", 1 << 40), ("less.pth", -1), ("other.pth", 17)):
        refused(torch_archive(tmp_path / name, tensor_of((4,), (1,), size)), "as tensors alone|not a whole torch file")


def test_a_packed_archive_is_not_torchs(tmp_path: Path) -> None:
    pickled = tensor_of((1 << 20,), (1,), 1 << 20)
    for content in (pickled, b"(" + b"0" * (1 << 20) + b"."):
        path = torch_archive(tmp_path / "w.pth", content, bytes(1 << 22), zipfile.ZIP_DEFLATED)
        refused(path, "which torch does not write")


BOMBS = {
    "a memo of 64 GiB": b"\x80\x02Nr\xff\xff\xff\xff.",
    "tuples that overflow the stack when they are hashed": b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"Ns.",
    "text that promises more than it has": b"\x80\x04\x8d" + (1 << 60).to_bytes(8, "little") + b"x.",
    "an end before the end": b"\x80\x02}",
    "nothing to take": b"\x80\x020000.",
    "a number of many digits": b"\x80\x02I" + b"9" * 10_000 + b"\n.",
    "a reference to nowhere": b"\x80\x02h\x07.",
    "a reference out of the file": b"\x80\x02X\x01\x00\x00\x00aQ.",
}


def handed_back(start: bytes, end: bytes) -> bytes:
    """A dict whose key is a tuple in 200,000 others, each of which an operation has given back as it was."""
    return b"\x80\x02" + start + b")q\x01" + (b"0" + end + b"\x85q\x01") * 200_000 + b"0}h\x01Ns."


BOMBS |= {
    f"tuples in tuples, given back by {name}": handed_back(b"ctorch._utils\n%s\nq\x000" % name.encode(), call)
    for name, call in {
        "_rebuild_parameter": b"h\x00h\x01\x85R",
        "_rebuild_parameter_with_state": b"h\x00h\x01NN\x87R",
    }.items()
}
BOMBS |= {
    f"tuples in tuples that {name} leaves as they are": handed_back(b"", b"h\x01" + operations)
    for name, operations in {"APPENDS": b"(e", "SETITEMS": b"(u", "BUILD": b"Nb"}.items()
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_pickles_that_ask_for_too_much(tmp_path: Path, bomb: str) -> None:
    refused(torch_archive(tmp_path / "w.pth", BOMBS[bomb]), "can't be read as tensors alone: it holds a pickle")
    (tmp_path / "w.pdparams").write_bytes(BOMBS[bomb])
    refused(tmp_path / "w.pdparams", "pickle")


LARGE = b"}q\x01(" + b"".join(b"J%sN" % number.to_bytes(4, "little") for number in range(5_000)) + b"u"
TEXT = b"X" + (100_000).to_bytes(4, "little") + b"x" * 100_000 + b"q\x01"
COPIES = {
    "ordered dicts": b"ccollections\nOrderedDict\nq\x00" + LARGE + b"(" + b"h\x00h\x01\x85R" * 1_000 + b"t.",
    "their attributes": b"ccollections\nOrderedDict\nq\x00" + LARGE + b"(" + b"h\x00)Rh\x01b" * 250 + b"t.",
    "states of objects": b"ca\nb\nq\x00" + LARGE + b"(" + b"h\x00)Rh\x01b" * 250 + b"t.",
    "encoded text": b"c_codecs\nencode\nq\x00" + TEXT + b"(" + b"h\x00h\x01\x85R" * 1_000 + b"t.",
    "an array": b"cnumpy\nndarray\n(I100000000\n\x85X\x02\x00\x00\x00f4tR.",
}
"""Pickles that ask for a large object again and again, and of which a few bytes make it."""


@pytest.mark.parametrize("copies", COPIES)
def test_copies_of_what_is_in_a_pickle_once(tmp_path: Path, copies: str) -> None:
    pickled = b"\x80\x02" + COPIES[copies]
    (tmp_path / "w.pdparams").write_bytes(pickled)
    refused(tmp_path / "w.pdparams", "pickle")
    refused(torch_archive(tmp_path / "w.pth", pickled), "pickle|holds a|too many containers|objects of")


def test_one_array_under_many_names_of_a_pickle(tmp_path: Path) -> None:
    array = np.ones(100_000, np.float32)
    (tmp_path / "w.pdparams").write_bytes(pickle.dumps({f"a{n}": array for n in range(1_000)}, 2))
    refused(tmp_path / "w.pdparams", "names more numbers than it has bytes")


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_arrays_of_a_pickle_are_those_that_were_saved(tmp_path: Path, protocol: int) -> None:
    plain = np.arange(6, dtype=np.float32).reshape(2, 3)
    arrays = {"a": plain, "b": np.asfortranarray(plain), "c": plain.astype(">f8"), "d": np.arange(3)}
    (tmp_path / "w").write_bytes(pickle.dumps(OrderedDict(arrays), protocol))
    found = paddle._arrays(tmp_path / "w")
    assert {name: tensor.tolist() for name, tensor in found.items()} == {n: a.tolist() for n, a in arrays.items()}


def test_an_ordered_dict_of_python_2(tmp_path: Path) -> None:
    tensor = tensor_of((4,), (1,)).removeprefix(b"}S'conv1.weight'\n").removesuffix(b"s.")
    pickled = b"ccollections\nOrderedDict\n((lp0\n(lS'conv1.weight'\na" + tensor + b"aatR."
    assert list(checkpoint(torch_archive(tmp_path / "w.pth", pickled))[0].tensors) == ["conv1.weight"]


def test_containers_that_hold_themselves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dict in itself, and lists that hold the list before them twice: 2^60 places.

    A tenth of the places that are looked at, which take a tenth of the memory.
    """
    monkeypatch.setattr(checkpoints, "MOST_PLACES", checkpoints.MOST_PLACES // 10)
    itself = b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s."
    doubled = b"\x80\x02" + b"]q\x00" + b"".join(b"](h%ch%ceq%c" % (n, n, n + 1) for n in range(60)) + b"."
    for pickled in (itself, doubled):
        refused(torch_archive(tmp_path / "w.pth", pickled), "too many containers", 2**26 // 10)


def test_nothing_that_a_pickle_names_is_imported_or_called(tmp_path: Path) -> None:
    """Stand-ins take arguments, states, items and attributes, and do nothing with them."""
    mark = tmp_path / "mark"
    content = f"(S'touch {mark}'\ntR".encode()
    for call in (b"cposix\nsystem\n" + content, b"cos\nsystem\n" + content, b"cbuiltins\nexec\n" + content):
        pickled = b"\x80\x02}X\x01\x00\x00\x00a" + call + b"}X\x08\x00\x00\x00__dict__Nsbs."
        refused(torch_archive(tmp_path / "w.pth", pickled), "were not loaded, since that could run code")
    assert not mark.exists()
    refused(torch_archive(tmp_path / "w.pth", b"\x80\x02cantigravity\nfly\n."), "objects of antigravity|holds a")
    assert "antigravity" not in sys.modules


def test_names_cannot_move_the_cursor(tmp_path: Path) -> None:
    torch.save({"\x1b[2J\x1b[31mconv\n1.weight": torch.zeros(2), "a\x00b": torch.zeros(2)}, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", r"\\x1b\[2J\\x1b\[31mconv\\n1.weight")


def test_a_flipped_bit_in_a_tensor(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"conv1.weight": torch.full((64,), 1.5)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(torch.full((64,), 1.5).numpy().tobytes())] ^= 1
    path.write_bytes(content)
    tensor = checkpoint(path)[0].tensors["conv1.weight"]
    with pytest.raises(DeepenoughError, match=r"w.pth is not a whole torch file \(BadZipFile\); fetch it again"):
        loaded(tensor)


def test_a_file_that_is_gone_or_shorter_when_a_tensor_is_read(tmp_path: Path) -> None:
    for legacy in (False, True):
        path = tmp_path / "w.pth"
        torch.save({"conv1.weight": torch.zeros(64)}, path, _use_new_zipfile_serialization=not legacy)
        tensor = checkpoint(path)[0].tensors["conv1.weight"]
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(DeepenoughError, match=r"w\.pth (is not a whole torch file|can't be read)"):
            loaded(tensor)
        path.unlink()
        with pytest.raises(DeepenoughError, match=r"w\.pth is not a whole torch file \(FileNotFoundError\)"):
            loaded(tensor)


def test_a_legacy_storage_that_the_list_of_keys_lacks(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({"conv1.weight": torch.zeros(4)}, path, _use_new_zipfile_serialization=False)
    tail = bytes(8 + 4 * 4)
    content = path.read_bytes()
    keys = content.rindex(b"\x80\x02]")
    path.write_bytes(content[:keys] + b"\x80\x02]." + tail)
    with pytest.raises(DeepenoughError, match=r"not a whole torch file \(KeyError\)"):
        loaded(checkpoint(path)[0].tensors["conv1.weight"])


def test_attributes_of_tensors_stay(tmp_path: Path) -> None:
    """BUILD would replace a tensor's storage and shape, whatever the class says of its being frozen."""
    state = b"".join(b"S'%s'\nNs" % name for name in (b"storage", b"shape", b"offset", b"stride"))
    pickled = tensor_of((4,), (1,)).replace(b"tRs.", b"tR}" + state + b"bs.")
    tensor = checkpoint(torch_archive(tmp_path / "w.pth", pickled))[0].tensors["conv1.weight"]
    assert torch.equal(loaded(tensor), torch.zeros(4))


def test_an_encrypted_archive(tmp_path: Path) -> None:
    path = torch_archive(tmp_path / "w.pth", tensor_of((4,), (1,)))
    content = bytearray(path.read_bytes())
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(start) + flags] |= 1
    path.write_bytes(content)
    refused(path, r"w.pth is not a whole torch file \(RuntimeError\); fetch it again")


def test_variables_that_lie_in_another_file(tmp_path: Path) -> None:
    """Opening a FIFO would wait for ever; a link out of the file is refused before."""
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["vars/0"] = np.zeros(4, np.float32)
    for link in (h5py.ExternalLink(str(tmp_path / "other.h5"), "vars"), h5py.SoftLink("/elsewhere")):
        with h5py.File(tmp_path / "w.weights.h5", "w") as file:
            file.create_group("layers/conv2d")["vars"] = link
            file["elsewhere/0"] = np.zeros(4, np.float32)
        refused(tmp_path / "w.weights.h5", "layers/conv2d/vars is a link out of its place")


def test_a_file_with_groups_in_one_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras, "MOST_GROUPS", 2_000)
    with h5py.File(tmp_path / "w.h5", "w") as file:
        group = file.create_group("layers")
        group["layers"] = group["again"] = group
    refused(tmp_path / "w.h5", "not a whole Keras file: it has more than 2,000 groups|without weights")


@given(st.binary(max_size=200))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_bytes_as_a_pickle_end_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    torch_archive(tmp_path / "w.pth", b"\x80\x02" + content)
    with pytest.raises(DeepenoughError):
        read_weights(tmp_path / "w.pth")


def test_a_pickle_that_names_classes_without_end(tmp_path: Path) -> None:
    named = b"".join(b"ca\nb%d\n0" % number for number in range(5_000))
    refused(torch_archive(tmp_path / "w.pth", b"\x80\x02" + named + b"}."), "objects of more than 1,000 classes")


def test_a_pickle_that_changes_the_functions_it_calls(tmp_path: Path) -> None:
    """`BUILD` sets attributes of whatever lies on the stack, a function's `__defaults__` too."""
    for state in (b"}X\x0c\x00\x00\x00__defaults__(NNtsb", b"(N}X\x0c\x00\x00\x00__defaults__(NNtstb"):
        pickled = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n" + state + b"0}."
        refused(torch_archive(tmp_path / "w.pth", pickled), "a pickle that changes a function")
