"""The input that sources of pretrained weights give the networks: size, crop, interpolation, order, mean, std."""

from __future__ import annotations

from deepenough.errors import unknown
from deepenough.preprocessing import Preprocessing
from deepenough.weights.preset_names import PRESETS

CAFFE_MEAN = (104 / 255, 117 / 255, 123 / 255)  # BGR; BVLC's ImageNet mean, rounded
KERAS_MEAN = (103.939 / 255, 116.779 / 255, 123.68 / 255)  # BGR; VGG's and the authors' ResNets', as Keras has them
HALVES = (0.5, 0.5, 0.5)
ONE = (1 / 255,) * 3  # std of images that stay in 0..255

CAFFE_SIDES = {"alexnet": 227, "alexnet_bvlc": 227, "squeezenet1_1": 227}
"""Input sides (pixels) of Caffe's releases that are not 224."""


def preset(name: str, network: str) -> Preprocessing:
    """Return what the source `name` feeds the network `network`.

    torchvision: shorter side 256 (its V2 weights 232), bilinear; its GoogLeNet came from TensorFlow and brings
    ImageNet's mean and standard deviation to 0.5 in its forward pass (`transform_input`), which is done here. timm: a
    crop of 0.95, bicubic. transformers: as torchvision, bicubic. caffe-bgr: BGR in 0..255 less the mean of BVLC's
    release. keras: `keras.applications`' caffe mode. paddle: as torchvision.
    """
    match name:
        case "torchvision" | "torchvision-v2" if network == "googlenet_bn":
            return Preprocessing((224, 224), 256, mean=HALVES, std=HALVES)
        case "torchvision" | "paddle":
            return Preprocessing((224, 224), 256)
        case "torchvision-v2":
            return Preprocessing((224, 224), 232)
        case "timm":
            return Preprocessing((224, 224), 235, "bicubic")
        case "transformers":
            return Preprocessing((224, 224), 256, "bicubic")
        case "caffe-bgr":
            side = CAFFE_SIDES.get(network, 224)
            return Preprocessing((side, side), 256, order="BGR", mean=CAFFE_MEAN, std=ONE)
        case "keras":
            return Preprocessing((224, 224), None, order="BGR", mean=KERAS_MEAN, std=ONE)
    raise unknown("preprocessing", name, PRESETS)
