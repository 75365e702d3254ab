"""The rules of the decision, as pure functions of finished candidates. `statistics` has their statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from deepenough.nets import FAMILIES
from deepenough.search.candidates import Candidate
from deepenough.search.statistics import (
    Difference,
    Hits,
    Strata,
    images_for_target,
    paired_difference,
    resolution,
    z_score,
)

CONTESTED = 2.0  # standard errors around the margin within which one seed does not decide


@dataclass(frozen=True)
class Question:
    """What the user asked. `budget` bounds the search: with a target in trainings of the chosen network, without
    one as a share of training the whole search space."""

    target: float | None = None
    margin: float = 0.01
    metric: str = "top1"
    minimize: str = "depth"
    families: tuple[str, ...] = ("residual",)
    widths: tuple[float, ...] = (1.0,)
    budget: float = 0.5
    seed: int = 0
    weights: str | None = None  # of the pretrained network that is cut, if any


@dataclass(frozen=True)
class Compared:
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
class Checked:
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
    """The answer. `kind` is "shown", "seems", "not met", or "best" where nothing shallower is shown to be enough."""

    chosen: Candidate
    kind: str
    second: Candidate | None
    best: Candidate
    resolves: float
    text: str
    advice: tuple[str, ...] = ()
    compared: tuple[Compared, ...] = field(default=())
    checked: tuple[Checked, ...] = field(default=())


def points(share: float) -> str:
    """A difference of accuracies in points: 0.012 is "1.2 points"."""
    return f"{100 * share:.1f} points"


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The most accurate on the decision images, the smaller one of equals."""
    return max(candidates, key=lambda candidate: (candidate.accuracy, -candidate.architecture.macs))


def mean_hits(seeds: Sequence[Candidate]) -> Hits:
    """For every decision image the share of the seeds that are right."""
    return np.asarray(np.mean([candidate.hits for candidate in seeds], axis=0), np.float64)


def resolves(candidates: Sequence[Candidate], strata: Strata) -> float:
    """The smallest paired difference that these images can tell: that of the two best measured, or what is usual."""
    top = sorted(candidates, key=lambda candidate: candidate.accuracy)[-2:]
    if len(top) < 2:
        return resolution(sum(len(member) for member in strata.members))
    return z_score() * paired_difference(top[1].hits, top[0].hits, strata).standard_error


def compare(
    question: Question,
    best_seeds: Sequence[Candidate],
    seeds: Sequence[Candidate],
    strata: Strata,
    tested: bool,
) -> Compared:
    """A candidate against the best, paired on the same images, over as many seeds as there are of each.

    It is enough when the upper bound of its difference lies under the margin. Near the margin one seed is not
    enough to say so. `tested` is false once the fixed sequence has stopped: then nothing is shown any more.
    """
    reference, candidate = best_seeds[0], seeds[0]
    difference = paired_difference(mean_hits(best_seeds), mean_hits(seeds), strata)
    distance = abs(difference.value - question.margin)
    contested = len(seeds) == 1 and distance <= CONTESTED * difference.standard_error
    under = difference.upper < question.margin
    margin = points(question.margin)
    if not tested:
        text = "not tested: the sequence had stopped at a deeper architecture"
    elif under and not contested:
        text = f"shown to be enough: at most {points(difference.upper)} worse, less than {margin}"
    elif under:
        text = f"at most {points(difference.upper)} worse, but too near {margin} for one seed"
    elif difference.lower > question.margin:
        text = f"shown to be worse by more than {margin}"
    else:
        text = f"not shown: it may be up to {points(difference.upper)} worse"
    return Compared(
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
    compared: Sequence[Compared],
    resolved: float,
    beyond: str | None,
) -> Verdict:
    """The shallowest that is shown to be enough, and beside it the shallowest that is not shown worse."""

    if not reference.finished:
        return _nothing_finished(reference, resolved)

    def measure(candidate: Candidate) -> tuple[int, int]:
        return candidate.architecture.measure(question.minimize)

    shown = [c.candidate for c in compared if c.enough]
    chosen = min(shown, key=measure, default=reference)
    open_ = [c for c in compared if c.not_shown_worse and measure(c.candidate) < measure(chosen)]
    second = min(open_, key=lambda c: measure(c.candidate), default=None)
    margin = points(question.margin)
    depth = chosen.architecture.depth
    if shown:
        text = f"depth {depth} is deep enough: shown to be within {margin} of the best, {reference.name}"
    elif compared:
        text = f"depth {depth} is the most accurate; nothing shallower is shown to be within {margin} of it"
    elif beyond:
        text = f"depth {depth} is all that was tried, so nothing is known of deeper ones"
    else:
        text = f"depth {depth} is deep enough: the shallowest that was tried is the most accurate"
    advice = []
    if second:
        otherwise = "if the difference stays what it is, more of them would not show it to be enough"
        more = _settled(second.images_to_settle, otherwise)
        text += f"; depth {second.candidate.architecture.depth} is not shown to be worse than that, nor to be enough"
        advice.append(
            f"whether {second.candidate.name} would do ({points(second.difference.value)} less, "
            f"{points(second.difference.lower)} to {points(second.difference.upper)}): there are "
            f"{second.difference.images:,} decision images, {more}"
        )
    if beyond:
        advice.append(
            f"the deepest that was tried is the best: {beyond} may be better still; "
            "a larger --budget or --time-limit tries it"
        )
    return Verdict(
        chosen=chosen,
        kind="shown" if shown or not (compared or beyond) else "best",
        second=second.candidate if second else None,
        best=reference,
        resolves=resolved,
        text=text,
        advice=tuple(advice),
        compared=tuple(compared),
    )


def check(candidate: Candidate, target: float) -> Checked:
    """A candidate against the target: shown by its one-sided lower bound, seeming by its accuracy."""
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
    return Checked(candidate, value, lower, int(candidate.seen.sum()), shown, seems, settle, text)


def against_target(question: Question, tried: Sequence[Candidate], strata: Strata, resolved: float) -> Verdict:
    """The shallowest that is shown to meet the target, or that seems to, or the best and what would help."""
    target = question.target or 0.0
    checked = sorted(
        (check(candidate, target) for candidate in tried),
        key=lambda c: c.candidate.architecture.measure(question.minimize),
    )
    shown = next((c for c in checked if c.shown), None)
    seems = next((c for c in checked if c.seems), None)
    top = best([c.candidate for c in checked if c.candidate.finished] or [c.candidate for c in checked])
    answer = shown or seems
    if answer is None:
        return Verdict(
            chosen=top,
            kind="not met",
            second=None,
            best=top,
            resolves=resolved,
            text=f"no network reached {target:.1%}; the best is {top.name} with {top.accuracy:.1%}",
            advice=_what_would_help(question) if top.finished else _nothing_finished(top, resolved).advice,
            checked=tuple(checked),
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
            f"at least {answer.lower:.1%}"
        )
        advice = (f"{_settled(answer.images_to_settle)}, if its accuracy stays what it is",)
    return Verdict(
        chosen=answer.candidate,
        kind="shown" if shown else "seems",
        second=seems.candidate if shown and seems and seems is not shown else None,
        best=top,
        resolves=resolved,
        text=text,
        advice=advice,
        checked=tuple(checked),
    )


def _settled(images: int | None, otherwise: str = "more decision images would settle it") -> str:
    return otherwise if images is None else f"about {images:,} decision images would settle it"


def _nothing_finished(reference: Candidate, resolved: float) -> Verdict:
    """Not one network came to the end of its training: there is no answer, or one that the time limit made."""
    finite = reference.state != "not finite"
    return Verdict(
        chosen=reference,
        kind="best" if finite else "not met",
        second=None,
        best=reference,
        resolves=resolved,
        text=f"no network was trained to its end; {reference.name}: {reference.why}",
        advice=("more time: --time-limit",) if finite else ("a lower learning rate: --lr, or --precision float32",),
    )


def _what_would_help(question: Question) -> tuple[str, ...]:
    if question.weights:
        return (
            "more images of each class; see the report for the classes that are mistaken most",
            "longer fine-tuning (--epochs), or stronger augmentation: --augment standard",
            "weights of a larger network: `deepenough weights list`",
        )
    wider = 2 * max(question.widths)
    others = [name for name in FAMILIES if name not in question.families]
    return (
        "more images of each class; see the report for the classes that are mistaken most",
        "stronger augmentation: --augment strong, and longer training: --epochs",
        f"a wider family: --width {wider:g}" + (f", or another: --family {others[0]}" if others else ""),
        "larger images, where detail decides: --size",
    )
