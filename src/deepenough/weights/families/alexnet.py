"""AlexNet's published weights."""

from __future__ import annotations

from deepenough.nets.network import Network
from deepenough.weights.families.family import FamilyWeights, TorchvisionFile, caffe_input
from deepenough.weights.families.vgg import name_caffe, name_torchvision


def name_paddle(network: Network) -> dict[str, str]:
    """`_convN`, with a module `_conv` inside where a pool comes behind it, then `_fc6` to `_fc8`."""
    convolutions = {f"conv{n}": f"_conv{n}" + ("._conv" if n in (1, 2, 5) else "") for n in range(1, 6)}
    return convolutions | {"dense1": "_fc6", "dense2": "_fc7", "dense3": "_fc8"}


_CAFFES = ("alexnet", "alexnet_bvlc")

ALEXNET = FamilyWeights(
    torchvision={"alexnet_torchvision": name_torchvision},
    paddle={"alexnet_torchvision": name_paddle},
    caffe=dict.fromkeys(_CAFFES, name_caffe),
    inputs={"caffe-bgr": dict.fromkeys(_CAFFES, caffe_input(227))},
    torchvision_files=(
        TorchvisionFile(
            "AlexNet", 1, "alexnet-owt-7be5be79.pth", 244, (56.522, 79.066),
            "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        ),
    ),
)  # fmt: skip
