"""The rules of a question without a target, as pure functions of the evidence.

An architecture is enough when it is at most the margin worse than the best of the whole search space. That is shown
when its paired difference from *every* other architecture has a one-sided 95% upper bound below the margin: whichever
is the best, the claim about it is false in at most 5% (an intersection-union test; Berger, Technometrics 24, 1982), so
no selection of a "best" comes in. An architecture that was not looked at is ruled out only where nothing can be better
by the margin. That the smallest of several that are shown is shipped, and that seeds are added in between, is not in
this bound: how often the answer is false all the same, `benchmarks/answer_simulated.py` measures.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepenough.search.accuracy_curve import draw_accuracies, probability_enough, probability_near
from deepenough.search.architectures import Architecture
from deepenough.search.evidence import Evidence, EvidenceTable
from deepenough.search.question import Question
from deepenough.search.reach import smallest_of_each
from deepenough.search.statistics import CONFIDENCE, Difference, z_score
from deepenough.search.verdict import PairedComparison, margin_text, points

CONTESTED = 2.0  # standard errors around the margin within which more seeds may change the answer
ENOUGH_COUNTS = 3.25  # how much being enough counts beside being right or one off, in what is shipped
ABOUT_AS_GOOD = 0.1  # by which one that is shown may be worth less than the one that is worth most
SMALLER_FIRST = 0.2  # by which one may be worth less than a larger one, and is trained before it all the same
CLEARLY_WORSE = 0.025  # error allowed, in all comparisons together, for calling the right answer too small
MOST_SEEDS = 5  # of one architecture


@dataclass(frozen=True)
class Assessment:
    """The evidence weighed: what is shown, what is supported, and what can't be ruled out.

    `looked_at` and the others are sorted from small to large. `probabilities` are those of being enough, `near` those
    of being the smallest that is enough or a neighbour of that. `shown_among` are shown against all that are finished,
    `shown` against the whole search space. `blockers` are, by the name of a finished architecture, those that only had
    a short look which does not rule them out; nothing is known of `unknown`, of which `left_out` can't win by their
    probes. Those in `diverged` have no finished training, since a loss became NaN or infinite. `doubtful` would gain
    from further seeds. `dominated` are the names of finished ones that are smaller ones' inferiors by more than the
    margin, as far as was seen.
    """

    looked_at: tuple[Evidence, ...]
    probabilities: tuple[float, ...]
    near: tuple[float, ...]
    comparisons: tuple[PairedComparison, ...]
    shown: tuple[Evidence, ...]
    shown_among: tuple[Evidence, ...]
    not_ruled_out: tuple[Architecture, ...]
    unknown: tuple[Architecture, ...]
    diverged: tuple[Architecture, ...]
    blockers: Mapping[str, tuple[Evidence, ...]]
    left_out: tuple[Architecture, ...] = ()
    doubtful: tuple[Evidence, ...] = ()
    dominated: frozenset[str] = frozenset()

    @property
    def finished(self) -> list[Evidence]:
        return [each for each in self.looked_at if each.finished]

    @property
    def search_space(self) -> list[Architecture]:
        """All architectures of the question, looked at or not, shallow to deep."""
        return sorted([*(each.architecture for each in self.looked_at), *self.unknown], key=lambda each: each.depth)

    @property
    def wanted(self) -> Evidence:
        """The one that should be trained in full: the one that is most likely right or one off, and where that is
        finished the one that is worth most. May be finished already."""
        likeliest = max(self.looked_at, key=lambda each: self.near[self.looked_at.index(each)])
        return self._worth_most(self.looked_at) if likeliest.finished else likeliest

    @property
    def chosen(self) -> Evidence:
        """The finished one that is worth most to ship; but the smallest that is shown, where it is about as good.

        Never one that a smaller one was seen to be better than by more than the margin, whatever scouts promise.
        """
        best = self._worth_most([each for each in self.finished if each.architecture.name not in self.dominated])
        shown = (self.shown or self.shown_among)[:1]
        return shown[0] if shown and self._worth(shown[0]) >= self._worth(best) - ABOUT_AS_GOOD else best

    @property
    def also_enough(self) -> tuple[Architecture, ...]:
        """Those before the chosen one that are shown among all that are finished, but are less likely to be enough
        beside the scouted ones; none where some are shown against the whole search space."""
        if self.shown:
            return ()
        places = range(self.looked_at.index(self.chosen))
        less_likely = [n for n in places if self.probabilities[n] < self.probabilities[len(places)]]
        shown = [self.looked_at[n].architecture for n in less_likely if self.looked_at[n] in self.shown_among]
        return tuple(each for each in shown if self.blockers[each.name])

    @property
    def beside(self) -> tuple[Architecture, ...]:
        """Those that only had a short look, beside which any of `also_enough` may not be enough."""
        blockers = [each for smaller in self.also_enough for each in self.blockers[smaller.name]]
        return tuple(each.architecture for each in self.looked_at if each in blockers)

    def by_worth(self, architectures: Sequence[Architecture]) -> list[Architecture]:
        """Architectures in the order in which to train them: those that are worth about as much as the best of them, as
        they come, then the others by their worth. What was not looked at is worth nothing."""
        worth = {each.architecture.name: self._worth(each) for each in self.looked_at}
        best = max((worth.get(each.name, 0.0) for each in architectures), default=0.0)
        good = [each for each in architectures if worth.get(each.name, 0.0) >= best - SMALLER_FIRST]
        others = [each for each in architectures if each not in good]
        return good + sorted(others, key=lambda each: worth.get(each.name, 0.0), reverse=True)

    def _worth(self, each: Evidence) -> float:
        """The worth of shipping it: a user wants what is enough, and not much larger than need be."""
        place = self.looked_at.index(each)
        return self.near[place] + ENOUGH_COUNTS * self.probabilities[place]

    def _worth_most(self, among: Sequence[Evidence]) -> Evidence:
        return max(among, key=self._worth)


def assess(
    question: Question,
    table: EvidenceTable,
    search_space: Sequence[Architecture],
    diverged: Collection[str] = (),
) -> Assessment:
    """Weigh the evidence about a search space; at least one architecture of it is finished.

    Args:
        question: the margin and the measure to minimise are its.
        table: the evidence about all that was looked at.
        search_space: what the question is about, with what was not looked at.
        diverged: names of architectures with a training whose loss became NaN or infinite.
    """

    def measure(architecture: Architecture) -> tuple[float, ...]:
        return architecture.measure(question.minimize)

    order = sorted(table.evidence, key=lambda each: measure(each.architecture))
    names = {each.architecture.name for each in order}
    unknown = tuple(architecture for architecture in search_space if architecture.name not in names)
    probabilities, near = _probabilities(question, table, order)
    comparisons = [compare(question, table, each) for each in order if each.finished and len(order) > 1]
    beyond_doubt = {pair.candidate.architecture.name for pair in comparisons if pair.enough}
    among = tuple(e for e in order if e.finished and (e.architecture.name in beyond_doubt or len(order) == 1))
    blockers = {each.architecture.name: _blockers(question, table, each) for each in table.finished}
    shown = tuple(
        each
        for each in among
        if nothing_better(question, search_space, table, each) or not (unknown or blockers[each.architecture.name])
    )
    smallest_shown = measure(shown[0].architecture) if shown else None
    space = sorted([*(each.architecture for each in order), *unknown], key=measure)
    complete = {each.architecture.name for each in table.finished}
    worse = {each.architecture.name for each in order if shown_worse(question, table, each)}
    not_ruled_out = tuple(
        architecture
        for architecture in space
        if architecture.name not in worse and not (smallest_shown and measure(architecture) > smallest_shown)
    )
    found = Assessment(
        looked_at=tuple(order),
        probabilities=probabilities,
        near=near,
        comparisons=tuple(comparisons),
        shown=shown,
        shown_among=among,
        not_ruled_out=not_ruled_out,
        unknown=unknown,
        diverged=tuple(each for each in space if each.name in diverged and each.name not in complete),
        blockers=blockers,
        dominated=_dominated(question, table, order),
    )
    return replace(found, doubtful=_doubtful(question, table, found, worse))


def _probabilities(
    question: Question, table: EvidenceTable, order: Sequence[Evidence]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The probabilities, for each in `order`, to be enough among all that was looked at, and to be the first in that
    order that is, or next to it."""
    values, variances = table.estimates()
    curves = [each.architecture.curve for each in table.evidence]
    places = [table.evidence.index(each) for each in order]
    draws = draw_accuracies(values, variances, curves)[:, places]
    margin = question.margin
    return tuple(probability_enough(draws, margin).tolist()), tuple(probability_near(draws, margin).tolist())


def _dominated(question: Question, table: EvidenceTable, order: Sequence[Evidence]) -> frozenset[str]:
    """The names of finished architectures than which a smaller finished one was better by more than the margin."""
    finished = [each for each in order if each.finished]
    return frozenset(
        each.architecture.name
        for number, each in enumerate(finished)
        if any(table.difference(smaller, each).value > question.margin for smaller in finished[:number])
    )


def _doubtful(
    question: Question, table: EvidenceTable, found: Assessment, worse: Collection[str]
) -> tuple[Evidence, ...]:
    """The finished architectures of which further seeds may change the answer: of those no larger than the chosen one
    that are not shown to be worse, the pairs whose bounds hold the margin, unless the difference is so near to it that
    `MOST_SEEDS` of both could hardly tell."""
    finished = found.finished
    doubtful: dict[Evidence, None] = {}
    for each in finished[: finished.index(found.chosen) + 1]:
        if each.architecture.name in worse:
            continue
        for other in (other for other in finished if other is not each):
            difference = table.difference(other, each)
            undecided = difference.lower < question.margin <= difference.upper
            if undecided and _can_be_told(difference, question.margin, min(each.seeds, other.seeds)):
                doubtful |= {each: None, other: None}
    return tuple(doubtful)


def _can_be_told(difference: Difference, margin: float, seeds: int) -> bool:
    """True if `MOST_SEEDS`, of which there are `seeds`, would tell on which side of the margin a difference of this
    size lies: all of its uncertainty falls with their number, but for what the architectures differ in themselves."""
    left = z_score() * difference.standard_error * math.sqrt(seeds / MOST_SEEDS)
    return abs(difference.value - margin) > left


def _blockers(question: Question, table: EvidenceTable, each: Evidence) -> tuple[Evidence, ...]:
    """The unfinished architectures that are not shown to be better than a finished one by less than the margin."""
    unfinished = [other for other in table.evidence if not other.finished]
    return tuple(other for other in unfinished if table.difference(other, each).upper >= question.margin)


def nothing_better(
    question: Question, search_space: Sequence[Architecture], table: EvidenceTable, each: Evidence
) -> bool:
    """True if a finished architecture is shown to get so few images wrong, whatever its seeds, that none can be better
    by the margin."""
    return table.mistakes(each).upper_at(_confidence_of_each(search_space, table)) < question.margin


def nothing_better_by_seeds(
    question: Question, search_space: Sequence[Architecture], table: EvidenceTable, each: Evidence
) -> bool:
    """True if `MOST_SEEDS` in all, which are as right, would show that."""
    mistakes = table.mistakes(each)
    left = mistakes.standard_error**2 - mistakes.added_variance * (1 - each.seeds / MOST_SEEDS)
    centre = (mistakes.lower + mistakes.upper) / 2
    return centre + z_score(_confidence_of_each(search_space, table)) * math.sqrt(left) < question.margin


def _confidence_of_each(search_space: Sequence[Architecture], table: EvidenceTable) -> float:
    """The confidence of one claim that nothing is better. The architectures that a search trains first share the error,
    or all that are finished where there are more."""
    return 1 - (1 - CONFIDENCE) / max(len(smallest_of_each(search_space)), len(table.finished))


def compare(question: Question, table: EvidenceTable, each: Evidence) -> PairedComparison:
    """Compare an architecture with that other one which leaves the most doubt, a finished one where there is one: the
    one that it may be furthest behind."""
    others = [other for other in table.finished if other is not each] or [o for o in table.evidence if o is not each]
    differences = [table.difference(other, each) for other in others]
    number = int(np.argmax([difference.upper for difference in differences]))
    other, difference = others[number], differences[number]
    under = difference.upper < question.margin
    worse = shown_worse(question, table, each)
    if under and difference.upper < 0:
        text = f"shown to be enough: at least {points(-difference.upper)} better than any other trained in full"
    elif under:
        text = (
            f"shown to be enough: at most {points(difference.upper)} worse than any other trained in full, below the "
        )
        text += margin_text(question.margin)
    elif worse:
        text = f"shown to be more than {points(question.margin)} worse than {other.candidate.name}"
    else:
        text = f"not shown: it may be up to {points(difference.upper)} worse than {other.candidate.name}"
    return PairedComparison(
        candidate=each.candidate,
        best=other.candidate,
        difference=difference,
        seeds=each.seeds,
        enough=under,
        not_shown_worse=not worse,
        contested=abs(difference.value - question.margin) <= CONTESTED * difference.standard_error,
        images_to_settle=difference.settled_by(question.margin),
        text=text,
    )


def shown_worse(question: Question, table: EvidenceTable, each: Evidence, compared: int | None = None) -> bool:
    """Tell if some finished architecture is shown to be better by more than the margin, all comparisons taken in.

    `compared` is the number of architectures that are compared in the end, where more are to come than the table has.
    """
    others = [other for other in table.finished if other is not each]
    confidence = 1 - CLEARLY_WORSE / max(1, (compared or len(table.evidence)) - 1)
    return any(table.difference(other, each).lower_at(confidence) > question.margin for other in others)
