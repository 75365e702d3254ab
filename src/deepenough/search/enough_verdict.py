"""The answer to a question without a target, in words: what the weighed evidence comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from deepenough.search.architectures import Architecture
from deepenough.search.enough_rules import Assessment
from deepenough.search.evidence import Evidence
from deepenough.search.question import DecisionKind, Measure, Question
from deepenough.search.verdict import (
    AnswerFacts,
    PairedComparison,
    Verdict,
    depth_text,
    depths_text,
    left_out_text,
    points,
    title_among,
)

SMALLEST_OF = {
    Measure.DEPTH: "shallowest",
    Measure.PARAMETERS: "network with the fewest parameters",
    Measure.MACS: "network with the fewest multiply-accumulates",
    Measure.LATENCY: "fastest network",
}


def enough(question: Question, found: Assessment, resolved: float) -> Verdict:
    """Give the answer, with the words for it."""
    chosen = found.chosen
    best = max(found.finished, key=lambda each: (each.accuracy, -each.architecture.macs))
    size = chosen.architecture.measure(question.minimize)
    smaller = [architecture for architecture in found.not_ruled_out if architecture.measure(question.minimize) < size]
    second = next((e for e in found.finished if smaller and e.architecture.name == smaller[0].name), None)
    kind = _kind(found, chosen, best)
    advice = []
    pair = next((p for p in found.comparisons if p.candidate is chosen.candidate), None)
    doubt = next((p for p in found.comparisons if second and p.candidate is second.candidate), None)
    if kind is DecisionKind.SEEMS and pair:
        advice.append(_doubt(question, pair))
    if doubt and not doubt.enough:
        advice.append(_doubt(question, doubt))
    if found.also_enough:
        advice.append(_less_likely(found))
    more = replace(found, unknown=tuple(each for each in found.unknown if each not in found.left_out), left_out=())
    if kind is not DecisionKind.SHOWN and _open(more) and not found.shown:  # or else nothing larger was needed
        what = "a larger --budget or --time-limit lets the search train more of them in full"
        if found.diverged:
            what = f"a lower --lr or --precision float32 may train what diverged, {what}"
        advice.append(f"{_open(more)}; {what}")
    if kind in (DecisionKind.SEEMS, DecisionKind.BEST) and found.left_out:  # the text of other kinds names them
        advice.append(left_out_text(found.left_out))
    return Verdict(
        chosen=chosen.candidate,
        kind=kind,
        second=second.candidate if second else None,
        best=best.candidate,
        resolves=resolved,
        title=title_among(chosen.architecture),
        text=_text(question, found, kind, pair),
        advice=tuple(advice),
        comparisons=found.comparisons,
        not_ruled_out=tuple(architecture.name for architecture in found.not_ruled_out),
        facts=AnswerFacts(
            shown=found.shown[0].architecture if found.shown else None,
            also_enough=found.also_enough,
            beside=found.beside,
            short_look=_short_look(found),
            unseen=_unseen(found),
            left_out=found.left_out,
            diverged=found.diverged,
        ),
    )


def _subject(architecture: Architecture) -> str:
    """The network that an answer is about: its depth, which tells it among those of one kind, or its name and that."""
    name, depth = title_among(architecture), depth_text(architecture)
    return f"{name} ({depth})" if name else depth


def _kind(found: Assessment, chosen: Evidence, best: Evidence) -> DecisionKind:
    if chosen in found.shown:
        return DecisionKind.SHOWN
    if chosen in found.shown_among and len(found.finished) > 1:
        return DecisionKind.AMONG
    return DecisionKind.BEST if chosen is best else DecisionKind.SEEMS


def _text(question: Question, found: Assessment, kind: DecisionKind, pair: PairedComparison | None) -> str:
    depth, margin = _subject(found.chosen.architecture), points(question.margin)
    space = found.search_space
    everything = depths_text([each.architecture for each in found.looked_at])
    finished = depths_text([each.architecture for each in found.finished])
    if pair is None:
        if kind is not DecisionKind.SHOWN:
            others = "deeper networks" if space[0] is found.chosen.architecture else "other depths"
            alone = (
                f"the only one trained to its end, since {_diverged(found)}"
                if found.diverged
                else "the only one trained"
            )
            return f"{depth} is {alone}, so nothing is known about {others}"
        if len(space) == 1:
            return f"{depth} is the only one in the search space, so there was nothing to compare it with"
        return f"{depth} is enough: there is nothing deeper to look at, or nothing to gain from it"
    if kind is DecisionKind.SHOWN and _open(found):
        text = f"{depth} is deep enough: so few images are wrong that nothing can be better by {margin}"
    elif kind is DecisionKind.SHOWN:
        text = f"{depth} is deep enough: shown to be within {margin} of the best of {everything}"
    elif kind is DecisionKind.AMONG:
        text = f"{depth} is enough among {finished}: shown to be within {margin} of the best of them; {_open(found)}"
    elif kind is DecisionKind.SEEMS:
        text = (
            f"{depth} seems deep enough, but may be up to {points(pair.difference.upper)} worse than {pair.best.name}"
        )
    else:
        text = f"{depth} is the most accurate"
        text += "" if found.shown else f"; no network is shown to be within {margin} of the best"
    if kind is not DecisionKind.SHOWN and found.shown:
        text += f"; {depths_text([found.shown[0].architecture])} is shown to be enough"
    if len(found.not_ruled_out) > 1:
        smallest = f"the {SMALLEST_OF[question.minimize]} that is enough"
        text += f"; {smallest} is one of {depths_text(found.not_ruled_out)} (95% confidence)"
    return text


def _open(found: Assessment) -> str:
    """Name the architectures of which too little is known to rule them out, and why."""
    short, unseen = _short_look(found), _unseen(found)
    parts = [f"{depths_text(short)} only had a short look, which can't rule {_them(short)} out"] if short else []
    if unseen:
        parts.append(f"{depths_text(unseen)} {_were(unseen)} not looked at")
    if found.left_out:
        parts.append(left_out_text(found.left_out))
    if found.diverged:
        parts.append(_diverged(found))
    return " and ".join(parts)


def _short_look(found: Assessment) -> tuple[Architecture, ...]:
    blockers = (each.architecture for each in found.blockers[found.chosen.architecture.name])
    return tuple(each for each in blockers if each not in found.diverged)


def _unseen(found: Assessment) -> tuple[Architecture, ...]:
    return tuple(each for each in found.unknown if each not in found.diverged and each not in found.left_out)


def _less_likely(found: Assessment) -> str:
    """Say why a network is shipped though smaller ones are enough among those trained in full."""
    smaller, others = found.also_enough, found.beside
    return (
        f"{depths_text(smaller)} {'are' if len(smaller) > 1 else 'is'} shown to be enough among those trained in full, "
        f"but less likely than {_subject(found.chosen.architecture)} to be so beside {depths_text(others)}"
    )


def _diverged(found: Assessment) -> str:
    return f"the training of {depths_text(found.diverged)} diverged"


def _were(architectures: Sequence[Architecture]) -> str:
    return "were" if len(architectures) > 1 else "was"


def _them(architectures: Sequence[Architecture]) -> str:
    return "them" if len(architectures) > 1 else "it"


def _doubt(question: Question, pair: PairedComparison) -> str:
    difference, settle = pair.difference, pair.images_to_settle
    more = f"about {settle:,} would" if settle else "if the difference stays the same, more would not either"
    return (
        f"{pair.candidate.name} is {points(abs(difference.value))} {'below' if difference.value >= 0 else 'above'} "
        f"{pair.best.name} (bounds {100 * difference.lower:.1f} to {100 * difference.upper:.1f}): "
        f"{difference.images:,} decision images can't show it to be within {points(question.margin)}, {more}"
    )
