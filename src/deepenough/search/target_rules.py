"""The rules of a question with a target, as pure functions of finished candidates."""

from __future__ import annotations

from collections.abc import Sequence

from deepenough.nets import FAMILIES
from deepenough.search.candidates import Candidate
from deepenough.search.question import DecisionKind, Question
from deepenough.search.statistics import Strata, images_for_target
from deepenough.search.verdict import TargetCheck, Verdict, most_accurate, nothing_finished

MORE_IMAGES = "more images of each class; the report shows which classes are confused most"


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
            advice=_what_would_help(question) if top.finished else nothing_finished(top, resolved).advice,
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
