"""An estimate of the time and memory of a search: a few measured steps, times what is planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from deepenough.autotuning.configuration import StepConfiguration
from deepenough.autotuning.memory_estimate import PROCESS_BYTES, fitting_micro_batch, step_bytes
from deepenough.record import Plan, Planned
from deepenough.report.reach import out_of_reach
from deepenough.report.text import duration
from deepenough.report.training_time import training_time
from deepenough.search.architectures import Architecture, costliest_student
from deepenough.search.candidates import CandidateTrainer
from deepenough.search.cut_search import cuts_within_reach
from deepenough.search.folds import share_of_rounds
from deepenough.search.question import Question
from deepenough.search.reach import Reach, within_reach
from deepenough.training.device import choose_device
from deepenough.training.memory import available_memory, peak_memory

MEASURED_ARCHITECTURES = 3  # what others take follows from the multiply-accumulates of their steps
MEASURED_CUTS = 2  # of each of several pretrained networks, whose multiply-accumulates take different times


@dataclass(frozen=True)
class StepPace:
    """The pace of training steps, measured of some architectures, which take `step_macs` for an image."""

    step_macs: Sequence[int]
    measured: Sequence[StepConfiguration]

    @classmethod
    def measure(
        cls, search_space: Sequence[Architecture], trainer: CandidateTrainer, most: int = MEASURED_ARCHITECTURES
    ) -> StepPace:
        """Measure at most so many of the architectures, from the smallest on in even steps."""
        step = max((len(search_space) - 1) // (most - 1), 1)
        known = search_space[: step * most : step]
        return cls([trainer.step_macs(each) for each in known], [trainer.configuration(each) for each in known])

    def seconds(self, step_macs: int, images: float) -> float:
        """Of training steps on so many images that take `step_macs` each, and the first one."""
        pace = _interpolated(step_macs, self.step_macs, [each.seconds for each in self.measured])
        return _interpolated(step_macs, self.step_macs, [each.first for each in self.measured]) + images * pace


class StepPaces:
    """The pace of training steps of all architectures, measured of each pretrained network by itself."""

    def __init__(self, search_space: Sequence[Architecture], trainer: CandidateTrainer) -> None:
        groups: dict[str, list[Architecture]] = {}
        for each in search_space:
            groups.setdefault(each.family if each.place else "", []).append(each)
        self._step_macs = trainer.step_macs
        most = MEASURED_ARCHITECTURES if len(groups) == 1 else MEASURED_CUTS
        self._paces = {name: StepPace.measure(group, trainer, most) for name, group in groups.items()}

    @property
    def measured(self) -> list[StepConfiguration]:
        """All configurations that were measured."""
        return [each for pace in self._paces.values() for each in pace.measured]

    def seconds(self, architecture: Architecture, images: float) -> float:
        """Of an architecture's training steps on so many images, and the first one."""
        pace = self._paces[architecture.family if architecture.place else ""]
        return pace.seconds(self._step_macs(architecture), images)


def estimate(
    question: Question,
    search_space: Sequence[Architecture],
    trainer: CandidateTrainer,
    first: Sequence[Architecture],
) -> Plan:
    """Estimate the time and memory of a search from a few steps of some architectures.

    The time lies between the fewest trainings that can answer (unless the first is right about nearly all images) and
    all that the budget allows. Probing is over by then: it takes a part of the budget, and no time.

    Args:
        question: that the search answers.
        search_space: all architectures of it, small to large.
        trainer: what the search trains with.
        first: the architectures that the search begins with, in their order.
    """
    device = choose_device(trainer.recipe.device).type
    # Before steps are measured, which take what trainings will take.
    already = peak_memory() or 0 if device == "cpu" else 0
    pace = StepPaces(search_space, trainer)
    batch, free = trainer.recipe.batch, available_memory() if device == "cpu" else None
    at_once = min((each.micro_batch for each in pace.measured if each.micro_batch), default=batch)  # images, as found
    side_by_side = share_of_rounds(len(trainer.folds.folds), trainer.jobs)

    def planned(architecture: Architecture) -> Planned:
        images = trainer.steps_images(architecture)
        most = fitting_micro_batch(architecture.network, batch, free) or batch
        return Planned.of(
            architecture,
            images=images,
            seconds=pace.seconds(architecture, images) * side_by_side,
            memory=trainer.jobs * step_bytes(architecture.network, min(most, at_once)),
        )

    rows = [planned(architecture) for architecture in search_space]
    reach = _reach(question, search_space, trainer, first)
    least, most = _least_and_most(
        question, search_space, trainer, first, reach.architectures, {row.name: row.seconds for row in rows}
    )
    student = costliest_student(search_space, question.minimize, trainer.planned) if question.distill else None
    if student and question.target is not None:  # without one the budget holds the students
        most += pace.seconds(student, trainer.steps_images(student)) * side_by_side
    finals = [_retraining(pace, trainer, each) for each in (*search_space, student) if each is not None]
    least, most = least + min(finals), max(most, least) + max(finals)
    left = max(trainer.time_left, 0.0)
    return Plan(
        architectures=rows,
        least=min(least, left),
        most=min(most, left),
        time_left=left if left < least else None,
        least_without_limit=least if left < least else None,
        memory=already + max(row.memory for row in rows) + (trainer.jobs * PROCESS_BYTES if trainer.jobs > 1 else 0),
        within_reach=[each.name for each in reach.architectures],
        short_looks=[each.name for each in reach.short_looks],
    )


def seconds_of_epoch(plan: Plan, architecture: Architecture, trainer: CandidateTrainer) -> float:
    """Seconds of the first epoch of an architecture's first trainings, which a deadline lets go on to its end."""
    folds = len(trainer.folds.folds)
    rounds = folds * share_of_rounds(folds, trainer.jobs)
    (row,) = (row for row in plan.architectures if row.name == architecture.name)
    return row.seconds / rounds * trainer.planned_until(architecture, 1) / trainer.planned(architecture)


def _retraining(pace: StepPaces, trainer: CandidateTrainer, architecture: Architecture) -> float:
    """Seconds of training it once more on all images, where folds make that necessary."""
    images = trainer.retraining_images(architecture)
    return pace.seconds(architecture, images) if images else 0.0


def _reach(
    question: Question, search_space: Sequence[Architecture], trainer: CandidateTrainer, first: Sequence[Architecture]
) -> Reach:
    """The networks that the budget lets a search look at; none are told apart with a target, where it ends early."""
    if question.target is not None:
        return Reach(())
    if question.weights:
        return cuts_within_reach(question, search_space, trainer, first)
    return within_reach(question, search_space, trainer)


def _least_and_most(
    question: Question,
    search_space: Sequence[Architecture],
    trainer: CandidateTrainer,
    first: Sequence[Architecture],
    reach: Sequence[Architecture],
    seconds: Mapping[str, float],
) -> tuple[float, float]:
    """Seconds of the trainings of a search, without training the answer once more; `seconds` are of each network."""
    whole = sum(seconds.values())
    if question.target is not None and question.weights:
        return _for_target_among_cuts(question, search_space, trainer, first[0], seconds)
    if question.target is not None:
        return seconds[first[0].name], whole
    if question.weights:
        # Of the second only a fold is certain, if the budget holds that beside the first.
        second = sum(seconds[each.name] / len(trainer.folds.folds) for each in first[1:2] if each in reach)
        probing = trainer.probing_cost / sum(map(trainer.planned, search_space))
        return seconds[first[0].name] + second, (question.budget - probing) * whole
    return sum(seconds[each.name] for each in first), question.budget * whole


def _for_target_among_cuts(
    question: Question,
    search_space: Sequence[Architecture],
    trainer: CandidateTrainer,
    first: Architecture,
    seconds: Mapping[str, float],
) -> tuple[float, float]:
    """The least: the first alone, or a fold of it that shows it to miss the target and another one. The most: what the
    budget holds where the costliest is chosen, and the most accurate trained to its end where none meets the target."""
    own, folds = seconds[first.name], len(trainer.folds.folds)
    others = [seconds[each.name] for each in search_space if each is not first]
    least = min(own, own / folds + min(others, default=own))
    costs = {each.name: trainer.planned(each) for each in search_space}
    pace = max(seconds[name] / cost for name, cost in costs.items())
    held = pace * (question.budget * max(costs.values()) - trainer.probing_cost)
    return least, min(sum(seconds.values()), max(own, held) + max(seconds.values()))


def estimate_text(plan: Plan | None) -> str:
    """The estimate in a line."""
    if plan is None:
        return ""
    first, reach = plan.architectures[0], out_of_reach(plan)
    return (
        f"estimate: {training_time(plan)} "
        f"(depth {first.depth}: {duration(first.seconds)}), {plan.memory / 1e9:.1f} GB of memory"
        f"{'; ' * bool(reach)}{reach}{_limit_text(plan)}"
    )


def _limit_text(plan: Plan) -> str:
    """The warning that the time limit is too short, where it is."""
    if plan.time_left is None or plan.least_without_limit is None:
        return ""
    if plan.no_time:
        return (
            f"\nthe fewest trainings that can answer take about {duration(plan.least_without_limit)}: the answer will "
            "rest on an unfinished one"
        )
    return (
        f"\nthe time limit leaves {duration(plan.time_left)} for trainings, and the fewest that can answer take about "
        f"{duration(plan.least_without_limit)}: the answer will speak of fewer networks, or rest on an unfinished one"
    )


def _interpolated(macs: int, known: Sequence[int], paces: Sequence[float]) -> float:
    """Seconds, between measured networks by their multiply-accumulates, beyond them in proportion."""
    order = np.argsort(known)
    x, y = np.asarray(known, float)[order], np.asarray(paces)[order]
    if macs > x[-1]:
        return float(y[-1] * macs / x[-1])
    return float(np.interp(macs, x, y))
