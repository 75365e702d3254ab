"""VGG's published weights."""

from __future__ import annotations

from deepenough.nets.layers import Conv
from deepenough.nets.network import Network
from deepenough.nets.shapes import visits
from deepenough.nets.zoo.vgg import VGGS
from deepenough.weights.families.family import FamilyWeights, TorchvisionFile
from deepenough.weights.patterns import tensor_layers


def name_torchvision(network: Network) -> dict[str, str]:
    """`features.N` and `classifier.N`, every layer counted: AlexNet and VGG."""
    places, part, number = {}, "features", 0
    for visit in visits(network):
        if visit.layer.kind == "Flatten":
            part, number = "classifier", 0
            continue
        if visit.layer.tensors(visit.input):
            places[visit.path] = f"{part}.{number}"
        number += 1
    return places


def name_keras(network: Network) -> dict[str, str]:
    """`blockL_convN`, and the dense layers."""
    dense = iter(("fc1", "fc2", "predictions"))
    places = {}
    for visit in tensor_layers(network):
        if isinstance(visit.layer, Conv):
            level, name = visit.path.removeprefix("level").split(".")
            places[visit.path] = f"block{level}_conv{name.removeprefix('conv')}"
        else:
            places[visit.path] = next(dense)
    return places


def name_caffe(network: Network) -> dict[str, str]:
    """AlexNet and VGG: `convN` or `convL_N`, then `fc6` to `fc8`."""
    places = {}
    dense = iter(("fc6", "fc7", "fc8"))
    for visit in tensor_layers(network):
        *level, name = visit.path.split(".")
        if not isinstance(visit.layer, Conv):
            places[visit.path] = next(dense)
        elif level:
            places[visit.path] = f"conv{level[0].removeprefix('level')}_{name.removeprefix('conv') or 1}"
        else:
            places[visit.path] = name
    return places


_ALL = tuple(f"vgg{depth}{norm}" for norm in ("", "_bn") for depth in VGGS)

VGG = FamilyWeights(
    torchvision=dict.fromkeys(_ALL, name_torchvision),
    keras=dict.fromkeys(("vgg16", "vgg19"), name_keras),
    paddle=dict.fromkeys(_ALL, name_torchvision),
    caffe=dict.fromkeys(("vgg11", "vgg13", "vgg16", "vgg19"), name_caffe),
    torchvision_files=(
        TorchvisionFile("VGG11", 1, "vgg11-8a719046.pth", 531, (69.020, 88.628)),
        TorchvisionFile("VGG13", 1, "vgg13-19584684.pth", 532, (69.928, 89.246)),
        TorchvisionFile(
            "VGG16", 1, "vgg16-397923af.pth", 553, (71.592, 90.382),
            "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        ),
        TorchvisionFile(
            "VGG19", 1, "vgg19-dcbb9e9d.pth", 575, (72.376, 90.876),
            "dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        ),
        TorchvisionFile("VGG11_BN", 1, "vgg11_bn-6002323d.pth", 532, (70.370, 89.810)),
        TorchvisionFile("VGG13_BN", 1, "vgg13_bn-abd245e5.pth", 532, (71.586, 90.374)),
        TorchvisionFile(
            "VGG16_BN", 1, "vgg16_bn-6c64b313.pth", 554, (73.360, 91.516),
            "6c64b3138f2f4fcb3bcc4cafde11619c4f440eb1631787e93a682fd88305888a",
        ),
        TorchvisionFile(
            "VGG19_BN", 1, "vgg19_bn-c79401a0.pth", 575, (74.218, 91.842),
            "c79401a0cf3cb42714e4182f5868c7a6f4f4534f5df9e956e2bb2098de41cbb6",
        ),
    ),
)  # fmt: skip
