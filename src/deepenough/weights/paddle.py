"""PaddlePaddle's files: `.pdparams` of `paddle.vision.models`, pickles of numpy arrays. Paddle is not needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deepenough.errors import DeepenoughError
from deepenough.pickled_arrays import array_of, load_pickled_arrays
from deepenough.weights.families import of_all
from deepenough.weights.fit import Fitted
from deepenough.weights.fitting import match, match_exactly
from deepenough.weights.match import own_layout, zoo_layouts
from deepenough.weights.stated import StatedNetwork

_NORM = ("weight", "bias", "_mean", "_variance")
NAME_LIST = "StructuredToParameterName@@"
"""Paddle's own list of names, which it keeps beside the tensors."""

HALVED = {"alexnet_torchvision": ("dense1", "dense2"), "squeezenet1_1_paddle": ("conv10",)}
"""Layers behind a dropout of 0.5 in Paddle's mode `downscale_in_infer`: it halves values in inference and leaves them
alone in training, where ours doubles what it keeps. Half the weight makes both the same."""

PADDLE_NAMES = of_all(lambda family: family.paddle)
"""The layers' names in `paddle.vision.models`, by network of the zoo; those of one name with torchvision's compute the
same."""


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
