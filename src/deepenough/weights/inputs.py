"""The images that a file of weights expects: by the files beside it, else by its source."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from deepenough.errors import DeepenoughError
from deepenough.nets.cut import name_of_whole
from deepenough.nets.layer import ShapeError
from deepenough.nets.network import Network
from deepenough.nets.serialization import LONGEST_TEXT
from deepenough.nets.tokens import Tokens
from deepenough.preprocessing import Preprocessing
from deepenough.weights.presets import preset, presets_for
from deepenough.weights.stems import has_small_stem

INPUT_FILE = "preprocess.json"
"""Beside a file of weights, it says what they expect of an image (`Preprocessing.to_json`)."""

PRESET_OF = {"caffe": "caffe-bgr", "efficientnet_pytorch": "timm"}
"""The presets of sources that are called otherwise; `efficientnet_pytorch` has the weights that timm has, too."""


def small_file(file: Path) -> bytes:
    """Read a small file beside the weights."""
    with file.open("rb") as opened:
        return opened.read(LONGEST_TEXT + 1)


def json_beside(path: Path, name: str) -> dict[str, Any]:
    """Read a JSON file of that name beside a file of weights; empty where there is none."""
    beside = path.with_name(name)
    if not beside.is_file():
        return {}
    try:
        content = json.loads(small_file(beside))
    except (ValueError, RecursionError) as error:
        raise DeepenoughError(f"{beside} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise DeepenoughError(f"{beside} holds a {type(content).__name__}; expected a JSON object")
    return content


def image_input(
    path: Path, preprocess: str | None, source: str, net: Network, stated: Preprocessing | None = None
) -> Preprocessing:
    """The images that a file's weights expect: `preprocess` goes before what lies beside it, that before what its
    publisher's configuration has `stated`, and that before what its source usually has."""
    if preprocess is not None:
        return _preset(preprocess, net)
    beside = path.with_name(INPUT_FILE)
    if beside.is_file():
        content = json_beside(path, INPUT_FILE)
        size = content.get("size")
        if not (isinstance(size, list) and len(size) == 2 and all(isinstance(side, int) and side > 0 for side in size)):
            raise DeepenoughError(f"{beside}: size is {size!r:.80}; expected [height, width] in pixels")
        return Preprocessing.from_json(content)
    return _preset(PRESET_OF.get(source, source), net) if stated is None else _in_colours(stated, net)


def described_input(path: Path, preprocess: str | None, net: Network, stated: Preprocessing | None) -> Preprocessing:
    """The input of a network that a file, or one beside it, describes: `preprocess`, a file beside it, or `stated`.

    A cut takes the images of the network that it was cut from. Where nothing says what they are, that is an error:
    weights that are given images of another scale give wrong answers.
    """
    whole = name_of_whole(net)
    if preprocess is not None:
        return _for_network(preset(preprocess, whole), net)
    if path.with_name(INPUT_FILE).is_file():
        return image_input(path, None, "", net)
    if stated is None:
        raise DeepenoughError(
            f"{path} is of {net.name}, but nothing says how its images are normalised; say so with "
            f"--preprocess ({', '.join(presets_for(whole))}), or by a {INPUT_FILE} beside it with size, "
            "mean, std and order"
        )
    return stated


def timm_configuration(module: Any) -> Preprocessing | None:
    """The images that a torch module of timm takes, as its `pretrained_cfg` says; None for modules without one."""
    config = getattr(module, "pretrained_cfg", None)
    if not isinstance(config, dict) or "input_size" not in config:
        return None
    from deepenough.weights.timm_config import as_timm

    return as_timm(Path("pretrained_cfg"), config)


def configured_input(path: Path, preprocess: str | None, net: Network) -> tuple[Preprocessing | None, tuple[str, ...]]:
    """The images that timm's configuration beside a file of weights states, for a network that is described there too,
    and lines on them.

    None where `preprocess` or a file beside the weights says it, or where the configuration leaves out mean or standard
    deviation: those that timm then takes need not be the file's.
    """
    from deepenough.weights.published import CONFIG
    from deepenough.weights.timm_config import as_timm, framing_notes, is_timms, timms_images

    if preprocess is not None or path.with_name(INPUT_FILE).is_file():
        return None, ()
    document = json_beside(path, CONFIG)
    images = timms_images(document) if is_timms(document) else {}
    if not (images.get("mean") and images.get("std")):
        return None, ()
    wanted = as_timm(path.with_name(CONFIG), images, (net.input[1], net.input[2]))
    notes = (f"its images are normalised as the {CONFIG} beside it says", *framing_notes(images, wanted))
    return _for_network(wanted, net), notes


def _in_colours(known: Preprocessing, net: Network) -> Preprocessing:
    """The same for grey images, where the network takes them."""
    if net.input[0] != 1 or known.channels == 1:
        return known
    return replace(known, order="RGB", mean=(fmean(known.mean),), std=(fmean(known.std),))


def _preset(name: str, net: Network) -> Preprocessing:
    """The preset, for the images that the network takes where a file fixed their size or their colours."""
    known = preset(name, net.name)
    positions = any(isinstance(layer, Tokens) for layer in net.stack)  # interpolated ones would cost accuracy
    return _for_network(known, net, is_fixed=positions or not takes_size(net, known.size))


def _for_network(known: Preprocessing, net: Network, *, is_fixed: bool = True) -> Preprocessing:
    """The same in the colours that the network takes, and of its size where that `is_fixed`; all of a small image is
    seen by a network whose stem is for such images."""
    size = (net.input[1], net.input[2])
    if has_small_stem(net):
        known = replace(known, size=size, shorter=None)
    elif is_fixed:
        known = scaled(known, size)
    return _in_colours(known, net)


def scaled(known: Preprocessing, size: tuple[int, int]) -> Preprocessing:
    """The same for images of another size, of which as much is cut off."""
    shorter = None if known.shorter is None else max(round(known.shorter * min(size) / min(known.size)), *size)
    return replace(known, size=size, shorter=shorter)


def takes_size(net: Network, size: tuple[int, int]) -> bool:
    """Tell whether images of `size` leave every tensor's shape as it is."""
    from deepenough.weights.match import shapes

    try:
        return shapes(net) == shapes(net.with_input((net.input[0], *size)))
    except ShapeError:
        return False


def for_images(net: Network, wanted: Preprocessing, path: Path) -> Network:
    """The network for the images that come out of the preprocessing."""
    channels, height, width = net.input
    if not takes_size(net, wanted.size):
        raise DeepenoughError(
            f"{path}: the preprocessing gives images of {wanted.size[1]}x{wanted.size[0]}, and the dense layers of "
            f"{net.name} in this file take {width}x{height}; change size in {path.with_name(INPUT_FILE)}"
        )
    if wanted.channels != channels:
        raise DeepenoughError(
            f"{path}: the preprocessing gives images of {wanted.channels} channels, and {net.name} in this file takes "
            f"{channels}; give as many numbers of mean and std in {path.with_name(INPUT_FILE)}"
        )
    return net.with_input((channels, *wanted.size))
