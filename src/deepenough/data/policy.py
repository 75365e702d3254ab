"""The policy of augmentation, with named strengths."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from deepenough.errors import unknown
from deepenough.schema import Section, check_options, option


def _switch(default: float | bool, text: str, **more: Any) -> Any:
    return option(default, text, Section.AUGMENTATION, **more)


@dataclass(frozen=True, kw_only=True)
class Augment:
    """The most that images are changed by; every image draws its own change. The defaults change nothing.

    Where both mixup and cutmix are on, each image takes one of the two.
    """

    rotation: float = _switch(0.0, "Largest rotation, each way.", unit="DEGREES", least=0, most=180)
    shift: float = _switch(
        0.0, "Largest shift, each way, as a share of the image's side.", unit="SHARE", least=0, most=0.9
    )
    zoom: float = _switch(0.0, "Largest zoom, in and out, as a share.", unit="SHARE", least=0, most=0.9)
    crop: float = _switch(
        1.0, "Smallest share of the area that a random crop keeps; 1 for no crop.", unit="SHARE", least=0.01, most=1
    )
    flip: bool = _switch(
        False,
        "Mirror images left to right.",
        otherwise="by the strength, unless the images or the names of the classes say that it changes a class",
    )
    vertical_flip: bool = _switch(False, "Turn images upside down.")
    brightness: float = _switch(0.0, "Largest change of brightness.", unit="SHARE", least=0, most=1)
    contrast: float = _switch(0.0, "Largest change of contrast.", unit="SHARE", least=0, most=1)
    saturation: float = _switch(0.0, "Largest change of saturation.", unit="SHARE", least=0, most=1)
    erase: float = _switch(
        0.0, "Probability of covering a random rectangle with the mean colour.", unit="PROBABILITY", least=0, most=1
    )
    mixup: float = _switch(
        0.0,
        "Blend pairs of images and labels; alpha of the Beta distribution, 0 for none.",
        unit="ALPHA",
        least=0,
    )
    cutmix: float = _switch(
        0.0, "Paste patches of other images and mix the labels; alpha as for mixup, 0 for none.", unit="ALPHA", least=0
    )

    def __post_init__(self) -> None:
        check_options(self)

    @classmethod
    def named(cls, name: str, mirror: bool) -> Augment:
        """The policy of a named strength; flips only where mirror images are sensible."""
        if name not in STRENGTHS:
            raise unknown("augmentation", name, STRENGTHS)
        policy = STRENGTHS[name]
        return policy if mirror else replace(policy, flip=False)

    @property
    def moves(self) -> bool:
        """True if pixels are moved by more than flips, and so are resampled."""
        return self.rotation > 0 or self.shift > 0 or self.zoom > 0 or self.crop < 1

    @property
    def recolours(self) -> bool:
        """True if colours are changed."""
        return self.brightness > 0 or self.contrast > 0 or self.saturation > 0

    @property
    def mixes(self) -> bool:
        """True if images are mixed with others, and labels with theirs."""
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
