"""The search for the shallowest network that meets a target."""

from __future__ import annotations

from collections.abc import Callable

from deepenough.search import rules as judge
from deepenough.search.architectures import Rung
from deepenough.search.candidates import Candidate
from deepenough.search.early_stopping import Curve
from deepenough.search.rules import Verdict
from deepenough.search.search import Search
from deepenough.search.statistics import one_sided


class TargetSearch(Search):
    """From shallow to deep until a rung is shown to meet the target, then closing in below it where the budget,
    in trainings of the chosen network, allows."""

    def run(self) -> Verdict:
        target = self.question.target or 0.0
        failed: Candidate | None = None
        passed: Candidate | None = None
        for number, rung in enumerate(self.ladder):
            if not self.in_time(rung):
                break
            self.workshop.expect(self.ladder[number:], self.question.seed)
            below = failed.rung if failed else None
            candidate = self.train(
                rung,
                bar=target,
                sure=self._surely_meets(target, rung, below),
                give_up=lambda so_far: so_far.bounds[1] < target,
            )
            if candidate.state == "sure" or (candidate.finished and candidate.lower >= target):
                passed = candidate
                break
            failed = candidate
            if self.stalled():
                break
        while failed and passed and (middle := self.between(failed.rung, passed.rung)):
            if not self._worth_closing_in(middle, passed.rung, passed.cost):
                self.note(f"not closing in on depth {middle.depth}", "it would cost more than the budget allows")
                break
            candidate = self.train(
                middle, role="bisection", bar=target, give_up=lambda so_far: so_far.bounds[1] < target
            )
            if candidate.finished and candidate.lower >= target:
                passed = candidate
            else:
                failed = candidate
        if passed:
            self.finish(passed)
        else:
            self.finish(max(self.tried, key=lambda candidate: candidate.accuracy))
        return judge.against_target(self.question, self.tried, self.workshop.strata, self.resolves())

    def _surely_meets(self, target: float, rung: Rung, below: Rung | None) -> Callable[[Curve], bool]:
        """Whether a rung that still trains already meets the target, with a shallower one left to try in budget."""
        middle = below and self.between(below, rung)
        spent, parts, epochs = self.spent, self.workshop.parts.parts, self.workshop.recipe.epochs

        def sure(curve: Curve) -> bool:
            if middle is None or len(parts) > 1 or len(curve) >= epochs:
                return False
            count = len(parts[0].held_out)
            so_far = self.workshop.planned(rung, len(curve))
            return one_sided(round(curve[-1].top1 * count), count)[0] >= target and self._worth_closing_in(
                middle, rung, so_far, spent + so_far
            )

        return sure

    def _worth_closing_in(self, middle: Rung, passed: Rung, passed_cost: int, spent: int | None = None) -> bool:
        """Whether the budget holds in both outcomes: the middle passes, or `passed` has to be trained to its end."""
        before = self.spent if spent is None else spent
        cost, full = self.workshop.planned(middle), self.workshop.planned(passed)
        if_it_passes = before + cost <= self.question.budget * cost
        if_it_fails = before + cost + max(0, full - passed_cost) <= self.question.budget * full
        return if_it_passes and if_it_fails and self.workshop.in_time(middle)
