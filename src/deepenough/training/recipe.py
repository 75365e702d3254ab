"""The choices of a training: every one in one frozen dataclass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from deepenough.data.policy import Augment
from deepenough.errors import unknown
from deepenough.schema import Section, check_options, internal, option


class Optimizer(StrEnum):
    """The rule by which weights follow their gradients."""

    SGD = "sgd"
    ADAMW = "adamw"
    MUON = "muon"


class ScheduleShape(StrEnum):
    """The course of the learning rate over a training."""

    ONECYCLE = "onecycle"
    COSINE = "cosine"
    CONSTANT = "constant"


class NumberFormat(StrEnum):
    """The numbers that a step is computed in."""

    FLOAT32 = "float32"
    TF32 = "tf32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    FLOAT64 = "float64"


class MemoryFormat(StrEnum):
    """The order of images and maps in memory."""

    CHANNELS_LAST = "channels_last"
    CONTIGUOUS = "contiguous"


class Device(StrEnum):
    """The kind of device that computes; `AUTO` is the best that the machine has."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


EPOCHS_AT_1000 = MappingProxyType({"muon": 27, "sgd": 45, "adamw": 45})
"""The epochs of `default_recipe` for 1,000 images, by the optimizer."""

KNOWN_RATES: Mapping[str, float] = MappingProxyType({"muon": 0.07})
"""Peak learning rates of optimizers that need no range test. Muon's is the share of its norm that a convolution moves
by in a step, which means the same in networks of all depths and widths."""

LARGE_BATCHES_FROM, GENTLE_FROM = 5_000, 30_000
"""The training images from which on `default_recipe` has batches of 128, and Muon its gentle rate, reached early."""

GENTLE_RATE = 0.05
"""Muon's peak learning rate for so many images, which make 1,400 steps in batches of 128; 0.07 is better for a few
hundred steps."""

FINETUNE_RATES: Mapping[str, float] = MappingProxyType({"adamw": 1.5e-3, "sgd": 5e-3, "muon": 0.01})
"""Peak learning rates of optimizers for pretrained weights: that of the head, which the first layer has a tenth of."""

SMALLER, RESIZED_FROM, RESIZED_TO_FINETUNE_FROM = 0.7, 24, 128
"""The scale of the images in the first epochs, which have half the area, and the pixels of a side from which on they
are smaller: from scratch with Muon, and to fine-tune."""

DISTILLATION = ("distill_temperature", "distill_weight")
"""Fields of a recipe that count only where there is a teacher."""


def _speed(default: Any, text: str, **more: Any) -> Any:
    return option(default, text, Section.SPEED, **more)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The choices of one training; the last five say how a step is computed."""

    epochs: int = option(
        15, "Passes over the training images.", common=True, least=1, otherwise="by the number of images, 3 to 60"
    )
    batch: int = option(
        128, "Images per step.", least=1, otherwise=f"64, or 128 from {LARGE_BATCHES_FROM:,} images on; 32 to fine-tune"
    )
    optimizer: str = option(
        "sgd",
        "SGD has Nesterov momentum; so has Muon, which orthogonalises that of convolutions.",
        choices=Optimizer,
        otherwise="muon; adamw to fine-tune",
    )
    lr: float | None = option(
        None,
        "Peak learning rate.",
        unit="RATE",
        above=0,
        below=math.inf,
        otherwise=f"{KNOWN_RATES['muon']:g} for muon, {GENTLE_RATE:g} from {GENTLE_FROM:,} images on; else measured "
        f"for each candidate by a range test; to fine-tune "
        + ", ".join(f"{rate:g} for {name}" for name, rate in FINETUNE_RATES.items()),
        hint="leave it out for the default",
    )
    momentum: float = option(
        0.9, "Momentum of SGD and Muon; the first beta of AdamW.", unit="SHARE", least=0, most=0.9999
    )
    weight_decay: float = option(
        5e-4,
        "Weight decay; norms and biases have none, nor have convolutions with muon, which keep their norm.",
        unit="DECAY",
        least=0,
        otherwise="0.0005; 0.05 to fine-tune with adamw",
    )
    schedule: str = option(
        "onecycle", "Schedule of the learning rate.", choices=ScheduleShape, otherwise="onecycle; cosine to fine-tune"
    )
    warmup: float = option(
        0.25,
        "Share of all steps over which the learning rate rises.",
        unit="SHARE",
        least=0,
        most=1,
        otherwise=f"0.25; 0.1 for muon from {GENTLE_FROM:,} images on, and to fine-tune",
    )
    label_smoothing: float = option(
        0.0, "Share of each label that is spread over all classes.", unit="SHARE", least=0, most=0.9999
    )
    clip: float = option(0.0, "Largest norm of the gradient, 0 for no limit.", unit="NORM", least=0)
    ema: float = option(
        0.98, "Decay of the moving average of the weights, 0 for none.", unit="DECAY", least=0, most=0.999999
    )
    augment: Augment = internal(Augment(), "The augmentation of the training images.")  # noqa: RUF009
    class_weights: bool = option(False, "Give rare classes more weight in the loss.")
    distill_temperature: float = option(
        4.0,
        "Temperature of the teacher's and the student's probabilities, with --distill.",
        unit="FACTOR",
        above=0,
        below=math.inf,
    )
    distill_weight: float = option(
        0.9,
        "Share of the loss that is the difference from the teacher, with --distill; the rest is that from the labels.",
        unit="SHARE",
        least=0,
        most=1,
    )
    freeze: float = option(
        0.0,
        "The first blocks of a pretrained network with at most this share of its multiply-accumulates are not trained; "
        "0 to train all.",
        unit="SHARE",
        least=0,
        most=0.99,
    )
    patience: int = option(
        0, "End a training after this many epochs without a better held-out accuracy, 0 for never.", least=0
    )
    initial_scale: float = option(
        1.0,
        "Side of the images in the first half of the epochs, rounded down, as a share of their full side, where the "
        "network takes other sizes (progressive resizing); 1 for full size throughout.",
        unit="SHARE",
        above=0,
        most=1,
        otherwise=f"{SMALLER:g} from scratch with muon on images of {RESIZED_FROM} pixels and more, and to fine-tune "
        f"on {RESIZED_TO_FINETUNE_FROM} and more; else 1",
    )
    first_layer: float = internal(
        1.0,
        "The first layer's learning rate as a share of the last's, with those between growing by equal factors; below "
        "1 it keeps what pretrained layers know.",
        least=1e-6,
        most=1,
    )
    freeze_norms: bool = internal(False, "Leave the statistics of batch norms as they are.")
    precision: str = _speed(
        "float32",
        "Number format of the computation.",
        choices=NumberFormat,
        otherwise="the fastest, by a short measurement",
    )
    memory_format: str = internal("channels_last", "Order of images and maps in memory.", choices=MemoryFormat)
    compiled: bool = _speed(
        False,
        "Compile the steps with TorchInductor.",
        flag="compile",
        otherwise="where it pays for itself within the run",
    )
    micro_batch: int = internal(0, "Images that go through the network at once, 0 for the whole batch.", least=0)
    device: str = _speed(
        "auto", "Where to compute.", common=True, choices=Device, otherwise="the best that this machine has"
    )

    def __post_init__(self) -> None:
        check_options(self)

    @property
    def known_lr(self) -> float | None:
        """The peak learning rate where it needs no range test."""
        return self.lr if self.lr is not None else KNOWN_RATES.get(self.optimizer)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the record."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Recipe:
        """The recipe that `to_json` was called on."""
        known = {each.name for each in fields(cls)}
        for name in content:
            if name not in known:
                raise unknown("recipe field", name, known)
        return cls(**{**content, "augment": Augment(**content["augment"])})


def finetune_recipe(
    images_count: int,
    input_shape: tuple[int, ...],
    mirror: bool,
    *,
    strength: str | None = None,
    optimizer: str | None = None,
) -> Recipe:
    """A recipe that adapts pretrained weights, whose head a probe has set already, to `images_count` training images of
    `input_shape` (C, H, W).

    The rate rises slowly, and is least in the first layers: one plain one-cycle schedule threw the probe's accuracy
    away before it came back. AdamW, since published weights come in all scales. Norms keep their statistics, which a
    small batch would only blur. Epochs fall from 18 at 100 images to 7 at 1,000, 4 at 3,000 and 3 from 4,037 on: half
    as many again, at half the rate, are as accurate and surer of what they get wrong (benchmarks/LOG.md). In the first
    half of them images of `RESIZED_TO_FINETUNE_FROM` pixels a side and more are smaller. The optimizer is AdamW where
    it is None.
    """
    chosen = optimizer or Optimizer.ADAMW.value
    epochs = round(4 * (3000 / max(images_count, 1)) ** 0.45)
    return Recipe(
        epochs=min(max(epochs, 3), 30),
        batch=32,
        optimizer=chosen,
        lr=FINETUNE_RATES[chosen],
        weight_decay=0.05 if chosen == Optimizer.ADAMW else 5e-4,
        schedule="cosine",
        warmup=0.1,
        initial_scale=SMALLER if min(input_shape[1:]) >= RESIZED_TO_FINETUNE_FROM else 1.0,
        first_layer=0.1,
        freeze_norms=True,
        augment=Augment.named(strength or "light", mirror),
    )


def default_recipe(
    images_count: int,
    input_shape: tuple[int, ...],
    mirror: bool,
    *,
    strength: str | None = None,
    optimizer: str | None = None,
) -> Recipe:
    """A recipe that is good in few epochs, for `images_count` training images of `input_shape` (C, H, W).

    Time is the price, so the epochs fall with the number of images: with Muon from 27 at 1,000 to 5 at 50,000, with SGD
    and AdamW, which take longer to be as accurate (benchmarks/LOG.md), from 45 to 8. Pictures under 28 pixels a side,
    which have less to learn from, take as much less; never under 5 or over 60. From 30,000 images on, which make 1,400
    steps of usual pictures, Muon is better at a lower rate that rises sooner. In the first half of its epochs images of
    `RESIZED_FROM` pixels a side and more are smaller; with the others that was not measured.

    Args:
        images_count: The training images.
        input_shape: The shape of one, (C, H, W).
        mirror: True if mirror images are sensible.
        strength: The name of the augmentation, "light" where it is None.
        optimizer: "muon" where it is None.
    """
    chosen = optimizer or Optimizer.MUON.value
    small = min(min(input_shape[1:]) / 28, 1.0)
    epochs = round(EPOCHS_AT_1000[chosen] * (1000 / max(images_count, 1)) ** 0.44 * small)
    gentle = images_count >= GENTLE_FROM and chosen == Optimizer.MUON
    resized = min(input_shape[1:]) >= RESIZED_FROM and chosen == Optimizer.MUON
    return Recipe(
        epochs=min(max(epochs, 5), 60),
        batch=128 if images_count >= LARGE_BATCHES_FROM else 64,
        optimizer=chosen,
        lr=GENTLE_RATE if gentle else None,
        warmup=0.1 if gentle else 0.25,
        initial_scale=SMALLER if resized else 1.0,
        augment=Augment.named(strength or "light", mirror),
    )
