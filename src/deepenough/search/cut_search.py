"""The search among the cuts of pretrained networks: the probes propose, fine-tuned networks decide."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from deepenough.search.architectures import Architecture, costliest_student
from deepenough.search.candidates import Candidate, CandidateTrainer, finished
from deepenough.search.enough_rules import Assessment, shown_worse
from deepenough.search.enough_search import EnoughSearch
from deepenough.search.enough_verdict import enough
from deepenough.search.fine_tuning_gains import Gains
from deepenough.search.question import Question
from deepenough.search.reach import Reach
from deepenough.search.statistics import paired_difference
from deepenough.search.verdict import Verdict, points


@dataclass(eq=False)
class CutSearch(EnoughSearch):
    """The cut with the best probe, the whole network, the cut that the probes propose and the next shallower one; then
    those halfway between the chosen one and the deepest that is shown to be worse; and then all others, cheapest first.

    Everything but the first is trained within the budget. A cut that is shown to be worse on the folds so far is not
    trained on the others: that rules it out, cheaply.

    `search_space` holds every cut, small to large, of one network or of several; `proposed` and `best_probe` are
    numbers of cuts. Of several networks `probes` has the accuracies by the cuts' names: only those are trained that can
    still win by what fine-tuning has gained over the probes so far.
    """

    proposed: int = field(kw_only=True)
    best_probe: int = field(kw_only=True)
    probes: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    begun: list[Architecture] = field(default_factory=list, init=False)  # their first folds are trained, or will be

    def run(self) -> Verdict:
        first = first_cuts(self.search_space, self.best_probe, self.proposed)
        for place, architecture in enumerate(first):
            self.trainer.expect(first[place:], self.question.seed)
            self._look_at(architecture)
        if not finished(self.space_candidates()):
            return self._without_answer()
        for architecture in self._others():
            self._look_at(architecture)
            self.begun = [each for each in self.begun if each is not architecture]
        while self._train_another_seed():
            pass
        self._distill()
        verdict = enough(self.question, self._final_assessment(), self.resolves())
        whole = whole_network(self.search_space, verdict.chosen.architecture)
        for candidate in self.space_candidates():
            if candidate.architecture is whole:
                self._note_savings(candidate, verdict.chosen)
        return verdict

    def _final_assessment(self) -> Assessment:
        """The evidence at the end, with the cuts that were left out since they can't win any more."""
        found = self.assessment()
        hopeless = tuple(each for each in found.unknown if not self._can_win(each))
        if not hopeless:
            return found
        what, why, figures = self._gains.left_out(hopeless)
        self.note(what, why, **figures)
        return replace(found, left_out=hopeless)

    def _can_win(self, architecture: Architecture) -> bool:
        """Tell if a cut of one of several networks may be the answer, or change it, where fine-tuning gains as much
        over its probe as it has at most: a smaller one has to come within the margin of the best, a larger one to be
        better than the chosen one by more than that. Smaller than one of its own network that is worse, it can't."""
        if not self.probes:
            return True
        found = self.assessment()
        chosen, best = found.chosen, max(each.accuracy for each in found.finished)
        reach = self.probes[architecture.undistilled.name] + self._gains.most(architecture.family)
        if self._size(architecture) > self._size(chosen.architecture):
            return reach > chosen.accuracy + self.question.margin
        possible = {each.name for each in found.not_ruled_out}
        worse = [
            each.architecture
            for each in self.tried
            if each.architecture.family == architecture.family and each.architecture.name not in possible
        ]
        below = any(self._size(architecture) < self._size(w) < self._size(chosen.architecture) for w in worse)
        return not below and reach >= best - self.question.margin

    @property
    def _gains(self) -> Gains:
        return Gains.of(self.tried, self.probes)

    def _size(self, architecture: Architecture) -> tuple[float, ...]:
        return architecture.measure(self.question.minimize)

    def _look_at(self, architecture: Architecture) -> None:
        """Train a cut, where the budget holds at least its first fold: fold after fold, as long as it isn't shown to be
        worse and the budget holds the next one."""
        paid = not self.tried or architecture in self.begun
        if not paid and not self._affords_folds(architecture, self._fold_cost(architecture)):
            return
        if self.in_time(architecture):
            self.train(architecture, give_up=self._gives_up)

    def _fold_cost(self, architecture: Architecture) -> int:
        return self.trainer.planned(architecture) // len(self.trainer.folds.folds)

    def _affords_folds(self, architecture: Architecture, cost: int) -> bool:
        """Tell if the budget holds after folds of a cut that cost so much, beside the first ones that others have."""
        others = sum(self._fold_cost(each) for each in self.begun if each is not architecture)
        return self._affords(architecture, cost + others)

    def _gives_up(self, so_far: Candidate) -> str:
        """The reason to leave a cut at the folds so far, if there is one."""
        architecture, folds = so_far.architecture, len(self.trainer.folds.folds)
        done = f"ended after {len(so_far.trainings)} of {folds} folds"
        if self._shown_worse(so_far):
            return f"{done}: shown to be more than {points(self.question.margin)} worse than another cut"
        if self.tried and not self._affords_folds(architecture, so_far.cost + self._fold_cost(architecture)):
            return f"{done}: the next one would exceed the budget"
        return ""

    def _shown_worse(self, so_far: Candidate) -> bool:
        """Tell if a finished cut is better by more than the margin, on the images that this one has judged so far and
        with all comparisons taken in that may come."""
        table = self.evidence([*self.tried, so_far])
        own = next(each for each in table.evidence if each.candidate is so_far)
        return shown_worse(self.question, table, own, len(self.search_space))

    def _others(self) -> Iterator[Architecture]:
        """Each of the cuts that were not looked at yet: the one halfway to those that are shown to be worse, as the
        evidence then is, or else the cheapest."""
        offered: set[str] = {candidate.architecture.name for candidate in self.tried}
        while left := [each for each in self.search_space if each.name not in offered and self._may_count(each)]:
            found = self.assessment()
            candidates = {architecture.name for architecture in found.not_ruled_out}
            chosen = self.search_space.index(found.chosen.architecture)
            worse = [n for n, each in enumerate(self.search_space[:chosen]) if each.name not in candidates]
            low = max(worse, default=-1)
            between = [each for each in left if low < self.search_space.index(each) < chosen]
            if not between and not self.begun:
                self._train_first_folds(left)
            architecture = between[len(between) // 2] if between else min(left, key=lambda each: each.macs)
            offered.add(architecture.name)
            yield architecture

    def _may_count(self, architecture: Architecture) -> bool:
        """Tell if a cut can still win, or its first fold was paid for."""
        return architecture in self.begun or self._can_win(architecture)

    def _train_first_folds(self, left: Sequence[Architecture]) -> None:
        """Train the first folds of the cheapest of these side by side, as many as the budget holds: all will be looked
        at, whatever comes of the others. A time limit may keep the search from that, so with one they wait."""
        cost = 0
        for each in sorted(left, key=lambda each: each.macs):
            cost += self._fold_cost(each)
            if not self._holds(cost):
                break
            self.begun.append(each)
        if len(self.begun) > 1 and math.isinf(self.trainer.time_left):
            self.trainer.train_first_folds(self.begun, self.question.seed)
        else:
            self.begun.clear()

    def _note_savings(self, whole: Candidate, chosen: Candidate) -> None:
        """Note how a cut that was chosen compares with the deepest, and how much it saves."""
        if chosen is whole or not (whole.finished and chosen.finished):
            return
        loss = paired_difference(whole.hits, chosen.hits, self.trainer.strata)
        saved = (
            f"{1 - getattr(chosen.architecture, name) / getattr(whole.architecture, name):.0%} of the {label}"
            for name, label in (("parameters", "parameters"), ("macs", "multiply-accumulates"))
        )
        self.note(
            f"{chosen.name} against {whole.name}",
            f"the cut is {points(abs(loss.value))} {'less' if loss.value > 0 else 'more'} accurate on the same images "
            f"(between {100 * -loss.upper:+.1f} and {100 * -loss.lower:+.1f}), and saves "
            f"{whole.architecture.depth - chosen.architecture.depth} layers, {' and '.join(saved)}",
            chosen=chosen.name,
            whole=whole.name,
            loss=loss.value,
            lower=loss.lower,
            upper=loss.upper,
        )


def cuts_within_reach(
    question: Question, search_space: Sequence[Architecture], trainer: CandidateTrainer, first: Sequence[Architecture]
) -> Reach:
    """The cuts that the budget, less what probing cost, lets a search look at if a fold is enough to judge each.

    `first` are those that it begins with, in their order; the very first one is trained whatever the budget.
    """
    beginning, *others = first
    others += sorted((each for each in search_space if each not in first), key=lambda each: each.macs)
    final = trainer.retraining(beginning)
    budget = question.budget * (sum(trainer.planned(each) for each in search_space) + final)
    found, spent = [beginning], trainer.probing_cost + trainer.planned(beginning) + final
    student = costliest_student(search_space, question.minimize, trainer.planned) if question.distill else None
    spent += trainer.planned(student) if student else 0
    for each in others:
        cost = trainer.planned(each) // len(trainer.folds.folds)
        if spent + cost <= budget:
            spent += cost
            found.append(each)
    return Reach(sorted(found, key=lambda each: each.measure(question.minimize)))


def first_cuts(search_space: Sequence[Architecture], best_probe: int, proposed: int) -> list[Architecture]:
    """The cuts that are looked at whatever the evidence turns out to be, in their order: the one with the best probe,
    its whole network, the proposed one and the next shallower one of its network. The two are numbers of cuts."""
    best, start = search_space[best_probe], search_space[proposed]
    first = [best, whole_network(search_space, best), start, next_shallower(search_space, start)]
    return list({each.name: each for each in first if each is not None}.values())


def whole_network(search_space: Sequence[Architecture], cut: Architecture) -> Architecture:
    """The network that a cut is one of, itself a cut: the last one."""
    return max((each for each in search_space if each.family == cut.family), key=lambda each: each.blocks)


def next_shallower(search_space: Sequence[Architecture], cut: Architecture) -> Architecture | None:
    """The cut of the same network before this one; None for the first."""
    before = [each for each in search_space if each.family == cut.family and each.blocks < cut.blocks]
    return max(before, key=lambda each: each.blocks, default=None)
