"""The question that a search answers, and the words of question and answer. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Metric(StrEnum):
    """The accuracy that decides: over all images, or the mean over classes."""

    TOP1 = "top1"
    BALANCED = "balanced"


class Measure(StrEnum):
    """The size of a network that the search minimises."""

    DEPTH = "depth"
    PARAMETERS = "parameters"
    MACS = "macs"
    LATENCY = "latency"


class DecisionBasis(StrEnum):
    """The kind of images that decide: the validation split, or all images but test by out-of-fold predictions."""

    VALIDATION = "validation"
    OUT_OF_FOLD = "out-of-fold"


class DecisionKind(StrEnum):
    """The strength of an answer.

    `SHOWN` speaks of the whole search space; `AMONG` of the networks trained in full only, since too little is known of
    the others; `BEST` is what the evidence supports best where nothing is shown.
    """

    SHOWN = "shown"
    AMONG = "shown among those tried"
    SEEMS = "seems"
    NOT_MET = "not met"
    BEST = "best"


class Role(StrEnum):
    """The reason for which a candidate is trained."""

    SEARCH_SPACE = "search space"
    BISECTION = "bisection"
    SECOND_SEED = "second seed"
    SCOUT = "scout"
    DISTILLED = "distilled"


@dataclass(frozen=True)
class Question:
    """The user's question. `budget` bounds the search: with a target in trainings of the chosen network, without one as
    a share of training the whole search space. With `distill` shallower networks also learn from the best."""

    target: float | None = None
    margin: float = 0.01
    metric: Metric = Metric.TOP1
    minimize: Measure = Measure.DEPTH
    families: tuple[str, ...] = ("residual",)
    widths: tuple[float, ...] = (1.0,)
    budget: float = 0.7
    seed: int = 0
    distill: bool = False
    weights: tuple[str, ...] = ()  # of the pretrained networks that are cut, if any
