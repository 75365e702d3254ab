"""What an experiment leaves: the claim, every value that was measured, and the verdict that follows from them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy import stats

FILE = "record.json"
SUPPORTED, NOT_SHOWN, CONTRADICTED = "supported", "not shown", "contradicted here"


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Point(Part):
    """One setting: where it stands on the axis, and its value for each seed."""

    x: float | str
    values: list[float]
    note: str = ""

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def interval(self) -> tuple[float, float]:
        """Of the mean, 95%, by Student's t over seeds; of a single seed nothing is known."""
        return interval(self.values)


class Line(Part):
    """Settings that a plot joins."""

    name: str
    points: list[Point]


class Effect(Part):
    """A number that is above `bound` if a claim holds, once for each seed."""

    what: str
    values: list[float]
    bound: float = 0.0
    unit: str = ""

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def interval(self) -> tuple[float, float]:
        return interval(self.values)

    @property
    def verdict(self) -> str:
        """Supported where the whole interval lies above the bound, contradicted where it lies below."""
        low, high = self.interval
        return SUPPORTED if low > self.bound else CONTRADICTED if high < self.bound else NOT_SHOWN


class Seen(Part):
    """What an experiment gives back."""

    x: str = Field(description="what the axis is")
    y: str = Field(description="what was measured")
    lines: list[Line]
    effects: list[Effect] = Field(description="the claim holds if all of them are above their bounds")
    log_x: bool = False
    log_y: bool = False
    notes: list[str] = []


class Record(Part):
    """`record.json` of an experiment."""

    schema_version: Literal[1] = 1
    name: str
    claim: str
    data: str
    quick: bool
    seeds: list[int]
    seen: Seen
    verdict: str
    seconds: float
    environment: dict[str, str]


def verdict(effects: list[Effect]) -> str:
    """The weakest of the verdicts: a claim is as good as its worst part."""
    words = [effect.verdict for effect in effects]
    return next((word for word in (CONTRADICTED, NOT_SHOWN) if word in words), SUPPORTED)


def interval(values: list[float]) -> tuple[float, float]:
    """95% interval of the mean of values that differ by their seeds."""
    if len(values) < 2:
        return -math.inf, math.inf
    mean, error = float(np.mean(values)), float(stats.sem(values))
    half = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return mean - half, mean + half


def load(folder: Path) -> Record:
    return Record.model_validate_json((folder / FILE).read_text(encoding="utf-8"))
