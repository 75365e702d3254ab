"""The search for the smallest network that meets a target."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from deepenough.nets.grow import grows
from deepenough.search.alpha_spending import AlphaSpending, Look
from deepenough.search.architectures import Architecture
from deepenough.search.candidates import Attempt, Candidate, finished
from deepenough.search.early_stopping import Curve
from deepenough.search.question import Role
from deepenough.search.scouts import highest_accuracy, scout_epochs
from deepenough.search.search import Search
from deepenough.search.statistics import one_sided, z_score
from deepenough.search.target_rules import Untrained, against_target, check_target
from deepenough.search.verdict import TargetCheck, Verdict, depths_text, most_accurate
from deepenough.training.callbacks import Ending

STALLED_AFTER = 2  # architectures in a row that gain less than half the margin: deeper has stopped helping

MOST_DISTILLED = 2  # networks that learn from a teacher: each is another look at the target

Variant = tuple[str, float]  # family and width


@dataclass(eq=False)
class TargetSearch(Search):
    """From shallow to deep until an architecture is shown to meet the target, then closing in below it where the
    budget, in trainings of the chosen network, allows.

    Where the climb stalls, a scout looks at the deepest. The search ends only if that can't reach the target, or where
    the budget can't pay for another architecture even if it turned out to be the one.
    """

    spending: AlphaSpending = field(init=False)
    looks: dict[str, Look] = field(default_factory=dict, init=False)  # by the candidates' names
    scouted: dict[Variant, float] = field(default_factory=dict, init=False)  # the accuracy that they may reach at most
    short_of: str = field(default="--budget", init=False)  # the option that ended the climb

    def __post_init__(self) -> None:
        folds = len(self.trainer.folds.folds)
        self.spending = AlphaSpending(self.target, self.trainer.strata, folds if folds > 1 else 0)

    @property
    def target(self) -> float:
        return self.question.target or 0.0

    def run(self) -> Verdict:
        while (passed := self._climb()) is not None:
            passed = self.finish(self._close_in(passed))
            if self._is_shown(passed):
                break
        else:
            passed = self.finish(max(self._candidates(), key=lambda candidate: candidate.accuracy))
        if self._is_shown(passed):
            self._distill(passed)
        else:
            self.note_nothing_distilled("no network is shown to meet the target")
        return against_target(
            self.question, self._checks(), self._untrained(), len(self.trainer.folds.folds), self.resolves()
        )

    def _climb(self) -> Candidate | None:
        """Go on from small to large until an architecture meets the target; None where the climb ends before."""
        while (architecture := self._next()) is not None:
            self.trainer.expect(self._ahead(architecture), self.question.seed)
            candidate = self.train(
                architecture, bar=self.target, sure=self._surely_meets(architecture), give_up=self._is_below
            )
            if candidate.state is Ending.PAUSED or self._is_shown(candidate):
                return candidate
        return None

    def _next(self) -> Architecture | None:
        """The next architecture of the climb, or None where it ends."""
        beyond = self._beyond()
        if not beyond:
            return None
        if self.scouted or self._has_stalled():
            for variant in dict.fromkeys(map(_variant, beyond)):
                self._scout([each for each in beyond if _variant(each) == variant])
            left = self._beyond()
            beyond = [each for each in left if self._affords(each)]
            if not beyond:
                self._note_end(left)
                return None
        if self.in_time(beyond[0]):
            return beyond[0]
        self.short_of = "--time-limit"
        return None

    def _beyond(self) -> list[Architecture]:
        """The architectures larger than all that were tried, but those that scouts have ruled out."""
        names = {candidate.architecture.name for candidate in self.space_candidates()}
        tried = [number for number, each in enumerate(self.search_space) if each.name in names]
        first = 1 + max(tried) if tried else 0
        return [each for each in self.search_space[first:] if not self._is_ruled_out(each)]

    def _ahead(self, architecture: Architecture) -> list[Architecture]:
        """The architectures that may be trained ahead where there is room, the next one first."""
        return [architecture, *(each for each in self._beyond() if each != architecture)]

    def _is_ruled_out(self, architecture: Architecture) -> bool:
        return self.scouted.get(_variant(architecture), math.inf) < self._needed()

    def _has_stalled(self) -> bool:
        """Tell if the latest architectures together gained less than half the margin over the best before them."""
        tried = self.space_candidates()
        patience = STALLED_AFTER * len({_variant(architecture) for architecture in self.search_space})
        if len(tried) <= patience:
            return False
        best = most_accurate(tried[:-patience])
        return all(accuracy_gain(candidate, best) <= self.question.margin / 2 for candidate in tried[-patience:])

    def _scout(self, beyond: Sequence[Architecture]) -> None:
        """Train the deepest of one family and width briefly, grown from the largest finished one that it can grow from.

        One scout a family and width, and only where the budget would then allow to train that network in full.
        """
        deepest, parents = beyond[-1], finished(self.space_candidates())
        able = [c for c in parents if grows(c.architecture.network, deepest.network)]
        epochs = scout_epochs(self.trainer.recipe.epochs)
        cost = self.trainer.planned_scout(deepest, epochs)
        if (
            _variant(deepest) in self.scouted
            or not able
            or not self._affords(deepest, cost)
            or not self.trainer.in_time(deepest, epochs=epochs)
        ):
            return
        parent = max(able, key=self.measure)
        scout = self.keep(
            self.trainer.train_candidate(Attempt(deepest, self.question.seed, Role.SCOUT, epochs, parent))
        )
        if not scout.finished:  # what it may reach is not known
            self.scouted[_variant(deepest)] = math.inf
            return
        highest = self.scouted[_variant(deepest)] = highest_accuracy(scout)
        out = self._is_ruled_out(deepest)
        self.note(
            f"looked ahead at {deepest.name}",
            f"grown from {parent.name} and trained for {epochs} epoch{'s' * (epochs > 1)}, it may reach at most "
            f"{highest:.1%} in full: {'deeper networks are ruled out' if out else 'going deeper may help'}",
            parent=parent.name,
            epochs=epochs,
            highest=highest,
            ruled_out=out,
        )

    def _needed(self) -> float:
        """The accuracy that a deeper network needs to change the answer: to seem to reach the target, or where one
        already does, to be shown to."""
        if not any(c.finished and c.accuracy >= self.target for c in self._candidates()):
            return self.target
        error = math.sqrt(self.target * (1 - self.target) / sum(map(len, self.trainer.strata.members)))
        return self.target + z_score() * error

    def _note_end(self, left: Sequence[Architecture]) -> None:
        """Note why the climb ends before the last architecture: a look ahead ruled out what follows, or the budget."""
        ruled_out = self._untrained().ruled_out
        reasons = [f"{depths_text(ruled_out)} can't be expected to reach the target"] if ruled_out else []
        if left:
            reasons.append(f"training {depths_text(left)} in full would exceed the budget")
        self.note(
            "stopped",
            " and ".join(reasons),
            ruled_out=[each.name for each in ruled_out],
            too_dear=[each.name for each in left],
        )

    def _affords(self, architecture: Architecture, before: int = 0) -> bool:
        """Tell if the budget holds where `before` more is spent first and this architecture is then the chosen one."""
        cost = self.trainer.planned(architecture)
        return self.spent + before + cost <= self.question.budget * cost

    def _is_below(self, so_far: Candidate) -> str:
        """The reason to leave a candidate at the folds so far, if they show it to miss the target."""
        done = f"ended after {len(so_far.trainings)} of {len(self.trainer.folds.folds)} folds"
        return f"{done}: shown to miss the target" if so_far.bounds[1] < self.target else ""

    def _is_shown(self, candidate: Candidate, passed: Candidate | None = None) -> bool:
        """Look at a candidate that is trained to its end, once: is it shown to meet the target?"""
        if not candidate.finished:
            return False
        if candidate.name not in self.looks:
            following = self._students_left()
            if candidate.role is not Role.DISTILLED:
                following += self._following(candidate.architecture, passed)
            self.looks[candidate.name] = self.spending.look(candidate.hits, following)
        return self.looks[candidate.name].shown

    def _following(self, architecture: Architecture, passed: Candidate | None = None) -> int:
        """The most looks that may come after this one fails: at larger networks, and before them, while closing in
        below one that `passed`, at those between, and at that one itself if it was paused."""
        if passed is None:
            return sum(self._size(each) > self._size(architecture) for each in self.search_space)
        closing_in, middle = 0, architecture
        while (next_middle := self.between(middle, passed.architecture)) is not None:
            closing_in, middle = closing_in + 1, next_middle
        return closing_in + (0 if passed.name in self.looks else 1 + self._following(passed.architecture))

    def _students_left(self) -> int:
        """The most looks at networks that learn from a teacher, which come after all others."""
        return MOST_DISTILLED - len(self.distilled()) if self.question.distill else 0

    def _distill(self, passed: Candidate) -> None:
        """Have the networks that are smaller than the one that meets the target learn from the best, from large to
        small, each only once the one before is shown to meet the target."""
        best = self.teacher()
        teacher, smallest = best.architecture, min(passed, best, key=self.measure)
        smaller = [
            each
            for each in self._candidates()
            if self.measure(each) < self.measure(smallest) and each.architecture.can_learn_from(teacher)
        ]
        if not smaller:
            self.note_no_student(smallest)
        for candidate in sorted(smaller, key=self.measure, reverse=True)[: self._students_left()]:
            student = candidate.architecture.distilled_from(teacher)
            if self.spent + self.trainer.planned(student) > self.question.budget * self.trainer.planned(
                passed.architecture
            ):
                self.note(f"skipped {student.name}", "training it would exceed the budget")
                return
            if not self.trainer.in_time(student):
                self.note(f"skipped {student.name}", "it would probably not finish within --time-limit")
                return
            if not self._is_shown(self.distill(student, give_up=self._is_below)):
                return

    def _close_in(self, passed: Candidate) -> Candidate:
        """Bisect between the smallest that meets the target and the largest below it that does not, as the budget
        allows; return the smallest that meets it."""
        while (middle := self._middle(passed.architecture)) is not None:
            if not self._worth_closing_in(middle, passed.architecture, passed.cost):
                self.note(f"skipped depth {middle.depth}", "training it would exceed the budget")
                break
            role = Role.SEARCH_SPACE if middle in self.search_space else Role.BISECTION
            candidate = self.train(middle, role=role, bar=self.target, give_up=self._is_below)
            if self._is_shown(candidate, passed):
                passed = candidate
        return passed

    def _middle(self, passed: Architecture) -> Architecture | None:
        """The architecture halfway between one that meets the target and the largest tried one below it."""
        below = [
            c.architecture
            for c in self._candidates()
            if _variant(c.architecture) == _variant(passed) and self._size(c.architecture) < self._size(passed)
        ]
        return self.between(max(below, key=self._size), passed) if below else None

    def between(self, failed: Architecture, passed: Architecture) -> Architecture | None:
        """The architecture halfway between two, one of the search space where the climb has left some out."""
        left_out = [
            each
            for each in self.search_space
            if _variant(each) == _variant(passed) and self._size(failed) < self._size(each) < self._size(passed)
        ]
        return left_out[len(left_out) // 2] if left_out else super().between(failed, passed)

    def _surely_meets(self, architecture: Architecture) -> Callable[[Curve], bool]:
        """A test of a running training: it already meets the target, and the budget allows a shallower one.

        It spends nothing: no claim follows before the training has ended and been looked at.
        """
        middle = self._middle(architecture)
        confidence = 1 - self.spending.share(self._following(architecture) + self._students_left())
        spent, folds, epochs = self.spent, self.trainer.folds.folds, self.trainer.recipe.epochs

        def sure(curve: Curve) -> bool:
            if middle is None or len(folds) > 1 or len(curve) >= epochs:
                return False
            count = len(folds[0].held_out)
            so_far = self.trainer.planned_until(architecture, len(curve))
            lower = one_sided(round(curve[-1].top1 * count), count, confidence)[0]
            return lower >= self.target and self._worth_closing_in(middle, architecture, so_far, spent + so_far)

        return sure

    def _worth_closing_in(
        self, middle: Architecture, passed: Architecture, passed_cost: int, spent: int | None = None
    ) -> bool:
        """Tell if budget and time hold the training of an architecture below one that passed."""
        return self._budget_holds(middle, passed, passed_cost, spent) and self.trainer.in_time(middle)

    def _budget_holds(
        self, middle: Architecture, passed: Architecture, passed_cost: int, spent: int | None = None
    ) -> bool:
        """Tell if the budget holds in both outcomes: the middle passes, or `passed` has to be trained to its end, and
        the middle may learn from it."""
        before = self.spent if spent is None else spent
        cost, full = self.trainer.planned(middle), self.trainer.planned(passed)
        if_it_passes = before + cost <= self.question.budget * cost
        student = self.trainer.planned(middle.distilled_from(passed)) if self.question.distill else 0
        if_it_fails = before + cost + max(0, full - passed_cost) + student <= self.question.budget * full
        return if_it_passes and if_it_fails

    def _candidates(self) -> list[Candidate]:
        """The candidates tried, but scouts."""
        return [candidate for candidate in self.tried if candidate.role is not Role.SCOUT]

    def _checks(self) -> list[TargetCheck]:
        return [check_target(each, self.target, self.looks.get(each.name)) for each in self._candidates()]

    def _untrained(self) -> Untrained:
        tried = {candidate.architecture.name for candidate in self._candidates()}
        left = [each for each in self.search_space if each.name not in tried]
        ruled_out = [each for each in left if self._is_ruled_out(each)]
        return Untrained(
            ruled_out=tuple(ruled_out),
            unknown=tuple(each for each in left if each not in ruled_out),
            highest=max((self.scouted[_variant(each)] for each in ruled_out), default=0.0),
            option=self.short_of,
        )

    def _size(self, architecture: Architecture) -> tuple[float, ...]:
        return architecture.measure(self.question.minimize)


def _variant(architecture: Architecture) -> Variant:
    return architecture.family, architecture.width


def accuracy_gain(candidate: Candidate, other: Candidate) -> float:
    """The accuracy of one candidate over that of another as far as both were trained and judged.

    One that was ended early is not held to what the other reached in epochs that it never had.
    """
    pairs = list(zip(candidate.trainings, other.trainings, strict=False))
    mine, theirs = (trained.curve for trained in pairs[-1])
    epochs = min(len(mine), len(theirs))
    if len(mine) == len(theirs) or not epochs:
        both = candidate.seen & other.seen
        return candidate.accuracy_on(both) - other.accuracy_on(both)
    return mine[epochs - 1].top1 - theirs[epochs - 1].top1
