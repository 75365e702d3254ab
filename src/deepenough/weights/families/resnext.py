"""The published weights of ResNeXt and Wide ResNet, whose layers are called as ResNet's."""

from __future__ import annotations

from deepenough.weights.families.family import FamilyWeights, TimmFile, TorchvisionFile, timm_input
from deepenough.weights.families.resnet import name_torchvision

_BOTH = ("resnext50_32x4d", "wide_resnet50_2")

RESNEXT = FamilyWeights(
    torchvision=dict.fromkeys(_BOTH, name_torchvision),
    paddle=dict.fromkeys(_BOTH, name_torchvision),
    torchvision_files=(
        TorchvisionFile("ResNeXt50_32X4D", 1, "resnext50_32x4d-7cdf4587.pth", 100, (77.618, 93.698)),
        TorchvisionFile("ResNeXt50_32X4D", 2, "resnext50_32x4d-1a0047aa.pth", 100, (81.198, 95.340)),
        TorchvisionFile("Wide_ResNet50_2", 1, "wide_resnet50_2-95faca4d.pth", 138, (78.468, 94.086)),
        TorchvisionFile("Wide_ResNet50_2", 2, "wide_resnet50_2-9ba9bcbe.pth", 276, (81.602, 95.758)),
    ),
    timm_files=(
        TimmFile("resnext50_32x4d.a1_in1k", "v0.1-rsb-weights/resnext50_32x4d_a1_0-b5a91a1d.pth", 101, (19.474, 5.542)),
        TimmFile(
            "wide_resnet50_2.racm_in1k",
            "v0.1-weights/wide_resnet50_racm-8234f177.pth",
            278,
            (18.534, 4.456),
            timm_input(224, 0.875),
        ),
    ),
)
