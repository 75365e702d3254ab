"""timm's `config.json`: which network of the zoo it is, and the images that it takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from deepenough.errors import DeepenoughError, first_few, unknown
from deepenough.nets.network import Network
from deepenough.nets.tokens import Tokens
from deepenough.nets.zoo import NETWORKS
from deepenough.nets.zoo.vit import with_positions
from deepenough.preprocessing import RESAMPLING, Preprocessing
from deepenough.weights.imagenet import class_names, wordnet_ids
from deepenough.weights.presets import preset
from deepenough.weights.published import Published, distinct
from deepenough.weights.timm_models import TIMM_MODELS, TIMM_RESNETS

KNOWN_ARGUMENTS = frozenset({"num_classes", "in_chans", "img_size", "global_pool", "drop_rate", "drop_path_rate"})
"""Arguments of a model that leave its layers as they are in prediction, or whose effect is seen elsewhere."""


def is_timms(document: Mapping[str, Any]) -> bool:
    """Tell whether a configuration is timm's. Older ones have the fields of `pretrained_cfg` beside the others."""
    named = isinstance(document.get("architecture"), str)
    return named and (isinstance(document.get("pretrained_cfg"), dict) or "input_size" in document)


def timms_images(document: Mapping[str, Any]) -> dict[str, Any]:
    """The part of timm's configuration that says what its images are like."""
    inside = document.get("pretrained_cfg")
    return dict(inside if isinstance(inside, dict) else document)


def timms_network(document: Mapping[str, Any], file: Path) -> Published:
    """The network of the zoo that timm's configuration `file` names. One that is not known here is an error."""
    model = document["architecture"]
    known = {**TIMM_RESNETS, **TIMM_MODELS}
    if model not in known:
        raise DeepenoughError(
            f"{file}: {unknown('the architecture of timm', model, known)}. A function that returns timm's own module "
            "can be given instead: --network module:function"
        )
    network, images = NETWORKS[known[model]](), timms_images(document)
    _check_arguments(document, network, file)
    wanted = as_timm(file, images, preset("timm", network.name))
    if any(isinstance(layer, Tokens) for layer in network.stack):
        network = with_positions(network, wanted.size)
    return Published("timm", network, wanted, _classes(document, images), tuple(_notes(images, wanted)))


def _check_arguments(document: Mapping[str, Any], network: Network, file: Path) -> None:
    """Raise where a model was made with arguments that change what it computes."""
    arguments = document.get("model_args") or {}
    if not isinstance(arguments, dict):
        raise DeepenoughError(f"{file}: its model_args are no object; fetch it again")
    if others := sorted(set(arguments) - KNOWN_ARGUMENTS):
        raise DeepenoughError(
            f"{file}: its {document['architecture']} was made with {first_few(others, 3)} as model_args, which the "
            f"network {network.name} here doesn't have. A function that returns timm's own module can be given "
            "instead: --network module:function"
        )
    usual = "token" if network.name.startswith("vit") else "avg"
    pools = {pool for pool in (document.get("global_pool"), arguments.get("global_pool")) if pool is not None}
    if pools - {usual}:
        raise DeepenoughError(
            f"{file}: its {document['architecture']} pools by {', '.join(sorted(map(repr, pools)))}; {network.name} "
            f"here by {usual!r}. A function that returns timm's own module can be given instead: "
            "--network module:function"
        )


def as_timm(file: Path, config: Mapping[str, Any], known: Preprocessing) -> Preprocessing:
    """The input that timm's configuration describes; what it leaves out is that of `known`."""
    try:
        _, height, width = map(int, config.get("input_size", (3, *known.size)))
        shorter = int(min(height, width) / float(config.get("crop_pct", 0.95)))
        mean, std = (tuple(map(float, config.get(key, getattr(known, key)))) for key in ("mean", "std"))
        asked = config.get("interpolation")
        return replace(
            known,
            size=(height, width),
            shorter=shorter,
            interpolation=asked if asked in RESAMPLING else known.interpolation,
            mean=mean,
            std=std,
        )
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise DeepenoughError(f"{file}: its pretrained_cfg can't be read ({error}); mend it, or move it away") from None


def _notes(images: Mapping[str, Any], wanted: Preprocessing) -> list[str]:
    """Lines on what timm does to images and is not done here."""
    notes = []
    if images.get("crop_mode", "center") != "center":
        notes.append(f"timm frames its images by {images['crop_mode']!r:.40}; here their centre is cut out")
    if (asked := images.get("interpolation")) not in (None, *RESAMPLING):
        notes.append(f"timm scales its images by {asked!r:.40}; here it is {wanted.interpolation}")
    return notes


def _classes(document: Mapping[str, Any], images: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the classes: those that it states, or ImageNet's where its tag says that it is trained on that."""
    names = next((part[key] for part in (document, images) for key in ("label_names", "labels") if key in part), None)
    told = document.get("label_descriptions") or images.get("label_descriptions") or {}
    if isinstance(names, list) and names:
        if tuple(names) == wordnet_ids():
            return class_names()
        texts = [told.get(str(name), name) if isinstance(told, dict) else name for name in names]
        return distinct(dict(enumerate(texts)))
    count = document.get("num_classes", images.get("num_classes"))
    in1k = str(images.get("tag", "")).endswith("in1k")
    return class_names() if in1k and count == len(class_names()) else None
