"""Weights that have a name: where their publishers keep them, which network of the zoo they are for, what they expect.

Names follow timm's habit, `network.recipe`: `tv` and `tv2` are torchvision's first and second weights, `a1` is the
recipe of Wightman et al. 2021 (arXiv 2110.00476); `in1k` are the 1,000 classes of ImageNet.

Publishers put the first eight digits of a file's SHA-256 into its name. The full hashes begin with those digits and
were taken from projects that list them. Of the networks since 2016, of VGG-11 and 13 with and without batch norm, of
torchvision's second ResNet-152 and timm's ResNet-152 only the publisher's digits are known.

torchvision's own names, `ResNet50_Weights.IMAGENET1K_V2` and the like, are taken for those of the table.

The files are listed in `families`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urljoin

from deepenough.errors import unknown
from deepenough.nets.zoo import TORCHVISION_MODELS
from deepenough.nets.zoo.timm_models import TIMM_MODELS
from deepenough.preprocessing import Preprocessing
from deepenough.weights.families import FAMILIES
from deepenough.weights.families.family import TimmFile, TorchvisionFile
from deepenough.weights.presets import preset

TORCHVISION_URL = "https://download.pytorch.org/models/"
TIMM_RELEASES = "https://github.com/huggingface/pytorch-image-models/releases/download/"


@dataclass(frozen=True)
class Named:
    """One publisher's weights of one network of the zoo.

    `sha256` is in hexadecimal: all 64 digits, or the first eight where only those are known. `megabytes` is about what
    the file has. `top1` and `top5` are single-crop errors in percent that the publisher states, None where it does not.
    """

    name: str
    publisher: str
    network: str
    url: str
    sha256: str
    input: Preprocessing
    megabytes: float
    top1: float | None = None
    top5: float | None = None

    @property
    def file(self) -> str:
        """The file's name, as the publisher gave it."""
        return self.url.rpartition("/")[2]

    def is_hash(self, sha256: str) -> bool:
        """Tell whether a file with this SHA-256 (64 digits) is the published one, as far as its digits are known."""
        return len(sha256) == 64 and sha256.lower().startswith(self.sha256)


def _torchvision(entry: TorchvisionFile) -> Named:
    """The weights of one of torchvision's files, with the errors that its accuracies come to."""
    model = entry.weights.lower()
    network = TORCHVISION_MODELS.get(model, model)
    recipe, wanted = ("tv_in1k", "torchvision") if entry.version == 1 else ("tv2_in1k", "torchvision-v2")
    return Named(
        f"{model}.{recipe}",
        "torchvision",
        network,
        TORCHVISION_URL + entry.file,
        entry.sha256 or _digits(entry.file),
        preset(wanted, network),
        entry.megabytes,
        *(round(100 - accuracy, 3) for accuracy in entry.accuracies),
    )


def _timm(entry: TimmFile) -> Named:
    """The weights of one of timm's files, with the errors that it states."""
    network, url = TIMM_MODELS[entry.name.partition(".")[0]], urljoin(TIMM_RELEASES, entry.file)
    wanted = entry.input or preset("timm", network)
    return Named(entry.name, "timm", network, url, entry.sha256 or _digits(url), wanted, entry.megabytes, *entry.errors)


def _digits(file: str) -> str:
    """The first eight digits of the SHA-256 that a file's name ends with."""
    return file.removesuffix(".pth").rpartition("-")[2]


_TORCHVISIONS = {
    f"{entry.weights}_Weights.IMAGENET1K_V{entry.version}": _torchvision(entry)
    for family in FAMILIES
    for entry in family.torchvision_files
}

_ALL = (*_TORCHVISIONS.values(), *(_timm(entry) for family in FAMILIES for entry in family.timm_files))

NAMED: Mapping[str, Named] = MappingProxyType({entry.name: entry for entry in _ALL})
"""The table, by name."""

ALIASES: Mapping[str, str] = MappingProxyType({theirs: entry.name for theirs, entry in _TORCHVISIONS.items()})
"""Names of the table by torchvision's own."""

GROUPS = tuple(dict.fromkeys(entry.publisher for entry in _ALL))
"""The publishers: a name for all that one of them has."""


def weights_named(name: str) -> Named:
    """The entry of that name, or of torchvision's; another name is an error with the nearest."""
    name = ALIASES.get(name, name)
    if name not in NAMED:
        raise unknown("name of weights", name, NAMED)
    return NAMED[name]


def group(name: str) -> list[Named]:
    """All entries of one publisher, in the table's order: torchvision or timm."""
    if name not in GROUPS:
        raise unknown("publisher of weights", name, GROUPS)
    return [entry for entry in _ALL if entry.publisher == name]


def of_hash(sha256: str) -> Named | None:
    """The entry whose file has this SHA-256, if there is one."""
    return next((entry for entry in _ALL if entry.is_hash(sha256)), None)
