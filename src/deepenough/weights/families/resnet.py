"""ResNet's published weights."""

from __future__ import annotations

from deepenough.nets.network import Network
from deepenough.weights.families.family import FamilyWeights, TimmFile, TorchvisionFile, TransformersKind
from deepenough.weights.patterns import block_layers


def name_torchvision(network: Network) -> dict[str, str]:
    """`layerL.B.convN`, `bnN`, `downsample.0` and `.1`; blocks count from 0."""
    places = {"stem.conv": "conv1", "stem.norm": "bn1", "classifier": "fc"}
    for path, level, block, kind, number in block_layers(network):
        shortcut, main = ("downsample.0", "conv") if kind == "conv" else ("downsample.1", "bn")
        places[path] = f"layer{level}.{block - 1}.{f'{main}{number}' if number else shortcut}"
    return places


def name_transformers(network: Network) -> dict[str, str]:
    """`encoder.stages.S.layers.B.layer.N.convolution`, `.shortcut`; all count from 0. `resnet.` comes before them."""
    places = {"stem.conv": "embedder.embedder.convolution", "stem.norm": "embedder.embedder.normalization"}
    for path, level, block, kind, number in block_layers(network):
        part = f"layer.{number - 1}" if number else "shortcut"
        kinds = {"conv": "convolution", "norm": "normalization"}
        places[path] = f"encoder.stages.{level - 1}.layers.{block - 1}.{part}.{kinds[kind]}"
    return places | {"classifier": "classifier.1"}


def name_keras(network: Network) -> dict[str, str]:
    """`conv2_block1_1_conv`; 0 is the shortcut."""
    places = {"stem.conv": "conv1_conv", "stem.norm": "conv1_bn", "classifier": "predictions"}
    for path, level, block, kind, number in block_layers(network):
        places[path] = f"conv{level + 1}_block{block}_{number}_{'bn' if kind == 'norm' else 'conv'}"
    return places


def name_caffe(network: Network) -> dict[str, str]:
    """The authors': `res2a_branch2a`, `bn2a_branch2a`, `scale2a_branch2a`; long levels count `b1`, `b2`, ..."""
    places = {"stem.conv": "conv1", "stem.norm": "bn_conv1", "classifier": "fc1000"}
    layers = block_layers(network)
    deep = max(layer.block for layer in layers) > 6  # from 101 up, levels 3 and 4 count in numbers
    for path, level, block, kind, number in layers:
        letter = "abcdef"[block - 1] if block <= 6 and not (deep and level in (2, 3)) else ""
        letter = letter or ("a" if block == 1 else f"b{block - 1}")
        branch = f"branch2{'abc'[number - 1]}" if number else "branch1"
        places[path] = f"{'res' if kind == 'conv' else 'bn'}{level + 1}{letter}_{branch}"
    return places


_PAPER = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_TORCHVISION = ("resnet18_torchvision", "resnet34_torchvision", "resnet50_v1_5", "resnet101_v1_5", "resnet152_v1_5")

_NARROW, _WIDE = (64, 128, 256, 512), (256, 512, 1024, 2048)

RESNET = FamilyWeights(
    torchvision=dict.fromkeys((*_PAPER, *_TORCHVISION), name_torchvision),
    transformers=dict.fromkeys(_TORCHVISION, name_transformers),
    keras=dict.fromkeys(("resnet50_keras", "resnet101_keras", "resnet152_keras"), name_keras),
    paddle=dict.fromkeys(_TORCHVISION, name_torchvision),
    caffe=dict.fromkeys(("resnet50", "resnet101", "resnet152"), name_caffe),
    transformers_kinds={
        "resnet": TransformersKind(
            {"layer_type": "bottleneck", "depths": (3, 4, 6, 3), "hidden_sizes": _WIDE},
            {
                ("basic", (2, 2, 2, 2), _NARROW): "resnet18_torchvision",
                ("basic", (3, 4, 6, 3), _NARROW): "resnet34_torchvision",
                ("bottleneck", (3, 4, 6, 3), _WIDE): "resnet50_v1_5",
                ("bottleneck", (3, 4, 23, 3), _WIDE): "resnet101_v1_5",
                ("bottleneck", (3, 8, 36, 3), _WIDE): "resnet152_v1_5",
            },
            {
                "embedding_size": 64,
                "hidden_act": "relu",
                "downsample_in_first_stage": False,
                "downsample_in_bottleneck": False,
            },
            crops=True,
        )
    },
    torchvision_files=(
        TorchvisionFile(
            "ResNet18", 1, "resnet18-f37072fd.pth", 47, (69.758, 89.078),
            "f37072fd47e89c5e827621c5baffa7500819f7896bbacec160b1a16c560e07ec",
        ),
        TorchvisionFile(
            "ResNet34", 1, "resnet34-b627a593.pth", 87, (73.314, 91.420),
            "b627a593bcbe140c234610266fe4f8ae95ea42fc881d091c9b6052e6b1d0590f",
        ),
        TorchvisionFile(
            "ResNet50", 1, "resnet50-0676ba61.pth", 103, (76.130, 92.862),
            "0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
        ),
        TorchvisionFile(
            "ResNet101", 1, "resnet101-63fe2227.pth", 179, (77.374, 93.546),
            "63fe2227b86e8f1f2063f43a75c84d195911b6a0eace650907dd3dc62dd49a0a",
        ),
        TorchvisionFile(
            "ResNet152", 1, "resnet152-394f9c45.pth", 242, (78.312, 94.046),
            "394f9c45966e3651a89bbb78a48410a6755854ce4a5ab64927cf1c7247f85e58",
        ),
        TorchvisionFile(
            "ResNet50", 2, "resnet50-11ad3fa6.pth", 103, (80.858, 95.434),
            "11ad3fa62ca79e40addfd354a8ec4b7c75143b3038b8d2a807fbc68deab379ca",
        ),
        TorchvisionFile(
            "ResNet101", 2, "resnet101-cd907fc2.pth", 179, (81.886, 95.780),
            "cd907fc2a0de2292b2ba2b27d2216bc672d84632d1cf20058d01c0c03b5e020e",
        ),
        TorchvisionFile("ResNet152", 2, "resnet152-f82ba261.pth", 242, (82.284, 96.002)),
    ),
    # Each an `_rcfg` of timm's resnet.py: 224 pixels, a crop of 0.95 of the shorter side (235), bicubic. That is what
    # timm's `resolve_model_data_config` gives, and what the paper reports. timm's validate.py tests the same weights at
    # 288 pixels, uncropped, unless it is told --use-train-size: figures of that are better than these.
    timm_files=(
        TimmFile(
            "resnet34.a1_in1k", "v0.1-rsb-weights/resnet34_a1_0-46f8f793.pth", 87, (23.58, 7.104),
            sha256="46f8f7930534e471b9a139b278896db5d11d17b8ea3fcc90ad43deed9e5e27d7",
        ),
        TimmFile(
            "resnet50.a1_in1k", "v0.1-rsb-weights/resnet50_a1_0-14fe96d1.pth", 102, (19.618, 5.402),
            sha256="14fe96d1f9fb311a60490082d2077e6e60427dcfe21839ddf934cce948f72b0f",
        ),
        TimmFile(
            "resnet101.a1_in1k", "v0.1-rsb-weights/resnet101_a1_0-cdcb52a9.pth", 178, (18.506, 4.836),
            sha256="cdcb52a9df09a641606696e5520e4fbbe8256ee4983d8b4dd1a1ef87a9b8846f",
        ),
        TimmFile("resnet152.a1_in1k", "v0.1-rsb-weights/resnet152_a1_0-2eee8a7a.pth", 241, (18.002, 4.706)),
    ),
)  # fmt: skip
