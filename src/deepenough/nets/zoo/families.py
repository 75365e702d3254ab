"""The families of the zoo, in the order in which their networks are listed."""

from __future__ import annotations

from deepenough.nets.zoo.alexnet import ALEXNET, ALEXNET_2014
from deepenough.nets.zoo.convnext import CONVNEXT
from deepenough.nets.zoo.densenet import DENSENET
from deepenough.nets.zoo.efficientnet import EFFICIENTNET, EFFICIENTNET_LITE
from deepenough.nets.zoo.family import ZooFamily
from deepenough.nets.zoo.googlenet import GOOGLENET
from deepenough.nets.zoo.mobilenet import MOBILENET_V2, MOBILENET_V3
from deepenough.nets.zoo.regnet import REGNET_Y
from deepenough.nets.zoo.resnet import RESNET
from deepenough.nets.zoo.resnext import RESNEXT, WIDE_RESNET
from deepenough.nets.zoo.squeezenet import SQUEEZENET
from deepenough.nets.zoo.vgg import VGG
from deepenough.nets.zoo.vit import VIT

ZOO: tuple[ZooFamily, ...] = (
    *(ALEXNET, ALEXNET_2014, VGG, GOOGLENET, RESNET),
    *(SQUEEZENET, RESNEXT, WIDE_RESNET, DENSENET, MOBILENET_V2, MOBILENET_V3),
    *(EFFICIENTNET, EFFICIENTNET_LITE, REGNET_Y, CONVNEXT, VIT),
)
"""The published networks."""
