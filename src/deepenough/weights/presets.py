"""The input that sources of pretrained weights give the networks: size, crop, interpolation, order, mean, std."""

from __future__ import annotations

from collections.abc import Mapping

from deepenough.errors import unknown
from deepenough.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from deepenough.weights.keras_images import HALVES, is_application, keras_preset
from deepenough.weights.preset_names import PRESETS

CAFFE_MEAN = (104 / 255, 117 / 255, 123 / 255)  # BGR; BVLC's ImageNet mean, rounded
ONE = (1 / 255,) * 3  # std of images that stay in 0..255

CAFFE_SIDES = {"alexnet": 227, "alexnet_bvlc": 227, "squeezenet1_1": 227}
"""Input sides (pixels) of Caffe's releases that are not 224."""


TORCHVISION_INPUTS: Mapping[str, tuple[int, int, str]] = {
    "efficientnet_b0": (224, 256, "bicubic"),
    "efficientnet_b1": (240, 256, "bicubic"),
    "efficientnet_b2": (288, 288, "bicubic"),
    "efficientnet_b3": (300, 320, "bicubic"),
    "efficientnet_b4": (380, 384, "bicubic"),
    "convnext_tiny": (224, 236, "bilinear"),
    "convnext_small": (224, 230, "bilinear"),
}
"""Side of the crop, shorter side before it (pixels) and interpolation of torchvision's first weights, where others."""

TIMM_INPUTS: Mapping[str, tuple[int, float]] = {
    "mobilenet_v2": (224, 0.875),
    **{f"mobilenetv3_{size}_100{whose}": (224, 0.875) for size in ("small", "large") for whose in ("", "_tf")},
    "efficientnet_b0": (224, 0.875),
    "efficientnet_b1": (224, 0.875),
    "efficientnet_b2": (256, 0.875),
    "efficientnet_b3": (288, 0.875),
    "efficientnet_b4": (320, 0.875),
    "efficientnet_lite0": (224, 0.875),
    "efficientnet_lite1": (240, 0.882),
    "efficientnet_lite2": (260, 0.89),
    **{f"efficientnet_{kind}0_tf": (224, 0.875) for kind in ("b", "lite")},
    **{f"efficientnet_{kind}1_tf": (240, 0.882) for kind in ("b", "lite")},
    **{f"efficientnet_{kind}2_tf": (260, 0.89) for kind in ("b", "lite")},
    "efficientnet_b3_tf": (300, 0.904),
    "efficientnet_b4_tf": (380, 0.922),
    **{f"regnet_y_{size}": (224, 0.875) for size in ("400mf", "1_6gf")},
    **{f"convnext_{size}": (224, 0.875) for size in ("atto", "tiny", "small")},
    **{f"vit_{size}_patch16_224": (224, 0.9) for size in ("tiny", "small", "base")},
}
"""Side of the crop (pixels) and its part of the shorter side, by timm's configurations; for others 224 and 0.95."""

TIMM_HALVES = (
    *("vit_", "efficientnet_lite0_tf", "efficientnet_lite1_tf", "efficientnet_lite2_tf"),
    *("mobilenetv3_small_100_tf", "mobilenetv3_large_100_tf"),
)
"""Networks, by how their names begin, whose weights in timm want a mean and standard deviation of 0.5."""

TIMM_BILINEAR = ("mobilenetv3_small_100_tf", "mobilenetv3_large_100_tf")
"""Networks whose weights in timm want images scaled bilinearly."""


def timm_input(side: int, crop: float, *, halves: bool = False, interpolation: str = "bicubic") -> Preprocessing:
    """The images of a configuration of timm: a centre of `side` pixels, the part `crop` of the shorter side."""
    mean, std = (HALVES, HALVES) if halves else (IMAGENET_MEAN, IMAGENET_STD)
    return Preprocessing((side, side), int(side / crop), interpolation, mean=mean, std=std)


def presets_for(network: str) -> tuple[str, ...]:
    """List the presets that a network can have: all, but for Keras' where Keras has no such network."""
    return tuple(name for name in PRESETS if name != "keras" or is_application(network))


def preset(name: str, network: str) -> Preprocessing:
    """Return what the source `name` feeds the network `network`.

    torchvision: shorter side 256 (its V2 weights 232), bilinear, or as in `TORCHVISION_INPUTS`; its GoogLeNet came from
    TensorFlow and brings ImageNet's mean and standard deviation to 0.5 in its forward pass (`transform_input`), which
    is done here. timm: a crop of 0.95, bicubic, or as in `TIMM_INPUTS`. transformers: as torchvision, bicubic;
    of its ViTs the whole image, which it squeezes into a square. caffe-bgr: BGR in 0..255 less the mean of BVLC's
    release. keras: as `preprocess_input` of the network's module in `keras.applications` does (`keras_images`).
    paddle: as torchvision.
    """
    match name:
        case "torchvision" | "torchvision-v2" if network == "googlenet_bn":
            return Preprocessing((224, 224), 256, mean=HALVES, std=HALVES)
        case "torchvision" if network in TORCHVISION_INPUTS:
            side, shorter, interpolation = TORCHVISION_INPUTS[network]
            return Preprocessing((side, side), shorter, interpolation)
        case "torchvision-v2" if network == "efficientnet_b1":
            return Preprocessing((240, 240), 255)
        case "torchvision" | "paddle":
            return Preprocessing((224, 224), 256)
        case "torchvision-v2":
            return Preprocessing((224, 224), 232)
        case "timm":
            scaled = "bilinear" if network in TIMM_BILINEAR else "bicubic"
            side, part = TIMM_INPUTS.get(network, (224, 0.95))
            return timm_input(side, part, halves=network.startswith(TIMM_HALVES), interpolation=scaled)
        case "transformers" if network.startswith("vit"):
            return Preprocessing((224, 224), None, mean=HALVES, std=HALVES)
        case "transformers":
            return Preprocessing((224, 224), 256, "bicubic")
        case "caffe-bgr":
            side = CAFFE_SIDES.get(network, 224)
            return Preprocessing((side, side), 256, order="BGR", mean=CAFFE_MEAN, std=ONE)
        case "keras":
            return keras_preset(network)
    raise unknown("preprocessing", name, PRESETS)
