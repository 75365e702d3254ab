"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) and MobileNetV3 (Howard et al. 2019, arXiv 1905.02244)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from deepenough.nets.activation import HardSwish, Relu, Relu6
from deepenough.nets.combinators import Group
from deepenough.nets.inverted_residual import InvertedResidual, round_to_eight
from deepenough.nets.layer import Layer
from deepenough.nets.layers import BatchNorm, Conv, Dense, Dropout, GlobalAvgPool
from deepenough.nets.network import Network
from deepenough.nets.zoo.family import ZooFamily

V2 = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Table 2: expansion, channels, blocks, stride of the first."""

V3Row = tuple[int, int, int, bool, bool, int]

V3_LARGE: tuple[tuple[V3Row, ...], ...] = (
    ((3, 16, 16, False, False, 1),),
    ((3, 64, 24, False, False, 2), (3, 72, 24, False, False, 1)),
    ((5, 72, 40, True, False, 2), (5, 120, 40, True, False, 1), (5, 120, 40, True, False, 1)),
    (
        (3, 240, 80, False, True, 2),
        (3, 200, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
        (3, 184, 80, False, True, 1),
    ),
    ((3, 480, 112, True, True, 1), (3, 672, 112, True, True, 1)),
    ((5, 672, 160, True, True, 2), (5, 960, 160, True, True, 1), (5, 960, 160, True, True, 1)),
)
"""Table 1, by level: kernel, expanded channels, channels, squeeze-and-excitation, hard-swish (else ReLU), stride."""

V3_SMALL: tuple[tuple[V3Row, ...], ...] = (
    ((3, 16, 16, True, False, 2),),
    ((3, 72, 24, False, False, 2), (3, 88, 24, False, False, 1)),
    ((5, 96, 40, True, True, 2), (5, 240, 40, True, True, 1), (5, 240, 40, True, True, 1)),
    ((5, 120, 48, True, True, 1), (5, 144, 48, True, True, 1)),
    ((5, 288, 96, True, True, 2), (5, 576, 96, True, True, 1), (5, 576, 96, True, True, 1)),
)
"""Table 2, likewise."""


@dataclass(frozen=True)
class Publisher:
    """One of those who differ in the norms and, with `same`, in paddings as TensorFlow's."""

    title: str
    norm: BatchNorm
    same: bool = False

    @property
    def variant(self) -> str:
        """The differences in words."""
        padded = ", padded more at the end where it strides" if self.same else ""
        return f"width 1; {self.title}: batch norms with eps {self.norm.eps:g}{padded}"


TORCHVISION = Publisher("torchvision", BatchNorm(eps=1e-3, momentum=0.01))
TIMM = Publisher("timm", BatchNorm())
# TensorFlow itself has momentum 0.001, with which running statistics need thousands of steps
TENSORFLOW = Publisher("TensorFlow", BatchNorm(eps=1e-3, momentum=0.01), same=True)


def mobilenet_v2(name: str, implementations: str, publisher: Publisher | None = None) -> Network:
    """MobileNetV2 at width 1, with PyTorch's own norms and paddings, or those of a publisher."""
    norm, same = (publisher.norm, publisher.same) if publisher else (BatchNorm(), False)
    levels: list[Layer] = []
    into = 32
    for number, (expansion, out, count, stride) in enumerate(V2, 1):
        blocks = []
        for place in range(1, count + 1):
            first = stride if place == 1 else 1
            block = InvertedResidual(into, expansion * into, out, stride=first, norm=norm, same=same)
            blocks.append(block.layer(f"block{place}"))
            into = out
        levels.append(Group(tuple(blocks), name=f"level{number}"))
    return Network(
        name,
        (3, 224, 224),
        (
            Group((Conv(32, 3, 2, bias=False, same=same), norm, Relu6()), name="stem"),
            *levels,
            Group((Conv(1280, 1, bias=False), norm, Relu6()), name="last"),
            *(GlobalAvgPool(name="pool"), Dropout(0.2), Dense(1000, name="classifier")),
        ),
        f"Sandler et al. 2018, arXiv 1801.04381, table 2; {implementations}",
        publisher.variant if publisher else "width 1",
    )


def mobilenet_v3(
    table: tuple[tuple[V3Row, ...], ...], hidden: int, name: str, implementations: str, publisher: Publisher
) -> Network:
    """MobileNetV3 at width 1 by one of its tables, with `hidden` features before the classifier."""
    norm, same = publisher.norm, publisher.same
    levels: list[Layer] = []
    into = 16
    for number, rows in enumerate(table, 1):
        blocks = []
        for place, (kernel, expanded, out, gated, hard, stride) in enumerate(rows, 1):
            squeezed = round_to_eight(expanded / 4) if gated else 0
            active = HardSwish() if hard else Relu()
            block = InvertedResidual(into, expanded, out, kernel, stride, squeezed, active, norm=norm, same=same)
            blocks.append(block.layer(f"block{place}"))
            into = out
        levels.append(Group(tuple(blocks), name=f"level{number}"))
    return Network(
        name,
        (3, 224, 224),
        (
            Group((Conv(16, 3, 2, bias=False, same=same), norm, HardSwish()), name="stem"),
            *levels,
            Group((Conv(6 * into, 1, bias=False), norm, HardSwish()), name="last"),
            *(GlobalAvgPool(name="pool"), Dense(hidden, name="hidden"), HardSwish(name="active"), Dropout(0.2)),
            Dense(1000, name="classifier"),
        ),
        f"Howard et al. 2019, arXiv 1905.02244, table {1 if table is V3_LARGE else 2}; {implementations}",
        publisher.variant,
    )


MOBILENET_V2 = ZooFamily(
    "MobileNetV2",
    2018,
    {
        "mobilenet_v2": partial(mobilenet_v2, "mobilenet_v2", "torchvision mobilenet_v2, timm mobilenetv2_100"),
        "mobilenet_v2_keras": partial(mobilenet_v2, "mobilenet_v2_keras", "Keras' MobileNetV2", TENSORFLOW),
    },
    {"mobilenet_v2": (28.122, 9.714, 224)},
    timm={"mobilenetv2_100": "mobilenet_v2"},
)

MOBILENET_V3 = ZooFamily(
    "MobileNetV3",
    2019,
    {
        name.format(size): partial(
            mobilenet_v3, table, hidden, name.format(size), implementations.format(size), publisher
        )
        for name, implementations, publisher in (
            ("mobilenet_v3_{}", "torchvision mobilenet_v3_{}", TORCHVISION),
            ("mobilenetv3_{}_100", "timm mobilenetv3_{}_100", TIMM),
            ("mobilenetv3_{}_100_tf", "the authors' and Keras', timm tf_mobilenetv3_{}_100", TENSORFLOW),
        )
        for size, table, hidden in (("small", V3_SMALL, 1024), ("large", V3_LARGE, 1280))
    },
    {
        "mobilenet_v3_small": (32.332, 12.598, 224), "mobilenet_v3_large": (25.958, 8.66, 224),
        "mobilenetv3_small_100": (32.364, 12.362, 224), "mobilenetv3_large_100": (24.216, 7.472, 224),
        "mobilenetv3_small_100_tf": (32.078, 12.314, 224), "mobilenetv3_large_100_tf": (24.49, 7.4, 224),
    },
    {
        "mobilenetv3_small_100": "mobilenetv3_small_100.lamb_in1k",
        "mobilenetv3_large_100": "mobilenetv3_large_100.ra_in1k",
        "mobilenetv3_small_100_tf": "tf_mobilenetv3_small_100.in1k",
        "mobilenetv3_large_100_tf": "tf_mobilenetv3_large_100.in1k",
    },
    timm={
        **{f"mobilenetv3_{size}_100": f"mobilenetv3_{size}_100" for size in ("small", "large")},
        **{f"tf_mobilenetv3_{size}_100": f"mobilenetv3_{size}_100_tf" for size in ("small", "large")},
    },
)  # fmt: skip
