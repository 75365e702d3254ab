"""SqueezeNet's published weights."""

from __future__ import annotations

from deepenough.nets.network import Network
from deepenough.weights.families.family import FamilyWeights, TorchvisionFile, caffe_input
from deepenough.weights.patterns import tensor_layers


def name_torchvision(network: Network) -> dict[str, str]:
    """`features.N` counts the outermost layers; a fire has `squeeze`, `expand1x1`, `expand3x3`."""
    parts = {"squeeze": "squeeze", "expand.one.conv": "expand1x1", "expand.three.conv": "expand3x3"}
    number = {layer.name: place for place, layer in enumerate(network.stack)}
    places = {}
    for visit in tensor_layers(network):
        first, _, rest = visit.path.partition(".")
        places[visit.path] = f"features.{number[first]}" + (f".{parts[rest]}" if rest else "")
    return places | {"conv10": "classifier.1"}


def name_paddle(network: Network) -> dict[str, str]:
    """`_convN`, where N counts the fires from 1, with `_conv`, `_conv_path1` and `_conv_path2`, each with a `_conv`."""
    parts = {"squeeze": "_conv", "expand.one.conv": "_conv_path1", "expand.three.conv": "_conv_path2"}
    places = {"conv1": "_conv", "conv10": "_conv9"}
    for visit in tensor_layers(network):
        fire, _, part = visit.path.partition(".")
        if part:
            places[visit.path] = f"_conv{int(fire.removeprefix('fire')) - 1}.{parts[part]}._conv"
    return places


def name_caffe(network: Network) -> dict[str, str]:
    """`fireN/squeeze1x1`, `expand1x1`, `expand3x3`."""
    parts = {"squeeze": "squeeze1x1", "expand.one.conv": "expand1x1", "expand.three.conv": "expand3x3"}
    split = ((visit.path, *visit.path.partition(".")[::2]) for visit in tensor_layers(network))
    return {path: f"{first}/{parts[rest]}" if rest else first for path, first, rest in split}


SQUEEZENET = FamilyWeights(
    torchvision={"squeezenet1_1": name_torchvision},
    paddle={"squeezenet1_1_paddle": name_paddle},
    caffe={"squeezenet1_1": name_caffe},
    inputs={"caffe-bgr": {"squeezenet1_1": caffe_input(227)}},
    torchvision_files=(
        TorchvisionFile(
            "SqueezeNet1_1", 1, "squeezenet1_1-b8a52dc0.pth", 5, (58.178, 80.624),
            "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b",
        ),
    ),
)  # fmt: skip
