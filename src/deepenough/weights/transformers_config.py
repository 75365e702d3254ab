"""transformers' `config.json`: which network of the zoo it is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from deepenough.errors import DeepenoughError, first_few, unknown
from deepenough.nets.zoo import NETWORKS
from deepenough.nets.zoo.vit import PATCH, with_positions
from deepenough.weights.families import of_all
from deepenough.weights.families.family import TransformersKind
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


KINDS: Mapping[str, TransformersKind] = MappingProxyType(of_all(lambda family: family.transformers_kinds))
"""The kinds of networks whose layers are known here, by `model_type`."""


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
    wanted, notes = images_of(KINDS[kind], processor, file.with_name(PROCESSOR), network)
    return Published("transformers", network, wanted, _classes(document), notes)


def _name(document: Mapping[str, Any], file: Path) -> str:
    """The network of the zoo with the sizes that a configuration states."""
    model, kind = document["model_type"], KINDS[document["model_type"]]
    values = {name: document.get(name, default) for name, default in kind.fields.items()}
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
