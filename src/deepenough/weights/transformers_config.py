"""transformers' `config.json`: which network of the zoo it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from deepenough.errors import DeepenoughError, first_few, unknown
from deepenough.nets.zoo import NETWORKS
from deepenough.nets.zoo.convnext import CONVNEXTS
from deepenough.nets.zoo.vit import BLOCKS, PATCH, VITS, with_positions
from deepenough.weights.published import Published, UnknownNetworkError, distinct
from deepenough.weights.transformers import EPSILON, as_in_transformers
from deepenough.weights.transformers_images import images_of

PROCESSOR = "preprocessor_config.json"
"""Beside a file of weights, it says what transformers does to images first."""

UNNAMED = re.compile(r"LABEL_\d+")
"""The name of a class that nobody has named."""

OTHERWISE = (
    "A function that returns a module which gives its logits alone can be given instead: "
    "deepenough fit --network module:function"
)


@dataclass(frozen=True)
class Kind:
    """One `model_type`: the fields that tell its networks apart, with their names in the zoo, and what all have.

    `sizes` are networks by the values of `fields`. `fixed` are other fields, with the only value that the networks here
    are for; one that is left out has it.
    """

    fields: tuple[str, ...]
    sizes: Mapping[tuple[Any, ...], str]
    fixed: Mapping[str, Any] = field(default_factory=dict)


_NARROW, _WIDE = (64, 128, 256, 512), (256, 512, 1024, 2048)

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "resnet": Kind(
            ("layer_type", "depths", "hidden_sizes"),
            {
                ("basic", (2, 2, 2, 2), _NARROW): "resnet18_torchvision",
                ("basic", (3, 4, 6, 3), _NARROW): "resnet34_torchvision",
                ("bottleneck", (3, 4, 6, 3), _WIDE): "resnet50_v1_5",
                ("bottleneck", (3, 4, 23, 3), _WIDE): "resnet101_v1_5",
                ("bottleneck", (3, 8, 36, 3), _WIDE): "resnet152_v1_5",
            },
            {
                "embedding_size": 64,
                "hidden_act": "relu",
                "downsample_in_first_stage": False,
                "downsample_in_bottleneck": False,
            },
        ),
        "convnext": Kind(
            ("depths", "hidden_sizes"),
            {(counts, widths): f"convnext_{size}" for size, (counts, widths, _) in CONVNEXTS.items()},
            {"hidden_act": "gelu", "patch_size": 4},
        ),
        "vit": Kind(
            ("hidden_size", "num_attention_heads", "num_hidden_layers", "intermediate_size"),
            {(width, heads, BLOCKS, 4 * width): f"vit_{size}_patch16_224" for size, (width, heads) in VITS.items()},
            {"hidden_act": "gelu", "patch_size": PATCH, "qkv_bias": True},
        ),
    }
)
"""The kinds of networks whose layers are known here, by `model_type`."""

DEFAULTS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "resnet": {"layer_type": "bottleneck", "depths": (3, 4, 6, 3), "hidden_sizes": _WIDE},
        "convnext": {"depths": (3, 3, 9, 3), "hidden_sizes": (96, 192, 384, 768)},
        "vit": {
            "hidden_size": 768,
            "num_attention_heads": 12,
            "num_hidden_layers": 12,
            "intermediate_size": 3072,
        },
    }
)
"""The values that transformers takes for the fields that a configuration leaves out."""


def is_transformers(document: Mapping[str, Any]) -> bool:
    """Tell whether a configuration is that of a network of transformers."""
    return isinstance(document.get("model_type"), str) and (
        isinstance(document.get("architectures"), list) or "transformers_version" in document
    )


def transformers_network(document: Mapping[str, Any], processor: Mapping[str, Any], file: Path) -> Published:
    """The network of the zoo that a configuration `file` describes; `processor` says what is done to its images.

    One that is not known here is an error.
    """
    kind = document["model_type"]
    if kind not in KINDS:
        reason = unknown("transformers' model_type", kind, KINDS)
        raise UnknownNetworkError(f"{file}: {reason}. {OTHERWISE}")
    network = as_in_transformers(NETWORKS[_name(document, file)](), _number(document, "layer_norm_eps", EPSILON, file))
    if kind == "vit":
        side = int(_number(document, "image_size", 224, file))
        network = with_positions(network, (max(side, PATCH), max(side, PATCH)))
    wanted, notes = images_of(document, processor, file.with_name(PROCESSOR), network)
    return Published("transformers", network, wanted, _classes(document), notes)


def _name(document: Mapping[str, Any], file: Path) -> str:
    """The network of the zoo with the sizes that a configuration states."""
    model, kind = document["model_type"], KINDS[document["model_type"]]
    values = {name: document.get(name, DEFAULTS[model][name]) for name in kind.fields}
    key = tuple(tuple(value) if isinstance(value, list) else value for value in values.values())
    found = next((name for sizes, name in kind.sizes.items() if sizes == key), None)
    if found is None:
        stated = ", ".join(f"{name} {value!r:.60}" for name, value in values.items())
        raise UnknownNetworkError(
            f"{file}: a {model} of {stated} is not among the networks known here: "
            f"{first_few(list(kind.sizes.values()), 5)}. {OTHERWISE}"
        )
    for name, wanted in kind.fixed.items():
        if (given := document.get(name, wanted)) != wanted:
            raise DeepenoughError(f"{file}: its {name} is {given!r:.60}, that of {found} is {wanted!r}. {OTHERWISE}")
    return found


def _number(document: Mapping[str, Any], name: str, default: float, file: Path) -> float:
    value = document.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10_000:
        raise DeepenoughError(f"{file}: its {name} is {value!r:.60}; expected a number above 0; fetch it again")
    return value


def _classes(document: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the classes, where somebody gave them any."""
    names = document.get("id2label")
    if not isinstance(names, dict) or not all(str(number).isdecimal() for number in names):
        return None
    if all(UNNAMED.fullmatch(str(name)) for name in names.values()):
        return None
    return distinct({int(number): name for number, name in names.items()})
