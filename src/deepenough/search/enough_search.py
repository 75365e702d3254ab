"""The search for the shallowest network that is not worse than the best by more than the margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from deepenough.nets.grow import grows
from deepenough.search.architectures import Architecture
from deepenough.search.candidates import Attempt, Candidate, CandidateTrainer, finished
from deepenough.search.enough_rules import Assessment, assess, enough
from deepenough.search.evidence import EvidenceTable, gather
from deepenough.search.question import Question, Role
from deepenough.search.scouts import scout_epochs
from deepenough.search.search import Search
from deepenough.search.verdict import Verdict, margin_text, most_accurate, nothing_finished, points

SMALLEST = 3  # architectures of each family and width that are trained before anything deeper is looked at
AT_LEAST = 2  # trained whatever the budget
MOST_SEEDS = 3
NEAR = 2.0  # margins below the most accurate within which further seeds are worth their cost


def within_reach(
    question: Question, search_space: Sequence[Architecture], trainer: CandidateTrainer
) -> list[Architecture]:
    """The architectures that the budget lets a search train or look at, if it spends nothing on anything else."""
    epochs = scout_epochs(trainer.recipe.epochs)
    budget = question.budget * sum(trainer.planned(each) for each in search_space)
    found: list[Architecture] = []
    spent = 0
    for each in smallest_of_each(search_space):
        cost = trainer.planned(each)
        if len(found) >= AT_LEAST and spent + cost > budget:
            break
        spent += cost
        found.append(each)
    for each in [each for each in reversed(search_space) if each not in found]:
        growing = any(grows(parent.network, each.network) for parent in found)
        cost = trainer.planned_scout(each, epochs) if growing else trainer.planned(each)
        if spent + cost <= budget:
            spent += cost
            found.append(each)
    return sorted(found, key=lambda each: each.measure(question.minimize))


def smallest_of_each(search_space: Sequence[Architecture]) -> list[Architecture]:
    """The `SMALLEST` first architectures of each family and width, in the order of the search space."""
    found: dict[tuple[str, float], list[Architecture]] = {}
    for each in search_space:
        found.setdefault((each.family, each.width), []).append(each)
    first = [each for members in found.values() for each in members[:SMALLEST]]
    return [each for each in search_space if each in first]


@dataclass(eq=False)
class EnoughSearch(Search):
    """The smallest architectures first, then a scout of every larger one, then what the evidence asks for.

    A scout is grown from a finished network by identity blocks and trained for a quarter of the epochs. What the scouts
    rule out is not trained; what they support is. The budget is a share of training the whole search space.
    """

    _assessments: dict[int, Assessment] = field(default_factory=dict, init=False)  # by the candidates tried by then

    def run(self) -> Verdict:
        self._train_smallest()
        if not finished(self.space_candidates()):
            return nothing_finished(most_accurate(self.tried), self.resolves())
        self._look_at_the_rest()
        while (wanted := self._worth_finishing() or self._in_the_way()) is not None:
            self.train(wanted)
        self._train_more_seeds()
        self._close_in()
        return enough(self.question, self.assessment(), self.resolves())

    def assessment(self) -> Assessment:
        """Weigh the evidence so far."""
        trained = len(self.tried)
        if trained not in self._assessments:
            self._assessments[trained] = assess(self.question, self.evidence(self.tried), self.search_space)
        return self._assessments[trained]

    def evidence(self, candidates: Sequence[Candidate]) -> EvidenceTable:
        """The evidence that candidates give on the decision images."""
        trainer = self.trainer
        return EvidenceTable(tuple(gather(candidates)), trainer.strata, trainer.labels, self.question.metric)

    def _train_smallest(self) -> None:
        """Train the smallest architectures, unless there is no time or nothing left to gain."""
        smallest = smallest_of_each(self.search_space)
        for number, architecture in enumerate(smallest):
            if self._nothing_to_gain() or not self.in_time(architecture):
                return
            if len(self.tried) >= AT_LEAST and not self._affords(architecture):
                return
            self.trainer.expect(smallest[number:], self.question.seed)
            self.train(architecture)

    def _look_at_the_rest(self) -> None:
        """Send a scout to every architecture that was not trained, from large to small; train it where none can go, or
        where the budget holds all of them."""
        untried = self._untried()
        if untried and not self._nothing_to_gain() and self._holds(sum(map(self.trainer.planned, untried))):
            for number, architecture in enumerate(untried):
                self.trainer.expect(untried[number:], self.question.seed)
                if not self.in_time(architecture) or self._nothing_to_gain():
                    return
                self.train(architecture)
            return
        self._scout_untried()
        for architecture in self._untried():
            if not self._nothing_to_gain() and self._parent(architecture) is None and self._may_train(architecture):
                self.train(architecture)
        self._scout_untried()  # others may grow from what has just been trained

    def _scout_untried(self) -> None:
        for architecture in reversed(self._untried()):
            if self._nothing_to_gain():
                return
            self._scout(architecture)

    def _untried(self) -> list[Architecture]:
        tried = {candidate.architecture.name for candidate in self.tried}
        return [architecture for architecture in self.search_space if architecture.name not in tried]

    def _parent(self, architecture: Architecture) -> Candidate | None:
        """The largest finished network that the architecture can be grown from."""
        parents = [
            candidate
            for candidate in finished(self.space_candidates())
            if grows(candidate.architecture.network, architecture.network)
        ]
        return max(parents, key=self.measure, default=None)

    def _scout(self, architecture: Architecture) -> None:
        """Train an architecture briefly, grown from its largest finished relative: it rules out, it never decides."""
        parent = self._parent(architecture)
        if parent is None:
            return
        epochs = scout_epochs(self.trainer.recipe.epochs)
        if not self._affords(architecture, self.trainer.planned_scout(architecture, epochs)):
            return
        if not self.trainer.in_time(architecture, epochs=epochs):
            self.note(f"no look at {architecture.name}", "it would probably not finish within --time-limit")
            return
        scout = self.keep(
            self.trainer.train_candidate(Attempt(architecture, self.question.seed, Role.SCOUT, epochs, parent))
        )
        gain = scout.accuracy - most_accurate(finished(self.space_candidates())).accuracy_on(scout.seen)
        self.note(
            f"looked at {architecture.name}",
            f"grown from {parent.name} and trained for {epochs} epoch{'s' * (epochs > 1)}, it is {points(abs(gain))} "
            f"{'above' if gain >= 0 else 'below'} the best",
        )

    def _worth_finishing(self) -> Architecture | None:
        """The architecture to train in full next: the smallest that is supported, or the next smaller one that the
        budget allows."""
        wanted = self.assessment().wanted
        if wanted.finished:
            return None
        done = self._trained()
        largest_first = [
            each
            for each in reversed(self.search_space)
            if each.name not in done
            and each.measure(self.question.minimize) <= wanted.architecture.measure(self.question.minimize)
        ]
        return next((each for each in largest_first if self._may_train(each)), None)

    def _in_the_way(self) -> Architecture | None:
        """The smallest architecture that the budget can finish of those whose short look doesn't rule them out."""
        found = self.assessment()
        if found.chosen in found.shown or found.chosen not in found.shown_among:
            return None
        done = self._trained()
        blockers = [each.architecture for each in found.blockers[found.chosen.architecture.name]]
        return next((each for each in blockers if each.name not in done and self._may_train(each)), None)

    def _trained(self) -> set[str]:
        """The names of the architectures that were trained in full, whatever came of it."""
        return {candidate.architecture.name for candidate in self.tried if candidate.role is not Role.SCOUT}

    def _may_train(self, architecture: Architecture) -> bool:
        return self._affords(architecture) and self.trainer.in_time(architecture)

    def _affords(self, architecture: Architecture, scouting: int | None = None) -> bool:
        """Tell if the budget holds after training an architecture in full, or after `scouting` it for that cost, and
        note where it does not."""
        cost = self.trainer.planned(architecture) if scouting is None else scouting
        if self._holds(cost, None if scouting else architecture):
            return True
        share = (self.spent + cost) / self.whole_space
        if all(past.what != f"skipped {architecture.name}" for past in self.events):
            self.note(
                f"skipped {architecture.name}",
                f"the search would then cost {share:.0%} of training the whole search space, "
                f"over its budget of {self.question.budget:.0%}",
            )
        return False

    def _holds(self, cost: int, architecture: Architecture | None = None) -> bool:
        """Tell if the budget holds after spending `cost`, with the retraining that follows where folds decide, be it of
        the `architecture` that is trained for that."""
        may_be_chosen = [candidate.architecture for candidate in finished(self.space_candidates())]
        may_be_chosen += [architecture] if architecture else []
        final = max(map(self.trainer.retraining, may_be_chosen), default=0)
        return self.spent + cost + final <= self.question.budget * (self.whole_space + final)

    def _nothing_to_gain(self) -> bool:
        """Tell if so few images are wrong that nothing deeper can be better by the margin."""
        done = finished(self.space_candidates())
        if not done or 1 - max(candidate.lower for candidate in done) >= self.question.margin:
            return False
        best = most_accurate(done)
        margin = margin_text(self.question.margin)
        text = f"{best.accuracy:.1%} (at least {best.lower:.1%}) leaves less than the {margin} to gain"
        if all(past.why != text for past in self.events):
            self.note("stopped", text)
        return True

    def _train_more_seeds(self) -> None:
        """Train the finished architectures near the best with further seeds, until the answer is shown or the budget
        is spent. An answer rests on `MOST_SEEDS` trainings of each, where the budget allows; folds are several."""
        while True:
            found = self.assessment()
            top = max(each.accuracy for each in found.finished)
            near = [each for each in found.finished if each.accuracy >= top - NEAR * self.question.margin]
            fewest, trainings = min(each.seeds for each in near), min(each.trainings for each in near)
            shown = found.chosen in (found.shown or found.shown_among)
            if fewest >= MOST_SEEDS or (shown and trainings >= MOST_SEEDS) or (shown and len(found.looked_at) == 1):
                return
            trained = False
            for each in near:
                architecture, seed = each.architecture, self.question.seed + fewest
                known = any(c.architecture.name == architecture.name and c.seed == seed for c in self.tried)
                room = self._holds(self.trainer.planned(architecture)) and self.trainer.in_time(architecture)
                if each.seeds == fewest and not known and room:
                    self.note(f"another seed for {architecture.name}", "the difference is too small for one seed")
                    self.train(architecture, role=Role.SECOND_SEED, seed=seed)
                    trained = True
            if not trained:
                return

    def _close_in(self) -> None:
        """Bisect between the chosen architecture and the next smaller one, as far as the budget goes."""
        while True:
            found = self.assessment()
            order = found.finished
            number = order.index(found.chosen)
            middle = number and self.between(order[number - 1].architecture, order[number].architecture)
            if not middle or any(c.architecture.name == middle.name for c in self.tried) or not self._may_train(middle):
                return
            if not self.train(middle, role=Role.BISECTION).finished:
                return
