"""How a network is trained: every choice in one frozen dataclass."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from deepenough.data.policy import STRENGTHS, Augment
from deepenough.errors import DeepenoughError, unknown

OPTIMIZERS = ("sgd", "adamw")
SCHEDULES = ("onecycle", "cosine", "constant")
PRECISIONS = ("float32", "tf32", "bfloat16", "float16", "float64")
MEMORY_FORMATS = ("channels_last", "contiguous")
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The choices of one training.

    `lr` is the peak of the schedule; None asks the range test. `momentum` is the first beta of AdamW.
    `warmup` is the share of all steps in which the rate rises. `clip` is the largest norm of the gradient,
    0 for no limit. `ema` is the decay of the moving average of the weights, 0 for none. `patience` is the
    number of epochs without a better held-out accuracy after which training ends, 0 for never. `first_layer` is the
    first layer's learning rate as a share of the last's, with those between growing by equal factors: below 1 it keeps
    what pretrained layers know. `freeze_norms` leaves the statistics of batch norms as they are.

    The last five say how a step is computed: `compiled` by TorchInductor, `micro_batch` images at most at once, 0 for
    the whole batch.
    """

    epochs: int = 15
    batch: int = 128
    optimizer: str = "sgd"
    lr: float | None = None
    momentum: float = 0.9
    weight_decay: float = 5e-4
    schedule: str = "onecycle"
    warmup: float = 0.25
    label_smoothing: float = 0.0
    clip: float = 0.0
    ema: float = 0.98
    augment: Augment = field(default_factory=Augment)
    class_weights: bool = False
    patience: int = 0
    first_layer: float = 1.0
    freeze_norms: bool = False
    precision: str = "float32"
    memory_format: str = "channels_last"
    compiled: bool = False
    micro_batch: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        for what, given, choices in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("schedule", self.schedule, SCHEDULES),
            ("precision", self.precision, PRECISIONS),
            ("memory format", self.memory_format, MEMORY_FORMATS),
            ("device", self.device, DEVICES),
        ):
            if given not in choices:
                raise unknown(what, given, choices)
        for name, low, high in (
            ("epochs", 1, math.inf),
            ("batch", 1, math.inf),
            ("momentum", 0, 0.9999),
            ("weight_decay", 0, math.inf),
            ("warmup", 0, 1),
            ("label_smoothing", 0, 0.9999),
            ("clip", 0, math.inf),
            ("ema", 0, 0.999999),
            ("patience", 0, math.inf),
            ("first_layer", 1e-6, 1),
            ("micro_batch", 0, math.inf),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                limits = f"at least {low}" if high == math.inf else f"from {low} to {high}"
                raise DeepenoughError(f"{name} {value}: it has to be {limits}")
        if self.lr is not None and not 0 < self.lr < math.inf:
            raise DeepenoughError(f"lr {self.lr}: it has to be above 0; leave it out to have it measured")

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


def finetune_recipe(images_count: int, mirror: bool, *, strength: str | None = None) -> Recipe:
    """A recipe that adapts pretrained weights, whose head a probe has set already, to `images_count` images.

    Gentle at first, and gentlest in the first layers: one plain one-cycle schedule threw the probe's accuracy away
    before it came back. AdamW, since published weights come in all scales. Norms keep their statistics, which a small
    batch would only blur. Epochs fall from 24 at 100 images to 6 at 3,000 and 3 from 17,000 on.
    """
    if strength is not None and strength not in STRENGTHS:
        raise unknown("augmentation", strength, STRENGTHS)
    epochs = round(6 * (3000 / max(images_count, 1)) ** 0.4)
    return Recipe(
        epochs=min(max(epochs, 3), 30),
        batch=32,
        optimizer="adamw",
        lr=8e-4,
        weight_decay=0.05,
        schedule="cosine",
        warmup=0.1,
        first_layer=0.1,
        freeze_norms=True,
        augment=Augment.named(strength or "light", mirror),
    )


def default_recipe(
    images_count: int, input_shape: tuple[int, ...], mirror: bool, *, strength: str | None = None
) -> Recipe:
    """A recipe that is good in few epochs, for `images_count` training images of `input_shape` (C, H, W).

    Time is the price, so the epochs fall with the number of images, from 45 at 1,000 to 8 at 50,000, and pictures under
    28 pixels a side, which have less to learn from, take as much less; never under 5 or over 60. `mirror` says
    whether mirror images are sensible. `strength` names the augmentation, "light" where it is None.
    """
    if strength is not None and strength not in STRENGTHS:
        raise unknown("augmentation", strength, STRENGTHS)
    small = min(min(input_shape[1:]) / 28, 1.0)
    epochs = round(45 * (1000 / max(images_count, 1)) ** 0.44 * small)
    return Recipe(
        epochs=min(max(epochs, 5), 60),
        batch=64 if images_count < 5000 else 128,
        augment=Augment.named(strength or "light", mirror),
    )
