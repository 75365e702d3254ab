"""The search's answer beside the truth: depth, claim, set of depths and cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from truth import Case, Rung, Truth

from deepenough.search.question import DecisionKind
from deepenough.search.search import Search
from deepenough.search.verdict import Verdict


@dataclass(frozen=True)
class Answer:
    """What a search answered for one case.

    `cost` is its share of training the whole search space; `depth_set` are the depths that it does not rule out, none
    where it gives no such set.
    """

    case: Case
    verdict: Verdict
    chosen: Rung
    cost: float
    depth_set: tuple[int, ...]

    @classmethod
    def of(cls, case: Case, ladder: Sequence[Rung]) -> Answer:
        """Search in the folders of the case, where all that is trained already is only read."""
        search: Search = case.experiment.search(lambda search: None)
        verdict = search.run()
        chosen = Rung(verdict.chosen, case.test_hits(verdict.chosen))
        looked_at = [*search.search_space, *(candidate.architecture for candidate in search.tried)]
        depths = {architecture.name: architecture.depth for architecture in looked_at}
        # DEPTH SET: the one place that knows how a verdict calls it.
        depth_set = tuple(depths[name] for name in verdict.not_ruled_out)
        return cls(case, verdict, chosen, search.spent / sum(rung.candidate.cost for rung in ladder), depth_set)

    @property
    def depth(self) -> int:
        return self.verdict.chosen.architecture.depth

    @property
    def is_shown(self) -> bool:
        return self.verdict.kind is DecisionKind.SHOWN


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
    if not answer.depth_set:
        return "none given"
    return f"{', '.join(map(str, answer.depth_set))}: {'holds' if truth.depth in answer.depth_set else 'MISSES'}"


def curve(name: str, truth: Truth) -> str:
    """The true curve of a set, a row a depth."""
    rows = [
        f"| {depth} | {decision:.2%} | {test:.2%} | {both:.2%} |"
        for depth, decision, test, both in zip(truth.depths, truth.decision, truth.test, truth.both, strict=True)
    ]
    head = f"\n{name}: depth {truth.depth} (by decision images {truth.shallowest(truth.decision)}, by test images "
    head += f"{truth.shallowest(truth.test)})\n\n| depth | decision images | test images | both |\n|---|---|---|---|\n"
    return head + "\n".join(rows)
