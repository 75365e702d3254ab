"""SavedModels of Keras 2: networks and weights of a folder, and each damage in one sentence."""

from __future__ import annotations

import json
import os
import random
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import saved_models as made
import torch

from deepenough.errors import DeepenoughError
from deepenough.experiment.fit import asked_of
from deepenough.nets import BatchNorm, Conv, Dense, GlobalAvgPool
from deepenough.nets.shapes import visits
from deepenough.weights import leveldb_table, load_weights, saved_model, tensor_bundle
from deepenough.weights.crc32c import crc32c
from deepenough.weights.read import read_weights


def refused(path: Path, words: str) -> str:
    """Check that a path is refused in one line and with little memory."""
    tracemalloc.start()
    with pytest.raises(DeepenoughError, match=words) as error:
        read_weights(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**26
    assert "\n" not in str(error.value)
    return str(error.value)


def test_checksums_are_those_that_are_published() -> None:
    """RFC 3720, B.4, and the usual check; longer data, which is read in pieces, against byte after byte."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    for size in (1023, 1024, 1025, 70_001):
        data = np.random.default_rng(size).integers(0, 256, size, np.uint8).tobytes()
        assert crc32c(data) == one_by_one(data)


def one_by_one(data: bytes) -> int:
    register = 0xFFFFFFFF
    for value in data:
        register ^= value
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    return register ^ 0xFFFFFFFF


@pytest.mark.parametrize("given", ["folder", "file"])
def test_the_network_of_a_saved_model(tmp_path: Path, given: str) -> None:
    folder = made.saved_model(tmp_path / "mine")
    found = read_weights(folder if given == "folder" else folder / "saved_model.pb")
    assert (found.name, found.source, found.network.name) == ("mine", "keras", "tiny")
    assert found.network.input == (3, 9, 9)
    kinds = [type(visit.layer) for visit in visits(found.network)]
    assert kinds == [Conv, BatchNorm, GlobalAvgPool, Dense]
    np.testing.assert_array_equal(found.state["one.weight"].numpy(), made.KERNEL.transpose(3, 2, 0, 1))
    np.testing.assert_array_equal(found.state["two.weight"].numpy(), made.HEAD.T)
    for key, array in zip(("weight", "bias", "running_mean", "running_var"), made.SCALES, strict=True):
        np.testing.assert_array_equal(found.state[f"norm.{key}"].numpy(), array)
    np.testing.assert_allclose(found.input.mean + found.input.std, 0.5)


def test_a_saved_model_wherever_weights_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made.saved_model(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert load_weights("mine").network.name == "tiny"
    assert asked_of("digits", {"weights": ("mine",)}).weights == (str(tmp_path / "mine"),)
    (tmp_path / "mine" / "preprocess.json").write_text(
        json.dumps({"size": [9, 9], "mean": [0, 0, 0], "std": [1, 1, 1]})
    )
    assert load_weights("mine").input.mean == (0, 0, 0)


def test_its_digest_is_that_of_configuration_and_arrays(tmp_path: Path) -> None:
    first = read_weights(made.saved_model(tmp_path / "a"))
    (tmp_path / "a" / "fingerprint.pb").write_bytes(b"x")
    assert read_weights(tmp_path / "a").sha256 == first.sha256 == read_weights(made.saved_model(tmp_path / "b")).sha256
    other = made.saved_model(tmp_path / "c", arrays={**made.ARRAYS, made.KEYS[0]: made.HEAD + 1})
    assert read_weights(other).sha256 != first.sha256


@pytest.mark.parametrize("kind", ["float16", "float64", "bfloat16"])
def test_arrays_of_other_precisions(tmp_path: Path, kind: str) -> None:
    head = (made.HEAD.view(np.uint32) >> 16).astype(np.uint16) if kind == "bfloat16" else made.HEAD.astype(kind)
    found = read_weights(made.saved_model(tmp_path / "m", arrays={**made.ARRAYS, made.KEYS[0]: head}))
    np.testing.assert_allclose(found.state["two.weight"].numpy(), made.HEAD.T, rtol=2**-7)


def test_arrays_in_several_files(tmp_path: Path) -> None:
    folder = made.saved_model(tmp_path / "m") / "variables"
    data = (folder / "variables.data-00000-of-00001").read_bytes()
    place = data.index(made.HEAD.tobytes())
    (folder / "variables.data-00000-of-00001").rename(folder / "variables.data-00000-of-00002")
    (folder / "variables.data-00001-of-00002").write_bytes(made.HEAD.tobytes())
    entries = leveldb_table.read_table((folder / "variables.index").read_bytes())
    entries[b""] = made.number(1, 2)
    entries[made.KEYS[0].encode()] = made.entry(made.HEAD, 0, shard=1)
    (folder / "variables.index").write_bytes(made.table(entries))
    blank = data[:place] + bytes(made.HEAD.nbytes) + data[place + made.HEAD.nbytes :]
    (folder / "variables.data-00000-of-00002").write_bytes(blank)
    np.testing.assert_array_equal(read_weights(tmp_path / "m").state["two.weight"].numpy(), made.HEAD.T)


def changed(folder: Path, name: str, change: Any) -> None:
    file = folder / name
    file.write_bytes(change(file.read_bytes()))


def test_what_has_no_configuration_says_so(tmp_path: Path) -> None:
    folder = made.saved_model(tmp_path / "exported")
    (folder / "keras_metadata.pb").unlink()
    words = refused(folder, "exported is a SavedModel without Keras' configuration")
    assert "save it as `.keras` where it was made" in words
    assert "ONNX" in words
    refused(tmp_path, "is a folder; expected weights: .*a SavedModel's folder of Keras 2")


def test_checkpoints_are_refused_by_what_they_are(tmp_path: Path) -> None:
    variables = made.saved_model(tmp_path / "m") / "variables"
    for part in (variables, variables / "variables", *variables.iterdir()):
        refused(part, r"is part of the SavedModel .*m; give that folder")
    for file in variables.iterdir():
        shutil.copy(file, tmp_path / file.name.replace("variables", "model.ckpt"))
    for name in ("model.ckpt", "model.ckpt.index", "model.ckpt.data-00000-of-00001", "."):
        refused(tmp_path / name, "is a checkpoint of TensorFlow .*without the network")


LIES = {
    "beyond the end": ({"offset": 1 << 40}, "lies beyond the end of variables.data-00000-of-00001"),
    "before the start": ({"offset": -4}, "lies beyond the end"),
    "less than nothing": ({"size": -4}, "lies beyond the end"),
    "petabytes": ({"size": 1 << 52, "sides": (1 << 50,)}, "lies beyond the end"),
    "sides that make other bytes": ({"sides": (1 << 31, 1 << 31)}, "has 80 bytes, which is not its shape"),
    "sides below nothing": ({"sides": (-4, -5)}, "which no array has"),
    "many sides": ({"sides": (1,) * 1000}, "which no array has"),
    "one array on another": ({"offset": 100}, "lies where another array is"),
    "a file that is not": ({"shard": 7}, "lies in file 7 of 1"),
    "text": ({"kind": 7}, "has numbers of a type that is not known here"),
    "another type": ({"kind": 9}, "has 80 bytes, which is not its shape"),
    "whole numbers": ({"kind": 3}, "its weight is of type int32; expected floating point"),
    "another checksum": ({"checksum": 0}, "does not have the checksum that its index states"),
}


@pytest.mark.parametrize("lie", LIES)
def test_arrays_that_are_not_what_their_index_says(tmp_path: Path, lie: str) -> None:
    told, words = LIES[lie]
    folder = made.saved_model(tmp_path / "m", lies={made.KEYS[0]: told})
    with pytest.raises(DeepenoughError, match=words):
        read_weights(folder)


def with_many_entries() -> bytes:
    return made.table({b"%09d" % n: b"" for n in range(2_000)})


def with_a_long_key() -> bytes:
    return made.table({b"x" * 1_000_000: b""})


def with_one_block_often() -> bytes:
    content = made.stored(made.block({b"a": b"b"}))
    handle = made.varint(0) + made.varint(len(content) - 5)
    return made.ended(content, {b"%06d" % n: handle for n in range(1_000)})


def with_a_packed_block() -> bytes:
    content = made.stored(made.block({b"a": b"b"}), 1)
    return made.ended(content, {b"a": made.varint(0) + made.varint(len(content) - 5)})


TABLES = {
    "nothing": (lambda: b"", "does not end as a table"),
    "its end alone": (lambda: made.TABLE_END, "does not end as a table"),
    "a footer without handles": (lambda: b"\xff" * 40 + made.TABLE_END, "a number without an end|beyond its end"),
    "no header": (lambda: made.table({b"a": b""}), "does not say which files"),
    "many entries": (with_many_entries, "more than 1,000 entries"),
    "a long key": (with_a_long_key, "a key that is too long"),
    "one block often": (with_one_block_often, "more bytes than it has itself|keys that are not in order"),
    "a packed block": (with_a_packed_block, "its index is compressed"),
    "a block alone": (lambda: made.ended(b"", {b"a": made.varint(0) + made.varint(1 << 40)}), "a block beyond its end"),
    "many files": (lambda: made.table({b"": made.number(1, 1 << 30)}), "lie in 1,073,741,824 files"),
    "another order of bytes": (lambda: made.table({b"": made.number(1, 1) + made.number(2, 1)}), "highest byte first"),
    "a header of nothing": (lambda: made.table({b"": b"\xff"}), "is no message of protocol buffers"),
    "an entry of nothing": (
        lambda: made.table({b"": made.number(1, 1), b"a": b"\xff"}),
        "the entry of .* is no message",
    ),
    "no graph of objects": (lambda: made.table({b"": made.number(1, 1)}), "_OBJECT_GRAPH is not in its index"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_that_are_damaged_or_ask_for_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(leveldb_table, "MOST_ENTRIES", 1_000)
    folder = made.saved_model(tmp_path / "m")
    content, words = TABLES[kind]
    (folder / "variables" / "variables.index").write_bytes(content())
    refused(folder, f"m is not a whole SavedModel: .*({words})")


def test_files_that_are_missing_or_not_files(tmp_path: Path) -> None:
    for name in ("variables.index", "variables.data-00000-of-00001"):
        folder = made.saved_model(tmp_path / name)
        (folder / "variables" / name).unlink()
        refused(folder, f"is not a whole SavedModel: {name} is missing")
        if hasattr(os, "mkfifo"):  # which opening would wait for
            os.mkfifo(folder / "variables" / name)
            refused(folder, f"is not a whole SavedModel: {name} is missing")


def test_more_arrays_than_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensor_bundle, "LARGEST", 300)
    refused(made.saved_model(tmp_path / "m"), "its arrays have more than")


def rooted(said: Any) -> bytes:
    """The metadata with something else for the whole model."""
    return made.metadata({**made.STATED, "root": said})


NOTHING: dict[str, Any] = {}
METADATA = {
    "nothing": (b"", "keras_metadata.pb does not describe the model"),
    "no message": (b"\xff\xff", "keras_metadata.pb is no message"),
    "no JSON": (rooted("{"), "not a whole SavedModel: Expecting property name"),
    "JSON in JSON": (rooted("[" * 100_000), "not a whole SavedModel"),
    "a list": (rooted([]), "does not describe the model"),
    "a class of somebody's": (rooted({"class_name": "Mine"}), "holds a Mine; read are models of the kinds"),
    "its layers unnamed": (
        made.metadata({"root": {"class_name": "Mine"}}),
        "holds a Mine of whose layers none is known to have weights",
    ),
    "no layers": (rooted({"class_name": "Functional", "config": NOTHING}), "its configuration can't be read"),
    "many objects": (made.part(1, b"") * 1_001, "describes 1,001 objects; at most 1,000"),
    "a tuple for a model": (rooted({"class_name": "Functional", "config": made.pair(None)}), "can't be read"),
    "one name twice": (
        made.metadata({**made.STATED, "root.layer_with_weights-1": {"name": "body"},
                       "root.layer_with_weights-0.layer_with_weights-0": {"name": "norm"}}),
        "two of its layers are called body/norm",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", METADATA)
def test_metadata_that_are_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(saved_model, "MOST_LAYERS", 1_000)
    folder = made.saved_model(tmp_path / "m")
    content, words = METADATA[kind]
    (folder / "keras_metadata.pb").write_bytes(content)
    with pytest.raises(DeepenoughError, match=words):
        read_weights(folder)


def node(*children: tuple[str, int]) -> bytes:
    return made.part(1, b"".join(made.part(1, made.number(1, at) + made.part(2, name)) for name, at in children))


GRAPHS = {
    "objects that are not there": (node(("layer-0", 7)), "has no object 7"),
    "no objects": (b"", "has no object 0"),
    "a model in itself": (node(("layer-0", 0)), "its models are nested more than 8 deep"),
    "layers in two models of each other": (
        node(("layer-0", 1), ("layer-1", 2)) + node(("layer-0", 2)) + node(("layer-0", 1)),
        "its models are nested more than 8 deep",
    ),
    "many children": (
        node(*((f"layer-{n}", 1) for n in range(2_000))) + node(),
        "more than 1,000 children of layers",
    ),
    "no message": (b"\xff\xff", "is no message"),
}


@pytest.mark.parametrize("kind", GRAPHS)
def test_graphs_of_objects_that_are_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(saved_model, "MOST_CHILDREN", 1_000)
    folder = made.saved_model(tmp_path / "m", stated={**made.STATED, "root.layer-0": {"name": "a"}})
    content, words = GRAPHS[kind]
    made.bundle(folder / "variables", made.ARRAYS, content)
    with pytest.raises(DeepenoughError, match=words):
        read_weights(folder)


def test_layers_are_found_by_their_names_not_by_their_order(tmp_path: Path) -> None:
    """Two layers with arrays of one shape, in another order than the configuration has them."""
    swapped = {**made.TREE, "layer_with_weights-0": dict(made.TREE["layer_with_weights-0"])}
    inner = swapped["layer_with_weights-0"]
    inner["layer_with_weights-0"], inner["layer_with_weights-1"] = (
        inner["layer_with_weights-1"],
        inner["layer_with_weights-0"],
    )
    stated = dict(made.STATED)
    places = [f"root.layer_with_weights-0.layer_with_weights-{n}" for n in (0, 1)]
    stated[places[0]], stated[places[1]] = stated[places[1]], stated[places[0]]
    found = read_weights(made.saved_model(tmp_path / "m", tree=swapped, stated=stated))
    np.testing.assert_array_equal(found.state["one.weight"].numpy(), made.KERNEL.transpose(3, 2, 0, 1))
    nameless = {place: said for place, said in made.STATED.items() if place != places[0]}
    with pytest.raises(DeepenoughError, match="layer 'one' of kind Conv2D: it has 0 arrays in the file; expected 1"):
        read_weights(made.saved_model(tmp_path / "n", stated=nameless))


@pytest.mark.parametrize(
    "name", ["keras_metadata.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]
)
def test_flipped_bits_and_cut_files_end_in_one_sentence(tmp_path: Path, name: str) -> None:
    """Index and arrays have checksums: no change of what is read goes unseen. A configuration has none."""
    folder = made.saved_model(tmp_path / "m")
    whole, wanted = (folder / name).read_bytes(), read_weights(folder).state
    draws = random.Random(0)
    refusals = 0
    for _ in range(60):
        content = bytearray(whole)
        if draws.random() < 0.2:
            del content[draws.randrange(len(content)) :]
        for _ in range(draws.choice((1, 1, 1, 8))):
            if content:
                content[draws.randrange(len(content))] ^= 1 << draws.randrange(8)
        (folder / name).write_bytes(content)
        try:
            found = read_weights(folder, preprocess="torchvision").state
        except DeepenoughError:
            refusals += 1
        else:
            assert name == "keras_metadata.pb" or all(torch.equal(found[key], wanted[key]) for key in wanted)
    assert refusals > 30
