"""PaddlePaddle's files: `.pdparams` of `paddle.vision.models`, pickles of numpy arrays. Paddle is not needed."""

from __future__ import annotations

import pickle
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
from deepenough.weights.pickles import Ordered, check_pickle
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


def _encode(text: object, encoding: str = "latin1") -> object:
    """Bytes as pickles of protocol 2 write them, still as text: each call would make a copy."""
    if encoding != "latin1":
        raise _RefusedError(f"_codecs.encode to {encoding}")
    return text


class _Kind:
    """The mark of plain arrays, `numpy.ndarray`; a call would make one of any size."""

    def __new__(cls, *_given: Any) -> _Kind:
        raise _RefusedError("an array without its content")


class _DType:
    """A `numpy.dtype`, of which only plain numbers' are made."""

    def __init__(self, code: Any, *_given: Any) -> None:
        self._code = code
        self._order: Any = "="

    def __setstate__(self, state: Any) -> None:
        self._order = state[1]

    def made(self) -> np.dtype[Any]:
        if not isinstance(self._code, str) or len(self._code) > 3:
            raise ValueError("not a type of numbers")
        return np.dtype(self._code).newbyteorder(self._order)


class _Array:
    """An array in a pickle: it keeps what the pickle has for it, which other arrays may share, and copies nothing."""

    def __init__(self) -> None:
        self._state: Any = None

    def __setstate__(self, state: Any) -> None:
        self._state = state

    def made(self) -> np.ndarray[Any, Any]:
        """Make the array, read-only. What does not fit together raises any exception."""
        _, shape, kind, fortran, content = self._state
        if not isinstance(kind, _DType):
            raise TypeError("an array of no type")
        content = content.encode("latin1") if isinstance(content, str) else content
        return np.frombuffer(content, kind.made()).reshape(shape, order="F" if fortran else "C")


def _reconstruct(kind: object, shape: object, code: object) -> _Array:
    """Do as numpy's `_reconstruct` for a plain array: make an empty one, whose content follows."""
    if kind is not _Kind or shape != (0,):
        raise _RefusedError("an array of a kind of its own")
    return _Array()


ALLOWED = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    ("numpy", "ndarray"): _Kind,
    ("numpy", "dtype"): _DType,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): Ordered,
}
"""Everything that a pickle may name: what arrays are made of."""


class _Arrays(pickle.Unpickler):
    """An unpickler that knows arrays and containers, and can call nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise _RefusedError(f"{module}.{name}")
        return ALLOWED[module, name]


def _made(value: object) -> np.ndarray[Any, Any] | None:
    """The array, or None for anything else and for one that is damaged."""
    try:
        return value.made() if isinstance(value, _Array) else None
    except Exception:  # of state that may be anything
        return None


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
    room = path.stat().st_size
    for name, value in content.items() if isinstance(content, dict) else ():
        if name == NAME_LIST:
            continue
        array = value[1] if isinstance(value, tuple) and len(value) == 2 else value  # (name, array) in some versions
        made = _made(array)
        if not isinstance(name, str) or made is None or made.dtype.kind not in "fiu":
            raise DeepenoughError(
                f"{path}: {name!r:.80} is a {type(value).__name__.strip('_')}; expected arrays of numbers by name"
            )
        room -= made.nbytes
        if room < 0:
            raise DeepenoughError(f"{path} names more numbers than it has bytes; fetch it again")
        found[name] = torch.from_numpy(np.array(made, made.dtype.newbyteorder("=")))
    if not found:
        raise DeepenoughError(f"{path} is a pickle of a {type(content).__name__}; expected numpy arrays by name")
    return found
