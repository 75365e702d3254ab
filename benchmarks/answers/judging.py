"""The search's answer beside the truth: depth, claim, set of depths and cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from truth import Case, Rung, Truth

from deepenough.search.question import DecisionKind
from deepenough.search.rules import Verdict
from deepenough.search.search import Search


@dataclass(frozen=True)
class Answer:
    """What a search answered for one case, and what it cost as a share of training the whole search space."""

    case: Case
    verdict: Verdict
    chosen: Rung
    cost: float

    @classmethod
    def of(cls, case: Case, ladder: Sequence[Rung]) -> Answer:
        """Search in the folders of the case, where all that is trained already is only read."""
        search: Search = case.experiment.search(lambda search: None)
        verdict = search.run()
        chosen = Rung(verdict.chosen, case.test_hits(verdict.chosen))
        return cls(case, verdict, chosen, search.spent / sum(rung.candidate.cost for rung in ladder))

    @property
    def depth(self) -> int:
        return self.verdict.chosen.architecture.depth

    @property
    def is_shown(self) -> bool:
        return self.verdict.kind is DecisionKind.SHOWN

    @property
    def depth_set(self) -> tuple[int, ...] | None:
        """The depths that the answer does not rule out, None where the search gives no such set."""
        # DEPTH SET: the one place that knows how a verdict calls it.
        return getattr(self.verdict, "depth_set", None)


@dataclass(frozen=True)
class Shortfall:
    """By how much the chosen network is under the best of the whole search space on the test images, in 0..1."""

    value: float
    standard_error: float

    @classmethod
    def of(cls, chosen: Rung, ladder: Sequence[Rung]) -> Shortfall:
        """Paired on the same test images; of the best one there, which flatters nobody but the best."""
        best = max(ladder, key=lambda rung: rung.test_accuracy)
        difference = best.test_hits.mean(axis=0) - chosen.test_hits.mean(axis=0)
        return cls(float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(len(difference))))


ROW = "| {} | {} | {} | {} | {} | {} | {} | {} |"
HEAD = ROW.format(
    "set, seed", "true depth", "answer", "", "shown", "under the best on test, points", "depth set", "share of the cost"
)


def judged(answer: Answer, ladder: Sequence[Rung], truth: Truth) -> str:
    """A row of the table under `HEAD`."""
    off = truth.off(answer.depth)
    shortfall = Shortfall.of(answer.chosen, ladder)
    return ROW.format(
        answer.case.name,
        truth.depth,
        answer.depth,
        ("right", "one off")[off] if off < 2 else f"wrong by {off}",
        claim(answer, shortfall, truth.margin),
        f"{100 * shortfall.value:.2f} ± {100 * shortfall.standard_error:.2f}",
        depth_set(answer, truth),
        f"{answer.cost:.0%}",
    )


def claim(answer: Answer, shortfall: Shortfall, margin: float) -> str:
    """Whether "shown" is true on the test images."""
    if not answer.is_shown:
        return f"no ({answer.verdict.kind})"
    return "yes, holds" if shortfall.value <= margin else "yes, FALSE"


def depth_set(answer: Answer, truth: Truth) -> str:
    """The set of depths, and whether it holds the true one."""
    depths = answer.depth_set
    if depths is None:
        return "none given"
    return f"{', '.join(map(str, depths))}: {'holds' if truth.depth in depths else 'MISSES'}"


def curve(name: str, truth: Truth) -> str:
    """The true curve of a set, a row a depth."""
    rows = [
        f"| {depth} | {decision:.2%} | {test:.2%} | {both:.2%} |"
        for depth, decision, test, both in zip(truth.depths, truth.decision, truth.test, truth.both, strict=True)
    ]
    head = f"\n{name}: depth {truth.depth} (by decision images {truth.shallowest(truth.decision)}, by test images "
    head += f"{truth.shallowest(truth.test)})\n\n| depth | decision images | test images | both |\n|---|---|---|---|\n"
    return head + "\n".join(rows)
