"""The names of Hugging Face's transformers, whose networks compute what torchvision's do."""

from __future__ import annotations

from collections.abc import Mapping

from deepenough.nets.network import Network
from deepenough.weights.match import NameLayers, block_layers


def name_transformers_resnet(network: Network) -> dict[str, str]:
    """`encoder.stages.S.layers.B.layer.N.convolution`, `.shortcut`; all count from 0. `resnet.` comes before them."""
    places = {"stem.conv": "embedder.embedder.convolution", "stem.norm": "embedder.embedder.normalization"}
    for path, level, block, kind, number in block_layers(network):
        part = f"layer.{number - 1}" if number else "shortcut"
        kinds = {"conv": "convolution", "norm": "normalization"}
        places[path] = f"encoder.stages.{level - 1}.layers.{block - 1}.{part}.{kinds[kind]}"
    return places | {"classifier": "classifier.1"}


TRANSFORMERS_NAMES: Mapping[str, NameLayers] = {
    **{f"resnet{depth}_torchvision": name_transformers_resnet for depth in (18, 34)},
    **{f"resnet{depth}_v1_5": name_transformers_resnet for depth in (50, 101, 152)},
}
"""The layers' names in transformers, by network of the zoo."""
