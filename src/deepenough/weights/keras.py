"""Keras' files: networks of `keras.applications`, from Keras 2 and 3, weights alone or whole models."""

from __future__ import annotations

import importlib
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepenough.errors import DeepenoughError, first_line
from deepenough.nets.activation import PRelu
from deepenough.nets.layers import Conv, LayerScale
from deepenough.nets.network import Network
from deepenough.nets.shapes import visits
from deepenough.nets.tokens import Tokens
from deepenough.nets.zoo import NETWORKS
from deepenough.weights.checkpoint import plain
from deepenough.weights.families import of_all
from deepenough.weights.fit import Fitted
from deepenough.weights.fitting import match, match_exactly
from deepenough.weights.keras_names import NORMALIZATION, SLASHED, in_layouts_names, with_eps_of_keras
from deepenough.weights.match import FileLayout, file_layout, own_layout, square_input, zoo_layouts
from deepenough.weights.patterns import tensor_layers
from deepenough.weights.saved_model import is_saved_model, read_saved_model
from deepenough.weights.stated import StatedNetwork

WEIGHTS_MEMBER = "model.weights.h5"
"""The weights' place in a `.keras` archive."""

LARGEST = 2 * 2**30
"""Bytes of all arrays of a file, or that a `.keras` archive may unpack to; VGG-19, the largest, has a quarter of it."""

PACKED = 20
"""Bytes that a byte in the file may stand for; trained weights hardly shrink, and a file can promise anything."""

SMALL = 1 << 26
"""Bytes that are read however little they take in the file."""

MOST_GROUPS = 20_000
"""Groups of a file that are looked into; one may lie in many others."""

_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
PLAIN = ("kernel", "bias")

KERAS_NAMES = of_all(lambda family: family.keras)
"""The layers' names in `keras.applications`, by network of the zoo."""

VGGS = ("vgg16", "vgg19")
RESNETS = ("resnet50_keras", "resnet101_keras", "resnet152_keras")
TOP = ("fc1", "fc2", "predictions")
"""The dense layers of VGG and ResNet, which come last."""

LATER = tuple(name for name in KERAS_NAMES if name not in (*VGGS, *RESNETS))
"""Networks since 2016."""


def read_keras(path: Path, network: str | None, own: StatedNetwork | None = None) -> tuple[str, Fitted]:
    """Source and network of `.weights.h5`, `.keras`, `.h5` or a SavedModel. Its layers' names fix the network, wherever
    it is in a model."""
    tensors = _tensors(path)
    file = f"{path} (Keras)"
    if not tensors:
        raise DeepenoughError(f"{path} is a Keras file without weights; expected is a model, or its weights")
    if own is not None:
        layout = _own_names(own.network)
        found = _in_our_shapes(own.as_ours(tensors, layout), own.network)
        fitted = match_exactly(found, layout, network, file, may_lack_head=own.is_foreign)
        if not own.is_foreign:  # dense layers read (C, H, W), as ours do
            return "keras", fitted
        return "keras", replace(fitted, state=_channels_first(fitted.network, dict(fitted.state)))
    fitted = match(in_layouts_names(tensors), keras_layouts(_features(tensors)), network, file)
    state = with_eps_of_keras(fitted.network.name, fitted.state)
    return "keras", replace(fitted, state=_channels_first(fitted.network, state))


def image_statistics(path: Path) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """The mean and variance of a layer in a file that normalises images; None where there is none."""
    found: dict[str, tuple[float, ...]] = {}
    for name, tensor in _tensors(path).items():
        if (part := NORMALIZATION.fullmatch(name)) and tensor.numel() == 3:
            found[{"0": "mean", "1": "variance"}.get(part[1], part[1])] = tuple(tensor.flatten().tolist())
    return (found["mean"], found["variance"]) if found.keys() >= {"mean", "variance"} else None


def keras_layouts(features: int = 0) -> list[FileLayout]:
    """Make the layouts of the networks of `keras.applications` that are ours too.

    `features` go into VGG's first dense layer, if known.
    """
    return [*_first_layouts(features), *_layouts_of(LATER, pads_shapes=True)]


def _first_layouts(features: int = 0) -> list[FileLayout]:
    """The layouts of VGGs and ResNets."""
    vggs = [NETWORKS[name]() for name in VGGS]
    vggs = [square_input(net, features, 512, 32) if features else net for net in vggs]
    layouts = [_kernels(file_layout(net, KERAS_NAMES[net.name](net), _NORM)) for net in vggs]
    return [*layouts, *_layouts_of(RESNETS)]


@cache
def _layouts_of(networks: tuple[str, ...], *, pads_shapes: bool = False) -> tuple[FileLayout, ...]:
    made = zoo_layouts({name: KERAS_NAMES[name] for name in networks}, _NORM)
    return tuple(replace(_kernels(layout), pads_shapes=pads_shapes) for layout in made)


def _own_names(network: Network) -> FileLayout:
    """The layout of files that deepenough wrote."""
    layout = _kernels(own_layout(network, _NORM, "-"))
    tokens = {visit.path for visit in tensor_layers(network) if isinstance(visit.layer, Tokens)}
    names = {
        key: f"{'-'.join(key.split('.'))}.kernel" if key.rpartition(".")[0] in tokens else name
        for key, name in layout.names.items()
    }
    return FileLayout(network, names)


def _in_our_shapes(tensors: dict[str, Tensor], network: Network) -> dict[str, Tensor]:
    """The tensors of such a file where Keras has other layers for ours: depthwise filters, scales, embeddings."""
    found = dict(tensors)
    for visit in tensor_layers(network):
        place = visit.path.replace(".", "-")
        kernel = found.get(f"{place}.kernel")
        match visit.layer:
            case Conv() as layer if kernel is not None and kernel.ndim == 4 and layer.depthwise(visit.input):
                wide, *sides = kernel.shape[1:]
                found[f"{place}.kernel"] = kernel.transpose(0, 1).reshape(-1, 1, *sides) if wide else kernel
            case LayerScale() | PRelu() if kernel is not None:
                found[f"{place}.kernel"] = kernel.flatten()
            case Tokens():
                for name in ("class_token", "position"):
                    if (embedding := found.get(f"{place}-{name}.kernel")) is not None and embedding.ndim == 2:
                        found[f"{place}-{name}.kernel"] = embedding.T[None]
    return found


def _kernels(layout: FileLayout) -> FileLayout:
    """Give the layout Keras' word for weights."""
    return replace(layout, names={key: re.sub(r"\.weight$", ".kernel", name) for key, name in layout.names.items()})


def _features(tensors: Mapping[str, Tensor]) -> int:
    """The number of values that VGG's first dense layer takes; 0 where there is none."""
    first = next((tensor for name, tensor in tensors.items() if f".{name}".endswith(".fc1.kernel")), None)
    return 0 if first is None or first.ndim != 2 else first.shape[1]


def _channels_first(network: Network, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The state with the dense layer behind `Flatten` reading (C, H, W), where Keras flattens (H, W, C)."""
    for visit, after in pairwise(visits(network)):
        if visit.layer.kind == "Flatten" and f"{after.path}.weight" in state:
            channels, height, width = visit.input
            weight = state[f"{after.path}.weight"]
            ordered = weight.reshape(-1, height, width, channels).permute(0, 3, 1, 2)
            state[f"{after.path}.weight"] = ordered.reshape(len(weight), -1)
    return state


def _tensors(path: Path) -> dict[str, Tensor]:
    """The tensors as `layer.kernel` and so on, kernels in our order."""
    if is_saved_model(path):
        return _in_our_order(_of_saved_model(path))
    h5py = needed_h5py(path)
    try:
        with h5py.File(unpacked(path), "r") as file:
            arrays = Arrays(path)
            found = dict(_legacy(file, arrays) if is_legacy(file) else _modern(file, arrays))
    except (OSError, KeyError, RuntimeError, MemoryError, OverflowError, ValueError, RecursionError) as error:
        raise DeepenoughError(f"{path} is not a whole Keras file: {plain(first_line(error))}; fetch it again") from None
    return _in_our_order(found)


def _of_saved_model(path: Path) -> dict[str, Any]:
    _, layers, _ = read_saved_model(path)
    return {
        ".".join((*where, part)): array
        for where, arrays in layers.items()
        for part, array in zip(_parts(arrays), arrays, strict=True)
    }


def _in_our_order(found: Mapping[str, Any]) -> dict[str, Tensor]:
    return {plain(name): torch.from_numpy(_ours(array)) for name, array in found.items() if array.dtype.kind == "f"}


def needed_h5py(path: Path) -> Any:
    """The package h5py, without which a Keras file can't be read."""
    try:
        return importlib.import_module("h5py")
    except ImportError:
        raise DeepenoughError(
            f"{path} is a Keras file, and reading it needs the package h5py: pip install 'deepenough[h5]'"
        ) from None


def unpacked(path: Path) -> Path | io.BytesIO:
    if not zipfile.is_zipfile(path):
        return path
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(WEIGHTS_MEMBER)
        check_size(path, WEIGHTS_MEMBER, info.file_size, info.compress_size)
        try:
            return io.BytesIO(archive.read(info))
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
            raise DeepenoughError(
                f"{path}: {WEIGHTS_MEMBER} cannot be unpacked ({first_line(error)}); fetch it again"
            ) from None


def check_size(path: Path, name: str, size: int, stored: int) -> None:
    """Raise the error for what would take more memory than weights do."""
    if size > LARGEST or (size > SMALL and size > PACKED * stored):
        raise DeepenoughError(
            f"{path}: {name} claims {size:,} bytes, of which {stored:,} are in the file; weights of at most "
            f"{LARGEST / 2**30:.0f} GiB that are packed at most {PACKED} times are read"
        )


def _parts(arrays: list[Any]) -> tuple[str, ...]:
    """Name the arrays of a layer, whose order is Keras' own; those of layers that are not known here by number."""
    if len(arrays) <= 2:  # a layer norm's scale and shift come in this order, too
        return PLAIN[: len(arrays)]
    if arrays[0].ndim == 1 and len(arrays) == 4:
        return _NORM
    return tuple(map(str, range(len(arrays))))


def _ours(array: Any) -> Any:
    """(H, W, in, out) to (out, in, H, W), (in, out) to (out, in)."""
    order = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim)
    return array if order is None else array.transpose(order)


class Arrays:
    """Reads arrays of a file, together no more than weights take: many names may stand for one array."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._total = 0

    def read(self, node: Any) -> Any:
        """A dataset's numbers. One that lies in another file is an error: weights reach for nothing else."""
        if not hasattr(node, "dtype") or node.dtype.kind not in "fiu" or node.is_virtual or node.external:
            raise KeyError(f"{node.name} is no plain array of numbers")
        size = int(node.size or 0) * node.dtype.itemsize
        check_size(self._path, node.name, size, node.id.get_storage_size())
        self._total += size
        check_size(self._path, "all it holds", self._total, self._total)
        return np.asarray(node[()])


def member_of(group: Any, path: str) -> Any:
    """Return what lies at a path in the file itself; a link out of it is an error."""
    for part in path.split("/"):
        link = group.get(part, getlink=True)
        if type(link).__name__ != "HardLink":
            raise KeyError(f"{group.name}/{part} is a link out of its place")
        group = group[part]
    return group


def is_legacy(file: Any) -> bool:
    return "model_weights" in file or "layer_names" in file.attrs or "layer_names0" in file.attrs


def _legacy(file: Any, arrays: Arrays) -> Iterator[tuple[str, Any]]:
    """Keras 2's layout: attributes list the layers, and the arrays of each. A model inside a model is one of the
    layers, and its arrays are called by their own layers' names."""
    root = member_of(file, "model_weights") if "model_weights" in file else file
    for layer in listed_names(root, "layer_names"):
        group = member_of(root, layer)
        listed = listed_names(group, "weight_names")
        inner = {name: owner_of(name) for name in listed}
        nested = len(set(inner.values())) > 1
        for name in listed:
            part = name.rpartition("/")[2].partition(":")[0]
            places = (layer, *filter(None, [inner[name] if nested else ""]), part)
            yield ".".join(places), arrays.read(member_of(group, name))


def owner_of(name: str) -> str:
    """The name of the layer that an array of Keras 2's is of, behind those of scopes; empty where there is none.

    Those of MobileNetV3 have slashes in them.
    """
    scopes = name.rpartition("/")[0]
    slashed = SLASHED.search(scopes)
    return slashed[0] if slashed is not None else scopes.rpartition("/")[2]


def listed_names(group: Any, name: str) -> list[str]:
    """An attribute that lists names, in pieces where it is long."""
    pieces = [key for key in group.attrs if re.fullmatch(rf"{name}\d*", key)]
    pieces.sort(key=lambda key: int(key.removeprefix(name) or 0))
    values = [value for piece in pieces for value in group.attrs[piece]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _modern(file: Any, arrays: Arrays) -> Iterator[tuple[str, Any]]:
    """Keras 3's layout: `layers/conv2d_3/vars/0`, the layer's name an attribute of `vars`.

    A model inside a model is a group with `layers` of its own, or with those that are its attributes.
    """
    waiting = [("", file)]
    seen = 0
    while waiting:
        prefix, group = waiting.pop(0)
        members = {key: member_of(group, key) for key in group if prefix or key != "optimizer"}
        groups = {key: member for key, member in members.items() if key != "vars" and hasattr(member, "keys")}
        seen += len(groups)
        if seen > MOST_GROUPS:
            raise ValueError(f"it has more than {MOST_GROUPS:,} groups")
        own = {key: member_of(member, "vars") for key, member in groups.items() if "vars" in member}
        filled = {key: variables for key, variables in own.items() if len(variables)}
        unnamed = any("name" not in variables.attrs for variables in filled.values())
        counted = _by_count(list(filled)) if unnamed else {}
        for key, variables in filled.items():
            values = [arrays.read(member_of(variables, number)) for number in sorted(variables, key=int)]
            name = str(variables.attrs.get("name", counted.get(key, key)))
            for part, value in zip(_parts(values), values, strict=True):
                yield f"{prefix}{name}.{part}", value
        waiting += [(prefix if key == "layers" else f"{prefix}{key}.", member) for key, member in groups.items()]


def _by_count(keys: list[str]) -> dict[str, str]:
    """Names of layers that a file only counts (`conv2d`, `conv2d_1`, ...), as the first Keras 3 wrote it.

    The order is that of the model's layers: in a block with a projection 1, 2, 0, 3. The number of convolutions tells
    the network, and where it doesn't the keys stay as they are.
    """
    convolutions = sum(re.fullmatch(r"conv2d(_\d+)?", key) is not None for key in keys)
    for layout in _first_layouts():
        places = list(dict.fromkeys(name.partition(".")[0] for name in layout.names.values()))
        lists: dict[str, list[str]] = {"conv2d": [], "batch_normalization": [], "dense": []}
        for place in sorted(places, key=_turn(places)):
            kind = "batch_normalization" if place.endswith("_bn") else "conv2d" if "conv" in place else "dense"
            lists[kind].append(place)
        if len(lists["conv2d"]) == convolutions:
            return {
                kind + (f"_{count}" if count else ""): place
                for kind, names in lists.items()
                for count, place in enumerate(names)
            }
    return {}


def _turn(places: list[str]) -> Callable[[str], tuple[int, int, int]]:
    """The order of layers in Keras' model: as in the network, but the projection, 0, between a block's 2 and 3."""
    turns = {"1": 1, "2": 2, "0": 3, "3": 4}

    def turn(place: str) -> tuple[int, int, int]:
        if found := re.fullmatch(r"conv(\d)_block(\d+)_(\d)_(conv|bn)", place):
            return int(found[1]), int(found[2]), turns[found[3]]
        return (9 if place in TOP else 1), 0, places.index(place)

    return turn
