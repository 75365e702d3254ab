"""Weights that have a name: where their publishers keep them, which network of the zoo they are for, what they expect.

Names follow timm's habit, `network.recipe`: `tv` and `tv2` are torchvision's first and second weights, `a1` is the
recipe of Wightman et al. 2021 (arXiv 2110.00476); `in1k` are the 1,000 classes of ImageNet.

Publishers put the first eight digits of a file's SHA-256 into its name. The full hashes begin with those digits and
were taken from projects that list them; six files have only the publisher's digits: VGG-11 and 13 with and without
batch norm, torchvision's second ResNet-152 and timm's ResNet-152.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from deepenough.errors import unknown
from deepenough.preprocessing import Preprocessing
from deepenough.weights.presets import preset

TORCHVISION_URL = "https://download.pytorch.org/models/"
TIMM_URL = "https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-rsb-weights/"


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


def _torchvision(
    name: str, network: str, file: str, sha256: str, megabytes: float, accuracies: tuple[float, float]
) -> Named:
    """An entry of torchvision's WeightsEnum: `accuracies` are its acc@1 and acc@5."""
    wanted = preset("torchvision-v2" if ".tv2_" in name else "torchvision", network)
    top1, top5 = (round(100 - accuracy, 3) for accuracy in accuracies)
    return Named(name, "torchvision", network, TORCHVISION_URL + file, sha256, wanted, megabytes, top1, top5)


def _timm(name: str, network: str, file: str, sha256: str, megabytes: float, top1: float | None = None) -> Named:
    """An `_rcfg` of timm's resnet.py: 224 pixels, a crop of 0.95 of the shorter side (235), bicubic.

    That is what timm's `resolve_model_data_config` gives, and what the paper reports. timm's validate.py tests the same
    weights at 288 pixels, uncropped, unless it is told --use-train-size: figures of that are better than these.
    """
    return Named(name, "timm", network, TIMM_URL + file, sha256, preset("timm", network), megabytes, top1)


_ALL = (
    _torchvision(
        "alexnet.tv_in1k", "alexnet_torchvision", "alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02", 244, (56.522, 79.066),
    ),
    _torchvision("vgg11.tv_in1k", "vgg11", "vgg11-8a719046.pth", "8a719046", 531, (69.020, 88.628)),
    _torchvision("vgg13.tv_in1k", "vgg13", "vgg13-19584684.pth", "19584684", 532, (69.928, 89.246)),
    _torchvision(
        "vgg16.tv_in1k", "vgg16", "vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0", 553, (71.592, 90.382),
    ),
    _torchvision(
        "vgg19.tv_in1k", "vgg19", "vgg19-dcbb9e9d.pth",
        "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44", 575, (72.376, 90.876),
    ),
    _torchvision("vgg11_bn.tv_in1k", "vgg11_bn", "vgg11_bn-6002323d.pth", "6002323d", 532, (70.370, 89.810)),
    _torchvision("vgg13_bn.tv_in1k", "vgg13_bn", "vgg13_bn-abd245e5.pth", "abd245e5", 532, (71.586, 90.374)),
    _torchvision(
        "vgg16_bn.tv_in1k", "vgg16_bn", "vgg16_bn-6c64b313.pth",
        "6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a", 554, (73.360, 91.516),
    ),
    _torchvision(
        "vgg19_bn.tv_in1k", "vgg19_bn", "vgg19_bn-c79401a0.pth",
        "c79401a0cf3cb42714e4182f5868c7a6f4f4534f5df9e956e2bb2098de41cbb6", 575, (74.218, 91.842),
    ),
    _torchvision(
        "googlenet.tv_in1k", "googlenet_bn", "googlenet-1378be20.pth",
        "1378be20a8e875cf1568b8a71654e704449655e34711a959a38b04fb34905cef", 52, (69.778, 89.530),
    ),
    _torchvision(
        "resnet18.tv_in1k", "resnet18_torchvision", "resnet18-f37072fd.pth",
        "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec", 47, (69.758, 89.078),
    ),
    _torchvision(
        "resnet34.tv_in1k", "resnet34_torchvision", "resnet34-b627a593.pth",
        "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f", 87, (73.314, 91.420),
    ),
    _torchvision(
        "resnet50.tv_in1k", "resnet50_v1_5", "resnet50-0676ba61.pth",
        "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a", 103, (76.130, 92.862),
    ),
    _torchvision(
        "resnet101.tv_in1k", "resnet101_v1_5", "resnet101-63fe2227.pth",
        "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a", 179, (77.374, 93.546),
    ),
    _torchvision(
        "resnet152.tv_in1k", "resnet152_v1_5", "resnet152-394f9c45.pth",
        "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58", 242, (78.312, 94.046),
    ),
    _torchvision(
        "resnet50.tv2_in1k", "resnet50_v1_5", "resnet50-11ad3fa6.pth",
        "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca", 103, (80.858, 95.434),
    ),
    _torchvision(
        "resnet101.tv2_in1k", "resnet101_v1_5", "resnet101-cd907fc2.pth",
        "cd907fc2a0de2292b2ba2b27d2216bc672d84632d1cf20058d01c0c03b5e020e", 179, (81.886, 95.780),
    ),
    _torchvision(
        "resnet152.tv2_in1k", "resnet152_v1_5", "resnet152-f82ba261.pth", "f82ba261", 242, (82.284, 96.002)
    ),
    _torchvision(
        "squeezenet1_1.tv_in1k", "squeezenet1_1", "squeezenet1_1-b8a52dc0.pth",
        "b8a52dc049b60e4b6ab68ad0df457362afab8b6304b2febdc1650a5dab4d7e7b", 5, (58.178, 80.624),
    ),
    _timm(
        "resnet34.a1_in1k", "resnet34_torchvision", "resnet34_a1_0-46f8f793.pth",
        "46f8f7930534e471b9a139b278896db5d11d17b8ea3fcc90ad43deed9e5e27d7", 87,
    ),
    _timm(
        "resnet50.a1_in1k", "resnet50_v1_5", "resnet50_a1_0-14fe96d1.pth",
        "14fe96d1f9fb311a60490082d2077e6e60427dcfe21839ddf934cce948f72b0f", 102,
        19.6,  # the paper's abstract
    ),
    _timm(
        "resnet101.a1_in1k", "resnet101_v1_5", "resnet101_a1_0-cdcb52a9.pth",
        "cdcb52a9df09a641606696e5520e4fbbe8256ee4983d8b4dd1a1ef87a9b8846f", 178,
    ),
    _timm("resnet152.a1_in1k", "resnet152_v1_5", "resnet152_a1_0-2eee8a7a.pth", "2eee8a7a", 241),
)  # fmt: skip

NAMED: Mapping[str, Named] = MappingProxyType({entry.name: entry for entry in _ALL})
"""The table, by name."""

GROUPS = tuple(dict.fromkeys(entry.publisher for entry in _ALL))
"""The publishers: a name for all that one of them has."""


def weights_named(name: str) -> Named:
    """The entry of that name; another name is an error with the nearest."""
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
