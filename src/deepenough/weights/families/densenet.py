"""DenseNet's published weights."""

from __future__ import annotations

from deepenough.nets.network import Network
from deepenough.weights.families.family import FamilyWeights, TorchvisionFile
from deepenough.weights.patterns import name_by_patterns


def name_torchvision(network: Network) -> dict[str, str]:
    """`features.denseblockL.denselayerN.convI` and `normI`; all count from 1."""
    return _torchvision(network, "")


def name_older_torchvision(network: Network) -> dict[str, str]:
    """The same with `conv.I` and `norm.I`, as in the files that torchvision publishes."""
    return _torchvision(network, ".")


def _torchvision(network: Network, dot: str) -> dict[str, str]:
    layer, theirs = "level#.layer#.new", "features.denseblock{}.denselayer{}"
    parts = [(kind, number) for kind in ("norm", "conv") for number in (1, 2)]
    patterns = {
        "stem.conv": "features.conv0",
        "stem.norm": "features.norm0",
        **{f"{layer}.{kind}{number}": f"{theirs}.{kind}{dot}{number}" for kind, number in parts},
        "transition#.norm": "features.transition{}.norm",
        "transition#.conv": "features.transition{}.conv",
        "level4.norm": "features.norm5",
        "classifier": "classifier",
    }
    return name_by_patterns(network, patterns, first=1)


def name_keras(network: Network) -> dict[str, str]:
    """`convL_blockN_1_conv` with the norm before it, `0_bn`, where L counts from 2, and `poolL` between."""
    patterns = {"stem.conv": "conv1_conv", "stem.norm": "conv1_bn", "level4.norm": "bn", "classifier": "predictions"}
    for level in range(1, 5):
        for number in (1, 2):
            block = f"conv{level + 1}_block{{}}_"
            patterns[f"level{level}.layer#.new.norm{number}"] = f"{block}{number - 1}_bn"
            patterns[f"level{level}.layer#.new.conv{number}"] = f"{block}{number}_conv"
        patterns[f"transition{level}.norm"] = f"pool{level + 1}_bn"
        patterns[f"transition{level}.conv"] = f"pool{level + 1}_conv"
    return name_by_patterns(network, patterns, first=1)


def name_paddle(network: Network) -> dict[str, str]:
    """`db_conv_L.convL_N.bn_ac_funcI`, where L counts from 2, and `tr_convL_blk`: a norm and what follows."""
    parts = {"conv": "_conv", "norm": "_batch_norm"}
    patterns = {"level4.norm": "batch_norm", "classifier": "out"}
    for ours, theirs in parts.items():
        patterns[f"stem.{ours}"] = f"conv1_func.{theirs}"
        for level in range(1, 5):
            patterns[f"transition{level}.{ours}"] = f"tr_conv{level + 1}_blk.conv_ac_func.{theirs}"
            patterns |= {
                f"level{level}.layer#.new.{ours}{number}": (
                    f"db_conv_{level + 1}.conv{level + 1}_{{}}.bn_ac_func{number}.{theirs}"
                )
                for number in (1, 2)
            }
    return name_by_patterns(network, patterns, first=1)


DENSENET = FamilyWeights(
    torchvision={"densenet121": name_torchvision},
    older_torchvision={"densenet121": name_older_torchvision},
    keras={"densenet121": name_keras},
    paddle={"densenet121": name_paddle},
    torchvision_files=(TorchvisionFile("DenseNet121", 1, "densenet121-a639ec97.pth", 32, (74.434, 91.972)),),
)
