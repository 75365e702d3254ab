"""GoogLeNet's published weights."""

from __future__ import annotations

import re

from deepenough.nets.network import Network
from deepenough.preprocessing import Preprocessing
from deepenough.weights.families.family import FamilyWeights, TorchvisionFile
from deepenough.weights.keras_images import HALVES
from deepenough.weights.patterns import tensor_layers


def name_torchvision(network: Network) -> dict[str, str]:
    """`convN.conv`, `inceptionXY.branchB.I.conv`."""
    branches = {"one": "branch1", "three": "branch2.{}", "five": "branch3.{}", "pool": "branch4.1"}
    places = {"dense": "fc"}
    for visit in tensor_layers(network):
        if stem := re.fullmatch(r"(conv|norm)(\d)", visit.path):
            places[visit.path] = f"conv{stem[2]}.{'conv' if stem[1] == 'conv' else 'bn'}"
        elif inside := re.fullmatch(r"(inception..)\.(\w+)\.(conv|norm)(\d?)", visit.path):
            module, branch, kind, number = inside.groups()
            place = branches[branch].format(int(number or 1) - 1)
            places[visit.path] = f"{module}.{place}.{'conv' if kind == 'conv' else 'bn'}"
    return places


def name_caffe(network: Network) -> dict[str, str]:
    """`inception_3a/3x3_reduce` and the like; the side heads are `loss1` and `loss2`."""
    stem = {"conv1": "conv1/7x7_s2", "conv2": "conv2/3x3_reduce", "conv3": "conv2/3x3", "dense": "loss3/classifier"}
    parts = {
        "one.conv": "1x1", "three.conv1": "3x3_reduce", "three.conv2": "3x3", "five.conv1": "5x5_reduce",
        "five.conv2": "5x5", "pool.conv": "pool_proj", "conv": "conv", "dense1": "fc", "dense2": "classifier",
    }  # fmt: skip
    places = {}
    for visit in tensor_layers(network):
        first, _, rest = visit.path.partition(".")
        start = first.replace("inception", "inception_").replace("auxiliary", "loss")
        places[visit.path] = f"{start}/{parts[rest]}" if rest else stem[first]
    return places


# torchvision's came from TensorFlow and brings ImageNet's mean and standard deviation to 0.5 in its forward pass
# (`transform_input`), which is done here.
_HALVED = {"googlenet_bn": Preprocessing((224, 224), 256, mean=HALVES, std=HALVES)}

GOOGLENET = FamilyWeights(
    torchvision={"googlenet_bn": name_torchvision},
    caffe={"googlenet": name_caffe},
    inputs={"torchvision": _HALVED, "torchvision-v2": _HALVED},
    torchvision_files=(
        TorchvisionFile(
            "GoogLeNet", 1, "googlenet-1378be20.pth", 52, (69.778, 89.530),
            "1378be20a8e875cf1568b8a71654e704449655e34711a959a38b04fb34905cef",
        ),
    ),
)  # fmt: skip
