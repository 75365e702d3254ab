"""What augmentation may do: one policy, with named strengths."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from types import MappingProxyType

from deepenough.errors import DeepenoughError, unknown


@dataclass(frozen=True, kw_only=True)
class Augment:
    """How far images are changed at most; every image draws its own change. The defaults change nothing.

    `rotation` in degrees; `shift` as a share of the side, each way; `zoom` as a share, in and out; `crop` the smallest
    share of the area that a random crop keeps (1: no crop). `brightness`, `contrast` and `saturation` scale by a factor
    in 1 - x to 1 + x. `erase` is the chance that a rectangle is covered. `mixup` and `cutmix` are the alpha of the Beta
    distribution of the share (0: off); where both are on, each image takes one of the two.
    """

    rotation: float = 0.0
    shift: float = 0.0
    zoom: float = 0.0
    crop: float = 1.0
    flip: bool = False
    vertical_flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    erase: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        limits = {"rotation": 180.0, "mixup": math.inf, "cutmix": math.inf, "zoom": 0.9, "shift": 0.9}
        for entry in fields(self):
            value, most = getattr(self, entry.name), limits.get(entry.name, 1.0)
            least = 0.01 if entry.name == "crop" else 0.0
            if not least <= value <= most:
                upto = f"{least:g} to {most:g}" if most < math.inf else f"{least:g} and more"
                raise DeepenoughError(f"--{entry.name.replace('_', '-')} {value}: expected {upto}")

    @classmethod
    def named(cls, name: str, mirror: bool) -> Augment:
        """The policy of a named strength; flips only where mirror images are sensible."""
        if name not in STRENGTHS:
            raise unknown("augmentation", name, STRENGTHS)
        policy = STRENGTHS[name]
        return policy if mirror else replace(policy, flip=False)

    @property
    def moves(self) -> bool:
        """Whether pixels are moved by more than flips, and so are resampled."""
        return self.rotation > 0 or self.shift > 0 or self.zoom > 0 or self.crop < 1

    @property
    def recolours(self) -> bool:
        """Whether colours are changed."""
        return self.brightness > 0 or self.contrast > 0 or self.saturation > 0

    @property
    def mixes(self) -> bool:
        """Whether images are mixed with others, and labels with theirs."""
        return self.mixup > 0 or self.cutmix > 0


STRENGTHS = MappingProxyType(
    {
        "none": Augment(),
        "light": Augment(flip=True),
        "standard": Augment(
            rotation=8, shift=0.1, zoom=0.1, flip=True, brightness=0.2, contrast=0.2, saturation=0.2, erase=0.1
        ),
        "strong": Augment(
            rotation=15, shift=0.1, zoom=0.1, crop=0.4, flip=True, brightness=0.3, contrast=0.3, saturation=0.3,
            erase=0.25, mixup=0.2, cutmix=1.0,
        ),
    }
)  # fmt: skip
