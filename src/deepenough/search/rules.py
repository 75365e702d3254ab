"""The rules of the decision, as pure functions of finished candidates. `statistics` has their statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepenough.nets import FAMILIES
from deepenough.search.candidates import Candidate
from deepenough.search.question import DecisionKind, Question
from deepenough.search.statistics import (
    Difference,
    HitShares,
    Strata,
    images_for_target,
    paired_difference,
    resolution,
    resolved_difference,
)

CONTESTED = 2.0  # standard errors around the margin within which one seed does not decide
MORE_IMAGES = "more images of each class; the report shows which classes are confused most"


@dataclass(frozen=True)
class PairedComparison:
    """A candidate against the best, and whether it is enough."""

    candidate: Candidate
    best: Candidate
    difference: Difference
    seeds: int
    enough: bool
    not_shown_worse: bool
    contested: bool
    images_to_settle: int | None
    text: str


@dataclass(frozen=True)
class TargetCheck:
    """A candidate against the target."""

    candidate: Candidate
    value: float
    lower: float
    images: int
    shown: bool
    seems: bool
    images_to_settle: int | None
    text: str


@dataclass(frozen=True)
class Verdict:
    """The answer, and the comparisons that it rests on."""

    chosen: Candidate
    kind: DecisionKind
    second: Candidate | None
    best: Candidate
    resolves: float
    text: str
    advice: tuple[str, ...] = ()
    comparisons: tuple[PairedComparison, ...] = ()
    target_checks: tuple[TargetCheck, ...] = ()


def points(share: float) -> str:
    """A difference of accuracies in points: 0.012 is "1.2 points"."""
    return f"{100 * share:.1f} points"


def margin_text(margin: float) -> str:
    """The margin as a noun: 0.01 is "1.0-point margin"."""
    return f"{100 * margin:.1f}-point margin"


def most_accurate(candidates: Sequence[Candidate]) -> Candidate:
    """The most accurate on the decision images, the smaller one of equals."""
    return max(candidates, key=lambda candidate: (candidate.accuracy, -candidate.architecture.macs))


def mean_hits(seeds: Sequence[Candidate]) -> HitShares:
    """For every decision image the share of the seeds that are right."""
    return np.asarray(np.mean([candidate.hits for candidate in seeds], axis=0), np.float64)


def resolves(candidates: Sequence[Candidate], strata: Strata) -> float:
    """The smallest paired difference that these images can tell: that of the two best measured, or what is usual."""
    if len(candidates) < 2:
        return resolution(sum(len(member) for member in strata.members))
    return resolved_difference([candidate.hits for candidate in candidates], strata)


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
        return _nothing_finished(reference, resolved)

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


def check_target(candidate: Candidate, target: float) -> TargetCheck:
    """Check a candidate against the target: shown by its one-sided lower bound, seeming by its accuracy."""
    value, lower = candidate.accuracy, candidate.lower
    shown, seems = candidate.finished and lower >= target, candidate.finished and value >= target
    settle = images_for_target(value, target)
    if not candidate.finished:
        text = candidate.why
    elif shown:
        text = f"shown to meet it: at least {lower:.1%}"
    elif seems:
        text = f"seems to meet it, but may be as low as {lower:.1%}; {_settled(settle)}"
    else:
        text = f"does not meet it: {value:.1%}"
    return TargetCheck(candidate, value, lower, int(candidate.seen.sum()), shown, seems, settle, text)


def against_target(question: Question, tried: Sequence[Candidate], strata: Strata, resolved: float) -> Verdict:
    """Choose the shallowest that is shown to meet the target, or that seems to, or the best and say what would help."""
    target = question.target or 0.0
    checks = sorted(
        (check_target(candidate, target) for candidate in tried),
        key=lambda c: c.candidate.architecture.measure(question.minimize),
    )
    shown = next((c for c in checks if c.shown), None)
    seems = next((c for c in checks if c.seems), None)
    top = most_accurate([c.candidate for c in checks if c.candidate.finished] or [c.candidate for c in checks])
    answer = shown or seems
    if answer is None:
        return Verdict(
            chosen=top,
            kind=DecisionKind.NOT_MET,
            second=None,
            best=top,
            resolves=resolved,
            text=f"no network reached {target:.1%}; the best is {top.name} with {top.accuracy:.1%}",
            advice=_what_would_help(question) if top.finished else _nothing_finished(top, resolved).advice,
            target_checks=tuple(checks),
        )
    architecture, count = answer.candidate.architecture, answer.images
    if shown:
        text = (
            f"depth {architecture.depth} is deep enough: shown on {count:,} images to reach {target:.1%} "
            f"(at least {answer.lower:.1%})"
        )
        advice: tuple[str, ...] = ()
    else:
        text = (
            f"depth {architecture.depth} seems to reach {target:.1%}: {answer.value:.1%} on {count:,} images, "
            f"lower bound {answer.lower:.1%}"
        )
        advice = (f"{_settled(answer.images_to_settle)}, if its accuracy stays the same",)
    return Verdict(
        chosen=answer.candidate,
        kind=DecisionKind.SHOWN if shown else DecisionKind.SEEMS,
        second=seems.candidate if shown and seems and seems is not shown else None,
        best=top,
        resolves=resolved,
        text=text,
        advice=advice,
        target_checks=tuple(checks),
    )


def _settled(images: int | None) -> str:
    return f"{'more' if images is None else f'about {images:,}'} decision images would settle it"


def _nothing_finished(reference: Candidate, resolved: float) -> Verdict:
    """The verdict where no training finished: there is no answer, or one that the time limit forced."""
    finite = reference.state != "not finite"
    return Verdict(
        chosen=reference,
        kind=DecisionKind.BEST if finite else DecisionKind.NOT_MET,
        second=None,
        best=reference,
        resolves=resolved,
        text=f"no training finished; {reference.name}: {reference.why}",
        advice=(
            "give it more time: --time-limit" if finite else "a lower learning rate: --lr, or --precision float32",
        ),
    )


def _what_would_help(question: Question) -> tuple[str, ...]:
    if question.weights:
        return (
            MORE_IMAGES,
            "longer fine-tuning (--epochs), or stronger augmentation: --augment standard",
            "weights of a larger network: `deepenough weights list`",
        )
    wider = 2 * max(question.widths)
    others = [name for name in FAMILIES if name not in question.families]
    return (
        MORE_IMAGES,
        "stronger augmentation: --augment strong, and longer training: --epochs",
        f"a wider family: --width {wider:g}" + (f", or another: --family {others[0]}" if others else ""),
        "larger images, if fine detail matters: --size",
    )
