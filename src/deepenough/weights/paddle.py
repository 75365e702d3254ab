"""PaddlePaddle's files: `.pdparams` of `paddle.vision.models`, pickles of numpy arrays. Paddle is not needed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepenough.errors import DeepenoughError
from deepenough.nets.network import Network
from deepenough.pickled_arrays import array_of, load_pickled_arrays
from deepenough.weights.fit import Fitted
from deepenough.weights.fitting import match, match_exactly
from deepenough.weights.match import NameLayers, own_layout, tensor_layers, zoo_layouts
from deepenough.weights.patterns import InvertedBlock, name_by_patterns, name_inverted_blocks
from deepenough.weights.stated import StatedNetwork
from deepenough.weights.torchvision import name_numbered, name_resnet
from deepenough.weights.torchvision_names import name_mobilenet_v2

_NORM = ("weight", "bias", "_mean", "_variance")
NAME_LIST = "StructuredToParameterName@@"
"""Paddle's own list of names, which it keeps beside the tensors."""

HALVED = {"alexnet_torchvision": ("dense1", "dense2"), "squeezenet1_1_paddle": ("conv10",)}
"""Layers behind a dropout of 0.5 in Paddle's mode `downscale_in_infer`: it halves values in inference and leaves them
alone in training, where ours doubles what it keeps. Half the weight makes both the same."""


def read_paddle(path: Path, network: str | None, own: StatedNetwork | None = None) -> tuple[str, Fitted]:
    """Source and network. Nothing but arrays is unpickled; anything else in the file is an error."""
    arrays = _arrays(path)
    if any(name.startswith("_ince3a.") for name in arrays):
        raise DeepenoughError(
            f"{path} holds paddle.vision's GoogLeNet: no biases, no LRN and no ReLU between convolutions, so it is "
            "another network than the paper's. Take Caffe's bvlc_googlenet or torchvision's googlenet"
        )
    tensors = {
        name: tensor.T if tensor.ndim == 2 else tensor  # dense weights are (in, out)
        for name, tensor in arrays.items()
    }
    file = f"{path} (PaddlePaddle)"
    if own is not None:
        layout = own_layout(own.network, _NORM)
        return "paddle", match_exactly(
            own.as_ours(tensors, layout), layout, network, file, may_lack_head=own.is_foreign
        )
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


def _name_mobilenet_v3(network: Network) -> dict[str, str]:
    """`blocks.N` with `expand_conv`, `bottleneck_conv`, `mid_se` and `linear_conv`; N counts from 0."""

    def convolution(block: InvertedBlock, place: int) -> tuple[str, str]:
        parts = ("expand_conv", "bottleneck_conv", "linear_conv")[-len(block.convolutions) :]
        inside = f"blocks.{block.number - 1}.{parts[place]}"
        return f"{inside}.0", f"{inside}.1"

    def gate(block: InvertedBlock) -> tuple[str, str]:
        return f"blocks.{block.number - 1}.mid_se.fc1", f"blocks.{block.number - 1}.mid_se.fc2"

    stem = {"stem.conv": "conv.0", "stem.norm": "conv.1"}
    ends = {
        "last.conv": "lastconv.0",
        "last.norm": "lastconv.1",
        "hidden": "classifier.0",
        "classifier": "classifier.3",
    }
    return name_inverted_blocks(network, convolution, gate) | stem | ends


def _name_densenet(network: Network) -> dict[str, str]:
    """`db_conv_L.convL_N.bn_ac_funcI`, where L counts from 2, and `tr_convL_blk`: a norm and what follows."""
    parts = {"conv": "_conv", "norm": "_batch_norm"}
    patterns = {"level4.norm": "batch_norm", "classifier": "out"}
    for ours, theirs in parts.items():
        patterns[f"stem.{ours}"] = f"conv1_func.{theirs}"
        for level in range(1, 5):
            patterns[f"transition{level}.{ours}"] = f"tr_conv{level + 1}_blk.conv_ac_func.{theirs}"
            patterns |= {
                f"level{level}.layer#.new.{ours}{number}": (
                    f"db_conv_{level + 1}.conv{level + 1}_{{}}.bn_ac_func{number}.{theirs}"
                )
                for number in (1, 2)
            }
    return name_by_patterns(network, patterns, first=1)


PADDLE_NAMES: Mapping[str, NameLayers] = {
    "alexnet_torchvision": _name_alexnet,
    **{f"vgg{depth}{norm}": name_numbered for depth in (11, 13, 16, 19) for norm in ("", "_bn")},
    **{f"resnet{depth}_torchvision": name_resnet for depth in (18, 34)},
    **{f"resnet{depth}_v1_5": name_resnet for depth in (50, 101, 152)},
    **dict.fromkeys(("resnext50_32x4d", "wide_resnet50_2"), name_resnet),
    "squeezenet1_1_paddle": _name_squeezenet,
    "densenet121": _name_densenet,
    "mobilenet_v2": name_mobilenet_v2,
    **{f"mobilenet_v3_{size}": _name_mobilenet_v3 for size in ("small", "large")},
}
"""The layers' names in `paddle.vision.models`, by network of the zoo; those of one name with torchvision's compute the
same."""


def _arrays(path: Path) -> dict[str, Tensor]:
    content = load_pickled_arrays(
        path, "numpy arrays by name, as paddle.save(model.state_dict(), 'x.pdparams') writes them"
    )
    found = {}
    room = path.stat().st_size
    for name, value in content.items() if isinstance(content, dict) else ():
        if name == NAME_LIST:
            continue
        array = value[1] if isinstance(value, tuple) and len(value) == 2 else value  # (name, array) in some versions
        made = array_of(array)
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
