"""The search among the cuts of a pretrained network: the probes have proposed one, fine-tuned networks decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from deepenough.search import rules as judge
from deepenough.search.architectures import Rung
from deepenough.search.candidates import Candidate, Workshop, finished
from deepenough.search.enough_search import EnoughSearch
from deepenough.search.rules import Compared, Question, Verdict, points
from deepenough.search.search import Search
from deepenough.search.statistics import Strata, paired_difference

BETWEEN = 2  # cuts tried between the proposed one and the whole network


class CutSearch(EnoughSearch):
    """The whole network first, then cuts from deep to shallow: some deeper than the proposed one, that one, and the
    next shallower. A cut that is shown to be worse on the folds so far is not trained on the others.

    `ladder` holds every cut, shallow to deep; `proposed` is the number of the one that the probes propose.
    """

    def __init__(
        self,
        question: Question,
        ladder: tuple[Rung, ...],
        workshop: Workshop,
        changed: Callable[[Search], None],
        proposed: int,
    ) -> None:
        super().__init__(question, ladder, workshop, changed)
        self.proposed = proposed

    def run(self) -> Verdict:
        wanted = tried_cuts(self.proposed, len(self.ladder) - 1)
        self.workshop.expect([self.ladder[-1], *(self.ladder[number] for number in wanted)], self.question.seed)
        whole = self.train(self.ladder[-1])
        for place, number in enumerate(wanted):
            self.workshop.expect([self.ladder[each] for each in wanted[place:]], self.question.seed)
            if self.in_time(self.ladder[number]):
                self.train(self.ladder[number], give_up=lambda so_far: self._shown_worse(whole, so_far))
        best = judge.best(finished(self.ladder_candidates()) or self.tried)
        compared: list[Compared] = []
        going = True
        smaller = [c for c in self.ladder_candidates() if self.measure(c) < self.measure(best)]
        for candidate in sorted(smaller, key=self.measure, reverse=True):
            if candidate.finished:
                compared.append(self._compare(best, candidate, tested=going))
            elif candidate.state == "hopeless":
                compared.append(self._compare_seen(best, candidate))
            else:
                going = False
                continue
            going = going and compared[-1].enough
        self._close_in(best, compared)
        verdict = judge.enough(self.question, best, compared, self.resolves(), None)
        if whole.finished and not compared and len(self.ladder) > 1:
            text = f"only the whole network, depth {whole.rung.depth}, was trained, so nothing is known of shorter ones"
            verdict = replace(verdict, kind="best", text=text)
        self._say_what_is_saved(whole, verdict.chosen)
        return verdict

    def between(self, failed: Rung, passed: Rung) -> Rung | None:
        """The cut halfway between two."""
        low, high = self.ladder.index(failed), self.ladder.index(passed)
        middle = (low + high) // 2
        return None if middle in (low, high) else self.ladder[middle]

    def _say_what_is_saved(self, whole: Candidate, chosen: Candidate) -> None:
        """How the whole network compares with a cut that was chosen, and what the cut saves."""
        if chosen is whole or not (whole.finished and chosen.finished):
            return
        lead = paired_difference(whole.hits, chosen.hits, self.workshop.strata)
        saved = (
            f"{1 - getattr(chosen.rung, name) / getattr(whole.rung, name):.0%} of the {label}"
            for name, label in (("parameters", "parameters"), ("macs", "multiply-accumulates"))
        )
        self.note(
            f"{chosen.name} against the whole network",
            f"the cut is {points(-lead.value)} more accurate on the same images "
            f"({points(-lead.upper)} to {points(-lead.lower)}), and saves "
            f"{whole.rung.depth - chosen.rung.depth} layers, {' and '.join(saved)}",
        )

    def _compare_seen(self, best: Candidate, candidate: Candidate) -> Compared:
        """The comparison on those folds that the candidate was trained for."""
        both = best.seen & candidate.seen
        strata = Strata.of(candidate.labels[both], self.question.metric)
        return judge.compare(self.question, [best.only(both)], [candidate.only(both)], strata, tested=True)

    def _shown_worse(self, whole: Candidate, so_far: Candidate) -> bool:
        """Whether the lower bound of the difference from the whole network already lies above the margin."""
        both = whole.seen & so_far.seen
        if not whole.finished or not both.any():
            return False
        strata = Strata.of(so_far.labels[both], self.question.metric)
        return paired_difference(whole.hits[both], so_far.hits[both], strata).lower > self.question.margin


def tried_cuts(proposed: int, last: int) -> list[int]:
    """The cuts that are fine-tuned beside the whole network `last`, deep to shallow.

    >>> tried_cuts(6, 8), tried_cuts(2, 50), tried_cuts(8, 8), tried_cuts(0, 1)
    ([7, 6, 5], [34, 18, 2, 1], [7], [0])
    """
    deeper = {round(place) for place in np.linspace(last, proposed, BETWEEN + 2)} - {last}
    return sorted(number for number in {*deeper, max(proposed, 0), proposed - 1} if 0 <= number < last)[::-1]
