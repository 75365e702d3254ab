"""timm's `config.json`: which network of the zoo it is, and the images that it takes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepenough.errors import DeepenoughError, first_few, unknown
from deepenough.nets.network import Network
from deepenough.nets.tokens import Tokens
from deepenough.nets.zoo import NETWORKS
from deepenough.nets.zoo.timm_models import TIMM_MODELS
from deepenough.nets.zoo.vit import with_positions
from deepenough.preprocessing import IMAGENET_MEAN, IMAGENET_STD, RESAMPLING, Preprocessing
from deepenough.weights.imagenet import class_names, wordnet_ids
from deepenough.weights.presets import preset
from deepenough.weights.published import Published, UnknownNetworkError, distinct

KNOWN_ARGUMENTS = frozenset({"num_classes", "in_chans", "img_size", "global_pool", "drop_rate", "drop_path_rate"})
"""Arguments of a model that leave its layers as they are in prediction, are looked at, or show in the tensors."""

CROP_SHARE = 0.875
"""The share of the shorter side that timm's centre crop has where nothing says so."""

MOST_PIXELS = 10_000
"""A side of images that no network takes."""

OTHERWISE = "A function that returns timm's own module can be given instead: deepenough fit --network module:function"


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
    if model not in TIMM_MODELS:
        reason = unknown("timm's architecture", model, TIMM_MODELS)
        raise UnknownNetworkError(f"{file}: {reason}. {OTHERWISE}")
    network, images = NETWORKS[TIMM_MODELS[model]](), timms_images(document)
    _check_arguments(document, network, file)
    tokens = any(isinstance(layer, Tokens) for layer in network.stack)
    side = (document.get("model_args") or {}).get("img_size")
    if tokens and side is not None:
        images["input_size"] = [3, *(side if isinstance(side, list) else (side, side))]
    wanted = as_timm(file, images, preset("timm", network.name).size)
    if tokens:
        network = with_positions(network, wanted.size)
    return Published("timm", network, wanted, _classes(document, images), tuple(framing_notes(images, wanted)))


def _check_arguments(document: Mapping[str, Any], network: Network, file: Path) -> None:
    """Raise where a model was made with arguments that change what it computes."""
    arguments = document.get("model_args") or {}
    if not isinstance(arguments, dict):
        raise DeepenoughError(f"{file}: its model_args are no object; fetch it again")
    if others := sorted(set(arguments) - KNOWN_ARGUMENTS):
        raise DeepenoughError(
            f"{file}: its {document['architecture']} was made with {first_few(others, 3)} as model_args, which the "
            f"network {network.name} here doesn't have. {OTHERWISE}"
        )
    usual = "token" if network.name.startswith("vit") else "avg"
    pools = {str(pool) for pool in (document.get("global_pool"), arguments.get("global_pool")) if pool is not None}
    if pools - {usual}:
        raise DeepenoughError(
            f"{file}: its {document['architecture']} pools by {', '.join(f'{pool!r:.40}' for pool in sorted(pools))}; "
            f"{network.name} here by {usual!r}. {OTHERWISE}"
        )


def as_timm(file: Path, config: Mapping[str, Any], size: tuple[int, int] = (224, 224)) -> Preprocessing:
    """The input that timm's configuration describes; what it leaves out is as timm takes it, of images of `size`."""
    try:
        _, height, width = map(int, config.get("input_size") or (3, *size))
        shorter = int(min(height, width) / float(config.get("crop_pct") or CROP_SHARE))
        if not all(0 < side < MOST_PIXELS for side in (height, width, shorter)):
            raise ValueError(f"images of {width}x{height} from a shorter side of {shorter}")
        usual = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
        mean, std = (tuple(map(float, config.get(key) or values)) for key, values in usual.items())
        asked = config.get("interpolation")
        interpolation = asked if asked in RESAMPLING else "bicubic"
        return Preprocessing((height, width), shorter, interpolation, mean=mean, std=std)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise DeepenoughError(f"{file}: its pretrained_cfg can't be read ({error}); mend it, or move it away") from None


def framing_notes(images: Mapping[str, Any], wanted: Preprocessing) -> list[str]:
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
    in1k = re.search(r"in1k(_\d+)?$", str(images.get("tag", ""))) is not None
    return class_names() if in1k and count == len(class_names()) else None
