"""torchvision's names of the layers of networks since 2016."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from deepenough.nets.network import Network
from deepenough.weights.match import NameLayers
from deepenough.weights.patterns import InvertedBlock, inverted_blocks, name_by_patterns, name_inverted_blocks


def name_mobilenet_v2(network: Network) -> dict[str, str]:
    """`features.N.conv.I.0` and `.1`; the last convolution of a block and its norm are in no module of their own."""

    def convolution(block: InvertedBlock, place: int) -> tuple[str, str]:
        inside = f"features.{block.number}.conv"
        if place == len(block.convolutions) - 1:
            return f"{inside}.{place}", f"{inside}.{place + 1}"
        return f"{inside}.{place}.0", f"{inside}.{place}.1"

    places = name_inverted_blocks(network, convolution)
    return places | _ends(len(inverted_blocks(network)) + 1) | {"classifier": "classifier.1"}


def name_mobilenet_v3(network: Network) -> dict[str, str]:
    """`features.N.block.I.0` and `.1`, where N counts the blocks from 1."""
    places = _gated_blocks(network, lambda block: f"features.{block.number}.block")
    dense = {"hidden": "classifier.0", "classifier": "classifier.3"}
    return places | _ends(len(inverted_blocks(network)) + 1) | dense


def name_efficientnet(network: Network) -> dict[str, str]:
    """`features.L.B.block.I.0` and `.1`, where B counts a level's blocks from 0."""
    places = _gated_blocks(network, lambda block: f"features.{block.level}.{block.block - 1}.block")
    levels = inverted_blocks(network)[-1].level
    return places | _ends(levels + 1) | {"classifier": "classifier.1"}


def _gated_blocks(network: Network, place_of: Callable[[InvertedBlock], str]) -> dict[str, str]:
    """Blocks whose parts are numbered, a gate among them before the last convolution: it has `fc1` and `fc2`."""

    def convolution(block: InvertedBlock, place: int) -> tuple[str, str]:
        is_last = place == len(block.convolutions) - 1
        inside = f"{place_of(block)}.{place + (block.gated and is_last)}"
        return f"{inside}.0", f"{inside}.1"

    def gate(block: InvertedBlock) -> tuple[str, str]:
        inside = f"{place_of(block)}.{len(block.convolutions) - 1}"
        return f"{inside}.fc1", f"{inside}.fc2"

    return name_inverted_blocks(network, convolution, gate)


def _ends(last: int) -> dict[str, str]:
    """The stem, and the last convolution, which is `features.LAST`."""
    stem = {"stem.conv": "features.0.0", "stem.norm": "features.0.1"}
    return stem | {"last.conv": f"features.{last}.0", "last.norm": f"features.{last}.1"}


def name_densenet(network: Network) -> dict[str, str]:
    """`features.denseblockL.denselayerN.convI` and `normI`; all count from 1."""
    return _densenet(network, "")


def name_old_densenet(network: Network) -> dict[str, str]:
    """The same with `conv.I` and `norm.I`, as in the files that torchvision publishes."""
    return _densenet(network, ".")


def _densenet(network: Network, dot: str) -> dict[str, str]:
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


def name_regnet(network: Network) -> dict[str, str]:
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


def name_convnext(network: Network) -> dict[str, str]:
    """`features.N`: the stem, then by turns the blocks of a level and the halving before the next."""
    inside = {"depthwise": "block.0", "norm": "block.2", "expand": "block.3", "project": "block.5"}
    parts = {**inside, "scale.weight": "layer_scale"}
    patterns = {"stem.conv": "features.0.0", "stem.norm": "features.0.1"}
    for level in range(1, 5):
        blocks, halving = f"features.{2 * level - 1}", f"features.{2 * level - 2}"
        patterns |= {f"level{level}.block#.main.{ours}": f"{blocks}.{{}}.{theirs}" for ours, theirs in parts.items()}
        patterns |= {f"level{level}.norm": f"{halving}.0", f"level{level}.halve": f"{halving}.1"}
    return name_by_patterns(network, patterns | {"norm": "classifier.0", "classifier": "classifier.2"})


def name_vit(network: Network) -> dict[str, str]:
    """`encoder.layers.encoder_layer_B` with `ln_1`, `self_attention`, `ln_2` and `mlp`."""
    return _vit(network, ("mlp.0", "mlp.3"))


def name_old_vit(network: Network) -> dict[str, str]:
    """The same with `mlp.linear_1` and `mlp.linear_2`, as in the files that torchvision publishes."""
    return _vit(network, ("mlp.linear_1", "mlp.linear_2"))


def _vit(network: Network, dense: tuple[str, str]) -> dict[str, str]:
    inside = {
        "attention.main.norm": "ln_1",
        "attention.main.projection": "self_attention.out_proj",
        **{f"attention.main.qkv.{part}": f"self_attention.in_proj_{part}" for part in ("weight", "bias")},
        "mlp.main.norm": "ln_2",
        "mlp.main.dense1": dense[0],
        "mlp.main.dense2": dense[1],
    }
    patterns = {
        "patches": "conv_proj",
        "tokens.class_token": "class_token",
        "tokens.position": "encoder.pos_embedding",
        "norm": "encoder.ln",
        "classifier": "heads.head",
        **{f"block#.{ours}": f"encoder.layers.encoder_layer_{{}}.{theirs}" for ours, theirs in inside.items()},
    }
    return name_by_patterns(network, patterns)


SINCE_2016: Mapping[str, NameLayers] = {
    "mobilenet_v2": name_mobilenet_v2,
    **{f"mobilenet_v3_{size}": name_mobilenet_v3 for size in ("small", "large")},
    **{f"efficientnet_b{scale}": name_efficientnet for scale in range(5)},
    "densenet121": name_densenet,
    **{f"regnet_y_{size}": name_regnet for size in ("400mf", "1_6gf")},
    **{f"convnext_{size}": name_convnext for size in ("tiny", "small")},
    **{f"vit_{size}_patch16_224": name_vit for size in ("tiny", "small", "base")},
}
"""The layers' names in torchvision, by network of the zoo; ResNeXt's and Wide ResNet's are those of ResNet."""

OLD_NAMES: Mapping[str, NameLayers] = {
    "densenet121": name_old_densenet,
    **{f"vit_{size}_patch16_224": name_old_vit for size in ("tiny", "small", "base")},
}
"""The layers' names in files from before torchvision renamed them, which it does when it reads them."""
