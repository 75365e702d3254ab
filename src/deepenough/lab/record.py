"""The record of an experiment: the claim, every value that was measured, and the verdict that follows from them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.special import stdtrit

from deepenough.errors import DeepenoughError
from deepenough.files import read_checked_json, write_checked_json
from deepenough.lab.text import Text
from deepenough.language import gettext as _

RECORD = "record.json"
SUPPORTED, NOT_SHOWN, CONTRADICTED = "supported", "not shown", "contradicted here"
LIMITS = {"share": (0.0, 1.0), "difference of shares": (-1.0, 1.0)}
FEW_IMAGES = 100  # judged images under which a page warns

SeedHits = npt.NDArray[np.float64]  # (seeds, images): 1 where right, 0 where wrong; or differences of such


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Quantity(_Part):
    """A number for each seed, and its uncertainty.

    It has two sources: other seeds would give other networks, and other images would judge them otherwise. The
    spread over seeds shows nothing of the second, since all seeds are judged on the same images. So where images judge,
    `error` has the standard error that their choice leaves (`sampling_error`). What is counted, as parameters are, or
    was published has no interval.
    """

    values: list[float]
    images: int | None = Field(default=None, description="how many judged, where images did")
    error: float = Field(default=0.0, description="standard error of the mean from the choice of those images")
    kind: Literal["measured", "counted", "published"] = "measured"
    unit: Literal["", "share", "difference of shares"] = Field(
        default="", description="a share lies in 0..1, a difference of shares in -1..1"
    )

    @classmethod
    def from_hits(cls, *hits: SeedHits, **fields: Any) -> Self:
        """The sum of the mean accuracies of `hits`, one array for each set of images; `fields` are the others."""
        whole = len(hits) == 1 and hits[0].min(initial=0) >= 0
        return cls(
            values=[float(sum(each)) for each in zip(*(one.mean(axis=1) for one in hits), strict=True)],
            images=min(one.shape[1] for one in hits),
            error=math.hypot(*map(sampling_error, hits)),
            **({"unit": "share" if whole else "difference of shares"} | fields),
        )

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the mean, within what it can be; infinite for a single seed."""
        if self.kind != "measured":
            return self.mean, self.mean
        low, high = mean_interval(self.values, self.error, self.images)
        least, most = LIMITS.get(self.unit, (-math.inf, math.inf))
        return (max(low, least), min(high, most)) if math.isfinite(high) else (low, high)


class Point(Quantity):
    """One setting: where it stands on the axis, and what was measured there."""

    x: float | str
    note: Text = ""


class Line(_Part):
    """Settings that a plot joins."""

    name: Text
    points: list[Point]

    @classmethod
    def from_hits(cls, name: Text, places: Sequence[float], hits: Sequence[SeedHits]) -> Line:
        """A line with the mean accuracies of `hits` at these places on the axis."""
        return cls(name=name, points=[Point.from_hits(each, x=x) for x, each in zip(places, hits, strict=True)])


class Effect(Quantity):
    """A number that is above `bound` if a claim holds."""

    what: Text
    bound: float = 0.0

    @property
    def verdict(self) -> str:
        """Supported where the whole interval lies above the bound, contradicted where it lies below."""
        low, high = self.interval
        return SUPPORTED if low > self.bound else CONTRADICTED if high < self.bound else NOT_SHOWN


class Result(_Part):
    """The measurements of an experiment."""

    x: Text = Field(description="what the axis is")
    y: Text = Field(description="what was measured")
    lines: list[Line]
    effects: list[Effect] = Field(description="the claim holds if all of them are above their bounds")
    on: Text = Field(default="", description="what it was measured on, where not on images to train and to judge")
    log_x: bool = False
    log_y: bool = False
    notes: list[Text] = []


class LabRecord(_Part):
    """`record.json` of an experiment.

    In schema 3 a text with figures in it is a message and its values; 2, which is read too, has the English text.
    """

    schema_version: Literal[2, 3] = 3
    name: str
    claim: str
    data: Text
    quick: bool
    seeds: list[int]
    result: Result
    verdict: str
    seconds: float
    environment: dict[str, str]

    def save(self, folder: Path) -> None:
        """Write `record.json`, whole or not at all, with the checksum of its content."""
        write_checked_json(folder / RECORD, json.loads(self.model_dump_json()))

    @classmethod
    def load(cls, folder: Path) -> LabRecord:
        """Read the record of an experiment. Raises DamagedError where it is not what was written."""
        path = folder / RECORD
        content = read_checked_json(path)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            version = content.get("schema_version")
            raise DeepenoughError(
                f"{path}: this is no record of an experiment of schema 2 or 3 (its schema_version is {version!r}; "
                f"{len(error.errors())} fields are not as expected); read it with the version that wrote it"
            ) from None

    @property
    def judged_images(self) -> int | None:
        """The fewest images that judge one of the effects, None where none do."""
        return min((e.images for e in self.result.effects if e.images is not None), default=None)

    @property
    def cautions(self) -> list[str]:
        """Sentences that a reader needs before the verdict."""
        if self.judged_images is None or self.judged_images >= FEW_IMAGES:
            return []
        points = 100 / math.sqrt(self.judged_images)  # two standard errors of an accuracy of a half
        return [
            _(
                "Only %(count)s images are judged, so an accuracy can be off by %(points)s points by chance alone. "
                "Give more images before you believe a verdict.",
                count=self.judged_images,
                points=f"{points:.0f}",
            )
        ]


def overall_verdict(effects: list[Effect]) -> str:
    """The weakest of the verdicts: a claim is as good as its worst part."""
    verdicts = [effect.verdict for effect in effects]
    return next((verdict for verdict in (CONTRADICTED, NOT_SHOWN) if verdict in verdicts), SUPPORTED)


def mean_interval(values: list[float], error: float = 0.0, images: int | None = None) -> tuple[float, float]:
    """95% interval of the mean of values that differ by their seeds, judged on so many images.

    Half its width is the hypotenuse of two: Student's t over seeds, and over images with their standard `error`. What
    is particular to a seed and an image together is in both, so it is a little wide rather than too narrow.
    """
    if len(values) < 2:
        return -math.inf, math.inf
    over_seeds = stdtrit(len(values) - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(len(values))
    over_images = stdtrit(max(images - 1, 1), 0.975) * error if images else 0.0
    mean, half = float(np.mean(values)), math.hypot(over_seeds, over_images)
    return mean - half, mean + half


def sampling_error(hits: SeedHits) -> float:
    """Standard error of the mean of `hits` that comes from the choice of the images.

    Differences are taken image by image, which is far sharper than comparing two accuracies: images that both networks
    get right, or both wrong, cancel. Two images that disagree are added (Bonett and Price 2012), so that networks that
    never differ on a few images aren't taken for equal beyond doubt, nor one without a mistake for perfect.
    """
    each = np.append(hits.mean(axis=0), (1.0, -1.0))
    return float(each.std() / math.sqrt(len(each)))
