"""Files in torch's own format or as safetensors: torchvision's, timm's, and what was trained from them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from deepenough.errors import DeepenoughError, first_line
from deepenough.nets.network import Network
from deepenough.nets.zoo.timm_models import timm_model
from deepenough.weights.checkpoint import SavedState, checkpoint, plain, state_dicts
from deepenough.weights.families import FAMILIES, of_all
from deepenough.weights.fit import Fitted
from deepenough.weights.fitting import match, match_exactly
from deepenough.weights.inputs import json_beside
from deepenough.weights.match import FileLayout, count_fitting, file_layout, own_layout, zoo_layouts
from deepenough.weights.published import CONFIG, Published, published_as
from deepenough.weights.stated import StatedNetwork
from deepenough.weights.timm_config import is_timms
from deepenough.weights.transformers import as_in_transformers, with_joined_projections

DROPPED = re.compile(r"aux[12]\.")
"""GoogLeNet's side heads: they serve in training only, and `googlenet_bn` has none."""

OTHER_PUBLISHERS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
"""Networks of other publishers that may be under torchvision's names: taken where they are asked for."""

TORCHVISION_NAMES = of_all(lambda family: family.torchvision)
"""The layers' names in torchvision, by network of the zoo."""

TIMM_NAMES = of_all(lambda family: family.timm)
"""The layers' names in timm, by network of the zoo, where they are not torchvision's."""

DENSE_OR_CONVOLUTIONS = frozenset(name for family in FAMILIES for name in family.dense_or_convolutions)
"""Networks that some write with dense layers, and others with 1x1 convolutions."""

PUBLISHERS = (
    ("torchvision", TORCHVISION_NAMES),
    ("torchvision", of_all(lambda family: family.older_torchvision)),
    ("timm", TIMM_NAMES),
    ("timm", of_all(lambda family: family.authors)),
    ("efficientnet_pytorch", of_all(lambda family: family.efficientnet_pytorch)),
    ("transformers", of_all(lambda family: family.transformers)),
)
"""Whose networks are in torch's formats, and the names of their layers."""


def read_torch(path: Path, network: str | None, own: StatedNetwork | None = None) -> tuple[str, Fitted]:
    """Source and network of a file that `torch.save` or TorchScript wrote. Nothing in it is executed."""
    file = f"{path} (a torch file)"
    return _matched(checkpoint(path), network, file, own) if own else _published(checkpoint(path), path, network, file)


def read_safetensors(path: Path, network: str | None, own: StatedNetwork | None = None) -> tuple[str, Fitted]:
    """Source and network of a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        content = load_file(path)
    except SafetensorError as error:
        raise DeepenoughError(
            f"{path} is not a whole safetensors file: {plain(first_line(error))}; fetch it again"
        ) from None
    found = list(state_dicts(content))
    if not found:
        raise DeepenoughError(f"{path} holds no tensors; expected a state dict, tensors by name")
    file = f"{path} (a safetensors file)"
    if own is not None and not own.is_foreign:
        return "deepenough", match_exactly(found[0].tensors, _exported_layout(path, own.network), network, file)
    return _matched(found, network, file, own) if own else _published(found, path, network, file)


def _exported_layout(path: Path, own: Network) -> FileLayout:
    """The names in a file that deepenough wrote: timm's where timm's configuration is beside it, else our own."""
    config = json_beside(path, CONFIG)
    if not is_timms(config) or config["architecture"] != timm_model(own.name):
        return own_layout(own)
    return replace(file_layout(own, name_for_timm(own)), pads_shapes=True)


def name_for_timm(network: Network) -> Mapping[str, str]:
    """The names in timm of the layers of a network that `timm_model` knows: its own, or those that torchvision has."""
    return (TIMM_NAMES.get(network.name) or TORCHVISION_NAMES[network.name])(network)


def _published(found: list[SavedState], path: Path, network: str | None, file: str) -> tuple[str, Fitted]:
    """Source and network of somebody's tensors: the network that a publisher's configuration beside them states."""
    stated = published_as(path, network)
    tensors = [with_joined_projections(_without_side_heads(each)) for each in found]
    fitted = match(tensors, torch_layouts(), network, file) if stated is None else _of_stated(tensors, stated, file)
    return fitted.source, fitted


def _of_stated(tensors: list[SavedState], stated: Published, file: str) -> Fitted:
    name = stated.network.name
    known = [layout for layout in torch_layouts() if layout.network.name == name]
    layouts = [replace(layout, network=stated.network, sized=True) for layout in known]
    return match(tensors, layouts, name, file)


def _matched(found: list[SavedState], network: str | None, file: str, own: StatedNetwork) -> tuple[str, Fitted]:
    """Source and network of tensors whose network a `network.json` states."""
    layout = own_layout(own.network)
    meant = max(found, key=lambda each: (own.count_named(each.tensors), count_fitting(each.tensors, layout)))
    tensors = own.as_ours(meant.tensors, layout)
    return "torchvision", match_exactly(tensors, layout, network, file, may_lack_head=own.is_foreign)


def torch_layouts() -> list[FileLayout]:
    """Make the layouts of every publisher whose networks are in torch's formats, the evident one first."""
    known = [
        replace(
            layout,
            source=source,
            evident=layout.network.name not in OTHER_PUBLISHERS,
            pads_shapes=layout.network.name in DENSE_OR_CONVOLUTIONS,
            network=as_in_transformers(layout.network) if source == "transformers" else layout.network,
        )
        for source, names in PUBLISHERS
        for layout in zoo_layouts(names)
    ]
    return sorted(known, key=lambda layout: not layout.evident)


def _without_side_heads(found: SavedState) -> SavedState:
    if not any("inception3a." in name for name in found.tensors):
        return found
    kept = {name: tensor for name, tensor in found.tensors.items() if not DROPPED.search(name)}
    return replace(found, tensors=kept)
