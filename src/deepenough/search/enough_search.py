"""The search for the shallowest network that is not worse than the best by more than the margin."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from deepenough.nets.grow import grows
from deepenough.search.architectures import Architecture
from deepenough.search.candidates import Attempt, Candidate, finished
from deepenough.search.enough_rules import (
    MOST_SEEDS,
    Assessment,
    assess,
    nothing_better,
    nothing_better_by_seeds,
)
from deepenough.search.enough_verdict import enough
from deepenough.search.evidence import Evidence, EvidenceTable, gather
from deepenough.search.question import Role
from deepenough.search.reach import AT_LEAST, smallest_of_each
from deepenough.search.scouts import scout_epochs
from deepenough.search.search import Search
from deepenough.search.statistics import z_score
from deepenough.search.verdict import Verdict, margin_text, most_accurate, nothing_finished, points
from deepenough.training.callbacks import Ending

STOPPED = "stopped"  # the event that nothing is left to gain
LIKELY = 0.7  # confidence at which a network that has fewer mistakes than the margin needs no look at larger ones
MOST_OF_BUDGET = 0.5  # share of it that training one large architecture may take, while the rest is not known


@dataclass(eq=False)
class EnoughSearch(Search):
    """The smallest architectures first, then a scout of every larger one, then what the evidence asks for.

    A scout is grown from a finished network by identity blocks and trained for a quarter of the epochs. What the scouts
    rule out is not trained; what they support is. The budget is a share of training the whole search space.
    """

    _tables: dict[int, EvidenceTable] = field(default_factory=dict, init=False)  # by the candidates tried by then
    _assessments: dict[int, Assessment] = field(default_factory=dict, init=False)  # likewise

    def run(self) -> Verdict:
        self._train_smallest()
        if not finished(self.space_candidates()):
            return self._without_answer()
        self._look_at_the_rest()
        while self._train_next():
            pass
        self._distill()
        return enough(self.question, self.assessment(), self.resolves())

    def _without_answer(self) -> Verdict:
        """The verdict where no training finished, so that there was nothing to learn from either."""
        self.note_nothing_distilled("no network was trained to its end")
        return nothing_finished(most_accurate(self.tried), self.resolves())

    def _train_next(self) -> bool:
        """Train what tells most about the answer now; false where nothing does, or nothing more can be paid for.

        First what the evidence asks for; then further seeds, where they can show that nothing is left to gain; then,
        where the budget holds all of them, those that stand in the way of a claim about the whole search space; then
        further seeds of what is in doubt. What is left goes to the smallest that stand in the way, and to bisection.
        """
        return (
            self._finish_likeliest()
            or self._train_nearly_perfect()
            or self._finish_blockers(all_of_them=True)
            or self._train_another_seed()
            or self._finish_blockers(all_of_them=False)
            or self._close_in()
            or self._look_again()
        )

    def assessment(self) -> Assessment:
        """Weigh the evidence so far."""
        trained = len(self.tried)
        if trained not in self._assessments:
            diverged = {each.architecture.name for each in self.tried if each.state is Ending.NOT_FINITE}
            self._assessments[trained] = assess(self.question, self.table, self.search_space, diverged)
        return self._assessments[trained]

    @property
    def table(self) -> EvidenceTable:
        """The evidence so far."""
        trained = len(self.tried)
        if trained not in self._tables:
            self._tables[trained] = self.evidence(self.tried)
        return self._tables[trained]

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
        where the budget holds all of them. Neither where no look could change the answer."""
        untried = self._untried()
        if not untried or self._nothing_to_gain():
            return
        if self._holds(sum(map(self.trainer.planned, untried)) + self._second_seeds()):
            for number, architecture in enumerate(untried):
                self.trainer.expect(untried[number:], self.question.seed)
                if not self.in_time(architecture) or self._nothing_to_gain():
                    return
                self.train(architecture)
            return
        if self._no_look_would_tell():
            return
        self._scout_untried()
        for architecture in self._untried():
            if not self._nothing_to_gain() and self._parent(architecture) is None and self._may_train(architecture):
                self.train(architecture)
        self._scout_untried()  # others may grow from what has just been trained

    def _look_again(self) -> bool:
        """Look at the rest after all, where further seeds took back that nothing was left to gain; false where that
        trains nothing."""
        if all(past.what != STOPPED for past in self.events) or self._nothing_to_gain():
            return False
        before = len(self.tried)
        self._look_at_the_rest()
        return len(self.tried) > before

    def _scout_untried(self) -> None:
        for architecture in reversed(self._untried()):
            if self._nothing_to_gain():
                return
            self._scout(architecture)

    def _distill(self) -> None:
        """Have shallower networks learn from the best one, and tell by further seeds if that makes them enough."""
        if not self.question.distill:
            return
        while True:
            student = self._next_student()
            if student is not None and self._may_distill(student):
                self.distill(student)
            elif not self._train_another_seed():
                break
        if student is None and not self.distilled():
            self._note_no_need()

    def _note_no_need(self) -> None:
        """Note the reason why there was no student at all: the best is the smallest, or what is smaller needs none."""
        found, teacher = self.assessment(), self.teacher()
        chosen = found.chosen.architecture
        if self.measure(found.chosen.candidate) >= self.measure(teacher):
            self.note_no_student(teacher)
        elif found.chosen in found.shown_among:
            self.note_nothing_distilled(f"{chosen.name} is enough without a teacher", enough=chosen.name)
        else:
            self.note_nothing_distilled(
                f"{chosen.name} takes other images than {teacher.name}, the most accurate, and can't learn from it",
                other_images=chosen.name,
                most_accurate=teacher.name,
            )

    def _next_student(self) -> Architecture | None:
        """The architecture, with its teacher, that is to be distilled next, if any.

        First the chosen one, where it is not shown to be enough, then the next smaller one, and on from there, each
        only once the one before is shown. The best network teaches them all.
        """
        if not self.question.distill or not finished(self.space_candidates()):
            return None
        found, teacher, tried = self.assessment(), self.teacher(), {candidate.name for candidate in self.tried}
        shown = {each.architecture.name for each in found.shown_among}
        if any(candidate.name not in shown for candidate in self.distilled()):
            return None
        students = [
            each.architecture.distilled_from(teacher.architecture)
            for each in found.finished
            if each.architecture.teacher is None
            and each.architecture.can_learn_from(teacher.architecture)
            and each.architecture.name not in shown
            and self.measure(each.candidate) < self.measure(teacher)
            and self.measure(each.candidate) <= self.measure(found.chosen.candidate)
        ]
        return next((each for each in reversed(students) if each.name not in tried), None)

    def _student_after(self, architecture: Architecture | None) -> Architecture | None:
        """The student that follows the training of an architecture, which may turn out to be its teacher."""
        student = self._next_student()
        if student is None or student.teacher is None or architecture is None:
            return student
        return student.distilled_from(max(student.teacher, architecture, key=lambda each: each.macs))

    def _may_distill(self, student: Architecture) -> bool:
        """Tell if the budget and the time hold a student; if not, note it once."""
        if self._holds(0) and self.trainer.in_time(student):
            return True
        if all(past.what != f"skipped {student.name}" for past in self.events):
            self.note(f"skipped {student.name}", "it would exceed --budget or --time-limit")
        return False

    def _untried(self) -> list[Architecture]:
        tried = {candidate.architecture.name for candidate in self.tried}
        return [architecture for architecture in self.search_space if architecture.name not in tried]

    def _parent(self, architecture: Architecture) -> Candidate | None:
        """The largest finished network that the architecture can be grown from."""
        smaller = finished(self.space_candidates())
        parents = [each for each in smaller if grows(each.architecture.network, architecture.network)]
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
            parent=parent.name,
            epochs=epochs,
            gain=gain,
        )

    def _finish_likeliest(self) -> bool:
        """Train in full what the evidence asks for and what only had a short look, or one no larger: in the order of
        `by_worth` the first that the budget allows without giving most of it to one training."""
        found, minimize = self.assessment(), self.question.minimize
        if found.wanted.finished:
            return False
        done, largest = self._trained(), found.wanted.architecture.measure(minimize)
        most = MOST_OF_BUDGET * self.question.budget * self.whole_space
        left = [each for each in self.search_space if each.name not in done and each.measure(minimize) <= largest]
        return self._train_first(found.by_worth([each for each in left if self.trainer.planned(each) <= most]))

    def _train_first(self, architectures: Iterable[Architecture]) -> bool:
        """Train the first that budget and time hold; false where they hold none."""
        first = next(filter(self._may_train, architectures), None)
        if first:
            self.train(first)
        return first is not None

    def _finish_blockers(self, all_of_them: bool) -> bool:
        """Train the smallest of those whose short look doesn't rule them out, where the budget holds it, or all."""
        found = self.assessment()
        if found.chosen in found.shown or found.chosen not in found.shown_among:
            return False
        done = self._trained()
        blockers = [each.architecture for each in found.blockers[found.chosen.architecture.name]]
        left = [each for each in blockers if each.name not in done]
        if all_of_them and not self._holds(sum(map(self.trainer.planned, left)) + self._second_seeds()):
            return False
        return self._train_first(left)

    def _second_seeds(self) -> int:
        """The cost of a second seed of the smallest architectures: held back before the whole search space is trained,
        since without them nothing is known of the deviation between seeds."""
        smallest = {each.name for each in smallest_of_each(self.search_space)}
        single = (each.architecture for each in gather(self.tried) if each.finished and each.seeds == 1)
        return sum(self.trainer.planned(each) for each in single if each.name in smallest)

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
        student = self._student_after(architecture)
        later = self.trainer.planned(student) if student else 0
        share = (self.spent + cost + later) / self.whole_space
        if all(past.what != f"skipped {architecture.name}" for past in self.events):
            self.note(
                f"skipped {architecture.name}",
                f"the search would then cost {share:.0%} of training the whole search space, "
                f"{'students taken in, ' * bool(later)}over its budget of {self.question.budget:.0%}",
                share=share,
                students=bool(later),
            )
        return False

    def _holds(self, cost: int, architecture: Architecture | None = None) -> bool:
        """Tell if the budget holds after spending `cost`, with the retraining that follows where folds decide, be it of
        the `architecture` that is trained for that, and with the student that follows, if any."""
        may_be_chosen = [candidate.architecture for candidate in finished(self.space_candidates() + self.distilled())]
        may_be_chosen += [architecture] if architecture else []
        student = self._student_after(architecture)
        may_be_chosen += [student] if student else []
        later = self.trainer.planned(student) if student else 0
        final = max(map(self.trainer.retraining, may_be_chosen), default=0)
        return self.spent + cost + later + final <= self.question.budget * (self.whole_space + final)

    def _nothing_to_gain(self) -> bool:
        """Tell if so few images are wrong that nothing deeper can be better by the margin."""
        table, space = self.table, self.search_space
        perfect = [each for each in table.finished if nothing_better(self.question, space, table, each)]
        if not perfect:
            return False
        best = max(perfect, key=lambda each: each.accuracy)
        accuracy, lower = best.accuracy, 1 - table.mistakes(best).upper
        text = f"{accuracy:.1%} (at least {lower:.1%}) leaves less than the {margin_text(self.question.margin)} to gain"
        if all(past.why != text for past in self.events):
            self.note(STOPPED, text, accuracy=accuracy, lower=lower)
        return True

    def _no_look_would_tell(self) -> bool:
        """Tell if the chosen network is likely to have fewer mistakes than the margin: whatever larger ones reach, it
        would still be chosen, and a scout, which may lack all of its mistakes, can't show that."""
        chosen = self.assessment().chosen
        mistakes = self.table.mistakes(chosen)
        if mistakes.value + z_score(LIKELY) * mistakes.standard_error >= self.question.margin:
            return False
        self.note(
            "no short looks",
            f"{chosen.architecture.name} is wrong on {mistakes.value:.1%}, below the "
            f"{margin_text(self.question.margin)}: no larger network is likely to change the answer, and a short look "
            "could not show that",
            network=chosen.architecture.name,
            mistakes=mistakes.value,
        )
        return True

    def _train_nearly_perfect(self) -> bool:
        """Train another seed of the smallest network that seeds can show to leave nothing to gain, unless one no larger
        is shown to be enough."""
        found = self.assessment()
        for each in found.finished:
            if each in found.shown:
                return False
            if nothing_better_by_seeds(self.question, self.search_space, self.table, each) and self._may_repeat(each):
                self._repeat(each, "seeds that agree would show that less than the margin is left to gain")
                return True
        return False

    def _train_another_seed(self) -> bool:
        """Train another seed of what is in doubt, where it takes most of the variance for its cost; false where none
        is, or none can be paid for."""
        doubtful = [each for each in self.assessment().doubtful if self._may_repeat(each)]
        if not doubtful:
            return False

        def cost_of_variance(each: Evidence) -> int:
            """The variance of a mean of s falls by 1 / (s * (s + 1)) of it with another one."""
            return self.trainer.planned(each.architecture) * each.seeds * (each.seeds + 1)

        self._repeat(min(doubtful, key=cost_of_variance), "the seeds so far leave in doubt which is enough")
        return True

    def _may_repeat(self, each: Evidence) -> bool:
        """Tell if budget, time and the number of its seeds allow another one."""
        architecture = each.architecture
        more = len(self._seeds(architecture)) < MOST_SEEDS
        return more and self._holds(self.trainer.planned(architecture)) and self.trainer.in_time(architecture)

    def _repeat(self, each: Evidence, why: str) -> None:
        """Train another seed of an architecture."""
        architecture = each.architecture
        self.note(f"another seed for {architecture.name}", why)
        self.train(architecture, role=Role.SECOND_SEED, seed=1 + max(self._seeds(architecture)))

    def _seeds(self, architecture: Architecture) -> list[int]:
        """The seeds that an architecture was trained in full with, whatever came of it."""
        return [c.seed for c in self.tried if c.architecture.name == architecture.name and c.role is not Role.SCOUT]

    def _close_in(self) -> bool:
        """Train the architecture halfway between the chosen one and the next smaller one."""
        found = self.assessment()
        order = found.finished
        number = order.index(found.chosen)
        middle = number and self.between(order[number - 1].architecture, order[number].architecture)
        if not middle or any(c.architecture.name == middle.name for c in self.tried) or not self._may_train(middle):
            return False
        self.train(middle, role=Role.BISECTION)
        return True
