"""The search among the cuts of a pretrained network: the probes have proposed one, fine-tuned networks decide."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from deepenough.search.architectures import Architecture
from deepenough.search.candidates import Candidate, finished
from deepenough.search.enough_rules import enough
from deepenough.search.enough_search import EnoughSearch
from deepenough.search.statistics import Strata, paired_difference
from deepenough.search.verdict import Verdict, most_accurate, nothing_finished, points

BETWEEN = 2  # cuts tried between the proposed one and the whole network


@dataclass(eq=False)
class CutSearch(EnoughSearch):
    """The whole network first, then cuts from deep to shallow: some deeper than the proposed one, that one, and the
    next shallower. A cut that is shown to be worse on the folds so far is not trained on the others.

    `search_space` holds every cut, shallow to deep; `proposed` is the number of the one that the probes propose.
    """

    proposed: int = field(kw_only=True)

    def run(self) -> Verdict:
        wanted = tried_cuts(self.proposed, len(self.search_space) - 1)
        self.trainer.expect(
            [self.search_space[-1], *(self.search_space[number] for number in wanted)], self.question.seed
        )
        whole = self.train(self.search_space[-1])
        for place, number in enumerate(wanted):
            self.trainer.expect([self.search_space[each] for each in wanted[place:]], self.question.seed)
            if self.in_time(self.search_space[number]):
                self.train(self.search_space[number], give_up=lambda so_far: self._shown_worse(whole, so_far))
        if not finished(self.space_candidates()):
            return nothing_finished(most_accurate(self.tried), self.resolves())
        self._close_in()
        verdict = enough(self.question, self.assessment(), self.resolves())
        self._note_savings(whole, verdict.chosen)
        return verdict

    def between(self, failed: Architecture, passed: Architecture) -> Architecture | None:
        """The cut halfway between two."""
        low, high = self.search_space.index(failed), self.search_space.index(passed)
        middle = (low + high) // 2
        return None if middle in (low, high) else self.search_space[middle]

    def _note_savings(self, whole: Candidate, chosen: Candidate) -> None:
        """Note how a cut that was chosen compares with the whole network, and how much it saves."""
        if chosen is whole or not (whole.finished and chosen.finished):
            return
        loss = paired_difference(whole.hits, chosen.hits, self.trainer.strata)
        saved = (
            f"{1 - getattr(chosen.architecture, name) / getattr(whole.architecture, name):.0%} of the {label}"
            for name, label in (("parameters", "parameters"), ("macs", "multiply-accumulates"))
        )
        self.note(
            f"{chosen.name} against the whole network",
            f"the cut is {points(abs(loss.value))} {'less' if loss.value > 0 else 'more'} accurate on the same images "
            f"(between {100 * -loss.upper:+.1f} and {100 * -loss.lower:+.1f}), and saves "
            f"{whole.architecture.depth - chosen.architecture.depth} layers, {' and '.join(saved)}",
        )

    def _shown_worse(self, whole: Candidate, so_far: Candidate) -> bool:
        """Tell if the lower bound of the difference from the whole network already lies above the margin."""
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
