"""The base of every search: train an architecture, keep it, add up the cost.

The answer is a pure function of the candidates tried (`enough_rules` and `target_rules`). The order of trainings is in
`target_search`, `enough_search`, `cut_search` and `cut_target_search`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from deepenough.search.architectures import Architecture, between
from deepenough.search.candidates import Attempt, Candidate, CandidateTrainer, finished
from deepenough.search.early_stopping import Curve, EarlyStopping
from deepenough.search.question import Metric, Question, Role
from deepenough.search.verdict import Verdict, most_accurate, resolves
from deepenough.training.callbacks import Ending
from deepenough.training.resizing import first_sizes

Figure = float | str | list[str]


@dataclass(frozen=True)
class Event:
    """One step of the search, its reason in words, and the figures and names in those."""

    what: str
    why: str
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(eq=False)
class Search(ABC):
    """One question on one trainer; `run` answers it.

    `search_space` is sorted from small to large. `changed` is called after everything that is worth keeping.
    """

    question: Question
    search_space: tuple[Architecture, ...]
    trainer: CandidateTrainer
    changed: Callable[[Search], None]
    tried: list[Candidate] = field(default_factory=list, init=False)
    events: list[Event] = field(default_factory=list, init=False)

    @abstractmethod
    def run(self) -> Verdict:
        """Train as much as the answer needs, and give it."""

    @property
    def spent(self) -> int:
        """Multiply-accumulates of everything trained so far."""
        return self.trainer.probing_cost + sum(candidate.cost for candidate in self.tried)

    @property
    def whole_space(self) -> int:
        """Multiply-accumulates of training every architecture in full."""
        return sum(self.trainer.planned(architecture) for architecture in self.search_space)

    def train(
        self,
        architecture: Architecture,
        *,
        role: Role = Role.SEARCH_SPACE,
        seed: int | None = None,
        bar: float | None = None,
        sure: Callable[[Curve], bool] | None = None,
        give_up: Callable[[Candidate], str] | None = None,
    ) -> Candidate:
        """Train an architecture from scratch; `bar` is the accuracy that it must still be able to reach."""
        siblings = [curve for each in self._siblings(architecture) for curve in each.curves]
        early_stopping = None
        if bar is not None and self.question.metric is Metric.TOP1:
            held_out = len(self.trainer.folds.folds[0].held_out)
            early_stopping = EarlyStopping(bar, siblings, held_out, *([sure] if sure else []))
        return self.keep(
            self.trainer.train_candidate(
                self._attempt(architecture, self.question.seed if seed is None else seed, role),
                early_stopping=early_stopping,
                give_up=give_up,
            )
        )

    def _siblings(self, architecture: Architecture) -> list[Candidate]:
        """The finished candidates whose learning curves tell of an architecture's: either all have smaller images in
        their first epochs or none, since accuracy rises where those reach their full size."""

        def begins_smaller(each: Architecture) -> bool:
            return bool(first_sizes(self.trainer.recipe, each.network))

        smaller = begins_smaller(architecture)
        known = (each for each in finished(self.tried) if each.role is Role.SEARCH_SPACE)
        return [each for each in known if begins_smaller(each.architecture) == smaller]

    def finish(self, candidate: Candidate) -> Candidate:
        """Train a candidate that was ended or paused early to its end, as the decision needs it."""
        if candidate.state not in (Ending.PRUNED, Ending.PAUSED):
            return candidate
        self.note(f"finishing {candidate.name}", "the decision depends on it")
        self.tried.remove(candidate)
        attempt = self._attempt(candidate.architecture, candidate.seed, candidate.role)
        return self.keep(self.trainer.train_candidate(attempt))

    def _attempt(self, architecture: Architecture, seed: int, role: Role) -> Attempt:
        """The training of an architecture; what has a teacher learns from that one's first candidate."""
        teacher = next((c for c in self.tried if architecture.teacher and c.name == architecture.teacher.name), None)
        return Attempt(architecture, seed, role, teacher=teacher)

    def keep(self, candidate: Candidate) -> Candidate:
        """Add a candidate to those tried."""
        self.tried.append(candidate)
        ended = f", {candidate.why}" if candidate.why else ""
        self.events.append(
            Event(
                f"trained {candidate.name}",
                f"{candidate.accuracy:.1%} on the decision images{ended}",
                {"trained": candidate.accuracy, "folds": len(candidate.trainings), "ended": candidate.why},
            )
        )
        self.changed(self)
        return candidate

    def note(self, what: str, why: str, **figures: Figure) -> None:
        """Record a step of the search with the figures of its reason, and tell the user."""
        self.events.append(Event(what, why, figures))
        self.trainer.reporter.say(f"{what}: {why}")

    def distill(self, student: Architecture, give_up: Callable[[Candidate], str] | None = None) -> Candidate:
        """Train an architecture that has a teacher: it learns from that one's logits beside the labels."""
        if student.teacher is not None:
            self.note(
                f"trying {student.name}",
                f"it learns from the logits of {student.teacher.name}, too",
                teacher=student.teacher.name,
            )
        return self.train(student, role=Role.DISTILLED, give_up=give_up)

    def note_nothing_distilled(self, why: str, **figures: Figure) -> None:
        """Record that no network learned from another one although the question has them do so, and tell the user."""
        if self.question.distill:
            self.note("nothing distilled", why, **figures)

    def note_no_student(self, smallest: Candidate) -> None:
        """Note that no finished network smaller than this one can learn from the most accurate."""
        teacher = self.teacher().name
        self.note_nothing_distilled(
            f"of the networks trained in full, none smaller than {smallest.name} can learn from {teacher}, the most "
            "accurate",
            smallest=smallest.name,
            most_accurate=teacher,
        )

    def distilled(self) -> list[Candidate]:
        """The candidates that learned from a teacher, further seeds left out, in the order of their trainings."""
        return [candidate for candidate in self.tried if candidate.role is Role.DISTILLED]

    def teacher(self) -> Candidate:
        """The candidate that others may learn from: the most accurate finished one that has no teacher itself."""
        return most_accurate([c for c in finished(self.tried) if c.role in (Role.SEARCH_SPACE, Role.BISECTION)])

    def in_time(self, architecture: Architecture) -> bool:
        """Tell if an architecture is expected to finish in time; the first is always tried."""
        if not self.tried or self.trainer.in_time(architecture):
            return True
        self.note(f"skipped {architecture.name}", "it would probably not finish within --time-limit")
        return False

    def space_candidates(self) -> list[Candidate]:
        """The candidates of the search space tried so far, small to large."""
        return sorted((c for c in self.tried if c.role is Role.SEARCH_SPACE), key=self.measure)

    def between(self, failed: Architecture, passed: Architecture) -> Architecture | None:
        """The architecture halfway between two, or None where there is none."""
        return between(failed, passed)

    def measure(self, candidate: Candidate) -> tuple[float, ...]:
        """The size of a candidate, as the question measures it."""
        return candidate.architecture.measure(self.question.minimize)

    def resolves(self) -> float:
        """The smallest difference that the decision images can tell."""
        return resolves(finished(self.space_candidates()), self.trainer.strata)
