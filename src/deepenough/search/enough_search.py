"""The search for the shallowest network that is not worse than the best by more than the margin."""

from __future__ import annotations

from functools import partial

from deepenough.nets.grow import grows
from deepenough.search.architectures import Architecture
from deepenough.search.candidates import Attempt, Candidate, finished
from deepenough.search.enough_rules import compare_seeds, enough
from deepenough.search.question import Role
from deepenough.search.search import STALLED_AFTER, Search
from deepenough.search.statistics import paired_difference
from deepenough.search.verdict import PairedComparison, Verdict, margin_text, most_accurate, points

LOOK_AHEAD = 1 / 4  # share of the epochs that a network grown from its shallower sibling is trained
# A grown network ends 0.2 to 0.5 points under one trained in full (Fashion-MNIST, depths 11 to 35).
GROWN_UNDERSTATES = 0.005


class EnoughSearch(Search):
    """From shallow to deep until deeper stops helping, then from the best down to the shallowest that is enough.
    The budget is a share of training the whole search space."""

    def run(self) -> Verdict:
        self._climb(0)
        while (deeper := self._look_ahead()) is not None:
            self._climb(deeper, forced=True)
        best = most_accurate(finished(self.space_candidates()) or self.space_candidates())
        comparisons: list[PairedComparison] = []
        sequence = [c for c in self.space_candidates() if self.measure(c) < self.measure(best)]
        going = True
        for candidate in sorted(sequence, key=self.measure, reverse=True):
            if going:
                candidate = self.finish(candidate)
            if not candidate.finished:  # it has no predictions for some images, or those of half a training
                going = False
                continue
            comparisons.append(self._compare(best, candidate, tested=going))
            going = going and comparisons[-1].enough
        self._close_in(best, comparisons)
        return enough(self.question, best, comparisons, self.resolves(), self._deeper_unknown(best))

    def _climb(self, first: int, forced: bool = False) -> None:
        """Train architectures from shallow to deep until deeper stops helping, or the budget is spent."""
        for number, architecture in enumerate(self.search_space[first:]):
            if not self._affords(self.trainer.planned(architecture)) and len(self.tried) >= STALLED_AFTER:
                share = (self.spent + self.trainer.planned(architecture)) / self.whole_space
                self.note(
                    f"skipped {architecture.name}",
                    f"the search would then cost {share:.0%} of training the whole search space, "
                    f"over its budget of {self.question.budget:.0%}",
                )
                return
            if not self.in_time(architecture):
                return
            done = finished(self.space_candidates())
            best = most_accurate(done) if done else None
            self.trainer.expect(self.search_space[first + number :], self.question.seed)
            self.train(
                architecture,
                bar=best.accuracy if best else 0.0,
                give_up=partial(self._cannot_gain, best) if best else None,
            )
            best = most_accurate(finished(self.space_candidates()) or self.tried)
            if self._margin_is_out_of_reach(best):
                self.note(
                    "stopped", f"{best.accuracy:.1%} leaves less than the {margin_text(self.question.margin)} to gain"
                )
                return
            if self.stalled() and not (forced and number == 0):
                return

    def _affords(self, cost: int) -> bool:
        """Tell if the budget holds after spending `cost`, with the retraining that follows where folds decide."""
        final = max((self.trainer.retraining(c.architecture) for c in self.tried), default=0)
        return self.spent + cost + final <= self.question.budget * (self.whole_space + final)

    def _margin_is_out_of_reach(self, best: Candidate) -> bool:
        """Tell if so few images are still wrong that nothing deeper can be better by the margin."""
        return best.accuracy > 1 - self.question.margin

    def _cannot_gain(self, best: Candidate, so_far: Candidate) -> bool:
        """True if a deeper candidate, on the images it has predictions for, surely gains less than half the margin."""
        seen = so_far.seen
        difference = paired_difference(best.hits[seen], so_far.hits[seen], so_far.strata)
        return -difference.lower < self.question.margin / 2

    def _look_ahead(self) -> int | None:
        """Grow the next architecture from its shallower sibling and train it briefly, on the first fold.

        It proposes and never decides: where it gains the margin, less what growing understates, the index of
        the architecture to train in full is returned.
        """
        ahead = len([c for c in self.tried if c.role is Role.SEARCH_SPACE])
        parents = finished(self.space_candidates())
        if ahead >= len(self.search_space) or not parents or any(c.role is Role.SCOUT for c in self.tried):
            return None
        architecture, parent, best = self.search_space[ahead], parents[-1], most_accurate(parents)
        if self._margin_is_out_of_reach(best) or not grows(parent.architecture.network, architecture.network):
            return None
        epochs = max(1, round(LOOK_AHEAD * self.trainer.recipe.epochs))
        cost = self.trainer.planned(architecture, epochs) // len(self.trainer.folds.folds)
        if not self._affords(cost) or not self.trainer.in_time(architecture, epochs=epochs):
            return None
        grown = self.keep(
            self.trainer.train_candidate(Attempt(architecture, self.question.seed, Role.SCOUT, epochs, parent))
        )
        gain = grown.accuracy - best.accuracy_on(grown.seen)
        text = (
            f"grown from {parent.name} and trained for {epochs} epoch{'s' * (epochs > 1)}, it is {points(abs(gain))} "
            f"{'above' if gain >= 0 else 'below'} {best.name}"
        )
        if not self._promises_the_margin(grown, best):
            self.note(f"looked ahead at {architecture.name}", f"{text}: going deeper has stopped helping")
            return None
        if not self._affords(self.trainer.planned(architecture)):
            self.note(
                f"looked ahead at {architecture.name}",
                f"{text}: going deeper may help, but training it in full would exceed the budget; raise --budget",
            )
            return None
        self.note(f"looked ahead at {architecture.name}", f"{text}: going deeper may help, so it is trained in full")
        return ahead

    def _promises_the_margin(self, grown: Candidate, best: Candidate) -> bool:
        return grown.accuracy - best.accuracy_on(grown.seen) + GROWN_UNDERSTATES >= self.question.margin

    def _compare(self, best: Candidate, candidate: Candidate, tested: bool) -> PairedComparison:
        """Compare on one seed, and near the margin on a second one, as far as the budget goes."""
        comparison = compare_seeds(self.question, [best], [candidate], self.trainer.strata, tested)
        if not (tested and comparison.contested):
            return comparison
        architectures = [c.architecture for c in (best, candidate) if self._second_seed(c.architecture) is None]
        cost = sum(self.trainer.planned(architecture) for architecture in architectures)
        if not self._affords(cost) or not self.trainer.in_time(*architectures):
            self.note(
                f"no second seed for {candidate.name} and {best.name}",
                "the difference is within two standard errors of the margin, but a second seed would exceed the "
                "budget; the deeper one is kept",
            )
            return comparison
        self.note(
            f"a second seed for {candidate.name} and {best.name}",
            "the difference is within two standard errors of the margin",
        )
        for architecture in architectures:
            self.train(architecture, role=Role.SECOND_SEED, seed=self.question.seed + 1)
        pairs = [
            [c, second] for c in (best, candidate) if (second := self._second_seed(c.architecture)) and second.finished
        ]
        return (
            compare_seeds(self.question, pairs[0], pairs[1], self.trainer.strata, tested)
            if len(pairs) == 2
            else comparison
        )

    def _close_in(self, best: Candidate, comparisons: list[PairedComparison]) -> None:
        """Bisect between the shallowest that is enough and the first that is not, as far as the budget goes."""
        while True:
            failed = next((c.candidate for c in comparisons if not c.enough), None)
            enough = [c.candidate for c in comparisons if c.enough]
            passed = min(enough, key=self.measure) if enough else best
            middle = failed and self.between(failed.architecture, passed.architecture)
            if not middle or any(c.architecture.name == middle.name for c in self.tried):
                return
            cost = self.trainer.planned(middle)
            if not self._affords(cost) or not self.trainer.in_time(middle):
                self.note(f"skipped depth {middle.depth}", "training it would exceed the budget")
                return
            candidate = self.train(middle, role=Role.BISECTION)
            if not candidate.finished:
                return
            comparisons.append(self._compare(best, candidate, tested=True))
            comparisons.sort(key=lambda c: self.measure(c.candidate), reverse=True)

    def _deeper_unknown(self, best: Candidate) -> str | None:
        """The first architecture beyond the tried ones where the best is the deepest tried: deeper might do better."""
        grown = next((c for c in self.tried if c.role is Role.SCOUT), None)
        if self._margin_is_out_of_reach(best) or (grown and not self._promises_the_margin(grown, best)):
            return None
        search_space = self.space_candidates()
        beyond = self.search_space[len(search_space) :]
        return beyond[0].name if beyond and best.name == search_space[-1].name else None

    def _second_seed(self, architecture: Architecture) -> Candidate | None:
        return next(
            (c for c in self.tried if c.role is Role.SECOND_SEED and c.architecture.name == architecture.name), None
        )
