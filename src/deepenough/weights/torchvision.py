"""torchvision's and timm's files: state dicts in torch's own format or as safetensors."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from deepenough.errors import DeepenoughError, first_line
from deepenough.nets.network import Network
from deepenough.nets.shapes import visits
from deepenough.weights.match import NameLayers, block_layers, match, own_layout, tensor_layers, zoo_layouts

WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
"""Keys under which training scripts put a state dict; `model_ema` and the like are not guessed."""

DROPPED = re.compile(r"aux[12]\.")
"""GoogLeNet's side heads: they serve in training only, and `googlenet_bn` has none."""


def read_torch(path: Path, network: str | None, own: Network | None = None) -> tuple[str, Network, dict[str, Tensor]]:
    """Source, network and state of a file that `torch.save` wrote. Nothing in it is executed."""
    try:
        with path.open("rb") as file:  # by its path, torch takes a file of a certain ending for safetensors
            content = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, AttributeError) as error:
        raise DeepenoughError(
            f"{path} can't be read as tensors alone: {first_line(error):.200}. A whole pickled model would run code "
            "when it is loaded. Where you trust it, save its state dict: torch.save(model.state_dict(), 'weights.pth')"
        ) from None
    return ("torchvision", *_matched(_tensors(content, path), network, f"{path} (a torch file)", own))


def read_safetensors(
    path: Path, network: str | None, own: Network | None = None
) -> tuple[str, Network, dict[str, Tensor]]:
    """Source, network and state of a safetensors file with torchvision's names."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        content = load_file(path)
    except SafetensorError as error:
        raise DeepenoughError(f"{path} is not a whole safetensors file: {error}; fetch it again") from None
    net, state = _matched(_tensors(content, path), network, f"{path} (a safetensors file)", own)
    if own is not None:
        return "deepenough", net, state
    # timm gives its ResNets torchvision's names; its other networks have names of their own.
    return ("timm" if net.name.startswith("resnet") else "torchvision"), net, state


def _tensors(content: object, path: Path) -> dict[str, Tensor]:
    """The tensors by name: wrappers and the prefix of `DataParallel` taken off."""
    if isinstance(content, Mapping):
        content = next((content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)), content)
    if not isinstance(content, Mapping) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise DeepenoughError(
            f"{path} holds {_what(content)}; expected a state dict, tensors by name. Save one with "
            "torch.save(model.state_dict(), 'weights.pth')"
        )
    tensors = {str(name): tensor for name, tensor in content.items()}
    if all(name.startswith("module.") for name in tensors):
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")}


def _what(content: object) -> str:
    if isinstance(content, Mapping):
        return f"a {type(content).__name__} of {', '.join(map(str, list(content)[:5])) or 'nothing'}"
    return f"a {type(content).__name__}"


def _matched(
    tensors: dict[str, Tensor], network: str | None, file: str, own: Network | None
) -> tuple[Network, dict[str, Tensor]]:
    if own is not None:
        return match(tensors, [own_layout(own)], network, file)
    if any(name.startswith("inception3a.") for name in tensors):
        tensors = {name: tensor for name, tensor in tensors.items() if not DROPPED.match(name)}
    return match(tensors, zoo_layouts(TORCHVISION_NAMES), network, file)


def name_numbered(network: Network) -> dict[str, str]:
    """`features.N` and `classifier.N`, every layer counted: AlexNet and VGG."""
    places, part, number = {}, "features", 0
    for visit in visits(network):
        if visit.layer.kind == "Flatten":
            part, number = "classifier", 0
            continue
        if visit.layer.tensors(visit.input):
            places[visit.path] = f"{part}.{number}"
        number += 1
    return places


def _name_squeezenet(network: Network) -> dict[str, str]:
    """`features.N` counts the outermost layers; a fire has `squeeze`, `expand1x1`, `expand3x3`."""
    parts = {"squeeze": "squeeze", "expand.one.conv": "expand1x1", "expand.three.conv": "expand3x3"}
    number = {layer.name: place for place, layer in enumerate(network.stack)}
    places = {}
    for visit in tensor_layers(network):
        first, _, rest = visit.path.partition(".")
        places[visit.path] = f"features.{number[first]}" + (f".{parts[rest]}" if rest else "")
    return places | {"conv10": "classifier.1"}


def name_resnet(network: Network) -> dict[str, str]:
    """`layerL.B.convN`, `bnN`, `downsample.0` and `.1`; blocks count from 0."""
    places = {"stem.conv": "conv1", "stem.norm": "bn1", "classifier": "fc"}
    for path, level, block, kind, number in block_layers(network):
        shortcut, main = ("downsample.0", "conv") if kind == "conv" else ("downsample.1", "bn")
        places[path] = f"layer{level}.{block - 1}.{f'{main}{number}' if number else shortcut}"
    return places


def _name_googlenet(network: Network) -> dict[str, str]:
    """`convN.conv`, `inceptionXY.branchB.I.conv`."""
    branches = {"one": "branch1", "three": "branch2.{}", "five": "branch3.{}", "pool": "branch4.1"}
    places = {"dense": "fc"}
    for visit in tensor_layers(network):
        if stem := re.fullmatch(r"(conv|norm)(\d)", visit.path):
            places[visit.path] = f"conv{stem[2]}.{'conv' if stem[1] == 'conv' else 'bn'}"
        elif inside := re.fullmatch(r"(inception..)\.(\w+)\.(conv|norm)(\d?)", visit.path):
            module, branch, kind, number = inside.groups()
            place = branches[branch].format(int(number or 1) - 1)
            places[visit.path] = f"{module}.{place}.{'conv' if kind == 'conv' else 'bn'}"
    return places


TORCHVISION_NAMES: Mapping[str, NameLayers] = {
    "alexnet_torchvision": name_numbered,
    **{f"vgg{depth}{norm}": name_numbered for depth in (11, 13, 16, 19) for norm in ("", "_bn")},
    "googlenet_bn": _name_googlenet,
    **{f"resnet{depth}": name_resnet for depth in (18, 34, 50, 101, 152)},
    **{f"resnet{depth}_torchvision": name_resnet for depth in (18, 34)},
    **{f"resnet{depth}_v1_5": name_resnet for depth in (50, 101, 152)},
    "squeezenet1_1": _name_squeezenet,
}
"""The layers' names in torchvision, by network of the zoo."""
