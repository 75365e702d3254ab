"""The content of a Keras model file, or SavedModel: its configuration, and the arrays of each layer. Nothing in it is
run."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepenough.errors import DeepenoughError, first_line
from deepenough.nets.serialization import LONGEST_TEXT
from deepenough.weights.graphs.graph import Array, GraphError, plain_name
from deepenough.weights.keras import (
    Arrays,
    check_size,
    is_legacy,
    listed_names,
    member_of,
    needed_h5py,
    owner_of,
    unpacked,
)
from deepenough.weights.saved_model import is_saved_model, read_saved_model

CONFIG_MEMBER, METADATA_MEMBER = "config.json", "metadata.json"

DEEPEST = 8
"""Models in models whose arrays are read."""

Path_ = tuple[str, ...]
LayerArrays = Mapping[Path_, list[Array]]
"""The arrays of a layer in Keras' order, by the names of the models that it is in and its own."""


def read_keras_file(path: Path) -> tuple[dict[str, Any], LayerArrays, str] | None:
    """Read a model's configuration, the arrays of its layers and the version that wrote it; None without configuration.

    In a file of Keras 2's layout, the models that a layer is in are the outermost one alone.
    """
    if is_saved_model(path):
        return read_saved_model(path)
    h5py = needed_h5py(path)
    try:
        with h5py.File(unpacked(path), "r") as file:
            text, version = _texts(path, file)
            if text is None:
                return None
            arrays = Arrays(path)
            found = _legacy(file, arrays) if is_legacy(file) else _modern(file, arrays, (), 0)
            return _config(path, text), found, version
    except DeepenoughError:
        raise
    except (OSError, KeyError, RuntimeError, MemoryError, OverflowError, ValueError, RecursionError, TypeError,
            AttributeError, IndexError, zlib.error, zipfile.BadZipFile) as error:  # fmt: skip
        raise GraphError(f"{path} is not a whole Keras file: {plain_name(first_line(error))}; fetch it again") from None


def _texts(path: Path, file: Any) -> tuple[bytes | str | None, str]:
    if not zipfile.is_zipfile(path):
        text = file.attrs.get("model_config")
        version = file.attrs.get("keras_version", "")
        return text, version.decode("utf-8", "replace") if isinstance(version, bytes) else str(version)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        content = {}
        for name in (CONFIG_MEMBER, METADATA_MEMBER):
            if name in names:
                info = archive.getinfo(name)
                check_size(path, name, info.file_size, info.compress_size)
                content[name] = archive.read(info)
    metadata = json.loads(content.get(METADATA_MEMBER, b"{}"))
    return content.get(CONFIG_MEMBER), str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else ""


def _config(path: Path, text: bytes | str) -> dict[str, Any]:
    if len(text) > LONGEST_TEXT:
        raise GraphError(f"{path}: its configuration has {len(text):,} characters; at most {LONGEST_TEXT:,} are read")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GraphError(f"{path}: its configuration can't be read ({plain_name(first_line(error))})") from None
    if not isinstance(config, dict):
        raise GraphError(f"{path}: its configuration is a {type(config).__name__}; expected that of a model")
    return config


def _modern(group: Any, arrays: Arrays, inside: Path_, depth: int) -> dict[Path_, list[Array]]:
    """Keras 3's layout: `layers/conv2d_3/vars/0`, where `vars` says the layer's name."""
    found: dict[Path_, list[Array]] = {}
    if depth > DEEPEST or "layers" not in group:
        return found
    layers = member_of(group, "layers")
    for key in layers:
        layer = member_of(layers, key)
        variables = member_of(layer, "vars") if "vars" in layer else {}
        attributes = variables.attrs if hasattr(variables, "attrs") else {}
        here = (*inside, str(attributes.get("name", key)))
        if len(variables):
            found[here] = [arrays.read(member_of(variables, number)) for number in sorted(variables, key=int)]
        found |= _modern(layer, arrays, here, depth + 1)
    return found


def _legacy(file: Any, arrays: Arrays) -> dict[Path_, list[Array]]:
    """Keras 2's layout, where a model's arrays are called `layer/kernel`, whatever stands before that."""
    root = member_of(file, "model_weights") if "model_weights" in file else file
    found: dict[Path_, list[Array]] = {}
    for layer in listed_names(root, "layer_names"):
        group = member_of(root, layer)
        names = listed_names(group, "weight_names")
        owners = [owner_of(name) or layer for name in names]
        whole = len(set(owners)) <= 1
        for name, owner in zip(names, owners, strict=True):
            array = arrays.read(member_of(group, name))
            found.setdefault((layer,) if whole else (layer, owner), []).append(array)
            if whole and owner != layer:
                found.setdefault((layer, owner), []).append(array)
    return found
