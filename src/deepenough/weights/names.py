"""Weights that have a name: where their publishers keep them, which network of the zoo they are for, what they expect.

Names follow timm's habit, `network.recipe`: `tv` and `tv2` are torchvision's first and second weights, `a1` is the
recipe of Wightman et al. 2021 (arXiv 2110.00476); `in1k` are the 1,000 classes of ImageNet.

Publishers put the first eight digits of a file's SHA-256 into its name. The full hashes begin with those digits and
were taken from projects that list them. Of the networks since 2016, of VGG-11 and 13 with and without batch norm, of
torchvision's second ResNet-152 and timm's ResNet-152 only the publisher's digits are known.

torchvision's own names, `ResNet50_Weights.IMAGENET1K_V2` and the like, are taken for those of the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urljoin

from deepenough.errors import unknown
from deepenough.nets.zoo.timm_models import TIMM_MODELS
from deepenough.preprocessing import Preprocessing
from deepenough.weights.presets import preset, timm_input

TORCHVISION_URL = "https://download.pytorch.org/models/"
TIMM_RELEASES = "https://github.com/huggingface/pytorch-image-models/releases/download/"
TIMM_URL = f"{TIMM_RELEASES}v0.1-rsb-weights/"


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


def _timm(name: str, network: str, file: str, sha256: str, megabytes: float, errors: tuple[float, float]) -> Named:
    """An `_rcfg` of timm's resnet.py: 224 pixels, a crop of 0.95 of the shorter side (235), bicubic.

    That is what timm's `resolve_model_data_config` gives, and what the paper reports. timm's validate.py tests the same
    weights at 288 pixels, uncropped, unless it is told --use-train-size: figures of that are better than these.
    `errors` are top-1 and top-5 of timm's results-imagenet.csv (8 August 2026), whose crop is that of `input`.
    """
    return Named(name, "timm", network, TIMM_URL + file, sha256, preset("timm", network), megabytes, *errors)


def _torchvision_since_2016(name: str, file: str, megabytes: float, accuracies: tuple[float, float]) -> Named:
    """An entry of a network since 2016, which is called here as there, with the digits in the file's name."""
    base = name.partition(".")[0]
    network = "vit_base_patch16_224" if base == "vit_b_16" else base
    return _torchvision(name, network, file, _digits(file), megabytes, accuracies)


def _timm_since_2016(
    name: str, file: str, megabytes: float, errors: tuple[float, float], wanted: Preprocessing | None = None
) -> Named:
    """An entry of timm's `default_cfgs` of a network since 2016, with the digits in the file's name.

    `file` is relative to timm's releases, or a whole address. `errors` are as `_timm` has them. `wanted` is None where
    it is the preset's.
    """
    network = TIMM_MODELS[name.partition(".")[0]]
    url = urljoin(TIMM_RELEASES, file)
    return Named(name, "timm", network, url, _digits(url), wanted or preset("timm", network), megabytes, *errors)


def _digits(file: str) -> str:
    """The first eight digits of the SHA-256 that a file's name ends with."""
    return file.removesuffix(".pth").rpartition("-")[2]


NO_CHANGE = Preprocessing((224, 224), 256, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
"""The images of Alibaba's MIIL: pixels in 0..1."""

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
    _torchvision_since_2016("mobilenet_v2.tv_in1k", "mobilenet_v2-b0353104.pth", 14, (71.878, 90.286)),
    _torchvision_since_2016("mobilenet_v2.tv2_in1k", "mobilenet_v2-7ebf99e0.pth", 14, (72.154, 90.822)),
    _torchvision_since_2016("mobilenet_v3_small.tv_in1k", "mobilenet_v3_small-047dcff4.pth", 10, (67.668, 87.402)),
    _torchvision_since_2016("mobilenet_v3_large.tv_in1k", "mobilenet_v3_large-8738ca79.pth", 22, (74.042, 91.340)),
    _torchvision_since_2016("mobilenet_v3_large.tv2_in1k", "mobilenet_v3_large-5c1a4163.pth", 22, (75.274, 92.566)),
    _torchvision_since_2016("efficientnet_b0.tv_in1k", "efficientnet_b0_rwightman-7f5810bc.pth", 21, (77.692, 93.532)),
    _torchvision_since_2016("efficientnet_b1.tv_in1k", "efficientnet_b1_rwightman-bac287d4.pth", 32, (78.642, 94.186)),
    _torchvision_since_2016("efficientnet_b1.tv2_in1k", "efficientnet_b1-c27df63c.pth", 32, (79.838, 94.934)),
    _torchvision_since_2016("efficientnet_b2.tv_in1k", "efficientnet_b2_rwightman-c35c1473.pth", 37, (80.608, 95.310)),
    _torchvision_since_2016("efficientnet_b3.tv_in1k", "efficientnet_b3_rwightman-b3899882.pth", 49, (82.008, 96.054)),
    _torchvision_since_2016("efficientnet_b4.tv_in1k", "efficientnet_b4_rwightman-23ab8bcd.pth", 78, (83.384, 96.594)),
    _torchvision_since_2016("densenet121.tv_in1k", "densenet121-a639ec97.pth", 32, (74.434, 91.972)),
    _torchvision_since_2016("resnext50_32x4d.tv_in1k", "resnext50_32x4d-7cdf4587.pth", 100, (77.618, 93.698)),
    _torchvision_since_2016("resnext50_32x4d.tv2_in1k", "resnext50_32x4d-1a0047aa.pth", 100, (81.198, 95.340)),
    _torchvision_since_2016("wide_resnet50_2.tv_in1k", "wide_resnet50_2-95faca4d.pth", 138, (78.468, 94.086)),
    _torchvision_since_2016("wide_resnet50_2.tv2_in1k", "wide_resnet50_2-9ba9bcbe.pth", 276, (81.602, 95.758)),
    _torchvision_since_2016("regnet_y_400mf.tv_in1k", "regnet_y_400mf-c65dace8.pth", 18, (74.046, 91.716)),
    _torchvision_since_2016("regnet_y_400mf.tv2_in1k", "regnet_y_400mf-e6988f5f.pth", 18, (75.804, 92.742)),
    _torchvision_since_2016("regnet_y_1_6gf.tv_in1k", "regnet_y_1_6gf-b11a554e.pth", 45, (77.950, 93.966)),
    _torchvision_since_2016("regnet_y_1_6gf.tv2_in1k", "regnet_y_1_6gf-0d7bc02a.pth", 45, (80.876, 95.444)),
    _torchvision_since_2016("convnext_tiny.tv_in1k", "convnext_tiny-983f1562.pth", 114, (82.520, 96.146)),
    _torchvision_since_2016("convnext_small.tv_in1k", "convnext_small-0c510722.pth", 201, (83.616, 96.650)),
    _torchvision_since_2016("vit_b_16.tv_in1k", "vit_b_16-c867db91.pth", 346, (81.072, 95.318)),
    _timm(
        "resnet34.a1_in1k", "resnet34_torchvision", "resnet34_a1_0-46f8f793.pth",
        "46f8f7930534e471b9a139b278896db5d11d17b8ea3fcc90ad43deed9e5e27d7", 87, (23.58, 7.104),
    ),
    _timm(
        "resnet50.a1_in1k", "resnet50_v1_5", "resnet50_a1_0-14fe96d1.pth",
        "14fe96d1f9fb311a60490082d2077e6e60427dcfe21839ddf934cce948f72b0f", 102, (19.618, 5.402),
    ),
    _timm(
        "resnet101.a1_in1k", "resnet101_v1_5", "resnet101_a1_0-cdcb52a9.pth",
        "cdcb52a9df09a641606696e5520e4fbbe8256ee4983d8b4dd1a1ef87a9b8846f", 178, (18.506, 4.836),
    ),
    _timm("resnet152.a1_in1k", "resnet152_v1_5", "resnet152_a1_0-2eee8a7a.pth", "2eee8a7a", 241, (18.002, 4.706)),
    _timm_since_2016("mobilenetv2_100.ra_in1k", "v0.1-weights/mobilenetv2_100_ra-b33bc2c4.pth", 14.1, (27.09, 9)),
    _timm_since_2016(
        "mobilenetv3_small_100.lamb_in1k", "v0.1-weights/mobilenetv3_small_100_lamb-266a294c.pth",
        10.2, (32.364, 12.362),
    ),
    _timm_since_2016(
        "mobilenetv3_large_100.ra_in1k", "v0.1-weights/mobilenetv3_large_100_ra-f55367f5.pth",
        22.1, (24.216, 7.472),
    ),
    _timm_since_2016(
        "mobilenetv3_large_100.miil_in21k_ft_in1k", "v0.1-tresnet/mobilenetv3_large_100_1k_miil_78_0-66471c13.pth",
        22.1, (22.08, 7.106), NO_CHANGE,
    ),
    _timm_since_2016("efficientnet_b0.ra_in1k", "v0.1-weights/efficientnet_b0_ra-3dd342df.pth", 21.3, (22.302, 6.462)),
    _timm_since_2016("efficientnet_b1.ft_in1k", "v0.1-weights/efficientnet_b1-533bc792.pth", 31.4, (22.408, 6.364)),
    _timm_since_2016("efficientnet_b2.ra_in1k", "v0.1-weights/efficientnet_b2_ra-bcdf34b7.pth", 36.7, (20.676, 5.418)),
    _timm_since_2016(
        "efficientnet_b3.ra2_in1k", "v0.1-weights/efficientnet_b3_ra2-cf984f9c.pth",
        49.3, (18.528, 4.304),
    ),
    _timm_since_2016(
        "efficientnet_b4.ra2_in1k", "v0.1-weights/efficientnet_b4_ra2_320-7eb33cd5.pth",
        77.9, (17.342, 3.866),
    ),
    _timm_since_2016(
        "efficientnet_lite0.ra_in1k", "v0.1-weights/efficientnet_lite0_ra-37913777.pth",
        18.7, (24.512, 7.492),
    ),
    _timm_since_2016(
        "tf_efficientnet_b0.ns_jft_in1k", "v0.1-weights/tf_efficientnet_b0_ns-c0e6a31c.pth",
        21.3, (21.32, 5.628),
    ),
    _timm_since_2016(
        "tf_efficientnet_b1.ns_jft_in1k", "v0.1-weights/tf_efficientnet_b1_ns-99dd0c41.pth",
        31.4, (18.612, 4.244),
    ),
    _timm_since_2016(
        "tf_efficientnet_b2.ns_jft_in1k", "v0.1-weights/tf_efficientnet_b2_ns-00306e48.pth",
        36.7, (17.588, 3.762),
    ),
    _timm_since_2016(
        "tf_efficientnet_b3.ns_jft_in1k", "v0.1-weights/tf_efficientnet_b3_ns-9d44bf68.pth",
        49.3, (15.946, 3.074),
    ),
    _timm_since_2016(
        "tf_efficientnet_b4.ns_jft_in1k", "v0.1-weights/tf_efficientnet_b4_ns-d6313a46.pth",
        77.9, (14.844, 2.518),
    ),
    _timm_since_2016(
        "tf_efficientnet_lite0.in1k", "v0.1-weights/tf_efficientnet_lite0-0aa007d2.pth",
        18.7, (25.154, 7.82),
    ),
    _timm_since_2016(
        "tf_efficientnet_lite1.in1k", "v0.1-weights/tf_efficientnet_lite1-bde8b488.pth",
        21.8, (23.326, 6.768),
    ),
    _timm_since_2016(
        "tf_efficientnet_lite2.in1k", "v0.1-weights/tf_efficientnet_lite2-dcccb7df.pth",
        24.6, (22.53, 6.244),
    ),
    _timm_since_2016(
        "resnext50_32x4d.a1_in1k", "v0.1-rsb-weights/resnext50_32x4d_a1_0-b5a91a1d.pth",
        101, (19.474, 5.542),
    ),
    _timm_since_2016(
        "wide_resnet50_2.racm_in1k", "v0.1-weights/wide_resnet50_racm-8234f177.pth",
        278, (18.534, 4.456), timm_input(224, 0.875),
    ),
    _timm_since_2016("convnext_atto.d2_in1k", "v0.1-rsb-weights/convnext_atto_d2-01bb0f51.pth", 14.9, (24.328, 7.086)),
    _timm_since_2016(
        "deit_tiny_patch16_224.fb_in1k", "https://dl.fbaipublicfiles.com/deit/deit_tiny_patch16_224-a1311bcf.pth",
        23, (27.81, 8.9), timm_input(224, 0.9),
    ),
    _timm_since_2016(
        "deit_small_patch16_224.fb_in1k", "https://dl.fbaipublicfiles.com/deit/deit_small_patch16_224-cd65a155.pth",
        88.9, (20.144, 4.944), timm_input(224, 0.9),
    ),
    _timm_since_2016(
        "deit_base_patch16_224.fb_in1k", "https://dl.fbaipublicfiles.com/deit/deit_base_patch16_224-b5f2ef4d.pth",
        349, (18.02, 4.26), timm_input(224, 0.9),
    ),
)  # fmt: skip

NAMED: Mapping[str, Named] = MappingProxyType({entry.name: entry for entry in _ALL})
"""The table, by name."""

TORCHVISION_CLASSES: Mapping[str, str] = {
    "alexnet": "AlexNet",
    **{f"vgg{depth}": f"VGG{depth}" for depth in (11, 13, 16, 19)},
    **{f"vgg{depth}_bn": f"VGG{depth}_BN" for depth in (11, 13, 16, 19)},
    "googlenet": "GoogLeNet",
    **{f"resnet{depth}": f"ResNet{depth}" for depth in (18, 34, 50, 101, 152)},
    "squeezenet1_1": "SqueezeNet1_1",
    "mobilenet_v2": "MobileNet_V2",
    "mobilenet_v3_small": "MobileNet_V3_Small",
    "mobilenet_v3_large": "MobileNet_V3_Large",
    **{f"efficientnet_b{scale}": f"EfficientNet_B{scale}" for scale in range(5)},
    "densenet121": "DenseNet121",
    "resnext50_32x4d": "ResNeXt50_32X4D",
    "wide_resnet50_2": "Wide_ResNet50_2",
    "regnet_y_400mf": "RegNet_Y_400MF",
    "regnet_y_1_6gf": "RegNet_Y_1_6GF",
    "convnext_tiny": "ConvNeXt_Tiny",
    "convnext_small": "ConvNeXt_Small",
    "vit_b_16": "ViT_B_16",
}
"""Torchvision's names of the classes of weights, less `_Weights`, by its names of models."""


def _torchvisions_name(entry: Named) -> str:
    base, _, recipe = entry.name.partition(".")
    return f"{TORCHVISION_CLASSES[base]}_Weights.IMAGENET1K_V{2 if recipe == 'tv2_in1k' else 1}"


ALIASES: Mapping[str, str] = MappingProxyType(
    {_torchvisions_name(entry): entry.name for entry in _ALL if entry.publisher == "torchvision"}
)
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
