"""The input that sources of pretrained weights give the networks: size, crop, interpolation, order, mean, std."""

from __future__ import annotations

from collections.abc import Mapping

from deepenough.errors import unknown
from deepenough.preprocessing import Preprocessing
from deepenough.weights.families import FAMILIES
from deepenough.weights.families.family import caffe_input, timm_input
from deepenough.weights.keras_images import HALVES, is_application, keras_preset
from deepenough.weights.preset_names import PRESETS

INPUTS: Mapping[tuple[str, str], Preprocessing] = {
    (source, network): wanted
    for family in FAMILIES
    for source, inputs in family.inputs.items()
    for network, wanted in inputs.items()
}
"""The inputs of networks, by preset and network, where they are others than most of that preset's."""


def presets_for(network: str) -> tuple[str, ...]:
    """List the presets that a network can have: all, but for Keras' where Keras has no such network."""
    return tuple(name for name in PRESETS if name != "keras" or is_application(network))


def preset(name: str, network: str) -> Preprocessing:
    """Return what the source `name` feeds the network `network`.

    A network's own is that of its family (`INPUTS`). Of others, torchvision: shorter side 256 (its V2 weights 232),
    bilinear. timm: a crop of 0.95, bicubic, and a mean and standard deviation of 0.5 for what is called a ViT.
    transformers: as torchvision, bicubic; of its ViTs the whole image, which it squeezes into a square. caffe-bgr: BGR
    in 0..255 less the mean of BVLC's release. keras: as `preprocess_input` of the network's module in
    `keras.applications` does (`keras_images`). paddle: as torchvision.
    """
    if (wanted := INPUTS.get((name, network))) is not None:
        return wanted
    match name:
        case "torchvision" | "paddle":
            return Preprocessing((224, 224), 256)
        case "torchvision-v2":
            return Preprocessing((224, 224), 232)
        case "timm":
            return timm_input(224, 0.95, halves=network.startswith("vit_"))
        case "transformers" if network.startswith("vit"):
            return Preprocessing((224, 224), None, mean=HALVES, std=HALVES)
        case "transformers":
            return Preprocessing((224, 224), 256, "bicubic")
        case "caffe-bgr":
            return caffe_input()
        case "keras":
            return keras_preset(network)
    raise unknown("preprocessing", name, PRESETS)
