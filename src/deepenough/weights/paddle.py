"""PaddlePaddle's files: `.pdparams` of `paddle.vision.models`, pickles of numpy arrays. Paddle is not needed."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepenough.errors import DeepenoughError
from deepenough.nets.network import Network
from deepenough.weights.fit import Fitted
from deepenough.weights.fitting import match, match_exactly
from deepenough.weights.match import NameLayers, own_layout, tensor_layers, zoo_layouts
from deepenough.weights.pickles import check_pickle
from deepenough.weights.torchvision import name_numbered, name_resnet

_NORM = ("weight", "bias", "_mean", "_variance")
NAME_LIST = "StructuredToParameterName@@"
"""Paddle's own list of names, which it keeps beside the tensors."""

HALVED = {"alexnet_torchvision": ("dense1", "dense2"), "squeezenet1_1_paddle": ("conv10",)}
"""Layers behind a dropout of 0.5 in Paddle's mode `downscale_in_infer`: it halves values in inference and leaves them
alone in training, where ours doubles what it keeps. Half the weight makes both the same."""


def read_paddle(path: Path, network: str | None, own: Network | None = None) -> tuple[str, Fitted]:
    """Source and network. Nothing but arrays is unpickled; anything else in the file is an error."""
    found = _arrays(path)
    if any(name.startswith("_ince3a.") for name in found):
        raise DeepenoughError(
            f"{path} holds paddle.vision's GoogLeNet: no biases, no LRN and no ReLU between convolutions, so it is "
            "another network than the paper's. Take Caffe's bvlc_googlenet or torchvision's googlenet"
        )
    tensors = {
        name: tensor.T if tensor.ndim == 2 else tensor  # dense weights are (in, out)
        for name, tensor in found.items()
    }
    file = f"{path} (PaddlePaddle)"
    if own is not None:
        return "paddle", match_exactly(tensors, own_layout(own, _NORM), network, file)
    fitted = match(tensors, zoo_layouts(PADDLE_NAMES, _NORM), network, file)
    for layer in HALVED.get(fitted.network.name, ()):
        if f"{layer}.weight" in fitted.state:
            fitted.state[f"{layer}.weight"].mul_(0.5)
    return "paddle", fitted


def _name_alexnet(network: Network) -> dict[str, str]:
    convolutions = {f"conv{n}": f"_conv{n}" + ("._conv" if n in (1, 2, 5) else "") for n in range(1, 6)}
    return convolutions | {"dense1": "_fc6", "dense2": "_fc7", "dense3": "_fc8"}


def _name_squeezenet(network: Network) -> dict[str, str]:
    parts = {"squeeze": "_conv", "expand.one.conv": "_conv_path1", "expand.three.conv": "_conv_path2"}
    places = {"conv1": "_conv", "conv10": "_conv9"}
    for visit in tensor_layers(network):
        fire, _, part = visit.path.partition(".")
        if part:
            places[visit.path] = f"_conv{int(fire.removeprefix('fire')) - 1}.{parts[part]}._conv"
    return places


PADDLE_NAMES: Mapping[str, NameLayers] = {
    "alexnet_torchvision": _name_alexnet,
    **{f"vgg{depth}{norm}": name_numbered for depth in (11, 13, 16, 19) for norm in ("", "_bn")},
    **{f"resnet{depth}_torchvision": name_resnet for depth in (18, 34)},
    **{f"resnet{depth}_v1_5": name_resnet for depth in (50, 101, 152)},
    "squeezenet1_1_paddle": _name_squeezenet,
}
"""The layers' names in `paddle.vision.models`, by network of the zoo; its ResNets compute what torchvision's do."""


class _RefusedError(Exception):
    """The name that a pickle asked for and does not get."""


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Bytes as pickles of protocol 2 write them."""
    if encoding != "latin1":
        raise _RefusedError(f"_codecs.encode to {encoding}")
    return text.encode(encoding)


def _reconstruct(kind: object, shape: object, code: object) -> np.ndarray[Any, Any]:
    """Do as numpy's `_reconstruct` for a plain array: make an empty one, whose content follows."""
    if kind is not np.ndarray or shape != (0,):
        raise _RefusedError("an array of a kind of its own")
    return np.ndarray((0,), np.int8)


ALLOWED = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
}
"""Everything that a pickle may name: what arrays are made of."""


class _Arrays(pickle.Unpickler):
    """An unpickler that knows arrays and containers, and can call nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise _RefusedError(f"{module}.{name}")
        return ALLOWED[module, name]


def _arrays(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            check_pickle(file)
            file.seek(0)
            content = _Arrays(file, encoding="latin1").load()
    except _RefusedError as refused:
        raise DeepenoughError(
            f"{path} is a pickle that asks for {refused}, which could run code; it was not loaded. Expected are "
            "numpy arrays by name, as paddle.save(model.state_dict(), 'x.pdparams') writes them"
        ) from None
    except Exception as error:  # a damaged pickle fails in every way there is
        raise DeepenoughError(
            f"{path} is a pickle that can't be read ({type(error).__name__}); fetch it again"
        ) from None
    found = {}
    for name, value in content.items() if isinstance(content, dict) else ():
        if name == NAME_LIST:
            continue
        array = value[1] if isinstance(value, tuple) and len(value) == 2 else value  # (name, array) in some versions
        if not isinstance(name, str) or not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
            raise DeepenoughError(
                f"{path}: {name!r:.80} is a {type(value).__name__}; expected arrays of numbers by name"
            )
        found[name] = torch.from_numpy(np.array(array, array.dtype.newbyteorder("=")))
    if not found:
        raise DeepenoughError(f"{path} is a pickle of a {type(content).__name__}; expected numpy arrays by name")
    return found
