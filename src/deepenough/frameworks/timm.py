"""timm: a folder as on Hugging Face's hub, for networks that timm builds itself."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from deepenough.errors import DeepenoughError
from deepenough.files import write_whole
from deepenough.frameworks.export import Export
from deepenough.frameworks.metadata import PRODUCER, ModelMetadata
from deepenough.frameworks.target import Runtime, Target
from deepenough.nets.combinators import Auxiliary
from deepenough.nets.layer import Layer, Stack
from deepenough.nets.layers import BatchNorm, Dropout, StochasticDepth
from deepenough.nets.network import Network
from deepenough.nets.tokens import Tokens
from deepenough.nets.walk import rewritten
from deepenough.nets.zoo import NETWORKS
from deepenough.nets.zoo.timm_models import timm_model
from deepenough.preprocessing import Preprocessing


class TimmTarget(Target):
    """A model of timm's own, with our weights."""

    name = "timm"
    title = "timm"
    extra = "timm"
    packages = ("safetensors",)
    files = ("model.safetensors", "config.json")
    needed_files = ("model.safetensors", "config.json")
    needs = "timm"
    readable = "model.safetensors"
    runtimes = (Runtime("timm", ("timm",)),)
    any_network = False
    refused: ClassVar[Mapping[str, str]] = {"int8": "timm's models are floating point; take --to onnx or litert"}
    notes = (
        '`timm.create_model("local-dir:FOLDER", pretrained=True)` loads this folder into timm\'s own model.',
        "`config.json` has class names and, as `pretrained_cfg`, the preprocessing as far as timm can say it: "
        "`timm.data.create_transform(**timm.data.resolve_model_data_config(model))` resizes to whole pixels, so its "
        "crop may sit up to a pixel beside that of `predict.py`, which is training's. "
        "The header of `model.safetensors` has all of it.",
    )

    def write(self, export: Export, folder: Path) -> None:
        """The weights under timm's names, and the configuration. The network has to be one that it takes."""
        from safetensors.numpy import save

        if export.input.order != "RGB":
            raise DeepenoughError(
                f"--to timm: {export.network.name} takes images in {export.input.order}, and timm's models have RGB "
                "only; take --to torch"
            )
        dtype = np.float16 if export.precision == "float16" else np.float32
        tensors = {name: np.ascontiguousarray(value, dtype) for name, value in timm_state(export).items()}
        metadata = {"format": "pt", PRODUCER: ModelMetadata.of(export).dumps()}
        write_whole(folder / self.files[0], save(tensors, metadata))
        write_whole(folder / self.files[1], json.dumps(timm_config(export), indent=1, ensure_ascii=False))

    def refusal(self, network: Network) -> str | None:
        """The reason why timm has no such network, or None."""
        model = timm_model(network.name)
        if model is None:
            return f"timm has no network that is known here as {network.name}"
        known = NETWORKS[network.name]().with_classes(network.classes)
        if rewritten(network.stack, _in_evaluation) != rewritten(known.stack, _in_evaluation):
            return f"its layers are not those of timm's {model}; it was cut, or changed otherwise"
        return None

    def preparation(self, export: Export) -> str:
        """The normalisation, which is not inside."""
        return f"normalised: pixels / 255, minus {list(export.input.mean)}, over {list(export.input.std)}"


def _in_evaluation(stack: Stack, path: str = "") -> Stack:
    """The layers without what serves in training only, whatever the grid that positions are for."""
    layers: list[Layer] = []
    for layer in stack:
        match layer:
            case Auxiliary() | Dropout() | StochasticDepth():
                continue
            case Tokens():
                layers.append(replace(layer, rows=1, columns=1))
            case BatchNorm():
                layers.append(replace(layer, momentum=0.1))
            case _:
                layers.append(layer)
    return tuple(layers)


def timm_state(export: Export) -> dict[str, Any]:
    """The tensors by timm's names, in the shapes that timm's layers have."""
    from deepenough.weights.families import FAMILIES

    layout = _layout(export.network)
    dense = any(export.network.name in family.dense_in_timm for family in FAMILIES)
    state = {}
    for key, name in layout.items():
        value = export.state[key]
        if dense and key.endswith(("expand.weight", "project.weight")):
            value = value[:, :, 0, 0]
        elif name == "conv_head.weight" and value.ndim == 2:  # MobileNetV3's hidden layer, a convolution there
            value = value[:, :, None, None]
        state[name] = value
    return state


def _layout(network: Network) -> Mapping[str, str]:
    """timm's name of each tensor, by ours."""
    from deepenough.weights.match import file_layout
    from deepenough.weights.torchvision import name_for_timm

    return file_layout(network, name_for_timm(network)).names


def timm_config(export: Export) -> dict[str, Any]:
    """Return what `config.json` holds: the model, its classes, and its images."""
    from deepenough.weights.match import last_layer
    from deepenough.weights.patterns import tensor_layers

    network, wanted = export.network, export.input
    channels, height, width = network.input
    layout = _layout(network)
    names = {
        key: layout[f"{path}.weight"].removesuffix(".weight")
        for key, path in (("first_conv", tensor_layers(network)[0].path), ("classifier", last_layer(network)))
    }
    transformer = any(isinstance(visit.layer, Tokens) for visit in export.walk)
    arguments: dict[str, Any] = {} if channels == 3 else {"in_chans": channels}
    if transformer:
        arguments["img_size"] = [height, width]
    return {
        "architecture": timm_model(network.name),
        "num_classes": network.classes,
        "label_names": list(export.classes),
        "model_args": arguments,
        "pretrained_cfg": {
            "input_size": [channels, height, width],
            "fixed_input_size": transformer,
            "interpolation": wanted.interpolation,
            "crop_pct": crop_share(wanted),
            "crop_mode": "center",
            "mean": list(wanted.mean),
            "std": list(wanted.std),
            "num_classes": network.classes,
            **names,
        },
    }


def crop_share(wanted: Preprocessing) -> float:
    """The part of the shorter side that is cut out, such that timm's rounding down gives that side again."""
    side = min(wanted.size)
    shorter = max(wanted.shorter or side, side)
    share = side / shorter
    while math.floor(side / share) < shorter:
        share = math.nextafter(share, 0)
    return share
