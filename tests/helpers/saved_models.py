"""A small SavedModel as Keras 2 writes it, made by hand by the published layouts: nothing of TensorFlow's is here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepenough.weights.crc32c import crc32c, masked
from deepenough.weights.leveldb_table import TABLE_END

TYPES = {"float32": 1, "float64": 2, "int64": 9, "uint16": 14, "float16": 19}
"""TensorFlow's numbers of its types; what is given as uint16 is bfloat16."""

OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"


def varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def number(field: int, value: int) -> bytes:
    """A field of a message that is a number."""
    return varint(field << 3) + varint(value & (1 << 64) - 1)


def part(field: int, value: bytes | str) -> bytes:
    """A field of a message that is text, or a message."""
    content = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(content)) + content


def block(entries: Mapping[bytes, bytes]) -> bytes:
    """A block of a table, with each key by what it shares with the one before."""
    content, last = b"", b""
    for key, value in entries.items():
        shared = next((n for n, (a, b) in enumerate(zip(last, key, strict=False)) if a != b), min(len(last), len(key)))
        content += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    return content + (0).to_bytes(4, "little") + (1).to_bytes(4, "little")


def stored(content: bytes, kind: int = 0) -> bytes:
    """A block with its trailer."""
    whole = content + bytes([kind])
    return whole + masked(crc32c(whole)).to_bytes(4, "little")


def table(entries: Mapping[bytes, bytes], *, a_block: int = 4) -> bytes:
    """A table of LevelDB with a few entries in each block."""
    content, index = b"", {}
    keys = sorted(entries)
    for first in range(0, len(keys), a_block):
        some = keys[first : first + a_block]
        made = block({key: entries[key] for key in some})
        index[some[-1]] = varint(len(content)) + varint(len(made))
        content += stored(made)
    return ended(content, index)


def ended(content: bytes, index: Mapping[bytes, bytes]) -> bytes:
    """Blocks of data with what ends a table: a block about it, the index of the blocks, and the footer."""
    handles = b""
    for made in (block({}), block(index)):
        handles += varint(len(content)) + varint(len(made))
        content += stored(made)
    return content + handles.ljust(40, b"\0") + TABLE_END


def entry(array: np.ndarray, start: int, **changed: Any) -> bytes:
    """Where an array lies; `changed` tells a lie about it."""
    said = {
        "kind": TYPES[array.dtype.name],
        "sides": array.shape,
        "shard": 0,
        "offset": start,
        "size": array.nbytes,
        "checksum": masked(crc32c(array.tobytes())),
    } | changed
    sides = b"".join(part(2, number(1, side)) for side in said["sides"])
    return (
        number(1, said["kind"]) + part(2, sides) + number(3, said["shard"]) + number(4, said["offset"])
        + number(5, said["size"]) + varint(6 << 3 | 5) + said["checksum"].to_bytes(4, "little")
    )  # fmt: skip


def string(text: bytes, offset: int) -> tuple[bytes, bytes]:
    """The entry and the bytes of an array that is one string: its length, a checksum of that, and the text."""
    length = len(text).to_bytes(4, "little")
    check = masked(crc32c(length)).to_bytes(4, "little")
    content = varint(len(text)) + check + text
    place = number(1, 7) + part(2, b"") + number(4, offset) + number(5, len(content))
    return place + varint(6 << 3 | 5) + masked(crc32c(length + check + text)).to_bytes(4, "little"), content


def bundle(
    folder: Path, arrays: Mapping[str, np.ndarray], graph: bytes, lies: Mapping[str, dict[str, Any]] | None = None
) -> None:
    """Write a tensor bundle with a graph of objects; `lies` are changes of entries by their keys."""
    folder.mkdir(parents=True, exist_ok=True)
    data, entries = b"", {b"": number(1, 1)}
    for key, array in arrays.items():
        entries[key.encode()] = entry(array, len(data), **(lies or {}).get(key, {}))
        data += array.tobytes()
    entries[OBJECTS.encode()], content = string(graph, len(data))
    (folder / "variables.data-00000-of-00001").write_bytes(data + content)
    (folder / "variables.index").write_bytes(table(entries))


Tree = Mapping[str, Any]
"""An object by its children: a tree each, or the key of an array."""


def objects(tree: Tree) -> bytes:
    """The graph of objects that is made of a tree."""
    nodes = [b""]

    def written(children: Tree) -> bytes:
        content = b""
        for name, child in children.items():
            place = len(nodes)
            nodes.append(b"")
            key = part(2, part(1, "VARIABLE_VALUE") + part(3, child)) if isinstance(child, str) else None
            nodes[place] = written(child) if key is None else key
            content += part(1, number(1, place) + part(2, name))
        return content

    nodes[0] = written(tree)
    return b"".join(part(1, node) for node in nodes)


def metadata(stated: Mapping[str, Any]) -> bytes:
    """What Keras says of the objects at places."""
    content = b""
    for count, (place, said) in enumerate(stated.items()):
        kind = "_tf_keras_network" if place == "root" else "_tf_keras_layer"
        text = said if isinstance(said, str) else json.dumps(said)
        content += part(1, number(2, count) + part(3, place) + part(4, kind) + part(5, text))
    return content


def pair(*sides: int | None) -> dict[str, Any]:
    """A tuple, which Keras marks."""
    return {"class_name": "__tuple__", "items": list(sides)}


RANDOM = np.random.default_rng(0)
KERNEL, SCALES, HEAD = (RANDOM.uniform(0.5, 1, shape).astype(np.float32) for shape in ((3, 3, 3, 4), (4, 4), (4, 5)))
NORM = ("gamma", "beta", "moving_mean", "moving_variance")


def layer(kind: str, name: str, given: str, **config: Any) -> dict[str, Any]:
    nodes = [[[given, 0, 0, {}]]] if given else []
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def model(name: str, layers: list[dict[str, Any]]) -> dict[str, Any]:
    ends = {"input_layers": [[layers[0]["name"], 0, 0]], "output_layers": [[layers[-1]["name"], 0, 0]]}
    return {"name": name, "layers": layers, **ends}


BODY = [
    layer("InputLayer", "x", "", batch_input_shape=pair(None, 9, 9, 3), dtype="float32"),
    layer("Conv2D", "one", "x", filters=4, kernel_size=pair(3, 3), strides=pair(1, 1), padding="same", use_bias=False,
          activation="linear"),
    layer("BatchNormalization", "norm", "one", axis=[3], epsilon=0.001, momentum=0.99),
]  # fmt: skip
NETWORK = [
    layer("InputLayer", "images", "", batch_input_shape=pair(None, 9, 9, 3), dtype="float32"),
    layer("Rescaling", "scale", "images", scale=1 / 127.5, offset=-1.0),
    {
        "class_name": "Functional", "name": "body", "config": model("body", BODY),
        "inbound_nodes": [[["scale", 0, 0, {"training": False}]]],
    },
    layer("GlobalAveragePooling2D", "mean", "body"),
    layer("Dense", "two", "mean", units=5, use_bias=False, activation="softmax"),
]  # fmt: skip
NETWORK[3]["inbound_nodes"] = [[["body", 1, 0, {}]]]  # making the body was its first call
ROOT = {
    "class_name": "Functional", "name": "tiny", "config": model("tiny", NETWORK), "keras_version": "2.15.0",
}  # fmt: skip

STATED = {
    "root": ROOT,
    "root.layer-0": {"name": "images"},
    "root.layer-1": {"name": "scale"},
    "root.layer_with_weights-0": {"name": "body"},
    "root.layer_with_weights-0.layer_with_weights-0": {"name": "one"},
    "root.layer_with_weights-0.layer_with_weights-1": {"name": "norm"},
    "root.layer_with_weights-1": {"name": "two"},
}
ARRAYS = {
    "layer_with_weights-1/kernel/.ATTRIBUTES/VARIABLE_VALUE": HEAD,
    "variables/0/.ATTRIBUTES/VARIABLE_VALUE": KERNEL,
    **{f"variables/{n}/.ATTRIBUTES/VARIABLE_VALUE": SCALES[n - 1] for n in range(1, 5)},
}
KEYS = list(ARRAYS)
TREE = {
    "layer-0": {},
    "layer-1": {},
    "layer_with_weights-0": {
        "layer-0": {},
        "layer_with_weights-0": {"kernel": KEYS[1]},
        # In another order than that of `get_weights`.
        "layer_with_weights-1": {"moving_variance": KEYS[5], "axis": {}, "beta": KEYS[3], "gamma": KEYS[2],
                                 "moving_mean": KEYS[4]},
    },
    "layer-3": {},
    "layer_with_weights-1": {"kernel": KEYS[0], "keras_api": {}},
}  # fmt: skip


def saved_model(
    folder: Path,
    *,
    stated: Mapping[str, Any] = STATED,
    arrays: Mapping[str, np.ndarray] = ARRAYS,
    tree: Tree = TREE,
    lies: Mapping[str, dict[str, Any]] | None = None,
) -> Path:
    """Write the SavedModel of a convolution and a norm in a model, and a dense layer behind it."""
    bundle(folder / "variables", arrays, objects(tree), lies)
    (folder / "saved_model.pb").write_bytes(number(1, 1))
    (folder / "keras_metadata.pb").write_bytes(metadata(stated))
    return folder
