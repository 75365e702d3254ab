"""The rules of a question with a target, as pure functions of the looks at finished candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deepenough.nets import FAMILIES
from deepenough.search.alpha_spending import ALPHA, Look
from deepenough.search.architectures import Architecture
from deepenough.search.candidates import Candidate
from deepenough.search.question import DecisionKind, Measure, Question
from deepenough.search.statistics import images_for_target
from deepenough.search.verdict import (
    AnswerFacts,
    TargetCheck,
    Verdict,
    depth_text,
    depths_text,
    left_out_text,
    most_accurate,
    nothing_finished,
    title_among,
)
from deepenough.training.callbacks import Ending

MORE_IMAGES = "more images of each class; the report shows which classes are confused most"
NOTHING_LEFT = "the looks before it have spent the chance of an error"


@dataclass(frozen=True)
class Untrained:
    """The architectures that a search with a target did not train to an answer, small to large.

    By a short training of the largest of them, those `ruled_out` can't reach the target, but `highest` at most: that
    takes for granted that none of them is more accurate than the largest, which the answer says. Nothing is known of
    `unknown`; `option` is the one that lets the search try more. Nor is anything shown of `left_out`, cuts that are not
    expected to reach the target, by their probes and what fine-tuning gains over these.
    """

    ruled_out: tuple[Architecture, ...] = ()
    unknown: tuple[Architecture, ...] = ()
    left_out: tuple[Architecture, ...] = ()
    highest: float = 0.0
    option: str = "--budget"


def check_target(candidate: Candidate, target: float, look: Look | None) -> TargetCheck:
    """Check a candidate against the target: shown by the look at it, seeming by its accuracy.

    Without a look it has not been trained to its end, and its bound is the plain 95% one.
    """
    value, shown = candidate.accuracy, look is not None and look.shown
    alpha, lower = (look.alpha, look.lower) if look else (ALPHA, candidate.lower)
    seems = look is not None and value >= target
    settle = images_for_target(value, target, 1 - alpha) if alpha > 0 else None
    at_least = f"{lower:.1%} ({1 - alpha:.1%} bound)"
    if look is None:
        text = candidate.why
    elif shown:
        text = f"shown to meet it: at least {at_least}"
    elif seems and alpha == 0:
        text = f"seems to meet it, but {NOTHING_LEFT}"
    elif seems:
        text = f"seems to meet it, but may be as low as {at_least}; {_settled(settle)}"
    else:
        text = f"does not meet it: {value:.1%}"
    return TargetCheck(candidate, value, lower, int(candidate.seen.sum()), shown, seems, settle, text, alpha)


def against_target(
    question: Question, checks: Sequence[TargetCheck], untrained: Untrained, folds: int, resolved: float
) -> Verdict:
    """Choose the smallest that is shown to meet the target, or that seems to, or the best and say what would help.

    Args:
        question: the target and the measure to minimise are its.
        checks: of every candidate tried.
        untrained: the architectures that were not.
        folds: how many decide; with more than one the network that is shipped is another one than those judged.
        resolved: the smallest difference that the decision images can tell.
    """
    checks = sorted(checks, key=lambda c: c.candidate.architecture.measure(question.minimize))
    shown = next((c for c in checks if c.shown), None)
    seems = next((c for c in checks if c.seems), None)
    top = most_accurate([c.candidate for c in checks if c.candidate.finished] or [c.candidate for c in checks])
    answer = shown or seems
    if answer:
        text, advice = _met(question, answer, checks, untrained)
        text += _claimed_of(folds, shown is not None)
    else:
        text, advice = _not_met(question, top, checks, untrained, resolved)
    kind = DecisionKind.SHOWN if shown else DecisionKind.SEEMS if seems else DecisionKind.NOT_MET
    return Verdict(
        chosen=answer.candidate if answer else top,
        kind=kind,
        second=seems.candidate if shown and seems and seems is not shown else None,
        best=top,
        resolves=resolved,
        title=title_among((answer.candidate if answer else top).architecture),
        text=text,
        advice=advice,
        target_checks=tuple(checks),
        facts=_facts(question, answer, checks, untrained),
    )


def _facts(
    question: Question, answer: TargetCheck | None, checks: Sequence[TargetCheck], untrained: Untrained
) -> AnswerFacts:
    """The facts that `_met` or `_not_met` put into words."""
    unknown, tried = untrained.unknown, checks
    if answer:
        size = answer.candidate.architecture.measure(question.minimize)
        tried = [c for c in checks if c.candidate.architecture.measure(question.minimize) < size]
        unknown = tuple(each for each in unknown if not answer.shown or each.measure(question.minimize) < size)
    diverged, cut_short = _ended(tried)
    return AnswerFacts(
        unseen=unknown,
        diverged=tuple(diverged),
        cut_short=tuple(cut_short),
        left_out=untrained.left_out,
        ruled_out=() if answer else untrained.ruled_out,
        highest=untrained.highest,
        option=untrained.option,
        another_family="" if answer or question.weights else next(iter(_other_families(question)), ""),
    )


def _met(
    question: Question, answer: TargetCheck, checks: Sequence[TargetCheck], untrained: Untrained
) -> tuple[str, tuple[str, ...]]:
    """Say that a network is shown to reach the target, or seems to, what is not known of others, and what helps."""
    architecture, target, images = answer.candidate.architecture, question.target or 0.0, f"{answer.images:,} images"
    size, is_depth = architecture.measure(question.minimize), question.minimize is Measure.DEPTH
    name = depth_text(architecture) if is_depth else architecture.name
    name = title_among(architecture) or name
    at_least = f"at least {answer.lower:.1%}, {1 - answer.alpha:.1%} bound"
    gaps = _gaps([c for c in checks if c.candidate.architecture.measure(question.minimize) < size], untrained)
    if not answer.shown:
        return (
            f"{name} seems to reach {target:.1%}: {answer.value:.1%} on {images} "
            f"({at_least if answer.alpha > 0 else NOTHING_LEFT}){gaps}",
            (
                f"{_settled(answer.images_to_settle)}, if its accuracy stays the same",
                *_try_more(untrained.unknown, untrained.option),
            ),
        )
    smaller = [each for each in untrained.unknown if each.measure(question.minimize) < size]
    return (
        f"{name} is {'deep ' * is_depth}enough: shown on {images} to reach {target:.1%} ({at_least}){gaps}",
        _try_more(smaller, untrained.option),
    )


def _gaps(checks: Sequence[TargetCheck], untrained: Untrained) -> str:
    """Name the networks whose training diverged or was cut short, and the cuts that were left out."""
    diverged, cut_short = _ended(checks)
    text = f"; the training of {depths_text(diverged)} diverged" if diverged else ""
    if cut_short:
        text += f"; the training of {depths_text(cut_short)} was ended by the time limit"
    if untrained.left_out:
        text += f"; {left_out_text(untrained.left_out)}"
    return text


def _ended(checks: Sequence[TargetCheck]) -> tuple[list[Architecture], list[Architecture]]:
    """The networks whose training diverged, and those whose training the time limit ended."""
    diverged, cut_short = (
        [c.candidate.architecture for c in checks if c.candidate.state is state]
        for state in (Ending.NOT_FINITE, Ending.OUT_OF_TIME)
    )
    return diverged, cut_short


def _claimed_of(folds: int, shown: bool) -> str:
    """Say of which networks an answer by folds speaks; by a validation split it is the very one that is shipped."""
    if folds == 1:
        return ""
    share = {2: "half", 3: "two thirds", 4: "three quarters"}.get(folds, f"{folds - 1} of {folds} parts")
    return (
        f"; {'shown' if shown else 'measured'} for networks of this kind trained on {share} of the images; the one in "
        "model/ is trained on all of them"
    )


def _not_met(
    question: Question, top: Candidate, checks: Sequence[TargetCheck], untrained: Untrained, resolved: float
) -> tuple[str, tuple[str, ...]]:
    """Say that nothing reached the target, of which depths that is known, which were not tried, and what would help."""
    unknown, ruled_out, gaps = untrained.unknown, untrained.ruled_out, _gaps(checks, untrained)
    best = f"{top.name} with {top.accuracy:.1%}"
    if top.finished:
        nothing = "no network tried reached" if unknown or gaps else "no network reached"
        text = f"{nothing} {question.target or 0.0:.1%}; the best is {best}"
    else:  # which may be above the target so far
        text = (
            f"no training finished, so none is known to reach {question.target or 0.0:.1%}; the best so far is {best}"
        )
    if ruled_out:
        text += (
            f"; {depths_text(ruled_out)} can't be expected to reach it: a short training of the deepest leaves at most "
            f"{untrained.highest:.1%}"
        )
        text += ", and those before it are taken to be no better" if len(ruled_out) > 1 else ""
    if unknown:
        text += f"; {depths_text(unknown)} {_was(unknown)} not tried"
    text += gaps
    if not top.finished:
        return text, nothing_finished(top, resolved).advice
    return text, (*_try_more(unknown, untrained.option), *_what_would_help(question))


def _try_more(unknown: Sequence[Architecture], option: str) -> tuple[str, ...]:
    if not unknown:
        return ()
    more = f"a larger {option} lets the search try {'it' if len(unknown) == 1 else 'them'}"
    return (f"{depths_text(unknown)} {_was(unknown)} not tried; {more}",)


def _was(architectures: Sequence[Architecture]) -> str:
    return "was" if len(architectures) == 1 else "were"


def _settled(images: int | None) -> str:
    return f"{'more' if images is None else f'about {images:,}'} decision images would settle it"


def _other_families(question: Question) -> list[str]:
    return [name for name in FAMILIES if name not in question.families]


def _what_would_help(question: Question) -> tuple[str, ...]:
    if question.weights:
        return (
            MORE_IMAGES,
            "longer fine-tuning (--epochs), or stronger augmentation: --augment standard",
            "weights of a larger network: `deepenough weights list`",
        )
    wider = 2 * max(question.widths)
    others = _other_families(question)
    return (
        MORE_IMAGES,
        "stronger augmentation: --augment strong, and longer training: --epochs",
        f"a wider family: --width {wider:g}" + (f", or another: --family {others[0]}" if others else ""),
        "larger images, if fine detail matters: --size",
    )
