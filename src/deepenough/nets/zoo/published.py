"""The published figures of the eight: year, and error with the protocol that it was measured by.

Errors are in percent on ILSVRC-2012 validation unless the protocol says otherwise. A ten-crop error is one to two
points lower than a single-crop one, so figures of different protocols are not compared; nor are those of other weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class PublishedFigure:
    """One published error. `top1` is None where the source gives none.

    The rest says what may be compared with it: `network` is the network of the zoo that it is of, `crops` 1 or 10, and
    `weights` the weights, by name, or by the format in which they were released. Where it can be compared with
    nothing that is measured here, `why_not` says why, and the others are empty.
    """

    top1: float | None
    top5: float
    protocol: str
    source: str
    network: str = ""
    crops: int | None = None
    weights: str = ""
    why_not: str = ""


@dataclass(frozen=True)
class Published:
    """A network's year and figures, its source's own first."""

    year: int
    figures: tuple[PublishedFigure, ...]


PAPER_RESNET = "He et al. 2015"
AUTHORS = "authors' release"
TORCHVISION = "torchvision"
MATCONVNET = "MatConvNet"

# Why figures stand alone.
OTHER_IMAGES = "it is on the test images of ILSVRC-2010, and nothing else is"
NOT_RELEASED = "the weights that it was measured with were never released"
DENSE = "it was measured with the network slid over whole images, without crops"
NO_TOP1 = (
    "the paper gives no top-1 (the 29.9 that is often quoted was found in no source), and its weights were never "
    "released"
)
OPTION_B = (
    "its weights were never released, the authors' release has 50, 101 and 152 layers (the 24.7 / 7.8 that is often "
    "quoted for ResNet-34 is ResNet-50's single-crop figure)"
)


def _torchvision(
    top1: float, top5: float, name: str, network: str, protocol: str, source: str = TORCHVISION
) -> PublishedFigure:
    return PublishedFigure(top1, top5, protocol, source, network, 1, name)


def _caffe(top1: float, top5: float, network: str, crops: int, source: str, protocol: str = "") -> PublishedFigure:
    return PublishedFigure(
        top1, top5, protocol or ("ten-crop" if crops == 10 else "single-crop"), source, network, crops, "caffe"
    )


def _resnet(
    depth: int, paper: tuple[float, float], authors: tuple[float, float], *torch: tuple[float, float]
) -> Published:
    """A bottleneck ResNet: the paper's ten-crop, the authors' single-crop, torchvision's V1 and V2."""
    name, variant = f"resnet{depth}", f"resnet{depth}_v1_5"
    later = (
        _torchvision(*errors, f"{name}.{recipe}_in1k", variant, f"single-crop, v1.5, weights V{number}")
        for number, (recipe, errors) in enumerate(zip(("tv", "tv2"), torch, strict=True), 1)
    )
    return Published(2015, (_caffe(*paper, name, 10, PAPER_RESNET), _caffe(*authors, name, 1, AUTHORS), *later))


PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "alexnet": Published(
            2012,
            (
                PublishedFigure(
                    37.5, 17.0, "ten-crop, ILSVRC-2010 test set", "Krizhevsky et al. 2012, abstract",
                    why_not=OTHER_IMAGES,
                ),
                PublishedFigure(40.7, 18.2, "one net, 2012 validation", "Krizhevsky et al. 2012", why_not=NOT_RELEASED),
                _torchvision(
                    43.48, 20.93, "alexnet.tv_in1k", "alexnet_torchvision", "single-crop, another variant",
                    "torchvision's alexnet (61,100,840 parameters)",
                ),
            ),
        ),
        "vgg16": Published(
            2014,
            (
                PublishedFigure(25.6, 8.1, "dense, one scale", "Simonyan & Zisserman 2014", why_not=DENSE),
                _caffe(28.5, 9.9, "vgg16", 1, MATCONVNET),
                _torchvision(28.41, 9.62, "vgg16.tv_in1k", "vgg16", "single-crop"),
            ),
        ),
        "vgg19": Published(
            2014,
            (
                _caffe(28.7, 9.9, "vgg19", 1, MATCONVNET),
                _torchvision(27.62, 9.12, "vgg19.tv_in1k", "vgg19", "single-crop"),
            ),
        ),
        "googlenet": Published(
            2014,
            (
                PublishedFigure(
                    None, 10.07, "single-crop", "Szegedy et al. 2014, which gives no top-1", why_not=NO_TOP1
                ),
                _caffe(31.3, 11.1, "googlenet", 1, "BVLC"),
                _torchvision(
                    30.22, 10.47, "googlenet.tv_in1k", "googlenet_bn", "single-crop, another variant",
                    "torchvision's googlenet (6,624,904 parameters)",
                ),
            ),
        ),
        "resnet34": Published(
            2015,
            (
                PublishedFigure(24.52, 7.46, "ten-crop, option B", PAPER_RESNET, why_not=OPTION_B),
                _torchvision(
                    26.69, 8.58, "resnet34.tv_in1k", "resnet34_torchvision", "single-crop, stem pool padded"
                ),
            ),
        ),
        "resnet50": _resnet(50, (22.85, 6.71), (24.7, 7.8), (23.87, 7.14), (19.14, 4.57)),
        "resnet101": _resnet(101, (21.75, 6.05), (23.6, 7.1), (22.63, 6.45), (18.11, 4.22)),
        "resnet152": _resnet(152, (21.43, 5.71), (23.0, 6.7), (21.69, 5.95), (17.72, 4.00)),
    }
)  # fmt: skip
"""The eight by name."""
