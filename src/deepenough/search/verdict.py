"""The answer to a question, the comparisons that it rests on, and the words that every answer uses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deepenough.nets.zoo.catalogue import title
from deepenough.search.architectures import Architecture
from deepenough.search.candidates import Candidate
from deepenough.search.question import DecisionKind
from deepenough.search.statistics import Difference, Strata, resolution, resolved_difference


@dataclass(frozen=True)
class PairedComparison:
    """A candidate against the one that it may be furthest behind, `best`, and whether it is enough."""

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
    """A candidate against the target; `lower` is a one-sided bound at the confidence 1 - `alpha`."""

    candidate: Candidate
    value: float
    lower: float
    images: int
    shown: bool
    seems: bool
    images_to_settle: int | None
    text: str
    alpha: float


@dataclass(frozen=True)
class AnswerFacts:
    """The facts of an answer's words that its comparisons don't hold, so that a page can say them in another language.

    Of the architectures in `short_look` to `cut_short` too little is known; `option` lets the search try more.
    Those in `ruled_out` can't be expected to reach the target: a look at the deepest leaves at most `highest`.
    """

    shown: Architecture | None = None  # the smallest that is shown to be enough against the whole search space
    also_enough: tuple[Architecture, ...] = ()  # among those trained in full, and smaller than the chosen one
    beside: tuple[Architecture, ...] = ()  # those with a short look that make these less likely to be enough
    short_look: tuple[Architecture, ...] = ()
    unseen: tuple[Architecture, ...] = ()
    left_out: tuple[Architecture, ...] = ()  # cuts that can't win by their probes and what fine-tuning gains
    diverged: tuple[Architecture, ...] = ()
    cut_short: tuple[Architecture, ...] = ()  # by the time limit
    ruled_out: tuple[Architecture, ...] = ()
    highest: float = 0.0
    option: str = ""
    another_family: str = ""  # that may do better where no network reached the target


@dataclass(frozen=True)
class Verdict:
    """The answer, and the comparisons that it rests on.

    `not_ruled_out` names the architectures that can't be ruled out as the smallest that is enough, small to large; it
    holds that one in 95% of questions.
    """

    chosen: Candidate
    kind: DecisionKind
    second: Candidate | None
    best: Candidate
    resolves: float
    text: str
    title: str = ""  # of the chosen network, where several pretrained ones were asked
    advice: tuple[str, ...] = ()
    not_ruled_out: tuple[str, ...] = ()
    comparisons: tuple[PairedComparison, ...] = ()
    target_checks: tuple[TargetCheck, ...] = ()
    facts: AnswerFacts = AnswerFacts()


def points(share: float) -> str:
    """A difference of accuracies in points: 0.012 is "1.2 points"."""
    return f"{100 * share:.1f} points"


def margin_text(margin: float) -> str:
    """The margin as a noun: 0.01 is "1.0-point margin"."""
    return f"{100 * margin:.1f}-point margin"


def depth_text(architecture: Architecture) -> str:
    """Name a network by its depth, and by its teacher where it has one: depth 3 (distilled from residual-19)."""
    distilled = f" (distilled from {architecture.teacher.name})" if architecture.teacher else ""
    return f"depth {architecture.depth}{distilled}"


def depths_text(architectures: Sequence[Architecture]) -> str:
    """Name architectures by their depths, and by their names where they differ in more.

    Three and more in a row are a range: depth 3; depths 3 and 7; depths 3 to 19 and 67. The blocks of neighbours double
    in a family; cuts are numbered.
    """
    curves = list(dict.fromkeys(each.curve for each in architectures))
    if any(each.one_of_several for each in architectures) and not any(each.teacher for each in architectures):
        return _listed([_cuts_text([each for each in architectures if each.curve == curve]) for curve in curves])
    if len(curves) > 1:
        return _listed([each.name for each in architectures])
    words = []
    for row in _neighbours(architectures):
        words += [f"{row[0].depth} to {row[-1].depth}"] if len(row) > 2 else [str(each.depth) for each in row]
    return f"depth{'s' * (len(architectures) > 1)} {_listed(words)}"


def left_out_text(architectures: Sequence[Architecture]) -> str:
    """Name the cuts that a search left out for their probes and what fine-tuning gains over these."""
    were, none = ("was", "it") if len(architectures) == 1 else ("were", "none of them")
    return (
        f"{depths_text(architectures)} {were} left out, since by the probes and what fine-tuning gains {none} would "
        f"{'not ' * (len(architectures) == 1)}be the answer"
    )


def _neighbours(architectures: Sequence[Architecture]) -> list[list[Architecture]]:
    """Architectures of one family in rows of neighbours."""
    rows: list[list[Architecture]] = []
    for each in sorted(architectures, key=lambda each: each.blocks):
        last = rows[-1][-1].blocks if rows else None
        if last is not None and (each.blocks == last + 1 or (each.blocks == 2 * last and not each.place)):
            rows[-1].append(each)
        else:
            rows.append([each])
    return rows


def _cuts_text(cuts: Sequence[Architecture]) -> str:
    """Name cuts of one network by their places: SqueezeNet 1.1 after conv1 and fire4 to fire8."""
    words = []
    for row in _neighbours(cuts):
        words += [f"{row[0].place} to {row[-1].place}"] if len(row) > 2 else [each.place for each in row]
    return f"{title(cuts[0].family)} after {_listed(words)}"


def title_among(architecture: Architecture) -> str:
    """A network in words, where its depth does not tell it among several pretrained ones; else nothing."""
    return architecture.title if architecture.one_of_several else ""


def _listed(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}" if len(words) > 1 else words[0]


def most_accurate(candidates: Sequence[Candidate]) -> Candidate:
    """The most accurate on the decision images, the smaller one of equals."""
    return max(candidates, key=lambda candidate: (candidate.accuracy, -candidate.architecture.macs))


def resolves(candidates: Sequence[Candidate], strata: Strata) -> float:
    """The smallest paired difference that these images can tell: that of the two best measured, or what is usual."""
    if len(candidates) < 2:
        return resolution(sum(len(member) for member in strata.members))
    return resolved_difference([candidate.hits for candidate in candidates], strata)


def nothing_finished(reference: Candidate, resolved: float) -> Verdict:
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
