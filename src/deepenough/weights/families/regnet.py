"""RegNetY's published weights."""

from __future__ import annotations

from deepenough.nets.network import Network
from deepenough.nets.zoo.regnet import REGNETS
from deepenough.weights.families.family import FamilyWeights, TorchvisionFile, timm_input
from deepenough.weights.patterns import name_by_patterns


def name_torchvision(network: Network) -> dict[str, str]:
    """`trunk_output.blockL.blockL-B` with `f.a`, `f.b`, `f.se` and `f.c`, and `proj` for the shortcut."""
    inside = {
        **{f"main.conv{number}": f"f.{letter}.0" for number, letter in enumerate("abc", 1)},
        **{f"main.norm{number}": f"f.{letter}.1" for number, letter in enumerate("abc", 1)},
        "main.se.gate.reduce": "f.se.fc1",
        "main.se.gate.expand": "f.se.fc2",
        "shortcut.conv": "proj.0",
        "shortcut.norm": "proj.1",
    }
    blocks = {
        f"level{level}.block#.{ours}": f"trunk_output.block{level}.block{level}-{{}}.{theirs}"
        for level in range(1, 5)
        for ours, theirs in inside.items()
    }
    return name_by_patterns(network, {"stem.conv": "stem.0", "stem.norm": "stem.1", "classifier": "fc", **blocks})


def name_timm(network: Network) -> dict[str, str]:
    """`sL.bB.convN.conv` and `.bn`, `se.fcN`, `downsample`; all count from 1."""
    inside = {
        **{f"main.conv{number}": f"conv{number}.conv" for number in (1, 2, 3)},
        **{f"main.norm{number}": f"conv{number}.bn" for number in (1, 2, 3)},
        "main.se.gate.reduce": "se.fc1",
        "main.se.gate.expand": "se.fc2",
        "shortcut.conv": "downsample.conv",
        "shortcut.norm": "downsample.bn",
    }
    blocks = {f"level#.block#.{ours}": f"s{{}}.b{{}}.{theirs}" for ours, theirs in inside.items()}
    patterns = {"stem.conv": "stem.conv", "stem.norm": "stem.bn", "classifier": "head.fc", **blocks}
    return name_by_patterns(network, patterns, first=1)


_ALL = tuple(f"regnet_y_{size}" for size in REGNETS)

REGNET = FamilyWeights(
    torchvision=dict.fromkeys(_ALL, name_torchvision),
    timm=dict.fromkeys(_ALL, name_timm),
    inputs={"timm": dict.fromkeys(_ALL, timm_input(224, 0.875))},
    torchvision_files=(
        TorchvisionFile("RegNet_Y_400MF", 1, "regnet_y_400mf-c65dace8.pth", 18, (74.046, 91.716)),
        TorchvisionFile("RegNet_Y_400MF", 2, "regnet_y_400mf-e6988f5f.pth", 18, (75.804, 92.742)),
        TorchvisionFile("RegNet_Y_1_6GF", 1, "regnet_y_1_6gf-b11a554e.pth", 45, (77.950, 93.966)),
        TorchvisionFile("RegNet_Y_1_6GF", 2, "regnet_y_1_6gf-0d7bc02a.pth", 45, (80.876, 95.444)),
    ),
)
