"""What every search does: train a rung, keep it, know what was spent and when deeper has stopped helping.

What a search decides is a pure function of the finished candidates (`judge` has the rules). What is trained, in
which order, is `to_target` and `to_enough`. `DESIGN` words: rung, ladder, target, enough, shown, margin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from deepenough.search import rules as judge
from deepenough.search.architectures import Rung, between
from deepenough.search.candidates import Candidate, Workshop, finished
from deepenough.search.early_stopping import Curve, Prospects
from deepenough.search.rules import Question, Verdict, points

STALLED_AFTER = 2  # rungs in a row that gain less than half the margin: deeper has stopped helping


@dataclass(frozen=True)
class Event:
    """One thing that the search did, and why."""

    what: str
    why: str


class Search:
    """One question on one workshop; `run` answers it.

    `ladder` is sorted from small to large. `changed` is called after everything that is worth keeping.
    """

    def __init__(
        self,
        question: Question,
        ladder: tuple[Rung, ...],
        workshop: Workshop,
        changed: Callable[[Search], None],
    ) -> None:
        self.question = question
        self.ladder = ladder
        self.workshop = workshop
        self.changed = changed
        self.tried: list[Candidate] = []
        self.events: list[Event] = []

    def run(self) -> Verdict:
        """Train what the answer needs, and give it."""
        raise TypeError("a search is to a target or to enough")

    @property
    def spent(self) -> int:
        """Multiply-accumulates of everything trained so far."""
        return self.workshop.sounded + sum(candidate.cost for candidate in self.tried)

    @property
    def whole_ladder(self) -> int:
        """Multiply-accumulates of training every rung in full."""
        return sum(self.workshop.planned(rung) for rung in self.ladder)

    def train(
        self,
        rung: Rung,
        *,
        role: str = "ladder",
        seed: int | None = None,
        bar: float | None = None,
        sure: Callable[[Curve], bool] | None = None,
        give_up: Callable[[Candidate], bool] | None = None,
    ) -> Candidate:
        """Train a rung from scratch; `bar` is the accuracy that it must still be able to reach."""
        siblings = [curve for c in finished(self.tried) if c.role == "ladder" for curve in c.curves]
        watch = None
        if bar is not None and self.question.metric == "top1":
            held_out = len(self.workshop.parts.parts[0].held_out)
            watch = Prospects(bar, siblings, held_out, *([sure] if sure else []))
        return self.keep(
            self.workshop.try_(
                rung,
                role=role,
                seed=self.question.seed if seed is None else seed,
                watch=watch,
                give_up=give_up,
            )
        )

    def finish(self, candidate: Candidate) -> Candidate:
        """Train a candidate that was ended or paused early to its end, as the decision needs it."""
        if candidate.state not in ("hopeless", "sure"):
            return candidate
        self.note(f"{candidate.name} trained to its end", "the decision needs it")
        self.tried.remove(candidate)
        whole = self.workshop.try_(candidate.rung, role=candidate.role, seed=candidate.seed)
        return self.keep(whole)

    def keep(self, candidate: Candidate) -> Candidate:
        self.tried.append(candidate)
        ended = f", {candidate.why}" if candidate.why else ""
        self.events.append(
            Event(f"trained {candidate.name}", f"{candidate.accuracy:.1%} on the decision images{ended}")
        )
        self.changed(self)
        return candidate

    def note(self, what: str, why: str) -> None:
        self.events.append(Event(what, why))
        self.workshop.reporter.say(f"{what}: {why}")

    def in_time(self, rung: Rung) -> bool:
        """Whether a rung is expected to finish in time; the first is always tried."""
        if not self.tried or self.workshop.in_time(rung):
            return True
        self.note(f"{rung.name} not trained", "it is not expected to finish within --time-limit")
        return False

    def stalled(self) -> bool:
        """Whether the latest rungs each gained less than half the margin over the best before them."""
        ladder = self.ladder_candidates()
        lines = len({(rung.family, rung.width) for rung in self.ladder})
        patience = STALLED_AFTER * lines
        best: Candidate | None = None
        useless, gain = 0, self.question.margin / 2
        for candidate in ladder:
            gained = lead(candidate, best) if best else 1.0
            useless = 0 if gained > gain else useless + 1
            best = candidate if gained > 0 else best
        if useless >= patience:
            self.note(
                "went no deeper", f"the last {useless} rungs gained less than {points(gain)} over the best before"
            )
            return True
        return False

    def ladder_candidates(self) -> list[Candidate]:
        return sorted((c for c in self.tried if c.role == "ladder"), key=self.measure)

    def between(self, failed: Rung, passed: Rung) -> Rung | None:
        """The rung halfway between two, or None where there is none."""
        return between(failed, passed)

    def measure(self, candidate: Candidate) -> tuple[int, int]:
        return candidate.rung.measure(self.question.minimize)

    def resolves(self) -> float:
        return judge.resolves(finished(self.ladder_candidates()), self.workshop.strata)


def lead(candidate: Candidate, other: Candidate) -> float:
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
