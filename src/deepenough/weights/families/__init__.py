"""The published weights of the zoo's networks: a file for each family, and here the list of them. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from deepenough.weights.families.alexnet import ALEXNET
from deepenough.weights.families.convnext import CONVNEXT
from deepenough.weights.families.densenet import DENSENET
from deepenough.weights.families.efficientnet import EFFICIENTNET
from deepenough.weights.families.family import FamilyWeights
from deepenough.weights.families.googlenet import GOOGLENET
from deepenough.weights.families.mobilenet import MOBILENET
from deepenough.weights.families.regnet import REGNET
from deepenough.weights.families.resnet import RESNET
from deepenough.weights.families.resnext import RESNEXT
from deepenough.weights.families.squeezenet import SQUEEZENET
from deepenough.weights.families.vgg import VGG
from deepenough.weights.families.vit import VIT

FAMILIES: tuple[FamilyWeights, ...] = (
    *(ALEXNET, VGG, GOOGLENET, RESNET, SQUEEZENET, MOBILENET),
    *(EFFICIENTNET, DENSENET, RESNEXT, REGNET, CONVNEXT, VIT),
)
"""The families, in the order in which their weights are listed."""

Value = TypeVar("Value")


def of_all(part: Callable[[FamilyWeights], Mapping[str, Value]]) -> dict[str, Value]:
    """Join what the families have in one of their tables."""
    return {key: value for family in FAMILIES for key, value in part(family).items()}
