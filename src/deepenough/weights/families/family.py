"""The statements that each file here makes about the published weights of a family of networks of the zoo."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from deepenough.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from deepenough.weights.keras_images import HALVES
from deepenough.weights.patterns import NameLayers

CAFFE_MEAN = (104 / 255, 117 / 255, 123 / 255)  # BGR; BVLC's ImageNet mean, rounded
ONE = (1 / 255,) * 3  # std of images that stay in 0..255

LayerNames = Mapping[str, NameLayers]
"""For networks of the zoo, the functions that give the names of their layers in a source."""


@dataclass(frozen=True)
class TorchvisionFile:
    """An entry of torchvision's WeightsEnum.

    `weights` is the name of its class, less `_Weights`, `version` that of `IMAGENET1K_V1` or `_V2`, `accuracies` its
    acc@1 and acc@5. `sha256` is all 64 digits, or empty where only those in the file's name are known.
    """

    weights: str
    version: int
    file: str
    megabytes: float
    accuracies: tuple[float, float]
    sha256: str = ""


@dataclass(frozen=True)
class TimmFile:
    """An entry of timm's `default_cfgs`.

    `file` is relative to timm's releases, or a whole address. `errors` are top-1 and top-5 of timm's
    results-imagenet.csv (8 August 2026), whose crop is that of `input`; None stands for what timm's preset gives.
    `sha256` is all 64 digits, or empty where only those in the file's name are known.
    """

    name: str
    file: str
    megabytes: float
    errors: tuple[float, float]
    input: Preprocessing | None = None
    sha256: str = ""


def timm_input(side: int, crop: float, *, halves: bool = False, interpolation: str = "bicubic") -> Preprocessing:
    """The images of a configuration of timm: a centre of `side` pixels, the part `crop` of the shorter side."""
    mean, std = (HALVES, HALVES) if halves else (IMAGENET_MEAN, IMAGENET_STD)
    return Preprocessing((side, side), int(side / crop), interpolation, mean=mean, std=std)


def caffe_input(side: int = 224) -> Preprocessing:
    """The images of Caffe's releases: a centre of `side` pixels, BGR in 0..255 less the mean of BVLC's release."""
    return Preprocessing((side, side), 256, order="BGR", mean=CAFFE_MEAN, std=ONE)


@dataclass(frozen=True)
class TransformersKind:
    """A `model_type` of transformers: the fields that tell its networks apart, and what all of them have.

    `fields` have the values that transformers takes for those that a configuration leaves out; `sizes` are networks of
    the zoo by the values of `fields`. `fixed` are other fields, with the only value that the networks here are for; one
    that is left out has it. `crops` tells that its processor crops small images, and doesn't squeeze them into squares;
    it then scales bicubically where it states no filter, else bilinearly.
    """

    fields: Mapping[str, Any]
    sizes: Mapping[tuple[Any, ...], str]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    crops: bool = False


@dataclass(frozen=True, kw_only=True)
class FamilyWeights:
    """The facts that are known of the published weights of a family of networks of the zoo.

    The names of layers come first, by whose they are. `older_torchvision` are those in files from before torchvision
    renamed layers, which it does when it reads them; `timm` has none where timm's are torchvision's; `authors` are
    those of the authors' own files, which timm takes too; `efficientnet_pytorch` are those of that older port.
    `keras_renamed` are patterns for names of which Keras has several, and what to put in their place.

    `dense_or_convolutions` are networks that some publish with dense layers, and others with 1x1 convolutions;
    `dense_in_timm` are those whose 1x1 convolutions inside blocks are dense layers for each position in timm.

    `inputs` are the images that networks take, by the name of a preset, where they are others than most of that
    preset's. `transformers_kinds` are by `model_type`.
    """

    torchvision: LayerNames = field(default_factory=dict)
    older_torchvision: LayerNames = field(default_factory=dict)
    timm: LayerNames = field(default_factory=dict)
    authors: LayerNames = field(default_factory=dict)
    efficientnet_pytorch: LayerNames = field(default_factory=dict)
    transformers: LayerNames = field(default_factory=dict)
    keras: LayerNames = field(default_factory=dict)
    paddle: LayerNames = field(default_factory=dict)
    caffe: LayerNames = field(default_factory=dict)
    keras_renamed: tuple[tuple[re.Pattern[str], str], ...] = ()
    dense_or_convolutions: tuple[str, ...] = ()
    dense_in_timm: tuple[str, ...] = ()
    inputs: Mapping[str, Mapping[str, Preprocessing]] = field(default_factory=dict)
    transformers_kinds: Mapping[str, TransformersKind] = field(default_factory=dict)
    torchvision_files: tuple[TorchvisionFile, ...] = ()
    timm_files: tuple[TimmFile, ...] = ()
