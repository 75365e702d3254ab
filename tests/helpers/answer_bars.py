"""The bars that a search's answers on the simulated trainer have to reach."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from scipy.special import ndtr
from scipy.stats import binom
from simulated_answers import Cell, Outcome, Row, TargetOutcome
from simulated_trainer import DISAGREEMENT, VALIDATION_FROM, Truth

from deepenough.search.folds import FOLDS
from deepenough.search.scouts import SCOUT_UNCERTAINTY
from deepenough.search.statistics import z_score

SURE = Cell(9_000, 0.002)
FEWER = Cell(1_500, 0.004)
EASY = (
    "saturating", "flat", "digits", "peaked", "plateau, then rise", "Fashion-MNIST, 20,000", "Fashion-MNIST, 6,000",
)  # fmt: skip
"""The curves on which the default budget has to find the right rung or its neighbour, with 9,000 images."""


@dataclass(frozen=True)
class Bar:
    """The share, in 0..1, that a figure of `Outcome` or `TargetOutcome` must reach, or must not pass.

    `rows` tells for which rows it is set, `full_budget` for which budgets: None for all, False for the default, True
    for one that pays for the whole ladder.
    """

    figure: str
    share: float
    at_most: bool
    rows: Callable[[Row], bool]
    full_budget: bool | None = None

    def __str__(self) -> str:
        return f"{self.figure} {'<=' if self.at_most else '>='} {100 * self.share:g}%"

    def missed(self, share: float, repetitions: int, chance: float = 1.0) -> bool:
        """Tell if a share seen in so many repetitions misses the bar.

        With `chance` below 1 only if a search that just reaches it would be seen so far beyond it less often than that
        (binomial). A figure that was never given, nan, misses none.
        """
        if math.isnan(share):
            return False
        count = round(share * repetitions)
        if self.at_most:
            return share > self.share and binom.sf(count - 1, repetitions, self.share) < chance
        return share < self.share and binom.cdf(count, repetitions, self.share) < chance


def _without(row: Row) -> bool:
    return row.target is None


def _is(curve: str, cell: Cell) -> Callable[[Row], bool]:
    return lambda row: _without(row) and row.curve == curve and row.cell == cell


BARS = (
    Bar("false", 0.05, True, lambda row: True),
    Bar("among_false", 0.05, True, _without),
    Bar("holds", 0.95, False, _without),
    Bar(
        "shown", 0.40, False, lambda row: _without(row) and (row.curve, row.cell) == ("flat", Cell(1_500, 0.004)), False
    ),
    Bar("shown", 0.85, False, _is("flat", SURE), False),
    Bar("near", 0.90, False, lambda row: _without(row) and row.curve in EASY and row.cell == SURE, False),
    Bar("wrong", 0.10, True, lambda row: _without(row) and row.cell == SURE, False),
    Bar("near", 0.90, False, lambda row: _without(row) and row.cell.images >= 1_500, True),
)


def bars_of(row: Row, budget: float | None) -> Iterable[Bar]:
    """The bars that are set for a row; `budget` is None where it is the default."""
    full = None if budget is None else budget >= 1
    for bar in BARS:
        if bar.rows(row) and (bar.full_budget is None or bar.full_budget == bool(full)):
            yield bar


def mark(row: Row, budget: float | None, figure: str, seen: Outcome | TargetOutcome, repetitions: int) -> str:
    """Nothing where a figure reaches its bar, `!` where it misses it, `~` where chance may have done that (1 in 20)."""
    share = getattr(seen, figure)
    bars = [bar for bar in bars_of(row, budget) if bar.figure == figure and bar.missed(share, repetitions)]
    return "".join("!" if bar.missed(share, repetitions, 0.05) else "~" for bar in bars)


def most_ruled_out(truth: Truth, images: int, margin: float = 0.01, allowed: float = SCOUT_UNCERTAINTY) -> float:
    """The largest share of questions in which a scout can rule out an architecture as accurate as the chosen one.

    An oracle decides: it knows everything but how much this one scout understates, up to the mean of that, and what
    its own images and seeds add. Of all rules that rule out wrongly in at most 5%, where understating varies by
    `allowed`, the most powerful one asks for `margin - z * hypot(allowed, noise)` (Neyman and Pearson 1933); in the
    simulation it varies by `truth.understates_sd`. A budget that can't pay for the two largest architectures leaves at
    least one scout, so this bounds "shown" of the whole search space where the truth is flat, but for the luck of a
    rule that does not know the others: that may add a few percent, at the price of as many false claims elsewhere.
    """
    trainings = 1 if images >= VALIDATION_FROM else FOLDS
    by_images = DISAGREEMENT * (1 - truth.best) / 2 / images  # of one network: half of a difference's
    noise = math.sqrt(by_images + truth.seed_sd**2 / trainings)
    room = margin - z_score() * math.hypot(allowed, noise)
    return float(ndtr(room / math.hypot(truth.understates_sd, noise)))
