"""timm's models that are networks of the zoo."""

from __future__ import annotations

from collections.abc import Mapping

EFFICIENTNET_NAMES = tuple(
    f"efficientnet_{scale}" for scale in ("b0", "b1", "b2", "b3", "b4", "lite0", "lite1", "lite2")
)

TIMM_MODELS: Mapping[str, str] = {
    "mobilenetv2_100": "mobilenet_v2",
    "regnety_004": "regnet_y_400mf",
    "regnety_016": "regnet_y_1_6gf",
    **{f"tf_{name}": f"{name}_tf" for name in EFFICIENTNET_NAMES},
    **{f"tf_mobilenetv3_{size}_100": f"mobilenetv3_{size}_100_tf" for size in ("small", "large")},
    **{f"deit_{size}_patch16_224": f"vit_{size}_patch16_224" for size in ("tiny", "small", "base")},
    **{
        name: name
        for name in (
            *("mobilenetv3_small_100", "mobilenetv3_large_100", *EFFICIENTNET_NAMES),
            *("convnext_atto", "convnext_tiny", "convnext_small"),
            *("vit_tiny_patch16_224", "vit_small_patch16_224", "vit_base_patch16_224"),
            *("densenet121", "resnext50_32x4d", "wide_resnet50_2"),
        )
    },
}
"""Networks of the zoo since 2016 by what timm calls its models."""

TIMM_RESNETS: Mapping[str, str] = {
    **{f"resnet{depth}": f"resnet{depth}_torchvision" for depth in (18, 34)},
    **{f"resnet{depth}": f"resnet{depth}_v1_5" for depth in (50, 101, 152)},
}
"""Older networks of the zoo by what timm calls its models; they are torchvision's, with torchvision's names."""


def timm_model(network: str) -> str | None:
    """The name of timm's model that is a network of the zoo; None where timm has none. Of two names the last one."""
    models = {ours: theirs for theirs, ours in {**TIMM_RESNETS, **TIMM_MODELS}.items()}
    return models.get(network)
