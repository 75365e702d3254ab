"""The rules of a question without a target, as pure functions of finished candidates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepenough.search.candidates import Candidate
from deepenough.search.question import DecisionKind, Question
from deepenough.search.statistics import HitShares, Strata, paired_difference
from deepenough.search.verdict import PairedComparison, Verdict, margin_text, nothing_finished, points

CONTESTED = 2.0  # standard errors around the margin within which one seed does not decide


def mean_hits(seeds: Sequence[Candidate]) -> HitShares:
    """For every decision image the share of the seeds that are right."""
    return np.asarray(np.mean([candidate.hits for candidate in seeds], axis=0), np.float64)


def compare_seeds(
    question: Question,
    best_seeds: Sequence[Candidate],
    seeds: Sequence[Candidate],
    strata: Strata,
    tested: bool,
) -> PairedComparison:
    """Compare a candidate with the best, paired on the same images, over as many seeds as there are of each.

    It is enough when the upper bound of its difference lies under the margin. Near the margin one seed is not
    enough to say so.

    Args:
        question: the margin is its.
        best_seeds: the best architecture, a candidate a seed.
        seeds: the shallower architecture, likewise.
        strata: the weights of the decision images.
        tested: false once the fixed sequence has stopped; then nothing is shown any more.
    """
    reference, candidate = best_seeds[0], seeds[0]
    difference = paired_difference(mean_hits(best_seeds), mean_hits(seeds), strata)
    distance = abs(difference.value - question.margin)
    contested = len(seeds) == 1 and distance <= CONTESTED * difference.standard_error
    under = difference.upper < question.margin
    margin = margin_text(question.margin)
    if not tested:
        text = "not tested: a deeper architecture had already failed"
    elif under and not contested:
        text = f"shown to be enough: at most {points(difference.upper)} worse, below the {margin}"
    elif under:
        text = f"at most {points(difference.upper)} worse, but too close to the {margin} for one seed"
    elif difference.lower > question.margin:
        text = f"shown to be more than {points(question.margin)} worse"
    else:
        text = f"not shown: it may be up to {points(difference.upper)} worse"
    return PairedComparison(
        candidate=candidate,
        best=reference,
        difference=difference,
        seeds=len(seeds),
        enough=tested and under and not contested,
        not_shown_worse=difference.lower <= question.margin,
        contested=contested,
        images_to_settle=difference.settled_by(question.margin),
        text=text,
    )


def enough(
    question: Question,
    reference: Candidate,
    comparisons: Sequence[PairedComparison],
    resolved: float,
    beyond: str | None,
) -> Verdict:
    """Choose the shallowest that is shown to be enough, and beside it name the shallowest that is not shown worse.

    Args:
        question: the margin and the measure to minimise are its.
        reference: the best candidate.
        comparisons: all smaller candidates against it.
        resolved: the smallest difference that the decision images can tell.
        beyond: the name of the first deeper architecture that was not tried and may be better.
    """
    if not reference.finished:
        return nothing_finished(reference, resolved)

    def measure(candidate: Candidate) -> tuple[int, int]:
        return candidate.architecture.measure(question.minimize)

    shown = [c.candidate for c in comparisons if c.enough]
    chosen = min(shown, key=measure, default=reference)
    open_ = [c for c in comparisons if c.not_shown_worse and measure(c.candidate) < measure(chosen)]
    second = min(open_, key=lambda c: measure(c.candidate), default=None)
    margin = points(question.margin)
    depth = chosen.architecture.depth
    if shown:
        text = f"depth {depth} is deep enough: shown to be within {margin} of the best, {reference.name}"
    elif comparisons:
        text = f"depth {depth} is the most accurate; nothing shallower is shown to be within {margin} of it"
    elif beyond:
        text = f"depth {depth} is the only one trained, so nothing is known about deeper networks"
    else:
        text = f"depth {depth} is deep enough: the shallowest network tried is also the most accurate"
    advice = []
    if second:
        text += f"; depth {second.candidate.architecture.depth} is shown neither to be worse than that nor to be enough"
        advice.append(_doubt(second))
    if beyond:
        advice.append(
            f"the deepest network tried is the best: {beyond} may be better still; "
            "a larger --budget or --time-limit lets the search try it"
        )
    return Verdict(
        chosen=chosen,
        kind=DecisionKind.SHOWN if shown or not (comparisons or beyond) else DecisionKind.BEST,
        second=second.candidate if second else None,
        best=reference,
        resolves=resolved,
        text=text,
        advice=tuple(advice),
        comparisons=tuple(comparisons),
    )


def _doubt(second: PairedComparison) -> str:
    difference, settle = second.difference, second.images_to_settle
    more = f"about {settle:,} would" if settle else "if the difference stays the same, more would not either"
    return (
        f"{second.candidate.name} may be enough too ({points(difference.value)} below the best, bounds "
        f"{100 * difference.lower:.1f} to {100 * difference.upper:.1f}): {difference.images:,} decision images "
        f"cannot show it, {more}"
    )
