"""Caffe's releases: BVLC's AlexNet and GoogLeNet, VGG, the authors' ResNets and SqueezeNet 1.1."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepenough.errors import DeepenoughError
from deepenough.nets.layers import BatchNorm, Conv, Lrn, MaxPool
from deepenough.nets.network import Network
from deepenough.nets.shapes import visits
from deepenough.nets.zoo.googlenet import googlenet
from deepenough.weights.caffemodel import CaffeLayer, layers
from deepenough.weights.families import of_all
from deepenough.weights.fit import Fitted
from deepenough.weights.fitting import match, match_exactly
from deepenough.weights.match import (
    FileLayout,
    file_layout,
    fold_biases,
    own_layout,
    without_auxiliary,
    zoo_layouts,
)
from deepenough.weights.misfit import RedefinedError
from deepenough.weights.patterns import tensor_layers
from deepenough.weights.stated import StatedNetwork

DEFINED = 1e-3
"""Relative difference up to which a float in a definition counts as the same."""

CAFFE_NAMES = of_all(lambda family: family.caffe)
"""The layers' names in the releases, by network of the zoo."""


def read_caffe(path: Path, network: str | None, own: StatedNetwork | None = None) -> tuple[str, Fitted]:
    """Source and network of a `.caffemodel`. Its layer definitions, where it has them, have to agree."""
    file = f"{path} (Caffe)"
    found_layers = layers(path)
    tensors = _tensors(found_layers)
    if not tensors:
        raise DeepenoughError(f"{path} holds no weights of Caffe; a .caffemodel has layers with blobs")
    if own is not None:
        layout = own_layout(own.network, _NORM)
        return "caffe", match_exactly(own.as_ours(tensors, layout), layout, network, file, may_lack_head=own.is_foreign)
    layouts = caffe_layouts()
    asked = [layout for layout in layouts if network in (None, layout.network.name) and _fits(tensors, layout)]
    against = [(_differences(found_layers, layout), layout) for layout in asked]
    agreeing = [layout for differences, layout in against if not differences]
    if asked and not agreeing:  # the tensors alone would have loaded
        differences, layout = min(against, key=lambda entry: len(entry[0]))
        raise RedefinedError(
            f"{file} has the tensors of {layout.network.name}, but its layer definitions make another network, "
            f"which is not known here: {'; '.join(differences[:3])}",
            layout.network,
        )
    # Without its own head a file may fit as well, but only what its definitions don't speak against.
    others = [layout for layout in layouts if not _differences(found_layers, layout)]
    return "caffe", match(tensors, agreeing or others or layouts, network, file, needs_head=not others)


_NORM = ("scale.weight", "scale.bias", "mean", "variance")
"""A batch norm's tensors: a layer with the statistics, and one called `scale` behind it."""


def _fits(tensors: Mapping[str, Tensor], layout: FileLayout) -> bool:
    return set(fold_biases(tensors, layout)) == set(layout.names.values())


def _tensors(found: Iterable[CaffeLayer]) -> dict[str, Tensor]:
    """The tensors as `layer.weight` and so on, in our orders."""
    tensors: dict[str, Tensor] = {}
    for layer in found:
        if not layer.arrays:
            continue
        if layer.kind == "BatchNorm" and len(layer.arrays) == 3:  # sums, and by what to divide them
            mean, variance, factor = (_tensor(array) for array in layer.arrays)
            total = float(factor.flatten()[0]) if factor.numel() else 0.0
            for name, values in (("mean", mean), ("variance", variance)):
                tensors[f"{layer.name}.{name}"] = values.flatten() / total if total else torch.zeros(values.numel())
            continue
        for name, array in zip(("weight", "bias"), layer.arrays, strict=False):
            tensor = _tensor(array)
            if name == "bias" or layer.kind in ("PReLU", "Scale"):
                tensor = tensor.flatten()
            elif layer.kind == "InnerProduct":
                tensor = tensor.reshape(tensor.shape[-2:])  # once 1 x 1 x out x in
            tensors[f"{layer.name}.{name}"] = tensor
        for extra, array in enumerate(layer.arrays[2:], 2):
            tensors[f"{layer.name}.blob{extra}"] = _tensor(array)
    return tensors


def _tensor(array: np.ndarray[Any, Any]) -> Tensor:
    return torch.from_numpy(array)


def caffe_layouts() -> list[FileLayout]:
    """Make the layouts of every network of the zoo that was released for Caffe."""
    return [_two_layer_norms(layout) for layout in (*zoo_layouts(CAFFE_NAMES, _NORM), _bare_googlenet())]


@cache
def _bare_googlenet() -> FileLayout:
    bare = without_auxiliary(googlenet())
    return file_layout(bare, CAFFE_NAMES["googlenet"](bare), _NORM)


def _two_layer_norms(layout: FileLayout) -> FileLayout:
    """Name the two layers that a batch norm is in Caffe: `bnX` has mean and variance, `scaleX` scale and shift."""
    names = {key: re.sub(r"^bn(.*)\.scale\.", r"scale\1.", name) for key, name in layout.names.items()}
    return replace(layout, names=names)


def _differences(found: Iterable[CaffeLayer], layout: FileLayout) -> list[str]:
    """List where the file's definitions differ from the network. Layers that it does not define say nothing."""
    by_name = {layer.name: layer for layer in found if layer.parameters is not None}
    wrong = []
    for visit in tensor_layers(layout.network):
        key = "running_mean" if isinstance(visit.layer, BatchNorm) else "weight"
        name = layout.names[f"{visit.path}.{key}"].rpartition(".")[0]
        if name not in by_name:
            continue
        defined, parameters = by_name[name], by_name[name].parameters
        assert parameters is not None
        match visit.layer:
            case Conv(kernel=kernel, stride=stride, groups=groups) as conv if defined.kind == "Convolution":
                ours = {
                    "kernel_size": kernel,
                    "stride": stride,
                    "pad": conv.pad,
                    "group": groups,
                    "dilation": conv.dilation,
                }
                wrong += _unlike(name, {key: _sides(parameters, key) for key in ours}, ours)
            case BatchNorm(eps=eps) if defined.kind == "BatchNorm":
                wrong += _unlike(name, {"eps": parameters.eps}, {"eps": eps})
    return wrong or _unlike_in_order(found, layout.network)


def _unlike_in_order(found: Iterable[CaffeLayer], network: Network) -> list[str]:
    """Max pools and response normalisations have no tensors: they are compared in their order."""
    theirs, ours = [], []
    for layer in found:
        parameters = layer.parameters
        if parameters is None:
            continue
        if layer.kind == "LRN":
            keys = ["local_size", "alpha", "beta", "k", "norm_region"]
        elif layer.kind == "Pooling" and parameters.pool == parameters.MAX:
            keys = ["kernel_size", "stride", "pad"]
        else:
            continue
        theirs.append((layer.name, layer.kind, {key: float(getattr(parameters, key)) for key in keys}))
    if not theirs:
        return []
    for visit in visits(network):
        match visit.layer:
            case Lrn(size=size, alpha=alpha, beta=beta, k=k):
                values = {"local_size": size, "alpha": alpha, "beta": beta, "k": k, "norm_region": 0}
                ours.append((visit.path, "LRN", values))
            case MaxPool(kernel=kernel, padding=padding) as pool:
                ours.append((visit.path, "Pooling", {"kernel_size": kernel, "stride": pool.step, "pad": padding}))
    wrong = []
    if [kind for _, kind, _ in theirs] != [kind for _, kind, _ in ours]:
        order = ", ".join(kind for _, kind, _ in theirs[:6])
        wrong.append(
            f"its max pools and response normalisations come as {order}, not {', '.join(k for _, k, _ in ours[:6])}"
        )
    for (name, _, values), (_, _, wanted) in zip(theirs, ours, strict=False):
        wrong += [] if wrong else _unlike(name, values, wanted)
    return wrong


def _sides(parameters: Any, key: str) -> float:
    """One side of a window; two that differ are NaN, which is like nothing of ours."""
    start = key.removesuffix("_size")
    given: set[int] = set()
    for field, value in parameters.ListFields():
        if field.name in (key, f"{start}_h", f"{start}_w"):
            given |= {value} if isinstance(value, int) else set(value)
    if not given:
        return {"stride": 1.0, "group": 1.0, "dilation": 1.0}.get(key, 0.0)
    return float(given.pop()) if len(given) == 1 else float("nan")


def _unlike(name: str, theirs: Mapping[str, float], ours: Mapping[str, float]) -> list[str]:
    return [
        f"{name} has {key} {theirs[key]:g}, not {ours[key]:g}"
        for key in ours
        if not abs(theirs[key] - ours[key]) <= DEFINED * abs(ours[key])
    ]
