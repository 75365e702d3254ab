"""The networks that an automatic choice of pretrained weights considers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from deepenough.weights.names import NAMED

Networks = tuple[tuple[str, ...], ...]
"""A network each, by the names of its weights: the first that is on this machine is taken, or else the first one."""

_V3_SMALL = ("mobilenet_v3_small.tv_in1k", "mobilenetv3_small_100.lamb_in1k")
_V3_LARGE = ("mobilenet_v3_large.tv2_in1k", "mobilenet_v3_large.tv_in1k", "mobilenetv3_large_100.ra_in1k")
_LITE0 = ("efficientnet_lite0.ra_in1k", "tf_efficientnet_lite0.in1k")

WITH_GPU: Networks = (("resnet50.a1_in1k", "resnet50.tv2_in1k", "resnet50.tv_in1k"),)
"""Beside the small ones where there is a GPU."""


def _all() -> Networks:
    """Every network of the table; of several weights of one those of the fewest errors stated, else the first."""
    found: dict[str, list[str]] = {}
    for entry in NAMED.values():
        found.setdefault(entry.network, []).append(entry.name)
    return tuple(tuple(sorted(names, key=lambda name: NAMED[name].top1 or 100.0)) for names in found.values())


AMONG: Mapping[str, Networks] = MappingProxyType(
    {
        "small": (("squeezenet1_1.tv_in1k",), _V3_SMALL, _V3_LARGE, _LITE0),
        "mobile": (
            ("mobilenet_v2.tv2_in1k", "mobilenet_v2.tv_in1k", "mobilenetv2_100.ra_in1k"),
            _V3_SMALL,
            _V3_LARGE,
            _LITE0,
            ("tf_efficientnet_lite1.in1k",),
            ("tf_efficientnet_lite2.in1k",),
        ),
        "all": _all(),
    }
)
"""By the values of `--among`. Small ones have at most 6 million parameters and half a billion multiply-accumulates at
224 pixels; mobile ones are made for phones, without attention and with depthwise convolutions."""
