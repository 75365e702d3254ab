"""SavedModels of Keras 2 (tf_keras): a folder with the configuration, and the arrays of each layer. Nothing is run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from deepenough.errors import DeepenoughError, first_line
from deepenough.files import sha256
from deepenough.nets.serialization import LONGEST_TEXT
from deepenough.weights.graphs.graph import Array, GraphError, plain_name
from deepenough.weights.leveldb_table import TABLE_END
from deepenough.weights.malformed import MalformedError
from deepenough.weights.messages import Fields, messages_of, parsed
from deepenough.weights.tensor_bundle import TensorBundle

SAVED_MODEL = "saved_model.pb"
"""The file that makes a folder a SavedModel."""

METADATA, INDEX = "keras_metadata.pb", "variables/variables.index"

MESSAGES: dict[str, Fields] = {
    "SavedMetadata": {"nodes": (1, "repeated bytes")},
    "SavedObject": {"node_path": (3, "bytes"), "identifier": (4, "bytes"), "metadata": (5, "bytes")},
    "ObjectGraph": {"nodes": (1, "repeated bytes")},
    "Object": {"children": (1, "repeated Child"), "attributes": (2, "repeated Attribute")},
    "Child": {"node_id": (1, "int32"), "local_name": (2, "bytes")},
    "Attribute": {"name": (1, "bytes"), "checkpoint_key": (3, "bytes")},
}  # fmt: skip
"""Keras' SavedMetadata and TensorFlow's TrackableObjectGraph. Nodes are bytes: a stranger's file may have millions."""

OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""The key of the graph of objects, which says under which key each layer's arrays are."""

VALUE = b"VARIABLE_VALUE"

LARGEST_METADATA = 4 * LONGEST_TEXT
"""Bytes of a file of metadata that are read; it holds each layer's configuration again for each model around it."""

LARGEST_OBJECT = 1 << 20
"""Bytes of an object of a graph; a model of 1,000 layers has 30,000."""

MOST_LAYERS = 20_000
"""Layers that are read of a file; the largest of `keras.applications` has 1,100."""

MOST_CHILDREN = 1_000_000
"""Children of models and layers that are looked at; a layer has about ten, and one may be in many places."""

DEEPEST = 8
"""Models in models whose arrays are read."""

ORDER = (
    "embeddings", "depthwise_kernel", "pointwise_kernel", "kernel", "gamma", "beta", "bias", "moving_mean",
    "moving_variance", "mean", "variance", "count",
)  # fmt: skip
"""The arrays of Keras' layers in the order of `get_weights`."""

IN_KERAS_3 = (
    "save it as `.keras` where it was made (`model.save('model.keras')`), or as ONNX (`tf2onnx`, or Keras 3's "
    "`model.export('model.onnx', format='onnx')`), and give that"
)

Path_ = tuple[str, ...]


def is_saved_model(path: Path) -> bool:
    """Tell whether a path is a SavedModel: the folder, or the file in it."""
    return (path.name == SAVED_MODEL and path.is_file()) or (path / SAVED_MODEL).is_file()


def file_of(path: Path) -> Path:
    """The file that stands for a SavedModel, for its folder; other paths stay as they are."""
    return path / SAVED_MODEL if (path / SAVED_MODEL).is_file() else path


def digest(path: Path) -> str:
    """A SHA-256 of what decides the network and its weights: configuration, index and arrays."""
    folder = path.parent
    files = [folder / METADATA, *sorted((folder / INDEX).parent.glob("variables.*"))]
    lines = [f"{sha256(file)}  {file.relative_to(folder).as_posix()}\n" for file in files if file.is_file()]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_saved_model(path: Path) -> tuple[dict[str, Any], dict[Path_, list[Array]], str]:
    """Read a model's configuration, the arrays of its layers and the version that wrote it, of the file in a folder.

    Arrays are by the names of the models that their layer is in and its own, in Keras' order.
    """
    folder = path.parent
    _check_has_configuration(path)
    try:
        configurations = _configurations(folder / METADATA)
        root = configurations.get("root")
        if not isinstance(root, dict):
            raise MalformedError(f"{METADATA} does not describe the model")
        bundle = TensorBundle(folder / INDEX)
        objects = _Objects(bundle.text(OBJECTS))
        names = {}
        for place, stated in configurations.items():
            node = objects.at(place)
            if node is not None and isinstance(stated, dict):
                names[node] = str(stated.get("name", ""))
        found = _Collected(bundle, objects, names)
        found.model(0, (), 0)
    except MalformedError as error:
        raise GraphError(f"{folder} is not a whole SavedModel: {error}; fetch it again") from None
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, OverflowError,
            MemoryError) as error:  # fmt: skip
        raise GraphError(
            f"{folder} is not a whole SavedModel: {plain_name(first_line(error))}; fetch it again"
        ) from None
    if not found.arrays:
        raise GraphError(
            f"{folder} (Keras) holds a {plain_name(str(root.get('class_name')))} of whose layers none is known to have "
            "weights; read are models of the kinds Functional and Sequential"
        )
    return _listed(root), found.arrays, str(root.get("keras_version") or "2")


def _check_has_configuration(path: Path) -> None:
    """Raise the error for SavedModels that others than Keras 2 wrote, which have a program and no configuration."""
    folder = path.parent
    if (folder / METADATA).is_file():
        return
    raise DeepenoughError(
        f"{folder} is a SavedModel without Keras' configuration (it has no {METADATA}): it holds a program of "
        "TensorFlow, as `tf.saved_model.save`, Keras 3's `model.export` and `deepenough export --to tensorflow` write "
        f"it, which is not run; {IN_KERAS_3}"
    )


def check_is_no_checkpoint(path: Path) -> None:
    """Raise the error for files of a TensorFlow checkpoint, which have arrays without their network."""
    if path.is_dir():
        index = next(iter(sorted(path.glob("*.index"))), path)
    else:
        index = path.with_name(re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path.name) + ".index")
    if not index.is_file() or not _ends_as_table(index):
        return
    folder = index.parent.parent
    if index == folder / INDEX and is_saved_model(folder):
        raise DeepenoughError(f"{path} is part of the SavedModel {folder}; give that folder")
    raise DeepenoughError(
        f"{path} is a checkpoint of TensorFlow ({index.name} and its .data-*), which has arrays without the network "
        f"that they are of; load it into its model, {IN_KERAS_3}"
    )


def _ends_as_table(file: Path) -> bool:
    with file.open("rb") as opened:
        opened.seek(max(0, file.stat().st_size - len(TABLE_END)))
        return opened.read() == TABLE_END


def _configurations(file: Path) -> dict[str, Any]:
    """Keras' description of each object, by its place: `root.layer_with_weights-0`."""
    size = file.stat().st_size
    if size > LARGEST_METADATA:
        raise MalformedError(f"{file.name} has {size:,} bytes; at most {LARGEST_METADATA:,} are read")
    nodes = parsed(_pool(), "saved.SavedMetadata", file.read_bytes(), file.name).nodes
    if len(nodes) > MOST_LAYERS:
        raise MalformedError(f"{file.name} describes {len(nodes):,} objects; at most {MOST_LAYERS:,} are read")
    found = {}
    for node in nodes:
        stated = parsed(_pool(), "saved.SavedObject", node, file.name)
        if not stated.identifier.startswith(b"_tf_keras_") or stated.identifier == b"_tf_keras_metric":
            continue
        if len(stated.metadata) > LONGEST_TEXT:
            raise MalformedError(
                f"its configuration has {len(stated.metadata):,} bytes; at most {LONGEST_TEXT:,} are read"
            )
        described = json.loads(stated.metadata)
        place = stated.node_path.decode("utf-8", "replace")
        keep = place == "root" or not isinstance(described, dict)
        found[place] = described if keep else {"name": described.get("name")}  # the root's has all that is in it
    return found


class _Objects:
    """A checkpoint's graph of objects: models, layers in them, and the layers' arrays."""

    def __init__(self, content: bytes) -> None:
        if len(content) > LONGEST_TEXT:
            raise MalformedError(f"its graph of objects has {len(content):,} bytes; at most {LONGEST_TEXT:,} are read")
        self.nodes = parsed(_pool(), "saved.ObjectGraph", content, OBJECTS).nodes
        self.object = lru_cache(MOST_LAYERS)(self._object)

    def _object(self, number: int) -> tuple[dict[str, int], str | None]:
        """The children of an object by their names, and the key of its array, if it is one."""
        if not 0 <= number < len(self.nodes):
            raise MalformedError(f"its graph of objects has no object {number}")
        if len(self.nodes[number]) > LARGEST_OBJECT:
            raise MalformedError(f"object {number} of its graph has {len(self.nodes[number]):,} bytes")
        found = parsed(_pool(), "saved.Object", self.nodes[number], OBJECTS)
        keys = [each.checkpoint_key for each in found.attributes if each.name == VALUE]
        children = {each.local_name.decode("utf-8", "replace"): each.node_id for each in found.children}
        return children, keys[0].decode("utf-8", "backslashreplace") if keys else None

    def at(self, place: str) -> int | None:
        """The object at a place; None where there is none."""
        first, *parts = place.split(".")
        node: int | None = 0 if first == "root" else None
        for part in parts:
            if node is None:
                break
            node = self.object(node)[0].get(part)
        return node


class _Collected:
    """The arrays of layers, by the names that Keras says of them: their order is not relied on."""

    def __init__(self, bundle: TensorBundle, objects: _Objects, names: Mapping[int, str]) -> None:
        self.bundle = bundle
        self.objects = objects
        self.names = names
        self.arrays: dict[Path_, list[Array]] = {}
        self._read: dict[str, Array] = {}
        self._seen = 0

    def model(self, node: int, inside: Path_, depth: int) -> None:
        """Collect the arrays of the layers in a model."""
        if depth > DEEPEST:
            raise MalformedError(f"its models are nested more than {DEEPEST} deep, which is not read")
        for layer in self._layers(node):
            if layer not in self.names:
                continue
            where = (*inside, self.names[layer])
            if where in self.arrays:
                raise MalformedError(f"two of its layers are called {plain_name('/'.join(where))}")
            if arrays := [self._array(key) for key in self._keys(layer)]:
                self.arrays[where] = arrays
            self.model(layer, where, depth + 1)

    def _layers(self, node: int) -> Iterator[int]:
        children = self._children(node)
        layers = (number for name, number in children.items() if re.fullmatch(r"layer(_with_weights)?-\d+", name))
        return iter(dict.fromkeys(layers))

    def _keys(self, node: int) -> list[str]:
        """The keys of a layer's own arrays, each once though it may have two names."""
        children = self._children(node)
        keys: dict[int, tuple[str, str]] = {}
        for name, number in children.items():
            key = self.objects.object(number)[1]
            if key is not None and (number not in keys or name in ORDER):
                keys[number] = name, key
        order = {name: number for number, name in enumerate(ORDER)}
        return [key for _, key in sorted(keys.values(), key=lambda each: order.get(each[0], len(ORDER)))]

    def _children(self, node: int) -> dict[str, int]:
        children, _ = self.objects.object(node)
        self._seen += 1 + len(children)
        if self._seen > MOST_CHILDREN:
            raise MalformedError(f"its graph of objects has more than {MOST_CHILDREN:,} children of layers")
        return children

    def _array(self, key: str) -> Array:
        if key not in self._read:
            self._read[key] = self.bundle.array(key)
        return self._read[key]


def _listed(value: Any) -> Any:
    """A configuration with lists for tuples, which Keras marks in such files."""
    if isinstance(value, dict):
        if value.get("class_name") == "__tuple__" and isinstance(value.get("items"), list):
            return [_listed(each) for each in value["items"]]
        return {key: _listed(each) for key, each in value.items()}
    return [_listed(each) for each in value] if isinstance(value, list) else value


@lru_cache
def _pool() -> Any:
    return messages_of("saved", MESSAGES)
