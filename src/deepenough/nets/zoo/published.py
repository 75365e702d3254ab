"""What was published about the eight: year, and error with the protocol that it was measured by.

Errors are in percent on ILSVRC-2012 validation unless the protocol says otherwise. A ten-crop error is one to two
points lower than a single-crop one, so figures of different protocols are not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Figure:
    """One published error. `top1` is None where the source gives none."""

    top1: float | None
    top5: float
    protocol: str
    source: str


@dataclass(frozen=True)
class Published:
    """A network's year and figures, its source's own first."""

    year: int
    figures: tuple[Figure, ...]


PAPER_RESNET = "He et al. 2015"
AUTHORS = "authors' release"
TORCHVISION = "torchvision"

PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        "alexnet": Published(
            2012,
            (
                Figure(37.5, 17.0, "ten-crop, ILSVRC-2010 test set", "Krizhevsky et al. 2012, abstract"),
                Figure(40.7, 18.2, "one net, 2012 validation", "Krizhevsky et al. 2012"),
                Figure(43.48, 20.93, "single-crop, another variant", "torchvision's alexnet (61,100,840 parameters)"),
            ),
        ),
        "vgg16": Published(
            2014,
            (
                Figure(25.6, 8.1, "dense, one scale", "Simonyan & Zisserman 2014"),
                Figure(28.5, 9.9, "single-crop", "MatConvNet"),
                Figure(28.41, 9.62, "single-crop", TORCHVISION),
            ),
        ),
        "vgg19": Published(
            2014,
            (
                Figure(28.7, 9.9, "single-crop", "MatConvNet"),
                Figure(27.62, 9.12, "single-crop", TORCHVISION),
            ),
        ),
        "googlenet": Published(
            2014,
            (
                Figure(None, 10.07, "single-crop", "Szegedy et al. 2014, which gives no top-1"),
                Figure(31.3, 11.1, "single-crop", "BVLC"),
                Figure(30.22, 10.47, "single-crop, another variant", "torchvision's googlenet (6,624,904 parameters)"),
            ),
        ),
        "resnet34": Published(
            2015,
            (
                Figure(24.52, 7.46, "ten-crop, option B", PAPER_RESNET),
                Figure(26.69, 8.58, "single-crop, stem pool padded", TORCHVISION),
            ),
        ),
        "resnet50": Published(
            2015,
            (
                Figure(22.85, 6.71, "ten-crop", PAPER_RESNET),
                Figure(24.7, 7.8, "single-crop", AUTHORS),
                Figure(23.87, 7.14, "single-crop, v1.5, weights V1", TORCHVISION),
                Figure(19.14, 4.57, "single-crop, v1.5, weights V2", TORCHVISION),
            ),
        ),
        "resnet101": Published(
            2015,
            (
                Figure(21.75, 6.05, "ten-crop", PAPER_RESNET),
                Figure(23.6, 7.1, "single-crop", AUTHORS),
                Figure(22.63, 6.45, "single-crop, v1.5, weights V1", TORCHVISION),
                Figure(18.11, 4.22, "single-crop, v1.5, weights V2", TORCHVISION),
            ),
        ),
        "resnet152": Published(
            2015,
            (
                Figure(21.43, 5.71, "ten-crop", PAPER_RESNET),
                Figure(23.0, 6.7, "single-crop", AUTHORS),
                Figure(21.69, 5.95, "single-crop, v1.5, weights V1", TORCHVISION),
                Figure(17.72, 4.00, "single-crop, v1.5, weights V2", TORCHVISION),
            ),
        ),
    }
)
"""The eight by name."""
