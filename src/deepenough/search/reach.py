"""The architectures that a budget lets a search without a target train, or look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from deepenough.nets.grow import grows
from deepenough.search.architectures import Architecture
from deepenough.search.candidates import CandidateTrainer
from deepenough.search.question import Question
from deepenough.search.scouts import scout_epochs

SMALLEST = 3  # architectures of each family and width that are trained before anything deeper is looked at
AT_LEAST = 2  # trained whatever the budget


@dataclass(frozen=True)
class Reach:
    """The architectures that a budget lets a search look at, from small to large, and those of them that it only has a
    short look at, unless what it then has left is spent on them."""

    architectures: Sequence[Architecture]
    short_looks: Sequence[Architecture] = ()


def within_reach(question: Question, search_space: Sequence[Architecture], trainer: CandidateTrainer) -> Reach:
    """The architectures that the budget lets a search train or look at, if it spends nothing on anything else."""
    epochs = scout_epochs(trainer.recipe.epochs)
    budget = question.budget * sum(trainer.planned(each) for each in search_space)
    found: list[Architecture] = []
    short: list[Architecture] = []
    spent = 0
    for each in smallest_of_each(search_space):
        cost = trainer.planned(each)
        if len(found) >= AT_LEAST and spent + cost > budget:
            break
        spent += cost
        found.append(each)
    rest = [each for each in search_space if each not in found]
    if spent + sum(trainer.planned(each) for each in [*rest, *found]) <= budget:  # with second seeds of the smallest
        return Reach(search_space)
    if question.distill and len(found) > 1:
        spent += trainer.planned(found[-2].distilled_from(found[-1]))
    for each in reversed(rest):
        growing = any(grows(parent.network, each.network) for parent in found)
        cost = trainer.planned_scout(each, epochs) if growing else trainer.planned(each)
        if spent + cost <= budget:
            spent += cost
            found.append(each)
            short += [each] if growing else []
    order = [each for each in search_space if each in found]
    return Reach(order, [each for each in order if each in short])


def smallest_of_each(search_space: Sequence[Architecture]) -> list[Architecture]:
    """The `SMALLEST` first architectures of each family and width, in the order of the search space."""
    found: dict[tuple[str, float], list[Architecture]] = {}
    for each in search_space:
        found.setdefault((each.family, each.width), []).append(each)
    first = [each for members in found.values() for each in members[:SMALLEST]]
    return [each for each in search_space if each in first]
