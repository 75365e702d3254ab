"""The search for the shallowest network that meets a target."""

from __future__ import annotations

from collections.abc import Callable

from deepenough.search.architectures import Architecture
from deepenough.search.candidates import Candidate
from deepenough.search.early_stopping import Curve
from deepenough.search.question import Role
from deepenough.search.search import Search
from deepenough.search.statistics import one_sided
from deepenough.search.target_rules import against_target
from deepenough.search.verdict import Verdict
from deepenough.training.callbacks import Ending


class TargetSearch(Search):
    """From shallow to deep until an architecture is shown to meet the target, then closing in below it where the
    budget, in trainings of the chosen network, allows."""

    def run(self) -> Verdict:
        target = self.question.target or 0.0
        failed: Candidate | None = None
        passed: Candidate | None = None
        for number, architecture in enumerate(self.search_space):
            if not self.in_time(architecture):
                break
            self.trainer.expect(self.search_space[number:], self.question.seed)
            below = failed.architecture if failed else None
            candidate = self.train(
                architecture,
                bar=target,
                sure=self._surely_meets(target, architecture, below),
                give_up=lambda so_far: so_far.bounds[1] < target,
            )
            if candidate.state is Ending.PAUSED or (candidate.finished and candidate.lower >= target):
                passed = candidate
                break
            failed = candidate
            if self.stalled():
                break
        while failed and passed and (middle := self.between(failed.architecture, passed.architecture)):
            if not self._worth_closing_in(middle, passed.architecture, passed.cost):
                self.note(f"skipped depth {middle.depth}", "training it would exceed the budget")
                break
            candidate = self.train(
                middle, role=Role.BISECTION, bar=target, give_up=lambda so_far: so_far.bounds[1] < target
            )
            if candidate.finished and candidate.lower >= target:
                passed = candidate
            else:
                failed = candidate
        if passed:
            self.finish(passed)
        else:
            self.finish(max(self.tried, key=lambda candidate: candidate.accuracy))
        return against_target(self.question, self.tried, self.trainer.strata, self.resolves())

    def _surely_meets(
        self, target: float, architecture: Architecture, below: Architecture | None
    ) -> Callable[[Curve], bool]:
        """A test of a running training: it already meets the target, and the budget allows a shallower one."""
        middle = below and self.between(below, architecture)
        spent, folds, epochs = self.spent, self.trainer.folds.folds, self.trainer.recipe.epochs

        def sure(curve: Curve) -> bool:
            if middle is None or len(folds) > 1 or len(curve) >= epochs:
                return False
            count = len(folds[0].held_out)
            so_far = self.trainer.planned(architecture, len(curve))
            return one_sided(round(curve[-1].top1 * count), count)[0] >= target and self._worth_closing_in(
                middle, architecture, so_far, spent + so_far
            )

        return sure

    def _worth_closing_in(
        self, middle: Architecture, passed: Architecture, passed_cost: int, spent: int | None = None
    ) -> bool:
        """Tell if the budget holds in both outcomes: the middle passes, or `passed` has to be trained to its end."""
        before = self.spent if spent is None else spent
        cost, full = self.trainer.planned(middle), self.trainer.planned(passed)
        if_it_passes = before + cost <= self.question.budget * cost
        if_it_fails = before + cost + max(0, full - passed_cost) <= self.question.budget * full
        return if_it_passes and if_it_fails and self.trainer.in_time(middle)
